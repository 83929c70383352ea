"""How many steps the run was to make."""

from __future__ import annotations

import pytest

from pages import factory
from runpages.model import Provenance, Quantity

ROWS = {"loss": factory.rows(0, 200, factory.falling)}


def planned(**facts) -> Quantity:
    return factory.report(ROWS, **facts).planned_steps


@pytest.mark.parametrize(
    "config",
    [
        {"max_steps": 1000},
        {"train": {"max_iters": 1000}},
        {"train_iters": 1000.0},
        {"steps": 1000},
        {"training": {"steps": 1000}},
    ],
)
def test_it_is_found_under_the_keys_that_programs_use(config):
    assert planned(config=config).value == 1000
    assert planned(config=config).note.startswith("config.")


def test_what_the_log_printed_beside_the_step_comes_before_the_settings():
    found = planned(summary={"planned_steps": 500}, config={"max_steps": 1000})
    assert (found.value, found.note) == (500, "the log")


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"max_steps": -1},
        {"max_steps": True},
        {"max_steps": "1000"},
        {"max_steps": 1000, "total_steps": 3000},
        {"max_steps": 100},
        {"max_epochs": 1000},
        {"scheduler": {"steps": 1000}},
    ],
)
def test_nothing_is_planned_where_it_is_not_known(config):
    found = planned(config=config)
    assert found.value is None
    assert found.why


def test_steps_that_count_epochs_have_epochs_planned():
    made = Provenance(step_unit="epochs")
    assert planned(config={"max_epochs": 400, "max_steps": 9000}, provenance=made).value == 400


def test_calls_of_the_logger_are_no_steps_of_a_plan():
    assert planned(config={"max_steps": 1000}, provenance=Provenance(step_source="_step")).why


def test_megatrons_golden_values_tell_the_step_at_which_they_end():
    assert planned(summary={"lm loss": {"start_step": 1, "end_step": 24000}}).value == 24000
