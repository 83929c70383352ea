"""What a reader may do with a chart: count x otherwise, zoom in, open what has no room on the page."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from pages.factory import START, joined, make_run, rolled_back, rows
from pages.test_charts import line, stored, traces, undone
from runpages import analyze
from runpages.model import SeriesSet
from runpages.pages.charts import ChartSet, build_charts


def charts_of(columns, *, start: float | None = START, spans=None, **facts) -> ChartSet:
    series = SeriesSet.of(columns, spans=spans)
    run = dataclasses.replace(make_run(start=start, **facts), series=series)
    return build_charts(analyze(run))


def first_file(charts: ChartSet) -> dict:
    return json.loads(charts.files["charts.json"])


def at(axis: list[list[float]], step: float) -> float:
    return float(np.interp(step, *axis))


def test_the_clock_tells_the_time_of_each_step_and_the_gap_of_a_restart():
    parts = joined(rows(0, 500, line), rows(500, 900, line, attempt=2, begin=START + 5000))
    clock = first_file(charts_of({"train/loss": parts}))["axes"]["clock"]
    assert len(clock[0]) == 4
    assert [at(clock, s) for s in (0, 250, 499, 500, 899)] == [0, 250, 499, 5000, 5399]


def test_the_clock_follows_a_speed_that_changes():
    columns = rows(0, 4000, line)
    seconds = np.cumsum(np.where(np.arange(4000) < 1000, 3.0, 1.0))
    charts = charts_of({"train/loss": columns._replace(time=START + seconds)})
    clock = first_file(charts)["axes"]["clock"]
    assert len(clock[0]) <= 64
    wrong = np.abs(np.interp(np.arange(4000), *clock) - seconds)
    assert wrong.max() <= 1e-3 * seconds[-1] + 1e-6


def test_tokens_are_an_axis_only_where_they_are_counted_up():
    def axes(value) -> dict:
        charts = charts_of({"train/loss": rows(0, 50, line), "tokens": rows(0, 50, value)})
        return first_file(charts)["axes"]

    assert at(axes(lambda s: 512 * (s + 1))["tokens"], 9) == 5120
    assert axes(lambda _: 512)["tokens"] is None
    assert axes(lambda s: 512 + s % 2)["why"]["tokens"] == "no metric counts tokens row by row"


def test_a_log_without_clock_has_no_time_axis_and_says_so():
    columns = rows(0, 50, line)
    columns = columns._replace(time=np.full(50, np.nan))
    axes = first_file(charts_of({"train/loss": columns}, start=None))["axes"]
    assert (axes["clock"], axes["start"], axes["why"]["time"]) == (
        None,
        None,
        "no clock in the log",
    )


def test_rows_that_were_redone_carry_their_own_time():
    charts = build_charts(rolled_back())
    old = traces(stored(charts)["loss"])["old"]
    assert old["t"] == [float(s) for s in range(120, 150)]
    clock = first_file(charts)["axes"]["clock"]
    assert at(clock, 120) == 300  # the attempt that stands came later


def test_findings_carry_their_seconds():
    chart = stored(build_charts(rolled_back()))["loss"]
    bands = dict(zip([s["x0"] for s in chart["layout"]["shapes"]], chart["times"], strict=True))
    assert bands[120] == [300.0, 300.0]
    assert bands[140][0] == 140.0


def test_charts_of_one_kind_share_their_x_axis():
    columns = {"train/loss": rows(0, 1000, line), "grad_norm": rows(100, 900, line),
               "eval/accuracy": rows(0, 6, line)}  # fmt: skip
    found = stored(charts_of(columns))
    ends = {name: chart["layout"]["xaxis"]["range"] for name, chart in found.items()}
    assert ends["grad-norm"] == ends["loss"] == [0, 999]
    assert ends["eval-1"] == [0, 5]  # over all steps it would be a stroke


def test_what_counts_otherwise_has_its_own_axis():
    series = SeriesSet.of({"train/loss": rows(0, 99, line), "odd": rows(0, 40, line)})
    infos = {n: series.info(n) for n in series}
    infos["odd"] = dataclasses.replace(infos["odd"], counter="_step")
    series = SeriesSet(infos, series.rows, series.spans)
    charts = build_charts(analyze(dataclasses.replace(make_run(start=START), series=series)))
    chart = stored(charts)["m-1"]
    assert (chart["axis"], chart["layout"]["xaxis"]["range"]) == ("counter _step", [0, 39])
    assert charts.charts[1].over == "over _step"


def test_a_histogram_is_one_chart():
    places = {"min": 0, "p05": 1, "p50": 2, "p95": 3, "max": 4, "mean": 2.2}
    columns = {f"weights/a/{n}": rows(0, 40, lambda s, v=v: v + s % 3) for n, v in places.items()}
    charts = charts_of({"b/min": rows(0, 40, line), **columns})
    assert [(c.title, len(c.metrics)) for c in charts.charts] == [("b/min", 1), ("weights/a", 6)]
    chart = stored(charts)["m-2"]
    names = [trace["name"] for trace in chart["data"]]
    assert names == ["smallest to largest", "5th to 95th percentile", "median"]
    assert (min(chart["data"][0]["y"]), max(chart["data"][0]["y"])) == (0, 6)


def test_many_devices_are_one_chart_with_a_line_each():
    columns = {f"system/gpu.{n}.gpu": rows(0, 40, lambda s, n=n: 90 + n + s % 2) for n in range(12)}
    (chart,) = charts_of(columns).charts
    assert chart.metrics[1:3] == ("system/gpu.1.gpu", "system/gpu.2.gpu")
    assert chart.svg.count('class="each"') == 12
    assert chart.legend[0] == ("each", "12 devices, one line each")


def test_what_one_of_many_devices_did_for_a_moment_is_seen():
    def use(step: int, device: int) -> float:
        return 3.0 if (step, device) == (1234, 5) else 95.0 + device / 10

    columns = {f"system/gpu.{n}.gpu": rows(0, 3000, lambda s, n=n: use(s, n)) for n in range(8)}
    chart = stored(charts_of(columns))["gpu-util"]
    band = chart["data"][0]
    assert (band["name"], min(band["y"])) == ("least and largest of all", 3)


def detail(charts: ChartSet, name: str) -> dict[str, dict]:
    file = json.loads(charts.files[name])
    assert file["schema"] == "runpages.detail/1"
    return {
        chart: {k: undone(t) for k, t in part.items()} for chart, part in file["charts"].items()
    }


def spiked(steps: int, at_step: int) -> ChartSet:
    noise = np.random.default_rng(2).normal(0, 0.02, steps)

    def loss(step: int) -> float:
        return 2 + noise[step] + (5 if step == at_step else 0)

    return charts_of({"train/loss": rows(0, steps, loss)})


def test_tiles_cover_all_steps_and_hold_the_extremes():
    charts = spiked(60_000, 44_444)
    tiles = first_file(charts)["detail"]["tiles"]
    assert (tiles[0][1], tiles[-1][2]) == (0, 60_000)
    assert [a[2] for a in tiles[:-1]] == [b[1] for b in tiles[1:]]
    (name, *_) = next(t for t in tiles if t[1] <= 44_444 < t[2])
    part = detail(charts, name)["loss"]["c0"]
    assert max(part["hi"]) == pytest.approx(7, abs=0.2)
    assert len(part["x"]) <= 512


def test_a_window_holds_every_row_around_a_finding():
    charts = spiked(60_000, 44_444)
    ((name, left, right),) = first_file(charts)["detail"]["windows"]
    assert (left, right) == (42_444, 46_445)
    part = detail(charts, name)["loss"]["c0"]
    assert part["x"].tolist() == list(range(left, right + 1))
    assert "lo" not in part


def test_a_window_shows_what_was_rolled_back():
    def bad(step: int) -> float:
        return 2 + 0.02 * (step % 5) + (3 if step >= 2900 else 0)

    def good(step: int) -> float:
        return 2 + 0.02 * (step % 5)

    parts = joined(rows(0, 2950, bad), rows(2800, 6000, good, attempt=2, begin=START + 9000))
    charts = charts_of({"train/loss": parts})
    name = first_file(charts)["detail"]["windows"][0][0]
    old = detail(charts, name)["loss"]["o0"]
    assert old["x"].tolist() == list(range(2800, 2950))
    assert old["t"][0] == 2800


def test_a_short_run_needs_no_finer_level():
    charts = spiked(400, 300)
    assert first_file(charts)["detail"] == {"tiles": [], "windows": []}
    assert list(charts.files) == ["charts.json"]


def test_details_stay_within_their_share():
    noise = np.random.default_rng(4).normal(1, 0.1, 60_000)
    jumps = range(5_000, 60_000, 5_000)

    def norm(step: int) -> float:
        return 1 + 0.1 * noise[step] + (20 if step in jumps else 0)

    columns = {f"metric {n}": rows(0, 60_000, lambda s, n=n: noise[s - n]) for n in range(10)}
    charts = charts_of({"train/loss": rows(0, 60_000, norm), **columns})
    sizes = {n: len(d) for n, d in charts.files.items() if n.startswith(("detail", "window"))}
    assert sum(sizes.values()) <= 2_000_000
    assert 8 < len(sizes) <= 20


def test_every_spike_of_one_step_is_drawn_at_first_view():
    """20 in 100,000 rows; a reservoir of 1,000 rows would keep 1.5 % of them."""
    random = np.random.default_rng(7)
    values = random.normal(3, 0.05, 100_000)
    places = np.sort(random.choice(np.arange(1_000, 99_000), 20, replace=False))
    values[places] = 4 + np.arange(20) / 10
    charts = charts_of({"train/loss": rows(0, 100_000, lambda s: values[s])})
    run = traces(stored(charts)["loss"])["run"]
    high = np.array(run["hi"], dtype=float)
    for place, value in zip(places, values[places], strict=True):
        near = np.abs(run["x"] - place) <= 200
        assert np.nanmax(high[near]) >= value
    assert (np.nanmax(high), np.nanmin(np.array(run["lo"], dtype=float))) == pytest.approx(
        (values.max(), values.min()), rel=5e-5
    )
