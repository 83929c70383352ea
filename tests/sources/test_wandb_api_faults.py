"""W&B server: what a network, a server or a key can do wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from runpages.errors import SourceError, UnreachableError
from runpages.sources._wandb_api_http import Patience
from runpages.sources.wandb_api import WandbServer
from sources.wandb_runs import alone, at, losses, only, put, source
from sources.wandb_server import KEY, Fault, Request, WandbLoopback, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WandbLoopback]:
    yield from alone(monkeypatch, tmp_path)


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
    with pytest.raises(SourceError, match=r"asks to wait 3,600 s.* the 10 min"):
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
    with pytest.raises(SourceError, match=r"longer than the 0.01 min .*run_minutes"):
        only(server, run_seconds=0.6)


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


def test_a_server_that_is_not_there_is_unreachable(server: WandbLoopback) -> None:
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
    said = f"bad {KEY} at https://x.y/z?accessToken=tok3n or http://u:tok3n@h " + "x" * 1000
    server.faults = at(
        "Runs", Fault(status=400, body=json.dumps({"errors": [{"message": said}]}).encode())
    )
    with pytest.raises(SourceError) as caught:
        list(source(server).discover())
    assert "bad (key) at https://x.y or http://h" in str(caught.value)
    assert KEY not in str(caught.value)
    assert "tok3n" not in str(caught.value)
    assert len(str(caught.value)) < 400
