from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pages import factory
from runpages.model import KINDS, Event
from runpages.pages import render
from runpages.pages.findings import findings_section
from runpages.pages.story import story


def event(step: int, kind="spike", metric="train/loss", **facts) -> Event:
    facts.setdefault("peak_value", 5.0)
    return Event(
        id=f"{kind}-{step}-{len(metric):04x}", kind=kind, metric=metric, start_step=step,
        end_step=facts.pop("end_step", step), peak_step=step, message=f"{kind} {step}.",
        severity=facts.pop("severity", "info"), **facts,
    )  # fmt: skip


def with_events(*events: Event, **facts):
    return replace(factory.healthy(**facts), events=events)


def facts_of(row) -> dict[str, str]:
    return {fact.label: fact.value or fact.why for fact in row.facts}


def test_eight_findings_stand_open_and_more_fold_to_one_line():
    report = with_events(*(event(step, peak_value=step / 10) for step in range(44)))
    found = findings_section(report)
    assert len(found["findings"]) == 8
    assert len(found["more_findings"]) == 36
    assert found["more_findings_words"] == "36 more: 36 × spike in train/loss (largest 4.300 at 43)"
    assert found["findings_count"] == "44"


def test_ten_alike_do_not_push_out_the_one_of_another_kind():
    report = with_events(*(event(step) for step in range(20)), event(30, "stall", "dt"))
    assert [row.title for row in findings_section(report)["findings"]][-1] == "Stall"


def test_every_finding_keeps_its_anchor_when_folded():
    report = with_events(*(event(step) for step in range(44)))
    ids = re.findall(r'id="(event-[^"]+)"', render(report).markdown.replace("&#45;", "-"))
    assert len(set(ids)) == 44


def test_forty_four_findings_weigh_little_more_than_eight():
    def size(count: int) -> int:
        return len(render(with_events(*(event(step) for step in range(count)))).markdown)

    assert size(44) - size(8) < 36 * 600


def test_a_hundred_are_listed_and_the_rest_is_counted():
    found = findings_section(with_events(*(event(step) for step in range(150))))
    assert (len(found["more_findings"]), found["findings_left"]) == (100, "42")


def test_what_it_cost_and_what_explains_it_are_told():
    made = event(
        140, end_step=150, severity="warning", lost_steps=30, lost_seconds=90.0,
        lost_device_hours=0.2, checkpoint_before=119, explained_by="a restart at step 140",
        related=(("grad/norm", 3), ("val/loss", 0)), start_time=10.0, end_time=70.0,
    )  # fmt: skip
    (row,) = findings_section(with_events(made))["findings"]
    told = facts_of(row)
    assert told["Lasted"] == "1.00 min"
    assert (told["Lost steps"], told["Lost time"]) == ("30", "1.50 min")
    assert told["Lost device-hours"] == "0.200"
    assert told["Explained by"] == "a restart at step 140"
    assert told["Seen also in"] == "grad/norm, 3 steps earlier, val/loss at the same step"
    assert told["Checkpoint before"] == "step 119"
    assert told["Checkpoint after"] == "none logged"
    assert "a restart at step 140" in row.tail


def test_the_baseline_says_whether_it_had_the_same():
    base = with_events(event(10, end_step=12, peak_value=2.0), run_id="base")
    own = replace(with_events(event(11), event(90), event(5000)), baseline=base)
    tails = [row.tail for row in findings_section(own)["findings"]]
    assert tails[0] == "train/loss, in the baseline too (2.000)"
    assert tails[1] == "train/loss, not in the baseline"
    assert tails[2] == "train/loss"  # the baseline ends at 199: nothing can be said


def test_the_size_of_a_move_is_its_way():
    rows = findings_section(with_events(
        event(1, "level_shift", baseline_value=3.0, peak_value=3.5),
        event(2, "spike", baseline_value=2.0, peak_value=5.0),
        event(3, "nonfinite", peak_value=float("nan")),
        event(4, "plateau", end_step=104, peak_value=None),
            event(5, "restart"),
            event(6, "overfit", peak_value=None),
            event(7, "idle_device", end_step=9, peak_value=0.0, lost_seconds=90.0),
            event(8, "idle_device", end_step=12, peak_value=0.0),
    ))["findings"]  # fmt: skip
    assert [row.size for row in rows] == [
        "3.000 → 3.500",
        "5.000 = 2.5 × level",
        "NaN or Inf",
        "100 steps",
        "from the start",
        "n/a",
        "1.50 min",
        "4 steps",
    ]


@pytest.mark.parametrize(
    ("kind", "role", "title"),
    [
        ("spike", "loss", "Loss spike"),
        ("spike", None, "Spike"),
        ("nonfinite", "val_loss", "Validation loss non-finite value"),
        ("grad_explosion", "grad_norm", "Gradient explosion"),
        ("near_oom", "gpu_memory", "Nearly out of memory"),
        ("overfit", "val_loss", "Over-fitting"),
        ("idle_device", "gpu_util", "Idle device"),
        ("restart", None, "Restart"),
    ],
)
def test_titles_are_words(kind, role, title):
    (row,) = findings_section(with_events(event(1, kind, role=role)))["findings"]
    assert row.title == title


def test_no_kind_is_shown_by_a_name_with_underscores():
    for kind in KINDS:
        (row,) = findings_section(with_events(event(1, kind)))["findings"]
        assert "_" not in row.title


def test_known_roles_have_a_name_and_the_metric_stays():
    (row,) = findings_section(with_events(event(1, role="grad_norm", metric="gn")))["findings"]
    assert (row.title, row.tail) == ("Gradient norm spike", "gn")


def test_what_came_back_says_in_which_row_it_did():
    rows = findings_section(with_events(
        event(10, recovered=True, evidence=((5, 1.0), (10, 5.0), (15, 1.0))),
        event(20, end_step=30, recovered=True, evidence=((20, 5.0), (30, 4.0), (35, 1.0))),
        event(50, end_step=60, recovered=True),
    ))["findings"]  # fmt: skip
    assert [row.recovered for row in rows] == ["in the next row", "by step 35", "after step 60"]


def test_a_kind_is_not_named_twice_in_a_title_and_reads_as_words():
    explosion = event(1, "grad_explosion", "gn", role="grad_norm", severity="warning")
    shown = with_events(explosion, event(2, "overfit", "v", role="val_loss"), explosion)
    titles = [row.title for row in findings_section(shown)["findings"]]
    assert titles == ["Gradient explosion", "Over-fitting", "Gradient explosion"]
    assert "One more warning: gradient explosion at step 1." in story(shown)
