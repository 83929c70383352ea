from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import markdown
import pytest

from pages import factory
from runpages.analysis import AnalysisOptions, analyze, analyze_group
from runpages.markup import json_bytes
from runpages.model import Hardware, LoggedEvent, ModelFacts, Price, Provenance, SeriesSet, Target
from runpages.pages import group_slug, list_row, render, render_group, render_index, run_json
from runpages.pages.all_figures import FIGURES
from runpages.pages.figures import key_figures
from runpages.pages.provenance import provenance_section

GOLDEN = Path(__file__).parent / "golden"
SITE = SimpleNamespace(title="Training runs", section="runs")
ANCHORS = ("summary", "findings", "timeline", "curves", "evals", "samples", "resources",
           "reproduce", "checkpoints", "provenance", "notes")  # fmt: skip
ATTACK = "</title><script>alert(1)</script>[x](javascript:alert(1)) {{ 7*7 }} {: onclick=a }\n\n# h"


def html_of(text: str) -> str:
    body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    return markdown.markdown(body, extensions=["attr_list", "md_in_html", "toc", "tables"])


class Seen(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.ids, self.attributes, self.words = [], [], [], []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.words.append(data)


def page_of(report) -> Seen:
    return Seen(html_of(render(report).markdown))


def compare_golden(name: str, text: str) -> None:
    """`RUNPAGES_GOLDEN=write pytest tests/pages` writes them anew; read the diff."""
    path = GOLDEN / name
    if os.environ.get("RUNPAGES_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_golden_page_of_an_empty_run() -> None:
    compare_golden("empty.md", render(factory.report(name="empty")).markdown)


def test_golden_index() -> None:
    rows = [list_row(factory.rolled_back()), list_row(factory.report(name="empty", run_id="two"))]
    compare_golden("index.md", render_index(rows, site=SITE).markdown)


@pytest.mark.parametrize("make", [factory.healthy, factory.rolled_back, factory.report])
def test_every_anchor_is_there_once_in_order(make) -> None:
    found = [i for i in page_of(make()).ids if i in ANCHORS]
    assert found == list(ANCHORS)


def test_events_have_their_anchor() -> None:
    report = factory.rolled_back()
    assert report.events
    assert {f"event-{e.id}" for e in report.events} <= set(page_of(report).ids)


def test_a_rolled_back_spike_stays_with_its_lost_steps() -> None:
    report = factory.rolled_back()
    spike = next(e for e in report.events if e.kind == "spike")
    assert spike.lost_steps == 30
    text = page_of(report).text
    assert "rolled back, 30 steps lost" in text
    assert "1 warning" in text


def test_a_healthy_run_has_a_green_chip_and_says_what_was_not_judged() -> None:
    page = page_of(factory.healthy())
    assert "no findings" in page.text
    assert "Not judged:" in page.text
    assert "warning" not in page.text


def test_a_run_of_which_little_was_judged_has_no_green_chip() -> None:
    report = factory.report({"cleverness": factory.rows(0, 99, float)}, state="ended")
    page = page_of(report)
    assert re.search(r"no findings, \d of 23 kinds judged", page.text)
    assert 'rp-chip--good" href' not in render(report).markdown


def test_the_runs_own_summary_is_shown_and_its_evaluations_stand_with_the_others() -> None:
    page = page_of(
        factory.report(
            {"train/loss": factory.rows(0, 99, factory.falling)},
            summary={"final <b> val_bpb": 1.2353, "stage": {"two": "<i>"}, "_step": 5,
                     "train/loss": 1.0, "picture": {"_type": "image-file", "path": "x"}},
            logged_events=(LoggedEvent(kind="stopping_early", text="wallclock_cap", step=98),),
        )
    )  # fmt: skip
    assert "The run's own summary: 3 entries" in page.text
    for told in ("final <b> val_bpb", "1.2353", "stage.two", "<i>", "stopping_early, step 98"):
        assert told in page.text
    assert "own summary" in page.text.split("Evaluations", 2)[2]
    assert "image-file" not in page.text


def test_losses_of_players_are_counted_where_no_training_loss_is_known() -> None:
    columns = {name: factory.rows(0, 99, factory.falling) for name in ("D_A", "G_A", "d_loss/fake")}
    page = page_of(factory.report(columns))
    assert "3 losses, none of them known as the training loss" in page.text
    assert "no training loss logged" not in page.text


def test_an_empty_run_says_so_in_every_section_and_shows_no_zero_for_absent_numbers() -> None:
    page = page_of(factory.report(name="empty"))
    for sentence in ("no metric was recorded", "no step was recorded", "no evaluation was logged",
                     "no sample was logged", "the log names no checkpoint", "No verdict yet"):  # fmt: skip
        assert sentence in page.text
    assert "Nothing was recorded" in page.text
    assert "no findings" not in page.text
    assert "svg" not in page.tags


def test_a_running_run_says_so() -> None:
    assert "still running" in page_of(factory.healthy(state="running")).text


def test_a_difference_from_the_baseline_says_its_direction() -> None:
    base = factory.healthy(config={"lr": 1})
    worse = factory.report(
        {"train/loss": factory.rows(0, 200, lambda s: factory.falling(s) + 1)},
        run_id="two",
        config={"lr": 2},
        baseline=base,
    )
    text = page_of(worse).text
    assert "▲ 1.000 worse" in text
    assert "What differs from the baseline" in text


def test_nothing_foreign_is_active_and_no_block_breaks() -> None:
    report = factory.healthy(
        name=ATTACK, project=ATTACK, group=ATTACK, author=ATTACK, description=ATTACK,
        command=f"{ATTACK}\n\n{ATTACK}", tags=(ATTACK,), config={ATTACK: ATTACK}, console=ATTACK,
        environment={ATTACK: ATTACK}, incomplete=(ATTACK,),
    )  # fmt: skip
    page = page_of(report)
    assert "script" not in page.tags
    assert not [a for a in page.attributes if a[1].startswith("on") or a[1] == "style"]
    addresses = [a[2] or "" for a in page.attributes if a[1] in {"href", "src"}]
    assert not [a for a in addresses if a.strip().lower().startswith("javascript:")]
    assert [i for i in page.ids if i in ANCHORS] == list(ANCHORS)
    title = render(report).markdown.split("\n")[1]
    assert "<" not in title
    assert "alert(1)" in unescape(title)


def test_a_page_is_a_pure_function_of_its_report() -> None:
    one, two = render(factory.rolled_back()), render(factory.rolled_back())
    assert one == two


def test_files_stand_below_the_section() -> None:
    report = factory.rolled_back()
    files = render(report, section="train").files
    folder = f"train/assets/runs/{report.run.slug}"
    assert set(files) == {f"{folder}/{n}.json" for n in ("run", "charts", "compare", "samples")}
    assert len(json.loads(files[f"{folder}/samples.json"])["samples"]) == 3
    assert (
        f"train/assets/runs/{report.run.slug}/samples.json" not in render(factory.healthy()).files
    )


def test_only_the_newest_two_steps_of_a_sample_are_in_the_page() -> None:
    text = page_of(factory.rolled_back()).text
    assert "<b>150</b>" in text
    assert "<b>100</b>" in text
    assert "<b>50</b>" not in text


def test_the_elapsed_time_is_told_by_cause_with_its_reasons() -> None:
    text = page_of(factory.rolled_back()).text
    assert "Between attempts 2.52 min 36.0 %" in text  # 151 of 419 s
    assert "Steps done again 30.0 s 7.16 %" in text
    assert "Evaluation n/a n/a no evaluation with a time was logged" in text
    assert "Goodput 56." in text


def test_an_mfu_shows_formula_type_and_denominator_and_an_impossible_one_is_an_error() -> None:
    def page(rate: float) -> str:
        return page_of(
            factory.report(
                {"loss": factory.rows(0, 9, factory.falling), "tok/s": factory.rows(0, 9, lambda _: rate)},
                config={"bf16": True, "gradient_checkpointing": False},
                model=ModelFacts(parameters=7_000_000_000),
                hardware=Hardware(device="NVIDIA H100 PCIe", devices=2),
            )
        ).text  # fmt: skip

    text = page(10_000.0)  # 10 k x 42 GFLOP / (2 x 756 TFLOP/s)
    assert "MFU 27.8 % of the bf16 dense peak" in text
    assert "HFU 27.8 % nothing is recomputed" in text
    assert "6 N = 42.00 GFLOP a token (N = 7.000 B; attention is not counted" in text
    assert "/ (2 × 756 TFLOP/s, dense, of H100 PCIe)" in text
    assert "tokens/s: median of logged tok/s; peak in bf16 by https://" in text
    assert "Error:" not in text
    assert "Error: an MFU of 83.3 % is more than training reaches" in page(30_000.0)


def test_each_key_figure_has_its_place_and_there_are_eight_at_most() -> None:
    assert len(key_figures(factory.rolled_back())) <= 8


def test_an_estimated_energy_is_called_one_wherever_it_stands() -> None:
    report = factory.healthy(hardware=Hardware(device="NVIDIA H100 PCIe", devices=2))
    text = page_of(report).text
    assert text.count("Energy, estimated") == 2
    # 199 s x 2 devices x 350 W x 80 %
    assert "0.0310 kWh estimated, ± 25 %: 350 W of H100 PCIe × device-hours × 80 % load" in text
    assert "PUE 1.2 assumed, host not counted" in text
    assert "Carbon: region not known: set region under [energy]" in text


def test_a_stale_price_says_so_beside_the_cost() -> None:
    row = Price(
        accelerator="H100", usd_per_device_hour=2.0, valid_from="2024-06-01", source_url="",
        kind="team price",
    )  # fmt: skip
    run = factory.healthy(hardware=Hardware(device="H100 PCIe", devices=2)).run
    text = page_of(analyze(run, AnalysisOptions(prices=(row,)))).text
    assert "team price, valid from 2024-06-01, very stale" in text
    assert "valid from 2024-06-01; very stale: over a year old at the run's end" in text


def test_targets_stand_beside_the_evaluations_with_what_they_took() -> None:
    run = factory.healthy().run
    wanted = (Target(metric="train/loss", value=2.0), Target(metric="train/loss", value=0.5))
    text = page_of(analyze(run, AnalysisOptions(targets=wanted))).text
    # 3 exp(-s / 60) + 1 passes 2 at step 66 less the noise; blocks of 3 rows
    assert "train/loss 2.000 68 1.13 min n/a" in text
    assert "train/loss 0.5000 not reached n/a" in text


def test_an_accuracy_is_shown_with_its_error() -> None:
    columns = {"eval/acc": factory.rows(0, 10, lambda _: 0.2909)}
    run = factory.report(columns).run
    report = analyze(run, AnalysisOptions(examples={"eval/acc": 10042}))
    assert "eval/acc 0.2909 ± 0.0045 (10,042 examples)" in page_of(report).text


def test_device_hours_are_told_by_attempt_where_there_are_several() -> None:
    run = replace(factory.rolled_back().run, hardware=Hardware(device="H100", devices=8))
    report = analyze(run)
    # 149 s and 119 s on 8 devices; 29 s from step 120 on were done again
    text = page_of(report).text
    assert "Attempt Wall time Devices Device-hours Of them redone" in text
    assert "1 2.48 min 8 0.331 0.0667 2 1.98 min 8 0.264 0" in text
    assert "Of them redone" not in page_of(factory.healthy()).text
    assert run_json(report)["cost_by_attempt"][1]["devices"] == 8


def test_losses_at_the_steps_that_were_asked_for() -> None:
    run = factory.rolled_back().run
    report = analyze(run, AnalysisOptions(at_steps=(50, 200, 9999)))
    values = {at.step: at.value for at in report.metrics["train/loss"].at}
    assert set(values) == {50, 119, 200}
    expected = f"Step 50 200 train/loss {values[50]:.3f} {values[200]:.3f}"
    assert expected in page_of(report).text


def test_what_is_needed_to_redo_it_stands_present_or_missing() -> None:
    text = page_of(factory.healthy(command="python train.py", seed=3)).text
    assert "2 of 8 things that are needed to redo it were recorded" in text
    assert "Missing: commit: which code ran is not known" in text
    assert "Seed 3" in text
    assert "# commit: not logged" in text


def test_all_figures_are_on_the_page_and_each_once() -> None:
    text = page_of(factory.healthy()).text
    for figure in FIGURES:
        label = {"tokens_per_second": "Throughput", "energy_kwh": "Energy"}.get(figure.name)
        label = label or {"productive_seconds": "Productive"}.get(figure.name, figure.label)
        assert label in text
    assert text.count("Energy with overheads") == 1


def test_a_run_without_a_clock_has_no_table_of_times() -> None:
    text = page_of(factory.report({"train/loss": factory.rows(0, 50, factory.falling)})).text
    assert "· Goodput: no clock in the log" in text
    assert "How it is known" not in text


def test_point_counts_are_on_the_page() -> None:
    assert "270 in 1 metric" in page_of(factory.rolled_back()).text


def test_run_json_is_strict_and_names_what_is_absent() -> None:
    report = factory.report({"train/loss": factory.rows(0, 50, lambda s: float("nan"))})
    document = json.loads(json_bytes(run_json(report)), parse_constant=pytest.fail)
    assert document["schema"] == "runpages.show/1"
    assert document["figures"]["usd"] == {
        "value": None,
        "why": "accelerator not recorded, so no price fits",
    }
    assert document["metrics"][0]["last"] == "NaN"


def test_group_slugs_tell_groups_apart_and_hold_no_foreign_character() -> None:
    names = ["a/b", "a b", "../../x", "", "é" * 300]
    slugs = [group_slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9-]{1,64}", slug) for slug in slugs)


def test_a_group_page_shows_mean_sd_and_n_and_the_run_page_only_links_it() -> None:
    members = [
        factory.report(
            {"train/loss": factory.rows(0, 50, lambda s, k=k: 2.0 + k)},
            run_id=str(k), name=f"seed {k}", group="seeds", seed=k, config={"seed": k, "lr": 1},
        )
        for k in (1, 2, 3)
    ]  # fmt: skip
    rows = [list_row(m) for m in members]
    page = render_group(analyze_group(members), rows, site=SITE)
    text = Seen(html_of(page.markdown)).text
    assert "4.0000" in text
    assert "1.0" in text
    assert "seeds 1, 2, 3" in text
    assert list(page.files) == [f"runs/groups/{group_slug('seeds')}.json"]
    assert f"../by/group/{group_slug('seeds')}/" in unescape(render(members[0]).markdown)
    assert "4.0000" not in page_of(members[0]).text


@pytest.mark.parametrize(
    ("name", "run_id", "title"),
    [
        ("trial_1", "study_0/ogbg_jax/trial_1", "ogbg_jax/trial_1"),
        (
            "lightning_logs/version_0",
            "vae/lightning_logs/version_0",
            "vae/lightning_logs/version_0",
        ),
        ("train", "golf/2026_Naive/train_seed42.log#2", "2026_Naive/train_seed42 #2"),
        ("train_log", "train_log.jsonl", "train_log"),
        ("trial_1", "study_0/trial_1", "trial_1"),
        ("gpt-2 small", "a/b/c", "gpt-2 small"),
    ],
)
def test_a_name_that_any_run_could_have_gives_way_to_the_end_of_its_id(name, run_id, title) -> None:
    report = factory.report(name=name, run_id=run_id)
    assert list_row(report)["name"] == title
    assert f"<h1>{title}</h1>" in unescape(render(report).markdown)


def test_the_metrics_of_many_cores_are_one_row() -> None:
    columns = {f"cpu.{i}.percent": factory.rows(0, 3, lambda s, i=i: i + s) for i in range(12)}
    rows = provenance_section(factory.report({**columns, "gpu.0.gpu": factory.rows(0, 3, float)}))
    names = [(row[0], row[2], row[9]) for row in rows["metrics"]]
    assert names == [
        ("gpu.0.gpu", "3", "0 to 2.000"),
        ("cpu.0.percent and 11 more of its kind", "36", "0 to 13.00"),
    ]


def test_runs_of_one_name_are_told_apart_by_their_ids():
    ids = ("a/wmt/blip", "a/ogbg/blip", "b/wmt/blip")
    rows = [list_row(factory.report(name="blip", run_id=i)) for i in ids]
    rows.append(list_row(factory.report(name="other", run_id="c/other")))
    page = render_index(rows, site=SITE).markdown
    words = re.sub(r"&#(\d+);", lambda m: chr(int(m[1])), page)
    assert words.count("<small>a/wmt/blip · ") == 1
    assert "<small>ogbg/blip · " in words
    assert "<small>b/wmt/blip · " in words
    assert "c/other" not in words.replace("c-other", "")


def test_a_run_that_stopped_before_its_plan_says_so_beside_its_state() -> None:
    rows = {"train/loss": factory.rows(0, 200, factory.falling)}
    page = page_of(factory.report(rows, state="ended", config={"max_steps": 1000}))
    assert "ended at 20 % of its plan" in page.text
    page = page_of(factory.report(rows, state="finished", config={"max_steps": 200}))
    assert "its plan" not in page.text


def test_the_end_of_a_run_that_diverged_is_not_green() -> None:
    def lost(step: int) -> float:
        return factory.falling(step) * (9 if step > 150 else 1)

    report = factory.report({"train/loss": factory.rows(0, 200, lost)})
    assert [event.kind for event in report.events] == ["divergence"]
    assert 'rp-chip--good"' not in render(report).markdown


def test_a_rate_tells_what_was_kept_beside_what_was_done() -> None:
    def counted(step: int) -> float:
        return 1000.0 * (step + 1)

    first, second = (
        factory.rows(0, 150, counted),
        factory.rows(120, 240, counted, attempt=2, begin=factory.START + 300),
    )
    report = factory.rolled_back()
    run = replace(
        report.run,
        series=SeriesSet.of(
            {
                "train/loss": factory.joined(
                    factory.rows(0, 150, factory.falling),
                    factory.rows(120, 240, factory.falling, attempt=2, begin=factory.START + 300),
                ),
                "train/tokens": factory.joined(first, second),
            }
        ),
    )
    text = page_of(analyze(run)).text
    assert "between first and last row of each attempt, redone steps counted" in text
    assert "572.8 tok/s kept, gaps included" in text  # 240,000 tokens in 419 s


def test_steps_of_the_environment_have_a_rate() -> None:
    episodes = {"episodic_return": factory.rows(0, 200, lambda _: 350.0)}
    made = Provenance(reader="monitor 1", step_unit="environment steps", step_source="sum of l")
    times = {"start": factory.START, "end": factory.START + 199}
    run = factory.make_run(episodes, provenance=made, **times)
    told = {figure.label: figure for figure in key_figures(analyze(run))}
    assert (told["Throughput"].value, told["Throughput"].unit) == ("1.00", "environment steps/s")
