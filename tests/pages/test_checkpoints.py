from __future__ import annotations

from pages import factory
from runpages.model import Attempt, Checkpoint
from runpages.pages.checkpoints import checkpoints_section


def at(*steps: int, **facts) -> tuple[Checkpoint, ...]:
    return tuple(Checkpoint(step=step, path=f"{step}.pt", **facts) for step in steps)


def of(checkpoints, columns=None, **facts) -> dict:
    return checkpoints_section(factory.report(columns, checkpoints=checkpoints, **facts))


def evaluated(values: dict[int, float]):
    """A validation loss at these steps only."""
    first, *rest = (factory.rows(s, s + 1, lambda _, v=v: v) for s, v in values.items())
    return {"val/loss": factory.joined(first, *rest)}


def test_the_best_by_validation_loss_stands_first():
    found = of(at(10, 20, 30), evaluated({10: 3.0, 20: 1.0, 30: 2.0}))
    assert [(row.rank, row.step, row.value) for row in found["checkpoints"]] == [
        ("1", "20", "1.000"), ("2", "30", "2.000"), ("3", "10", "3.000"),
    ]  # fmt: skip
    assert found["checkpoint_lede"] == "Ranked by val/loss, lower is better"


def test_a_checkpoint_between_evaluations_says_whose_value_it_is_ranked_by():
    found = of(at(5, 10, 15), evaluated({10: 3.0, 20: 1.0}))
    assert [(row.step, row.value, row.rank) for row in found["checkpoints"]] == [
        ("10", "3.000", "1"), ("15", "3.000 (at 10)", "2"), ("5", "n/a", ""),
    ]  # fmt: skip


def test_the_value_saved_with_a_checkpoint_counts_before_the_curve():
    made = Checkpoint(step=10, metrics={"val/loss": 0.5, "acc": 0.9})
    (row,) = of((made,), evaluated({10: 3.0}))["checkpoints"]
    assert (row.value, row.metrics) == ("0.5000", "acc 0.9000")


def test_one_lucky_step_of_a_training_loss_ranks_nothing():
    def loss(step: int) -> float:
        return 0.01 if step == 50 else 2.0 - step / 100

    found = of(at(50, 99), {"train/loss": factory.rows(0, 100, loss)})
    assert [row.step for row in found["checkpoints"]] == ["99", "50"]
    assert "median of 21 rows" in found["checkpoint_lede"]


def test_the_last_good_before_a_spike_names_it():
    def spiked(step: int) -> float:
        return factory.falling(step) + (4 if step == 120 else 0)

    report = factory.report(
        {"train/loss": factory.rows(0, 200, spiked)}, checkpoints=at(50, 100, 150)
    )
    (event,) = [e for e in report.events if e.kind == "spike"]
    rows = {row.step: row.marks for row in checkpoints_section(report)["checkpoints"]}
    assert rows["100"] == (("last good before the loss spike at 120", f"#event-{event.id}"),)
    assert rows["50"] == ()
    assert rows["150"] == (("newest", ""),)


def test_what_a_later_attempt_did_again_is_ranked_last_by_its_own_values():
    first = factory.rows(0, 150, lambda _: 1.0)
    second = factory.rows(100, 200, lambda _: 0.9, attempt=2, begin=factory.START + 300)
    attempts = (Attempt(number=1, first_step=0, last_step=149), Attempt(number=2, first_step=100, last_step=199))  # fmt: skip
    found = of(
        (*at(90, 140), *at(199, attempt=2)),
        {"val/loss": factory.joined(first, second)},
        attempts=attempts,
    )
    rows = [(row.step, row.value, row.rank, row.marks) for row in found["checkpoints"]]
    assert rows == [
        ("199", "0.9000", "1", (("newest", ""),)),
        ("90", "1.000", "2", ()),
        ("140", "1.000", "", (("done again by a later attempt", ""),)),
    ]


def test_an_attempt_that_was_rolled_back_lends_no_value_to_the_next():
    first = factory.rows(149, 150, lambda _: 9.0)
    second = factory.rows(140, 141, lambda _: 2.0, attempt=2, begin=factory.START + 300)
    attempts = (Attempt(number=1, first_step=0, last_step=149), Attempt(number=2, first_step=120, last_step=199))  # fmt: skip
    found = of(at(160, attempt=2), {"val/loss": factory.joined(first, second)}, attempts=attempts)
    assert found["checkpoints"][0].value == "2.000 (at 140)"


def test_without_a_loss_they_stand_by_step_with_the_reason():
    found = of(at(10, 30, 20))
    assert [row.step for row in found["checkpoints"]] == ["30", "20", "10"]
    assert found["checkpoints_why"] == "no loss was logged to rank them by"
    assert found["checkpoint_metric"] == ""


def test_a_long_list_folds_and_very_old_ones_are_counted():
    found = of(at(*range(300)))
    assert (len(found["checkpoints"]), len(found["more_checkpoints"])) == (8, 192)
    assert found["checkpoints_left"] == "100"
