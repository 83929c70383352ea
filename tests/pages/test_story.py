from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pages import factory
from runpages import analyze
from runpages.model import Attempt, Event, Hardware, ModelFacts, Provenance, Quantity
from runpages.pages.story import story
from runpages.sources import open_source, sniff

LOSS = {"val/loss": factory.rows(0, 200, factory.falling)}


def event(step: int, kind: str, severity="warning") -> Event:
    return Event(id=f"{kind}-{step}", kind=kind, metric="m", start_step=step, end_step=step,
                 severity=severity, message=f"A {kind} at {step}.")  # fmt: skip


def test_nothing_is_said_of_a_run_of_which_nothing_is_known():
    assert story(factory.report()) == "Nothing was recorded: the log holds no metric."


def test_what_is_not_known_is_left_out():
    assert story(factory.report({"depth": factory.rows(0, 9, float)})) == "The run reached step 8."


def test_model_tokens_time_and_devices_make_the_first_sentence():
    report = factory.report(
        {**LOSS, "tokens": factory.rows(0, 200, lambda s: 1e6 * s)},
        model=ModelFacts(architecture="GPT", parameters=124_000_000),
        hardware=Hardware(device="A100", devices=8),
        attempts=(Attempt(number=1, start=factory.START, end=factory.START + 199, devices=8),),
        start=factory.START,
        end=factory.START + 199,
    )  # fmt: skip
    first = story(report).split(". ")[0]
    assert first == (
        "A GPT of 124 M parameters saw 199 M tokens up to step 199 in 3.32 min on 8 × A100"
    )


def test_a_run_that_goes_on_has_not_ended_its_training():
    assert story(factory.report(LOSS, state="running")).startswith("The run has so far reached")


def test_steps_that_count_something_else_say_so():
    made = factory.report(LOSS, provenance=Provenance(step_unit="epochs"))
    assert story(made).startswith("The run reached epoch 199.")


def test_the_share_of_the_plan_is_told_with_the_step():
    told = story(factory.report(LOSS, config={"trainer": {"max_steps": 1000}}))
    assert told.startswith("The run reached step 199 of 1,000 planned steps (20 %).")
    told = story(factory.report(LOSS, config={"max_steps": 200}))
    assert told.startswith("The run reached step 199 of 200 planned steps.")


def test_the_baseline_is_named_with_the_direction_in_words():
    base = factory.report(LOSS, name="the base")
    worse = {"val/loss": factory.rows(0, 200, lambda s: factory.falling(s) + 1)}
    told = story(factory.report(worse, baseline=base, run_id="two"))
    assert "1.000 worse than the baseline the base." in told
    longer = factory.report({"val/loss": factory.rows(0, 400, factory.falling)}, name="the base")
    told = story(factory.report(worse, baseline=longer, run_id="two"))
    assert "than the baseline the base, which ran to step 399." in told


def test_a_difference_has_no_more_digits_than_its_values():
    base = factory.report({"val/loss": factory.rows(0, 200, lambda _: 12.30491)}, name="b")
    told = {}
    for value in (12.31512, 12.305, 11.9):
        own = {"val/loss": factory.rows(0, 200, lambda _, v=value: v)}
        told[value] = story(factory.report(own, baseline=base, run_id="two"))
    assert "12.32, 0.01 worse than the baseline b." in told[12.31512]
    assert ", as the baseline b." in told[12.305]
    assert "11.90, 0.40 better than the baseline b." in told[11.9]


def test_a_metric_that_got_worse_tells_its_best():
    bent = {"val/loss": factory.rows(0, 5, lambda s: 1 + abs(s - 2) / 2)}
    assert "ended at 2.000, after a best of 1.000 at step 2." in story(factory.report(bent))


def test_a_best_that_the_finding_tells_is_told_once():
    bent = {"val/loss": factory.rows(0, 200, lambda s: 1 + abs(s - 100) / 100)}
    told = story(factory.report(bent))
    assert "rose above its minimum of 1.000 from step 101 on" in told
    assert "best" not in told


def test_the_best_of_noisy_rows_is_no_worsening():
    def noisy(s: int) -> float:
        return 1.982 if s == 150 else 2 + 0.02 * ((s * 7919) % 101) / 101

    assert "best of" not in story(factory.report({"train/loss": factory.rows(0, 200, noisy)}))


def test_a_best_at_the_last_step_is_not_said_to_be_before_the_end():
    falls = {"train/loss": factory.rows(0, 100, lambda s: 100.0 - s)}
    assert "best of" not in story(factory.report(falls))


def test_what_only_the_runs_own_summary_says_of_its_end_is_told():
    summary = {"final_int8 val_bpb": 1.2353, "final_int8 eval_time_ms": 8.0, "note": "x"}
    told = story(factory.report(LOSS, summary=summary))
    assert "Its own summary ends with final_int8 val_bpb 1.235." in told


def test_losses_of_players_are_counted():
    columns = {name: factory.rows(0, 99, factory.falling) for name in ("D_A", "G_A", "cycle_A")}
    told = story(factory.report(columns))
    assert "It logged 3 losses, none of them known as the training loss." in told


def test_a_single_further_finding_is_named_without_a_count():
    events = (event(9, "divergence", "critical"), event(1, "grad_explosion"))
    told = story(replace(factory.report(LOSS), events=events))
    assert told.endswith("One more warning: gradient explosion at step 1.")


def test_an_agent_is_judged_by_its_reward():
    told = story(factory.report({"episodic_return": factory.rows(0, 200, lambda _: 350.0)}))
    assert "Reward ended at 350" in told


def test_the_gravest_finding_is_told_and_the_others_are_counted_by_kind():
    events = (event(9, "divergence", "critical"), event(1, "spike"), event(2, "spike"),
              event(3, "stall", "info"))  # fmt: skip
    told = story(replace(factory.report(LOSS), events=events))
    assert "A divergence at 9. 2 more warnings: 2 × spike." in told
    assert "stall" not in told
    told = story(replace(factory.report(LOSS), events=events[:2]))
    assert "A divergence at 9. One more warning: spike at step 1." in told


def test_attempts_and_their_redone_steps_are_told():
    report = factory.rolled_back()
    assert "did 30 steps again" in story(report)  # the spike's own words
    assert "It took" not in story(report)
    unspiked = replace(report, events=())
    assert "It took 2 attempts; 30 steps were done again." in story(unspiked)


def test_the_end_of_a_crash_is_told():
    assert story(factory.report(LOSS, state="crashed")).endswith("It crashed.")


def test_a_log_of_several_trainings_says_where_each_began():
    report = factory.report(LOSS, state="failed")
    began = tuple(event(step, "restart") for step in (80, 160))
    told = story(replace(report, events=began))
    assert told.endswith("Training began anew at steps 80, 160. It failed.")


def test_money_is_told_with_whose_price_it_is_and_pennies_are_not():
    report = factory.report(LOSS)
    cost = replace(report.cost, device_hours=Quantity(value=10.31, unit="h"))
    assert story(replace(report, cost=cost)).endswith("It cost 10.3 device-hours.")
    cost = replace(report.cost, device_hours=Quantity(value=0.001, unit="h"))
    assert "cost" not in story(replace(report, cost=cost))


def _told_of(folder: Path, name: str) -> str:
    (ref,) = (ref for ref in sniff(folder).runs if ref.run_id.endswith(name))
    return story(analyze(open_source(ref.kind, folder).read(ref)))


@pytest.mark.acceptance
def test_real_runs_tell_their_plan_and_their_score(shared):
    star = shared / "data/logs/hf_trainer/HangerYang+Star"
    assert "step 40,000 of 252,780 planned steps (16 %)" in _told_of(star, "Star")
    golf = shared / "data/logs/textlogs/openai+parameter-golf/records/track_non_record_16mb"
    told = _told_of(golf, "LegendreGPT/train.log")
    assert "final_INT7_zlib_roundtrip val_bpb 1.235" in told
    told = _told_of(golf, "4h_pgut3/train.log")
    assert "step 329,430 of 500,000 planned steps (66 %)" in told
    assert "val_bpb 1.207" in told


def test_a_unit_that_the_log_leaves_open_is_one_of_each():
    provenance = Provenance(reader="mlperf 1", step_unit="epochs or tokens", step_source="n")
    told = story(factory.report(LOSS, provenance=provenance))
    assert "reached epoch or token 1" in told
