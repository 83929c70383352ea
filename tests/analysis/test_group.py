"""Groups of real run directories: seeds, their mean, and who is missing from it."""

from __future__ import annotations

import math

import pytest

from runpages.analysis import analyze_group
from runpages.model import GroupReport
from siblings import judged, write_sibling


def group_of(folder) -> GroupReport:
    return analyze_group(list(judged(folder).values()))


def by_name(folder, told) -> dict[str, str]:
    """Folder name -> what is told of its slug."""
    names = {report.run.slug: name for name, report in judged(folder).items()}
    return {names[slug]: value for slug, value in told.items()}


def val_loss(group: GroupReport):
    return next(m for m in group.metrics if m.name == "val/loss")


def test_the_interval_is_students(tmp_path):
    for seed, final in enumerate((2.0, 2.1, 2.3)):
        write_sibling(tmp_path / f"s{seed}", seed=seed, final=final, group="g")
    metric = val_loss(group_of(tmp_path))
    assert (metric.n, metric.direction, metric.missing) == (3, "lower", {})
    assert metric.mean == pytest.approx(2.13333, abs=1e-5)
    assert metric.sd == pytest.approx(0.152753, abs=1e-6)
    # t(.975, 2) = 4.303 (NIST table); 4.303 x .152753 / sqrt(3) = .3795
    assert metric.ci95 == pytest.approx((2.13333 - 0.3795, 2.13333 + 0.3795), abs=1e-4)


def test_a_run_that_diverged_is_named_and_not_averaged(tmp_path):
    for seed, final in enumerate((2.0, 2.1, math.nan)):
        write_sibling(tmp_path / f"s{seed}", seed=seed, final=final)
    metric = val_loss(group_of(tmp_path))
    assert metric.n == 2
    assert by_name(tmp_path, metric.missing) == {"s2": "its last value is NaN"}


def test_a_run_that_crashed_half_way_is_named_and_not_averaged(tmp_path):
    for seed in range(2):
        write_sibling(tmp_path / f"s{seed}", seed=seed)
    write_sibling(tmp_path / "s2", seed=2, steps=20, state="crashed")
    group = group_of(tmp_path)
    assert val_loss(group).n == 2
    assert by_name(tmp_path, val_loss(group).missing) == {"s2": "only to step 19 of 39 (crashed)"}
    assert group.warnings == ("s2 is not a finished run: crashed",)


def test_a_run_that_failed_at_its_end_counts_with_a_warning(tmp_path):
    for seed in range(2):
        write_sibling(tmp_path / f"s{seed}", seed=seed)
    write_sibling(tmp_path / "s2", seed=2, state="failed")
    group = group_of(tmp_path)
    assert val_loss(group).n == 3
    assert group.warnings == ("s2 is not a finished run: failed",)


def test_a_run_without_the_metric_is_named(tmp_path):
    for seed in range(2):
        write_sibling(tmp_path / f"s{seed}", seed=seed)
    write_sibling(tmp_path / "s2", seed=2, metric="valid/loss")
    assert by_name(tmp_path, val_loss(group_of(tmp_path)).missing) == {"s2": "not logged"}


def test_settings_that_name_the_outputs_do_not_part_siblings(tmp_path):
    for seed in range(2):
        config = {"train": {"lr": 0.1, "data_seed": seed, "output_dir": f"out/{seed}"}}
        write_sibling(tmp_path / f"s{seed}", seed=seed, config=config)
    group = group_of(tmp_path)
    assert (len(group.seed_set), group.found_by, group.differences) == (2, "configuration", ())


def test_a_number_and_its_text_are_the_same_setting(tmp_path):
    write_sibling(tmp_path / "s0", config={"lr": "1e-3", "steps": 100})
    write_sibling(tmp_path / "s1", config={"lr": 0.001, "steps": 100.0})
    assert len(group_of(tmp_path).seed_set) == 2


def test_a_member_of_another_configuration_is_left_out_with_its_setting(tmp_path):
    for seed in range(2):
        write_sibling(tmp_path / f"s{seed}", seed=seed)
    write_sibling(tmp_path / "other", config={"lr": 0.3, "seed": 0})
    group = group_of(tmp_path)
    assert by_name(tmp_path, group.left_out) == {"other": "differs in lr"}
    (difference,) = group.differences
    assert difference.key == "config.lr"
    assert by_name(tmp_path, difference.values) == {"s0": (0.1,), "s1": (0.1,), "other": (0.3,)}


def test_siblings_of_another_commit_are_a_warning(tmp_path):
    for seed, commit in enumerate(("aaa", "bbb")):
        write_sibling(tmp_path / f"s{seed}", seed=seed, commit=commit)
    assert group_of(tmp_path).warnings == ("the runs also differ in code.commit",)


def test_what_only_some_record_is_no_contradiction(tmp_path):
    write_sibling(tmp_path / "s0", seed=0, commit="aaa")
    write_sibling(tmp_path / "s1", seed=1)
    group = group_of(tmp_path)
    assert (group.warnings, [d.key for d in group.differences]) == ((), ["code.commit"])


def test_one_seed_run_twice_is_told(tmp_path):
    for number in range(2):
        write_sibling(tmp_path / f"s{number}", seed=7, config={"lr": 0.1})
    assert group_of(tmp_path).warnings == ("seed 7 was run 2 times: not independent seeds",)


def test_without_any_configuration_the_name_makes_the_group(tmp_path):
    for number in range(2):
        write_sibling(tmp_path / f"s{number}", config={}, group="repeats")
    group = group_of(tmp_path)
    assert (group.found_by, len(group.seed_set)) == ("group", 2)


def test_one_run_has_no_spread(tmp_path):
    write_sibling(tmp_path / "s0", group="alone")
    group = group_of(tmp_path)
    assert (group.seed_set, group.metrics, group.found_by) == ((), (), "")


def test_the_final_validation_loss_is_its_last_and_not_a_median_of_worse_ones(tmp_path):
    # 40 evaluations of a falling loss: the median of the last tenth would be .06 above the end
    for seed in range(2):
        write_sibling(tmp_path / f"s{seed}", seed=seed, final=2.0, steps=160)
    assert val_loss(group_of(tmp_path)).mean == pytest.approx(2.0)


def test_further_sets_of_a_group_have_their_own_mean_and_what_sets_them_apart(tmp_path):
    for lr, finals in ((0.1, (2.0, 2.1, 2.3)), (0.2, (1.9, 2.0))):
        for seed, final in enumerate(finals):
            config = {"lr": lr, "seed": seed}
            write_sibling(tmp_path / f"lr{lr}-{seed}", seed=seed, final=final, config=config)
    write_sibling(tmp_path / "lone", config={"lr": 0.7})
    group = group_of(tmp_path)
    assert len(group.seed_set) == 3
    (further,) = group.further_sets
    assert further.settings == {"lr": 0.2}
    metric = next(m for m in further.metrics if m.name == "val/loss")
    assert (metric.n, metric.mean) == (2, pytest.approx(1.95))
    assert by_name(tmp_path, group.left_out) == {"lone": "differs in lr"}
