"""Which charts a run has, what they hold, and what is stored for the browser."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time

import numpy as np
import pytest

from pages.factory import START, healthy, joined, make_run, rolled_back, rows
from runpages import analyze
from runpages.model import Event, Provenance, SeriesSet
from runpages.pages import render
from runpages.pages.charts import ChartSet, build_charts, event_chart
from runpages.sources import Spool
from runpages.sources._ranks import spool_ranks


def built(columns, *, time_axis=(), baseline=None, **options) -> ChartSet:
    series = SeriesSet.of(columns, time_axis=frozenset(time_axis))
    run = dataclasses.replace(make_run(start=START), series=series)
    return build_charts(analyze(run, baseline=baseline), **options)


def stored(charts: ChartSet, name: str = "charts.json") -> dict[str, dict]:
    """Charts of a file by id, x put together again."""
    file = json.loads(charts.files[name])
    assert file["schema"] == "runpages.charts/2"
    for chart in file["charts"]:
        for trace in chart["data"]:
            undone(trace)
    return {chart["id"]: chart for chart in file["charts"]}


def undone(trace: dict) -> dict:
    counts, steps = trace["dx"][::2], trace["dx"][1::2]
    trace["x"] = np.cumsum([trace["x0"], *np.repeat(steps, counts)])
    assert len(trace["x"]) == len(trace["y"])
    return trace


def traces(chart: dict) -> dict[str, dict]:
    return {trace["meta"]: trace for trace in chart["data"]}


def line(step: int) -> float:
    return 5 - step / 1000 + step % 2 / 100


def test_charts_stand_in_the_order_in_which_they_matter():
    names = ("odd", "gpu_util", "lr", "eval/accuracy", "tokens_per_second", "val/loss", "grad_norm")
    columns = {name: rows(0, 30, line) for name in (*names, "train/loss", "other")}
    charts = built(columns, time_axis=["gpu_util"]).charts
    assert [c.id for c in charts] == [
        "loss", "grad-norm", "lr", "tokens-per-second", "eval-1", "gpu-util", "m-1", "m-2",
    ]  # fmt: skip
    assert charts[0].metrics == ("train/loss", "val/loss")
    assert [c.wide for c in charts] == [True] + [False] * 7
    assert [c.title for c in charts[-2:]] == ["odd", "other"]


def test_what_an_agent_is_judged_by_is_the_first_chart():
    columns = {
        "l": rows(0, 50, lambda s: 1 + s % 7),
        "episodic_return": rows(0, 50, lambda s: s * s),
    }
    charts = build_charts(analyze(make_run(columns))).charts
    assert [chart.title for chart in charts] == ["Reward, episodic_return", "l"]


def test_charts_beyond_the_limit_are_counted():
    charts = built({f"metric {n}": rows(0, 9, line) for n in range(9)}, limit=4)
    assert (len(charts.charts), charts.more) == (4, 5)
    assert len(stored(charts)) == 4


def test_further_charts_are_packed_in_numbered_files_with_an_index():
    names = [f"../metric <{n}>" for n in range(140)]
    charts = built({n: rows(0, 9, line) for n in names}, limit=4)
    assert list(charts.files) == [
        "charts.json", "metrics-00.json", "metrics-01.json", "metrics-02.json",
    ]  # fmt: skip
    index = json.loads(charts.files["charts.json"])["more"]
    assert [title for title, *_ in index] == names[4:]
    title, points, pack, chart = index[100]
    assert (title, points, pack) == (names[104], 9, 1)
    (entry,) = (c for c in stored(charts, "metrics-01.json").values() if c["id"] == chart)
    assert (entry["title"], traces(entry)["run"]["name"]) == (title, "../metric &#60;104&#62;")


def test_what_a_reader_would_look_for_and_is_not_logged_is_said():
    columns = {name: rows(0, 30, line) for name in ("train/loss", "grad_norm", "gpu_util")}
    absent = ("validation loss", "learning rate", "throughput or step time")
    assert built(columns).absent == absent


def test_no_series_no_chart_and_no_file():
    assert built({}) == ChartSet(charts=(), files={}, more=0)


def test_a_few_points_are_stored_as_they_are():
    chart = stored(built({"train/loss": rows(10, 110, line)}))["loss"]
    run = traces(chart)["run"]
    assert run["x"].tolist() == list(range(10, 110))
    assert run["y"] == pytest.approx([line(s) for s in range(10, 110)], rel=1e-5)
    assert "band" not in traces(chart)


def test_many_points_become_a_mean_and_a_band_that_holds_the_extremes():
    values = np.random.default_rng(1).normal(3, 0.1, 40_000)
    values[12_345] = 3.9
    chart = stored(built({"train/loss": rows(0, 40_000, lambda s: values[s])}))["loss"]
    run = traces(chart)["run"]
    assert list(traces(chart)) == ["run"]  # the band is its `lo` and `hi`
    assert len(run["x"]) <= 1000
    assert max(run["hi"]) == 3.9
    assert min(run["lo"]) == pytest.approx(values.min(), rel=1e-4)
    assert run["x"][-1] == pytest.approx(39_960, abs=40)


def test_the_steps_of_a_long_run_are_exact():
    columns = rows(0, 300, line)
    columns = columns._replace(step=columns.step * 1_234_567 + 123_456_789)
    run = traces(stored(built({"train/loss": columns}))["loss"])["run"]
    assert run["x"].tolist() == columns.step.tolist()


def test_every_row_at_the_start_of_a_finding_is_kept():
    def spiked(step: int) -> float:
        return 2 + 0.01 * (step % 7) + (4 + step % 10 if 20_000 <= step < 20_005 else 0)

    run = dataclasses.replace(
        make_run(start=START), series=SeriesSet.of({"train/loss": rows(0, 40_000, spiked)})
    )
    report = analyze(run)
    assert [e.kind for e in report.events] == ["spike"]
    chart = stored(build_charts(report))["loss"]
    kept = dict(zip(traces(chart)["run"]["x"].tolist(), traces(chart)["run"]["y"], strict=True))
    assert [kept[s] for s in range(20_000, 20_005)] == pytest.approx(
        [spiked(s) for s in range(20_000, 20_005)], rel=1e-4
    )
    (band,) = chart["layout"]["shapes"]
    assert (band["x0"], band["name"]) == (20_000, "warn")
    assert [a["text"] for a in chart["layout"]["annotations"]] == ["spike"]


def test_non_finite_values_break_the_line_and_are_marked():
    def bad(step: int) -> float:
        return {40: float("nan"), 41: float("inf"), 70: float("-inf")}.get(step, line(step))

    charts = built({"odd": rows(0, 100, bad)})
    marks = traces(stored(charts)["m-1"])["bad"]
    assert marks["x"].tolist() == [40, 41, 70]
    assert marks["text"] == ["NaN at step 40", "∞ at step 41", "−∞ at step 70"]
    run = traces(stored(charts)["m-1"])["run"]
    assert [x for x, y in zip(run["x"], run["y"], strict=True) if y is None] == [42, 71]
    assert charts.charts[0].svg.count('class="bad"') == 3
    assert charts.charts[0].svg.count('class="run"') == 1
    assert "3 non-finite values" in charts.charts[0].caption


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_without_any_number_still_shows_its_marks(value):
    charts = built({"odd": rows(0, 10, lambda _: value)})
    assert charts.charts[0].svg.count('class="bad"') == 10
    assert list(traces(stored(charts)["m-1"])) == ["bad"]


def test_one_point_is_a_dot_and_elsewhere_no_chart():
    (chart,) = built({"train/loss": rows(3, 4, line), "eval/accuracy": rows(3, 4, line)}).charts
    assert 'class="dot run"' in chart.svg


def test_counters_and_constants_have_no_chart():
    columns = {
        "iter": rows(0, 50, lambda s: 2 * s + 1),
        "epoch": rows(0, 50, lambda s: s / 7),
        "train/epoch": rows(0, 50, lambda s: round(s / 370, 2)),
        "constant": rows(0, 50, lambda _: 3.0),
        "odd": rows(0, 50, line),
    }
    charts = built(columns)
    assert [c.title for c in charts.charts] == ["odd"]
    index = json.loads(charts.files["charts.json"])["more"]
    assert [title for title, *_ in index] == ["iter", "epoch", "train/epoch", "constant"]


def test_the_x_axis_begins_at_zero_where_the_first_row_nearly_does():
    def ends(first: int) -> list[float]:
        chart = stored(built({"train/loss": rows(first, 1000, line)}))["loss"]
        return chart["layout"]["xaxis"]["range"]

    assert (ends(10), ends(100)) == ([0, 999], [100, 999])


def test_a_hardware_log_alone_shows_what_there_is():
    names = ("fan speed", "clocks.sm")
    charts = built({n: rows(0, 50, line) for n in names}, time_axis=names)
    assert [c.title for c in charts.charts] == list(names)


def test_the_last_validation_loss_stands_at_the_end_with_the_baselines():
    columns = {"train/loss": rows(0, 50, line), "val/loss": rows(0, 50, lambda s: 3.5 - s / 100)}
    other = analyze(make_run({"val/loss": rows(0, 60, lambda s: 3.4 - s / 100)}))
    charts = built(columns, baseline=other)
    notes = stored(charts)["loss"]["layout"]["annotations"]
    assert [(n["text"], n["x"], n["y"], n["yanchor"]) for n in notes] == [
        ("validation 3.010", 49, pytest.approx(3.01), "bottom"),
        ("baseline 2.810", 59, pytest.approx(2.81), "top"),
    ]
    assert 'class="end" x="83.05%"' in charts.charts[0].svg


def test_shares_and_bytes_of_memory_do_not_share_a_chart():
    names = ("system/gpu.0.memoryAllocated", "system/gpu.0.memoryAllocatedBytes")
    charts = built({n: rows(0, 50, line) for n in names}, time_axis=names).charts
    assert [(c.id, c.metrics) for c in charts] == [
        ("gpu-memory", names[:1]), ("gpu-memory-bytes", names[1:]),
    ]  # fmt: skip
    assert [c.unit for c in charts] == ["%", "bytes"]


def test_redone_rows_are_drawn_faint_and_the_line_breaks_at_the_restart():
    report = rolled_back()
    chart = stored(build_charts(report))["loss"]
    old, run = traces(chart)["old"], traces(chart)["run"]
    assert (old["x"][0], old["x"][-1]) == (120, 149)
    assert max(old["y"]) > 4 > max(run["y"][100:119])
    assert [x for x, y in zip(run["x"], run["y"], strict=True) if y is None] == [120]
    assert ("old", "redone later") in build_charts(report).charts[0].legend


def test_a_finding_that_was_rolled_back_still_has_its_band():
    shapes = stored(build_charts(rolled_back()))["loss"]["layout"]["shapes"]
    assert any(shape["x0"] == 140 for shape in shapes)


def test_a_baseline_lies_behind_and_counts_its_own_time():
    columns = {"train/loss": rows(0, 50, line), "gpu_util": rows(0, 50, line)}
    later = {"gpu_util": rows(0, 50, line, begin=START + 5000), "train/loss": rows(0, 50, line)}
    series = SeriesSet.of(later, time_axis=frozenset({"gpu_util"}))
    other = analyze(dataclasses.replace(make_run(start=START + 5000), series=series))
    charts = built(columns, time_axis=["gpu_util"], baseline=other)
    assert ("base", "baseline") in charts.charts[0].legend
    assert charts.charts[0].svg.index("base") < charts.charts[0].svg.index('"run"')
    assert traces(stored(charts)["gpu-util"])["base"]["x"][0] == 0


@pytest.mark.parametrize(
    ("seconds", "title", "last"),
    [(90, "elapsed seconds", 90), (1800, "elapsed minutes", 30), (36_000, "elapsed hours", 10)],
)
def test_a_time_axis_has_a_readable_unit(seconds, title, last):
    columns = rows(0, 11, line)
    columns = columns._replace(time=START + np.arange(11) * seconds / 10)
    charts = built({"gpu_util": columns}, time_axis=["gpu_util"])
    chart = stored(charts)["gpu-util"]
    assert chart["layout"]["xaxis"]["title"]["text"] == title
    assert traces(chart)["run"]["x"][-1] == pytest.approx(last)
    assert charts.charts[0].over == f"over {title}"


@pytest.mark.parametrize(
    ("name", "low", "kind"),
    [("grad_norm", 0.1, "log"), ("grad_norm", 1.0, "linear"), ("grad_norm", -0.1, "linear"),
     ("lr", 0.001, "linear"), ("train/loss", 0.01, "log"), ("odd", 0.01, "log")],
)  # fmt: skip
def test_y_is_logarithmic_where_that_helps(name, low, kind):
    charts = built({name: rows(0, 40, lambda s: low if s % 2 else 5.0)})
    (chart,) = stored(charts).values()
    assert chart["layout"]["yaxis"]["type"] == kind


def test_one_small_value_of_a_metric_without_role_is_no_reason_for_a_log_scale():
    charts = built({"accuracy of sorts": rows(0, 90, lambda s: 0.5 + s % 3 / 10 if s else 0.001)})
    assert stored(charts)["m-1"]["layout"]["yaxis"]["type"] == "linear"


def test_the_steep_start_leaves_the_frame_and_that_is_said():
    def steep(step: int) -> float:
        return 11.0 if step < 2 else 3 - step / 400

    charts = built({"train/loss": rows(0, 400, steep)})
    assert stored(charts)["loss"]["layout"]["yaxis"]["range"][1] < 5
    assert "first steps up to 11.00, above the frame" in charts.charts[0].caption


def test_a_first_value_that_stands_for_none_leaves_the_frame():
    charts = built({"mfu": rows(0, 40, lambda s: 30 + s % 3 if s else -100.0)})
    assert stored(charts)["m-1"]["layout"]["yaxis"]["range"][0] > 28
    assert "first steps down to \N{MINUS SIGN}100.0, below the frame" in charts.charts[0].caption


def test_devices_are_named_by_their_number():
    names = tuple(f"system/gpu.{n}.powerWatts" for n in range(3))
    charts = built({n: rows(0, 9, line) for n in names}, time_axis=names)
    assert [label for _, label in charts.charts[0].legend] == ["GPU 0", "GPU 1", "GPU 2"]


def test_a_hostile_name_is_text_everywhere():
    name = "<img src=x onerror=alert(1)> $x$ {{ y }}"
    charts = built({name: rows(0, 9, line)})
    assert "<img" not in charts.charts[0].svg
    assert "{" not in charts.charts[0].svg
    assert b"<" not in charts.files["charts.json"]
    trace = traces(stored(charts)["m-1"])["run"]
    assert "<" not in trace["name"]
    assert "$" not in trace["name"]
    assert charts.charts[0].title == name  # the template escapes it


def test_the_data_is_strict_json_and_the_same_every_time():
    def refuse(name: str) -> None:
        raise AssertionError(name)

    first, second = build_charts(healthy()), build_charts(healthy())
    assert first == second
    json.loads(first.files["charts.json"], parse_constant=refuse)


def test_a_finding_has_a_chart_of_its_attempts_rows():
    report = rolled_back()
    event = next(e for e in report.events if e.kind != "restart")
    svg = event_chart(report, event)
    assert f"around step {event.peak_step}" in svg.replace("&#44;", ",")
    assert 'class="ev ' in svg
    assert 'class="dot run"' in svg


def test_a_restart_has_a_mark_but_no_chart_of_its_own():
    report = rolled_back()
    (restart,) = (e for e in report.events if e.kind == "restart")
    assert event_chart(report, restart) == ""
    shapes = stored(build_charts(report))["loss"]["layout"]["shapes"]
    assert (120, 120, "info") in {(s["x0"], s["x1"], s["name"]) for s in shapes}


def test_a_finding_without_rows_has_no_chart():
    event = Event(id="x", kind="spike", metric="gone", start_step=1, end_step=2)
    assert event_chart(healthy(), event) == ""


def test_importing_the_pages_does_not_import_plotly():
    code = "import sys, runpages.pages.charts; sys.exit('plotly' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_eight_charts_of_a_long_run_are_fast():
    noise = np.random.default_rng(0).normal(1, 0.1, 100_000)
    columns = rows(0, 100_000, lambda s: noise[s])
    run = make_run({f"metric {n}": columns for n in range(8)})
    report = analyze(run)
    build_charts(healthy())  # imports plotly
    begin = time.process_time()
    build_charts(report)
    assert time.process_time() - begin < 2


def test_joined_attempts_share_one_trace():
    parts = joined(rows(0, 50, line), rows(50, 90, line, attempt=2, begin=START + 90))
    chart = stored(built({"train/loss": parts}))["loss"]
    assert [t["meta"] for t in chart["data"]] == ["run"]
    assert chart["data"][0]["y"][50] is None


def test_ranks_are_one_curve_with_the_band_of_their_values():
    spool = Spool()
    ranks = {
        rank: SeriesSet.of({"train/loss": rows(0, 50, lambda s, r=rank: line(s) + r / 10)})
        for rank in range(4)
    }
    spool_ranks(spool, ranks)
    run = dataclasses.replace(
        make_run(start=START, provenance=Provenance(ranks_seen=(0, 1, 2, 3), ranks_expected=8)),
        series=spool.finish(),
    )
    report = analyze(run)
    assert list(report.metrics) == ["train/loss"]
    charts = build_charts(report)
    (chart,) = charts.charts
    assert chart.legend == (("run", "mean of the ranks"), ("band", "min–max of the ranks"))
    assert charts.more == 0
    kept = traces(stored(charts)["loss"])
    np.testing.assert_allclose(kept["run"]["y"], [line(s) + 0.15 for s in range(50)], rtol=1e-4)
    assert min(kept["band"]["y"]) == pytest.approx(line(49), abs=0.02)
    assert "4 of 8 wrote a log" in render(report).markdown.replace("&#32;", " ")
