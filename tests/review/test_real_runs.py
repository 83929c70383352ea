"""Every real W&B run has a comment and a card within their limits."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from runpages import analyze
from runpages.analysis import compare, run_contender
from runpages.review import Links, as_markdown, as_text, brief
from runpages.review.card import draw_card
from runpages.sources import open_source

pytestmark = pytest.mark.acceptance


def test_real_runs_have_a_comment_and_a_card(shared):
    source = open_source("wandb", shared / "data/logs/wandb")
    reports = [analyze(source.read(ref)) for ref in source.discover()]
    assert len(reports) == 9
    links = Links(url="https://runs.example/team/")
    for base, report in zip(reports, reports[1:], strict=False):
        met = compare(run_contender(base), [run_contender(report)])
        told = brief(report, met, links=links)
        assert len(as_markdown(told)) <= 4000
        assert len(as_text(told)) <= 4000
        data = draw_card(report)
        assert len(data) < 40_000
        assert Image.open(io.BytesIO(data)).size == (1200, 630)
