"""W&B server: paging, faults of the network, limits, and what of a run is read from where."""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from runpages.errors import SourceError, UnreachableError, UsageError
from runpages.model import Run, RunRef
from runpages.sources import _wandb_api_media as media
from runpages.sources import _wandb_api_pages as pages
from runpages.sources import load_source, open_source
from runpages.sources._wandb_api_facts import bare_url, settings_of
from runpages.sources._wandb_api_http import Patience, key_for
from runpages.sources.wandb_api import WandbServer, api_address, app_address
from sources.wandb_schema import Artifact, StoredRun
from sources.wandb_server import KEY, Fault, Request, WandbLoopback, serving

START = 1767323045.0  # 2026-01-02T03:04:05Z, as `createdAt` of a stored run
QUICK = Patience(
    tries=4,
    first_pause_seconds=0.01,
    longest_pause_seconds=0.02,
    silence_seconds=2,
    answer_seconds=0.4,
)


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(WandbServer, "patience", QUICK)


@pytest.fixture
def server() -> Iterator[WandbLoopback]:
    with serving() as loopback:
        yield loopback


def row(step: int, **values: object) -> str:
    return json.dumps({"_step": step, "_timestamp": START + 10 + step, "_runtime": step, **values})


def put(server: WandbLoopback, name: str = "r1", project: str = "llm", **fields: Any) -> StoredRun:
    fields.setdefault("state", "finished")
    return server.root.put("team", project).add(StoredRun(name=name, **fields))


def losses(steps: Iterable[int]) -> list[str]:
    return [row(step, loss=1.0 / (step + 1)) for step in steps]


def source(server: WandbLoopback, project: str = "team/llm", **options: Any) -> WandbServer:
    found = open_source("wandb", server.url, project=project, **options)
    assert isinstance(found, WandbServer)
    return found


def only(server: WandbLoopback, **options: Any) -> Run:
    opened = source(server, **options)
    (ref,) = opened.discover()
    return opened.read(ref)


def at(operation: str, fault: Fault, *, times: int = 10**6, after: int = 0) -> Callable[..., Any]:
    """The fault for `times` requests of one operation, after the first `after` of them."""

    def faults(request: Request, count: int) -> Fault | None:
        return fault if request.operation == operation and after <= count < after + times else None

    return faults


# --- finding runs


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
        stamp="finished 2026-01-02T04:04:05Z 0",
    )
    assert len(server.asked("Runs")) == 4


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


# --- the history


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
        "1 row of the history cannot be read: each is no JSON",
        "3 rows of the history cannot be read: each names no step",
        "2 rows of the history cannot be read: each is nested too deeply",
    )


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
    first = losses(range(100))
    second = [
        json.dumps({"_step": step, "_timestamp": START + 1000 + step, "loss": 9.0})
        for step in range(60, 150)
    ]
    put(server, rows=first + second)
    run = only(server)
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(0, 99), (60, 149)]
    assert run.series["loss"].superseded.step.tolist() == list(range(60, 100))
    assert run.provenance.records_read == 190


def test_the_last_process_start_parts_a_run_that_went_on_where_it_stopped(
    server: WandbLoopback,
) -> None:
    own = {"e": {"w": {"startedAt": "2026-01-02T03:05:05.5Z", "host": "n1"}}}
    put(
        server,
        rows=losses(range(100)),
        config=json.dumps({"_wandb": {"value": own}}),
        system=[json.dumps({"_timestamp": START + t, "system.cpu": 1.0}) for t in (9, 59, 61, 99)],
    )
    run = only(server)
    assert [(a.number, a.first_step, a.last_step, a.start) for a in run.attempts] == [
        (1, 0, 50, START),
        (2, 51, 99, START + 60.5),
    ]
    assert run.series["system/cpu"].recorded.attempt.tolist() == [1, 1, 2, 2]
    assert run.series["loss"].step.tolist() == list(range(100))


# --- faults


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, headers={"Retry-After": "0"}),
        Fault(status=500),
        Fault(status=502, body=b"<html>bad gateway</html>"),
        Fault(status=503, headers={"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"}),
        Fault(reset=True),
        Fault(cut=True),
        Fault(body=b"<html>please log in</html>"),
        Fault(body=b"[]"),
        Fault(drip_seconds=0.05),
    ],
    ids=lambda f: f"{f.status}-{'reset' * f.reset}{'cut' * f.cut}{'drip' * bool(f.drip_seconds)}",
)
def test_a_passing_fault_costs_only_its_page(server: WandbLoopback, fault: Fault) -> None:
    put(server, rows=losses(range(2500)))
    server.faults = at("HistoryPage", fault, times=2, after=1)
    run = only(server)
    assert run.series["loss"].step.tolist() == list(range(2500))
    assert run.incomplete == ()
    # pages 1 to 3, the second one three times: none that was whole is asked for again
    low = [request.variables["minStep"] for request in server.asked("HistoryPage")]
    assert low == [0, 1000, 1000, 1000, 2000]


def test_retry_after_is_waited_for(server: WandbLoopback, monkeypatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("runpages.sources._wandb_api_http.time.sleep", waited.append)
    put(server, rows=losses(range(3)))
    server.faults = at("Run", Fault(status=429, headers={"Retry-After": "7"}), times=1)
    assert len(only(server).series["loss"]) == 3
    assert 7.0 in waited


def test_a_wait_longer_than_the_budget_ends_the_run(server: WandbLoopback) -> None:
    put(server)
    server.faults = at("Run", Fault(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(SourceError, match=r"asks to wait 3,600 s.*run_seconds = 600"):
        only(server)
    assert len(server.asked("Run")) == 1


def test_one_poisoned_run_does_not_stop_the_others(server: WandbLoopback) -> None:
    for name in ("a", "poisoned", "z"):
        put(server, name, rows=losses(range(10)))
    broken = Fault(status=500, body=b"oops")

    def faults(request: Request, _count: int) -> Fault | None:
        poisoned = request.variables.get("name") == "poisoned"
        return broken if poisoned and request.operation == "HistoryPage" else None

    server.faults = faults
    opened = source(server)
    read, failed = [], []
    for ref in opened.discover():
        try:
            read.append(opened.read(ref).ref.run_id)
        except SourceError as error:
            failed.append(error)
    assert read == ["a", "z"]
    (error,) = failed
    assert not isinstance(error, UnreachableError)
    assert error.path.endswith("/team/llm/runs/poisoned")
    assert "the server answers 500, 4 times" in str(error)
    assert error.remedy


def test_a_run_over_its_budget_is_given_up(server: WandbLoopback, monkeypatch) -> None:
    monkeypatch.setattr(WandbServer, "patience", Patience(tries=50, first_pause_seconds=0.05))
    put(server, rows=losses(range(10)))
    server.faults = at("HistoryPage", Fault(status=503))
    with pytest.raises(SourceError, match=r"took longer than run_seconds = 0.4"):
        only(server, run_seconds=0.4)


def test_a_run_that_is_gone_is_a_sentence(server: WandbLoopback) -> None:
    put(server)
    opened = source(server)
    (ref,) = opened.discover()
    server.root.projects["team", "llm"].by_name.clear()
    with pytest.raises(SourceError, match="the server has no such run"):
        opened.read(ref)


@pytest.mark.parametrize("key", ["wrong-key", ""])
def test_a_key_that_is_not_accepted_is_unreachable(
    server: WandbLoopback, monkeypatch, key: str
) -> None:
    put(server)
    (ref,) = source(server).discover()
    monkeypatch.setenv("WANDB_API_KEY", key)
    opened = source(server)
    for act in (lambda: list(opened.discover()), lambda: opened.read(ref)):
        with pytest.raises(UnreachableError, match="WANDB_API_KEY") as caught:
            act()
        assert caught.value.path == server.url
        assert "wrong-key" not in str(caught.value)


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with serving() as gone:
        put(gone)
        (ref,) = source(gone).discover()
    opened = source(gone)
    for act in (lambda: list(opened.discover()), lambda: opened.read(ref)):
        with pytest.raises(UnreachableError, match="the connection fails"):
            act()


def test_a_server_that_only_fails_has_answered(server: WandbLoopback) -> None:
    put(server)
    server.faults = lambda _request, _count: Fault(status=502)
    with pytest.raises(SourceError, match="the server answers 502, 4 times") as caught:
        list(source(server).discover())
    assert not isinstance(caught.value, UnreachableError)


def test_another_kind_of_server_is_named(server: WandbLoopback) -> None:
    server.faults = lambda _request, _count: Fault(status=404, body=b"not here")
    with pytest.raises(SourceError, match="check `location`"):
        list(source(server).discover())


def test_a_redirect_takes_no_query_elsewhere(server: WandbLoopback) -> None:
    targets = (
        "https://elsewhere.invalid/graphql?token=tok3n",
        f"{server.url}/login",
        "https://[bad?token=tok3n",
    )
    for target in targets:
        server.faults = at("Runs", Fault(status=307, headers={"Location": target}))
        with pytest.raises(SourceError) as caught:
            list(source(server).discover())
        assert "tok3n" not in str(caught.value)


def test_a_servers_words_are_cut_and_hold_no_key(server: WandbLoopback) -> None:
    said = f"bad {KEY} at https://x.y/z?accessToken=tok3n " + "x" * 1000
    server.faults = at(
        "Runs", Fault(status=400, body=json.dumps({"errors": [{"message": said}]}).encode())
    )
    with pytest.raises(SourceError) as caught:
        list(source(server).discover())
    assert KEY not in str(caught.value)
    assert "tok3n" not in str(caught.value)
    assert len(str(caught.value)) < 400


# --- what else a run has


CONFIG = {
    "lr": {"value": 3e-4, "desc": None},
    "seed": {"value": 7},
    "model": {"value": {"layers": 4, "scale": "NaN"}},
    "plain": 5,
    "wandb_version": 1,
    "_wandb": {
        "value": {
            "cli_version": "0.31.0",
            "python_version": "3.11.7",
            "m": [{"1": "val/*"}, {"1": "it"}, {"2": "train/*", "5": 2}, "?", {"1": "x", "5": 99}],
            "e": {
                "w1": {
                    "os": "Linux",
                    "python": "CPython 3.11.7",
                    "startedAt": "2026-01-02T03:04:06Z",
                    "host": "node1",
                    "program": "/home/u/train.py",
                    "codePath": "train.py",
                    "executable": "/venv/bin/python3",
                    "args": ["--lr", "3e-4"],
                    "gpu": "NVIDIA H100",
                    "gpu_count": 8,
                    "cpu_count": 64,
                    "cpu": {"model": "EPYC"},
                    "memory": {"total": "1000000"},
                    "cudaVersion": "12.4",
                    "git": {"remote": "https://u:tok3n@git.x/r.git?t=tok3n", "commit": "c0ffee"},
                }
            },
        }
    },
}


def test_everything_that_stands_in_the_run(server: WandbLoopback) -> None:
    put(
        server,
        displayName="my run",
        config=json.dumps(CONFIG),
        summaryMetrics=json.dumps(
            {"loss": "NaN", "best": {"min": 0.1}, "_step": 3, "_wandb": {"runtime": 5}}
        ),
        group="g",
        jobType="train",
        tags=("a", "b"),
        notes="why",
        sweepName="sw/1",
        commit="c0ffee",
        rows=[row(i, **{"train/loss": 1.0, "it": 10 * i}) for i in range(3)],
        lines=[
            "2026-01-02T03:04:07.000 step 1\x1b[31m red\x1b[0m",
            "ERROR 2026-01-02T03:04:08.1 bye",
        ],
        stored={"requirements.txt": b"torch==2.5.0\nnumpy==2\n"},
    )
    run = only(server)
    assert (run.name, run.group, run.job_type, run.tags) == ("my run", "g", "train", ("a", "b"))
    assert (run.description, run.author, run.seed) == ("why", "ada", 7)
    layers = run.config["model"]
    assert isinstance(layers, dict)
    assert math.isnan(layers.pop("scale"))
    assert run.config == {"lr": 3e-4, "seed": 7, "model": {"layers": 4}, "plain": 5}
    assert math.isnan(run.summary.pop("loss"))
    assert run.summary == {"best.min": 0.1}
    assert run.code.commit == "c0ffee"
    assert run.code.remote == "https://git.x/r.git"
    assert run.code.entry_point == "train.py"
    assert run.command == "python3 /home/u/train.py --lr 3e-4"
    assert run.hardware.hosts == ("node1",)
    assert (run.hardware.device, run.hardware.devices) == ("NVIDIA H100", 8)
    assert (run.hardware.cpu, run.hardware.cpu_count) == ("EPYC", 64)
    assert run.hardware.memory_bytes == 1_000_000
    assert run.environment == {
        "os": "Linux", "python": "CPython 3.11.7", "cuda": "12.4", "torch": "2.5.0",
        "wandb": "0.31.0",
    }  # fmt: skip
    assert run.console == "step 1 red\nbye"
    assert run.start == START + 1
    assert run.series["train/loss"].step.tolist() == [0, 10, 20]
    assert run.provenance.step_source == "it (define_metric)"
    assert [(link.label, link.url) for link in run.links] == [
        ("Weights & Biases", f"{server.url}/team/llm/runs/r1"),
        ("sweep sw/1", f"{server.url}/team/llm/sweeps/sw%2F1"),
    ]


def test_definitions_by_name_and_by_place() -> None:
    assert settings_of(json.dumps(CONFIG)).definitions == (
        ("val/*", "", ""), ("it", "", ""), ("", "train/*", "it"), ("", "", ""), ("x", "", ""),
    )  # fmt: skip
    named = {"_wandb": {"value": {"m": [{"1": "loss", "4": "it"}]}}}
    assert settings_of(json.dumps(named)).definitions == (("loss", "", "it"),)


@pytest.mark.parametrize(
    "config",
    [
        "",
        "[1]",
        "{",
        '{"a": ' + "[" * 300 + "]" * 300 + "}",
        '{"_wandb": 5}',
        '{"_wandb": {"value": []}}',
    ],
)
def test_a_configuration_of_another_shape_costs_only_itself(
    server: WandbLoopback, config: str
) -> None:
    put(server, config=config, summaryMetrics="[", rows=losses(range(3)))
    run = only(server)
    assert run.config == {}
    assert len(run.series["loss"]) == 3


def test_machine_of_an_old_run_from_its_file_or_the_servers_table(server: WandbLoopback) -> None:
    metadata = {
        "os": "Linux-5",
        "host": "old",
        "gpu": "V100",
        "gpu_count": 2,
        "memory": {"total": 1.5},
    }
    put(server, "a", stored={"wandb-metadata.json": json.dumps(metadata).encode()})
    put(
        server,
        "b",
        runInfo={"os": "Linux-4", "gpuCount": 4, "gpu": "A100", "python": "3.8", "args": ["-x"],
                 "program": "t.py", "git": {"remote": "git@h:r.git", "commit": "abc"}},
    )  # fmt: skip
    opened = source(server)
    one, other = (opened.read(ref) for ref in opened.discover())
    assert (one.environment["os"], one.hardware.device, one.hardware.devices) == (
        "Linux-5", "V100", 2,
    )  # fmt: skip
    assert one.hardware.memory_bytes == 3 * 2**29
    assert ("wandb-metadata.json", len(json.dumps(metadata))) in one.provenance.files
    assert (other.environment["os"], other.hardware.devices) == ("Linux-4", 4)
    assert (other.code.commit, other.code.remote) == ("abc", "git@h:r.git")
    assert other.command == "t.py -x"


def test_system_metrics_stand_on_the_clock(server: WandbLoopback) -> None:
    events = [
        {
            "_timestamp": START + 15 * i,
            "_runtime": 15 * i,
            "_wandb": True,
            "system.gpu.0.gpu": 9.0 + i,
        }
        for i in range(2500)
    ]
    put(server, system=[json.dumps(event) for event in events])
    run = only(server)
    series = run.series["system/gpu.0.gpu"]
    assert (list(run.series), series.info.axis) == (["system/gpu.0.gpu"], "time")
    assert series.value.tolist() == [9.0 + i for i in range(2500)]
    assert series.time.tolist() == [START + 15 * i for i in range(2500)]
    assert run.hardware.devices == 1
    assert run.provenance.lossy == (NO_ALERTS,)
    assert run.end == START + 15 * 2499


NO_ALERTS = "alerts of W&B are not read from its server, whose API does not tell them"


def test_a_selection_of_system_metrics_is_told(server: WandbLoopback, monkeypatch) -> None:
    monkeypatch.setattr(pages, "PAGE_EVENTS", 500)
    put(
        server,
        system=[json.dumps({"_timestamp": START + i, "system.cpu": 1.0}) for i in range(900)],
    )
    run = only(server)
    assert len(run.series["system/cpu"]) == 500
    assert (
        "system metrics are a selection: the server gave 500 of 900 readings"
        in run.provenance.lossy
    )


def test_console_from_the_log_file_where_the_server_has_no_lines(server: WandbLoopback) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))
    put(server, stored={"output.log": text.encode()})
    run = only(server)
    assert run.console.endswith("line 19999\n")
    assert 60_000 < len(run.console) <= 64_000
    assert run.console.startswith("line ")


def _png(width: int = 1) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" + b"\0" * width)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


WAVE = b"RIFF\x24\0\0\0WAVEfmt " + bytes(28)


def _image(path: str, **more: object) -> dict[str, object]:
    return {"_type": "image-file", "path": path, "format": "png", **more}


def test_images_and_sounds(server: WandbLoopback) -> None:
    several = {"_type": "images/separated", "filenames": ["media/a.png", "media/b.png"],
               "captions": ["A", "B"], "count": 2}  # fmt: skip
    sounds = {"_type": "audio", "count": 2, "captions": ["hum"],
              "audio": [{"_type": "audio-file", "path": "media/s.wav"}, {"path": 5}]}  # fmt: skip
    put(
        server,
        rows=[
            row(0, it=5, one=_image("media/a.png", caption="cap"), film={"_type": "video-file"}),
            row(1, it=6, several=several, nested={"deep": _image("media/b.png")}),
            row(2, it=7, sounds=sounds, one=_image("media/no.png")),
        ],
        stored={"media/a.png": _png(), "media/b.png": _png(2), "media/s.wav": WAVE},
    )
    run = only(server)
    found = {(s.kind, s.name, s.step, s.text) for s in run.samples}
    assert found == {
        ("image", "one", 0, "cap"), ("image", "several", 1, "A"), ("image", "several", 1, "B"),
        ("image", "nested.deep", 1, ""), ("audio", "sounds", 2, "hum"),
    }  # fmt: skip
    (sound,) = (s for s in run.samples if s.kind == "audio")
    assert sound.media is not None
    assert (sound.media.media_type, sound.media.bytes()) == ("audio/wav", WAVE)
    assert sound.time == START + 12
    assert "one (step 2): its file cannot be read: the server has no such file" in (
        run.provenance.warnings
    )
    assert any("film (video-file, 1)" in sentence for sentence in run.provenance.lossy)
    assert dict(run.provenance.files)["media/a.png"] == len(_png())


def test_tables_are_texts_or_tables(server: WandbLoopback) -> None:
    said = {"columns": ["Prompt", "Output"], "data": [["p", "o"], ["q", None]]}
    wide = {"columns": ["a"], "data": [[{"_type": "image-file"}], [[1]], [1.5]] * 100}
    odd = {"columns": ["a"], "data": [[1, 2]]}
    put(
        server,
        rows=[
            row(n, **{name: {"_type": "table-file", "path": f"media/{name}.json"}})
            for n, name in enumerate(("said", "wide", "odd"))
        ],
        stored={
            f"media/{name}.json": json.dumps(table).encode()
            for name, table in (("said", said), ("wide", wide), ("odd", odd))
        },
    )
    run = only(server)
    texts = [(s.prompt, s.text, s.step) for s in run.samples if s.kind == "text"]
    assert texts == [("p", "o", 0), ("q", "", 0)]
    (table,) = (s for s in run.samples if s.kind == "table")
    assert (table.columns, table.rows[:3]) == (("a",), (("(image-file)",), ("[1]",), ("1.5",)))
    assert "table wide: 200 of its 300 rows are read" in run.provenance.warnings
    assert any("table odd: cannot be read: a row does not" in w for w in run.provenance.warnings)


def test_files_are_fetched_from_the_trackers_own_host_only(server: WandbLoopback) -> None:
    names = ["far", "moved", "port", "scheme", "none", "circle"]
    put(
        server,
        rows=[row(n, **{name: _image(f"media/{name}.png")}) for n, name in enumerate(names)],
        stored={f"media/{name}.png": _png() for name in names},
        file_urls={
            "media/far.png": "https://storage.invalid/x?Signature=s1gn",
            "media/port.png": "http://127.0.0.1:1/x",
            "media/scheme.png": "file:///etc/passwd",
            "media/none.png": "https://[bad",
            "media/circle.png": "/circle",
        },
    )
    targets = {
        "GET /files/team/llm/r1/media/moved.png": "http://localhost:1/secret?accessToken=tok3n",
        "GET /circle": "/circle",
    }

    def faults(request: Request, _count: int) -> Fault | None:
        target = targets.get(request.operation)
        return Fault(status=302, headers={"Location": target}) if target else None

    server.faults = faults
    run = only(server)
    assert run.samples == ()
    told = " ".join((*run.provenance.lossy, *run.provenance.warnings))
    assert "1 file not fetched: each lies on storage.invalid, which is not the tracker's" in told
    assert "lies on localhost" in told
    assert "none (step 4): its file cannot be read: its address is none" in told
    assert "circle (step 5): its file cannot be read: the server sends on and on" in told
    assert "s1gn" not in told
    assert "tok3n" not in told


def test_a_redirect_on_the_same_host_is_followed(server: WandbLoopback) -> None:
    put(
        server,
        rows=[row(0, one=_image("media/a.png"))],
        stored={"media/a.png": _png(), "media/b.png": _png(2)},
    )
    target = "/files/team/llm/r1/media/b.png?accessToken=tok3n"
    first = "GET /files/team/llm/r1/media/a.png"
    server.faults = at(first, Fault(status=302, headers={"Location": target}))
    (sample,) = only(server).samples
    assert sample.media is not None
    assert sample.media.bytes() == _png(2)


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "/etc/passwd", "media/../../x.png", "media\\x.png", "C:/x.png", "a//b",
     "media/\n.png", "", "x" * 2000],
)  # fmt: skip
def test_a_path_out_of_the_run_is_not_asked_for(server: WandbLoopback, path: str) -> None:
    put(server, rows=[row(0, one=_image(path))], stored={path: _png()})
    run = only(server)
    assert run.samples == ()
    assert any("is no path inside the run" in warning for warning in run.provenance.warnings)
    assert not any(path in (r.variables.get("names") or ()) for r in server.requests)


def test_a_file_too_large_is_not_fetched(server: WandbLoopback, monkeypatch) -> None:
    monkeypatch.setattr(media, "MEDIA_BYTES", 20)
    put(server, rows=[row(0, one=_image("media/a.png"))], stored={"media/a.png": _png()})
    run = only(server)
    assert any("more than the 20 that are read" in warning for warning in run.provenance.warnings)
    assert server.asked("GET /files/team/llm/r1/media/a.png") == []


def test_many_images_are_thinned_before_they_are_fetched(server: WandbLoopback) -> None:
    put(
        server,
        rows=[row(step, one=_image("media/a.png")) for step in range(300)],
        stored={"media/a.png": _png()},
    )
    run = only(server)
    assert [run.samples[0].step, run.samples[-1].step, len(run.samples)] == [0, 299, 24]
    assert len(server.asked("GET /files/team/llm/r1/media/a.png")) <= 24


def test_artifacts_are_known_by_their_metadata(server: WandbLoopback, monkeypatch) -> None:
    monkeypatch.setattr(pages, "PAGE_ARTIFACTS", 2)
    put(
        server,
        logged=[
            Artifact(
                name="net", type="model", version=3, size=10, metadata='{"step": 40, "l": 0.5}'
            ),
            Artifact(name="bare", type="model", version=1),
            Artifact(name="run-r1-said", type="run_table"),
            Artifact(name="job", type="wandb-history"),
            Artifact(name="corpus", type="dataset", version=2, digest="d9"),
        ],
        used=[
            Artifact(name="web", type="dataset", version=7, digest="d7"),
            Artifact(name="base", type="model", version=1, metadata='{"step": 9}'),
        ],
    )
    run = only(server)
    (checkpoint,) = run.checkpoints
    assert (checkpoint.step, checkpoint.path, checkpoint.size_bytes) == (40, "net:v3", 10)
    assert checkpoint.metrics == {"l": 0.5}
    assert [(d.name, d.version, d.digest) for d in run.datasets] == [
        ("corpus", "v2", "d9"), ("web", "v7", "d7"),
    ]  # fmt: skip
    assert [e.text for e in run.logged_events] == ["model bare:v1", "used model base:v1"]


def test_no_secret_stands_in_a_run(server: WandbLoopback) -> None:
    put(
        server,
        config=json.dumps(CONFIG),
        rows=[row(0, one=_image("media/a.png")), row(1, far=_image("media/far.png"))],
        stored={"media/a.png": _png(), "media/far.png": _png()},
        file_urls={"media/far.png": "https://u:tok3n@far.invalid/x?accessToken=tok3n"},
        sweepName="s1",
    )
    run = only(server)
    shown = repr(run)
    for secret in (KEY, "tok3n", "accessToken", "?", "s1gn"):
        assert secret not in shown
    assert len(run.samples) == 1


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("https://wandb.ai/a?accessToken=tok3n#x", "https://wandb.ai/a"),
        ("https://u:p@host:8080/r.git", "https://host:8080/r.git"),
        ("ssh://git:p@host/r.git", "ssh://git@host/r.git"),
        ("git@host:a/r.git", "git@host:a/r.git"),
        ("/local/path?x", "/local/path"),
        ("https://[bad", ""),
    ],
)
def test_addresses_are_shown_bare(url: str, bare: str) -> None:
    assert bare_url(url) == bare


def test_the_key_comes_from_the_variable_else_from_netrc(monkeypatch, tmp_path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.wandb.ai login user password k1\ndefault login x password k2\n")
    assert key_for("https://api.wandb.ai") == KEY
    monkeypatch.delenv("WANDB_API_KEY")
    assert key_for("https://api.wandb.ai") == "k1"
    assert key_for("https://other.host") == ""
    netrc.write_text("machine")
    assert key_for("https://api.wandb.ai") == ""


def test_the_same_run_twice_is_the_same(server: WandbLoopback) -> None:
    put(server, config=json.dumps(CONFIG), rows=losses(range(1200)))
    one, other = only(server), only(server)
    assert one.provenance == other.provenance
    assert one.attempts == other.attempts
    assert one.series["loss"].value.tobytes() == other.series["loss"].value.tobytes()
