"""What the documentation says a source reads is proven by a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runpages.sources import SOURCES
from sources import coverage

HERE = Path(__file__).resolve().parent
CELLS = [
    (source, feature, cell)
    for source, features in coverage.load().items()
    for feature, cell in features.items()
]


def test_every_source_and_feature_is_told():
    told = coverage.load()
    # servers of a tracker stand beside its files as `<kind>-server`
    served = {f"{name}-server" for name, row in SOURCES.items() if row.server}
    assert set(told) == set(SOURCES) | served
    for source, features in told.items():
        assert tuple(features) == coverage.FEATURES, source


@pytest.mark.parametrize(("source", "feature", "cell"), CELLS)
def test_what_is_read_is_proven(source, feature, cell):
    if "::" not in cell:
        return
    file, _, name = cell.partition("::")
    text = (HERE / file).read_text(encoding="utf-8")
    if name.startswith("Test"):
        name, _, inherited = name.partition("::")
        assert re.search(rf"^class {name}\(SourceConformance\)", text, re.MULTILINE)
        text, name = (HERE / "conformance.py").read_text(encoding="utf-8"), inherited
    assert re.search(rf"^\s*def {name}\(", text, re.MULTILINE), cell


def test_the_table_stands_in_the_documentation():
    page = HERE.parents[1] / "docs" / "sources" / "index.md"
    assert coverage.table() in page.read_text(encoding="utf-8")
