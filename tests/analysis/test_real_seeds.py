"""Seed tables of real repeats: from their logs to the figures that their authors print."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from analysis.test_statistics import MFU_TWEAKS
from runpages import analyze
from runpages.analysis import analyze_group
from runpages.analysis.statistics import spread
from runpages.model import GroupMetric, GroupReport, Report
from runpages.sources import open_source, sniff

pytestmark = pytest.mark.acceptance


def reports_of(shared, folder: str) -> list[Report]:
    root = shared / "data/logs" / folder
    refs = sniff(root).runs
    (kind,) = {ref.kind for ref in refs}
    source = open_source(kind, root)
    return [analyze(source.read(ref)) for ref in refs]


def metric_of(group: GroupReport, name: str) -> GroupMetric:
    return next(metric for metric in group.metrics if metric.name == name)


RECORDS = "textlogs/KellerJordan+modded-nanogpt/records"
GOLF = "textlogs/openai+parameter-golf/records/track_10min_16mb"
GOLF += "/2026-03-31_ParallelResiduals_MiniDepthRecurrence"


def test_forty_repeats_of_modded_nanogpt(shared):
    group = analyze_group(reports_of(shared, f"{RECORDS}/track_1_short/2024-12-10_MFUTweaks"))
    found = metric_of(group, "val_loss")
    assert (found.n, round(found.mean, 4), round(found.sd, 4)) == (40, 3.2785, 0.0024)
    assert tuple(found.values.values()) == MFU_TWEAKS
    assert (group.found_by, found.missing) == ("group", {})


def test_five_repeats_of_adamh_have_the_mean_of_their_table(shared):
    # records/track_3_optimization/README.md, row 4: 4875 steps, 3.2741 (n=5)
    folder = f"{RECORDS}/track_3_optimization/results/20260430_adamh"
    found = metric_of(analyze_group(reports_of(shared, folder)), "val_loss")
    assert (found.n, round(found.mean, 4)) == (5, 3.2741)


def test_three_seeds_of_parameter_golf_have_the_mean_and_sd_of_their_submission(shared):
    root = shared / "data/logs" / GOLF
    claimed = json.loads((root / "submission.json").read_text())
    line = r"final_int6_sliding_window_exact val_loss:([\d.]+) val_bpb:([\d.]+)"
    rows = [re.search(line, path.read_text()) for path in sorted(root.glob("train_seed*.log"))]
    for place, name in ((1, "val_loss"), (2, "val_bpb")):
        found = spread([float(row[place]) for row in rows])
        assert found.n == len(claimed["seeds"])
        assert round(found.mean, 8) == claimed[name]
        assert round(found.sd, 8) == claimed[f"{name}_std"]


def test_three_seeds_of_parameter_golf_are_found_by_their_configuration(shared):
    group = analyze_group(reports_of(shared, GOLF))
    assert group.found_by == "configuration"
    assert sorted(group.seeds.values()) == [42, 1337, 2024]
    assert len(group.seed_set) == 3


def test_ten_repeats_of_mlperf(shared):
    # minutes from run_start to run_stop, read off the logs' MLLOG lines by hand
    minutes = (105.629, 106.665, 110.467, 113.641, 115.279, 117.291, 118.745, 120.097, 126.507,
               142.734)  # fmt: skip
    reports = reports_of(shared, "mlperf/mlcommons+training_results_v4.0/JuniperNetworks")
    group = analyze_group(reports)
    assert (group.found_by, len(group.seed_set)) == ("configuration", 10)
    assert len(set(group.seeds.values())) == 10
    elapsed = sorted(r.timing.elapsed_seconds.value / 60 for r in reports)
    np.testing.assert_allclose(elapsed, minutes, rtol=0.02)
