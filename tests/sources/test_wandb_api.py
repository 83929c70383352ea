"""W&B server: which runs are found, and their whole history."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from runpages.errors import SourceError, UsageError
from runpages.model import RunRef
from runpages.sources import _wandb_api_pages as pages
from runpages.sources import load_source, open_source
from runpages.sources._wandb_api_http import Patience
from runpages.sources.wandb_api import WandbServer, api_address, app_address
from sources.wandb_runs import START, alone, at, losses, only, put, row, source
from sources.wandb_schema import StoredRun
from sources.wandb_server import Fault, Request, WandbLoopback


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WandbLoopback]:
    yield from alone(monkeypatch, tmp_path)


def test_an_address_opens_the_server_reader_and_a_folder_the_offline_one() -> None:
    assert load_source("wandb", "https://api.wandb.ai") is WandbServer
    assert load_source("wandb", "logs/wandb") is not WandbServer


def test_runs_of_a_project_are_found_over_all_pages(server: WandbLoopback, monkeypatch) -> None:
    monkeypatch.setattr(pages, "PAGE_RUNS", 3)
    for number in range(10):
        put(server, f"r{9 - number}", displayName=f"run {number}", rows=losses(range(number)))
    put(server, "other", "vision")
    refs = list(source(server).discover())
    assert [ref.run_id for ref in refs] == [f"r{number}" for number in range(10)]
    assert refs[9] == RunRef(
        source="127.0.0.1",
        project="llm",
        run_id="r9",
        name="run 0",
        state="finished",
        location=f"{server.url}/team/llm/runs/r9",
        kind="wandb",
        stamp=refs[9].stamp,
        latest=START + 3600,
    )
    assert len(server.asked("Runs")) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"state": "failed"}, {"heartbeatAt": "2026-01-02T05:00:00Z"}, {"counted": 5},
        {"displayName": "new"}, {"group": "g"}, {"jobType": "eval"}, {"tags": ("best",)},
        {"notes": "why"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_the_stamp_changes_when_the_run_does(server: WandbLoopback, change: dict[str, str]) -> None:
    run = put(server, rows=losses(range(3)))
    (before,), (again,) = source(server).discover(), source(server).discover()
    assert before.stamp == again.stamp
    for name, value in change.items():
        setattr(run, name, value)
    (after,) = source(server).discover()
    assert after.stamp != before.stamp


def test_an_entity_means_all_its_projects(server: WandbLoopback, monkeypatch) -> None:
    monkeypatch.setattr(pages, "PAGE_RUNS", 2)
    for number in range(5):
        put(server, "same", f"p{4 - number}")
    server.root.put("stranger", "p9").add(StoredRun(name="x"))
    refs = list(source(server, "team").discover())
    assert [ref.project for ref in refs] == ["p0", "p1", "p2", "p3", "p4"]
    assert len({ref.slug for ref in refs}) == 5


def test_filter_is_the_servers(server: WandbLoopback) -> None:
    put(server, "a", group="g")
    put(server, "b", state="crashed")
    found = source(server, filter='{"state": "crashed"}').discover()
    assert [(ref.run_id, ref.state) for ref in found] == [("b", "crashed")]
    with pytest.raises(SourceError, match="the server refuses the query: invalid filter"):
        list(source(server, filter='{"$where": 1}').discover())


@pytest.mark.parametrize("filters", ["state = finished", "[1]", "{", "[" * 100_000])
def test_a_filter_that_is_no_object_is_told_before_anything_is_asked(filters: str) -> None:
    with pytest.raises(UsageError, match="must be a JSON object"):
        open_source("wandb", "https://api.wandb.ai", project="a/b", filter=filters)


@pytest.mark.parametrize("project", ["", "a/b/c"])
def test_a_project_is_needed(project: str) -> None:
    with pytest.raises(UsageError, match="entity/project"):
        list(open_source("wandb", "https://api.wandb.ai", project=project).discover())


def test_an_entity_without_projects_is_a_sentence(server: WandbLoopback) -> None:
    with pytest.raises(SourceError, match="no projects of this entity"):
        list(source(server, "nobody").discover())


def test_an_unknown_project_is_a_sentence(server: WandbLoopback) -> None:
    with pytest.raises(SourceError, match="no such project, or this key may not read it"):
        list(source(server, "team/nothing").discover())


def test_a_project_that_cannot_be_listed_does_not_stop_the_others(server: WandbLoopback) -> None:
    put(server, "a", "good")
    put(server, "b", "bad")
    denied = Fault(status=403, body=b'{"errors":[{"message":"permission denied"}]}')

    def faults(request: Request, _count: int) -> Fault | None:
        return denied if request.variables.get("project") == "bad" else None

    server.faults = faults
    opened = source(server, "team")
    assert [ref.run_id for ref in opened.discover()] == ["a"]
    assert opened.skipped == [("team/bad", "the server answers 403: permission denied")]


def test_pages_of_runs_that_do_not_go_on_are_refused(server: WandbLoopback, monkeypatch) -> None:
    monkeypatch.setattr(pages, "PAGE_RUNS", 1)
    put(server, "a")
    put(server, "b")
    page = {"edges": [], "pageInfo": {"endCursor": "1", "hasNextPage": True}}
    body = json.dumps({"data": {"project": {"runs": page}}}).encode()
    server.faults = at("Runs", Fault(body=body))
    with pytest.raises(SourceError, match="page 3 of the list does not go on"):
        list(source(server).discover())


STATES = {
    "finished": "finished",
    "failed": "failed",
    "crashed": "crashed",
    "killed": "killed",
    "running": "running",
    "pending": "running",
    "preempted": "ended",
    "new-word": "ended",
}


def test_states_are_w_and_bs_own(server: WandbLoopback) -> None:
    for state in STATES:
        put(server, state, state=state)
    opened = source(server)
    refs = {ref.run_id: ref for ref in opened.discover()}
    assert {name: ref.state for name, ref in refs.items()} == STATES
    assert opened.read(refs["crashed"]).state == "crashed"
    assert opened.read(refs["crashed"]).attempts[-1].state == "crashed"


def test_a_stamp_changes_with_the_run(server: WandbLoopback) -> None:
    stored = put(server, rows=losses(range(3)))
    (before,) = source(server).discover()
    stored.rows += losses([3])
    (after,) = source(server).discover()
    assert before.stamp != after.stamp
    assert before.slug == after.slug


def test_a_run_is_read_from_its_ref_alone(server: WandbLoopback) -> None:
    put(server, "a/b ü", "my project", rows=losses(range(3)))
    (ref,) = source(server, "team/my project", name="cloud").discover()
    assert ref.location == f"{server.url}/team/my%20project/runs/a%2Fb%20%C3%BC"
    for location in (server.url, ref.location):
        again = open_source("wandb", location, name=ref.source)
        assert len(again.read(ref).series["loss"]) == 3


def test_addresses() -> None:
    page = "https://wandb.ai/team/llm/runs/abc?accessToken=tok3n"
    assert api_address(page) == "https://api.wandb.ai"
    assert api_address("https://api.wandb.ai/graphql") == "https://api.wandb.ai"
    assert api_address("https://app.w.corp/a/b/runs/c") == "https://api.w.corp"
    assert api_address("http://10.0.0.1:8080/wandb/") == "http://10.0.0.1:8080/wandb"
    assert app_address("https://api.wandb.ai") == "https://wandb.ai"
    assert app_address("https://api.w.corp") == "https://app.w.corp"
    assert app_address("http://10.0.0.1:8080") == "http://10.0.0.1:8080"
    assert api_address("http://[::1]:8080") == "http://[::1]:8080"
    assert open_source("wandb", page).name == "api.wandb.ai"
    with pytest.raises(UsageError, match="Port"):
        open_source("wandb", "https://host:port/")


def test_history_is_whole_over_many_pages(server: WandbLoopback) -> None:
    put(server, rows=losses(range(4321)))
    run = only(server)
    series = run.series["loss"]
    assert series.step.tolist() == list(range(4321))
    assert series.value.tolist() == [1.0 / (step + 1) for step in range(4321)]
    assert (run.provenance.records_read, run.provenance.records_expected) == (4321, 4321)
    assert run.incomplete == ()
    asked = [(r.variables["minStep"], r.variables["maxStep"]) for r in server.asked("HistoryPage")]
    assert asked == [(0, 1000), (1000, 2000), (2000, 3000), (3000, 4000), (4000, 4321)]


@pytest.mark.parametrize(
    "steps",
    [
        range(0, 5_000_000, 1000),
        [0, 1, 10**12, 10**12 + 1, 2 * 10**12],
        [*range(2000), *range(10**9, 10**9 + 2000)],
        range(61_010, 63_000),
    ],
)
def test_sparse_steps_are_whole_in_few_requests(server: WandbLoopback, steps) -> None:
    put(server, rows=losses(steps))
    run = only(server)
    assert run.series["loss"].step.tolist() == list(steps)
    assert run.incomplete == ()
    assert len(server.asked("HistoryPage")) < 100


def test_without_the_last_step_pages_are_asked_until_all_rows_are_there(
    server: WandbLoopback,
) -> None:
    steps = [*range(1500), *range(10**7, 10**7 + 10)]
    put(server, rows=losses(steps), last=-1)
    assert only(server).series["loss"].step.tolist() == steps


def test_an_empty_run_is_a_run(server: WandbLoopback) -> None:
    put(server)
    run = only(server)
    assert list(run.series) == []
    assert run.incomplete == ()
    assert server.asked("HistoryPage") == []
    assert (run.start, run.end) == (START, START + 3600)


@pytest.mark.parametrize("counted", [90, 110])
def test_another_number_of_rows_than_counted_is_told(server: WandbLoopback, counted: int) -> None:
    put(server, rows=losses(range(100)), counted=counted)
    run = only(server)
    assert run.incomplete == (f"the server gave 100 rows of the history, and counts {counted}",)
    assert run.provenance.records_expected == counted


def test_a_page_that_repeats_the_one_before_is_refused(server: WandbLoopback) -> None:
    stored = put(server, rows=losses(range(2500)))
    first = stored.history(None, 0, 1000, 1000)
    body = json.dumps({"data": {"project": {"run": {"history": first}}}}).encode()
    server.faults = at("HistoryPage", Fault(body=body), after=1)
    with pytest.raises(SourceError) as caught:
        only(server)
    assert "page from step 1,000 holds step 0 again" in str(caught.value)
    assert caught.value.path == f"{server.url}/team/llm/runs/r1"


def test_rows_that_are_none_are_counted_and_cost_only_themselves(server: WandbLoopback) -> None:
    put(server, rows=losses(range(5)))
    good = losses(range(5))
    deep = ('{"_step": 3, "a": ' + '{"a": ' * 500 + "1" + "}" * 501, "[" * 100_000)
    rows = [good[0], "{", good[1], '{"loss": 1}', '{"_step": "x"}', good[2], "[1]", *deep, good[4]]
    body = json.dumps({"data": {"project": {"run": {"history": rows}}}}).encode()
    server.faults = at("HistoryPage", Fault(body=body))
    run = only(server)
    assert run.series["loss"].step.tolist() == [0, 1, 2, 4]
    assert run.provenance.records_damaged == 6
    assert run.incomplete[:3] == (
        "1 row of the history cannot be read: no JSON",
        "3 rows of the history cannot be read: no step in it",
        "2 rows of the history cannot be read: nested too deeply",
    )


def test_a_row_that_two_pages_hold_is_read_once(server: WandbLoopback) -> None:
    """Should a server count the end of a range in."""
    stored = put(server, rows=losses(range(0, 5000, 10)))

    def history(info: object, minStep: int, maxStep: int, samples: int) -> list[str]:  # noqa: N803
        return StoredRun.history(stored, info, minStep, maxStep + 1, samples)

    stored.history = history  # type: ignore[method-assign]
    run = only(server)
    assert run.series["loss"].recorded.step.tolist() == list(range(0, 5000, 10))
    assert run.incomplete == ()


def test_a_page_with_too_many_bytes_is_asked_for_in_parts(
    server: WandbLoopback, monkeypatch
) -> None:
    monkeypatch.setattr(
        WandbServer, "patience", Patience(tries=2, answer_bytes=60_000, first_pause_seconds=0.01)
    )
    put(server, rows=[row(step, **{f"m{n}": 0.5 for n in range(30)}) for step in range(1000)])
    run = only(server)
    assert len(run.series["m7"]) == 1000
    assert run.incomplete == ()


NUMBERS = {
    "nan": ("NaN", math.nan),
    "up": ("Infinity", math.inf),
    "down": ("-Infinity", -math.inf),
    "yes": (True, 1.0),
    "huge": (10**400, math.inf),
    "whole": (2**60 + 1, float(2**60 + 1)),
    "tiny": (5e-324, 5e-324),
}


def test_numbers_by_name_and_of_any_size(server: WandbLoopback) -> None:
    values = {name: sent for name, (sent, _) in NUMBERS.items()}
    put(server, rows=[row(0, none=None, word="x", **values)])
    run = only(server)
    read = {name: run.series[name].value.tolist()[0] for name in run.series}
    assert read.keys() == NUMBERS.keys()
    for name, (_, expected) in NUMBERS.items():
        assert read[name] == expected or (math.isnan(expected) and math.isnan(read[name])), name
    assert "word is no number in 1 row, which are not charted" in run.provenance.warnings


def test_order_of_keys_does_not_matter(server: WandbLoopback) -> None:
    put(server, "a", rows=[row(0, b=1, a=2, c={"y": 1, "x": 2})])
    put(server, "b", rows=[row(0, c={"x": 2, "y": 1}, a=2, b=1)])
    opened = source(server)
    one, other = (opened.read(ref) for ref in opened.discover())
    assert list(one.series) == list(other.series) == ["a", "b", "c.x", "c.y"]


def test_lives_whose_own_steps_overlap_are_told_apart_by_time(server: WandbLoopback) -> None:
    """The server gives rows by step: without their times the lives would come mixed."""
    first = losses(range(1500))
    second = [
        json.dumps({"_step": step, "_timestamp": START + 10_000 + step, "loss": 9.0, "word": "x"})
        for step in range(100, 2000)
    ]
    put(server, rows=first + second)
    run = only(server)
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(0, 1499), (100, 1999)]
    assert run.series["loss"].superseded.step.tolist() == list(range(100, 1500))
    assert run.provenance.records_read == 3400
    assert run.incomplete == ()


def test_the_last_process_start_parts_a_run_that_went_on_where_it_stopped(
    server: WandbLoopback,
) -> None:
    own = {"e": {"w": {"startedAt": "2026-01-02T03:05:05.5Z", "host": "n1"}}}
    put(
        server,
        rows=[row(step, loss=1.0, word="x") for step in range(100)],
        config=json.dumps({"_wandb": {"value": own}}),
        system=[json.dumps({"_timestamp": START + t, "system.cpu": 1.0}) for t in (9, 59, 61, 99)],
    )
    run = only(server)
    assert [(a.number, a.first_step, a.last_step, a.start) for a in run.attempts] == [
        (1, 0, 50, START + 10),
        (2, 51, 99, START + 60.5),
    ]
    assert run.series["system/cpu"].recorded.attempt.tolist() == [1, 1, 2, 2]
    assert "word is no number in 100 rows, which are not charted" in run.provenance.warnings
    assert run.series["loss"].step.tolist() == list(range(100))
