"""Trackers at an address, from runpages.toml to pages: real processes, real sockets."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import signal
import threading
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from builder.projects import Project, wait_until
from runpages.config import load_settings
from runpages.sources import open_source
from runs import write_rundir
from sources.test_wandb_api_media import _image, _png
from sources.wandb_files import record_class, write_records
from sources.wandb_runs import START, losses, put, row
from sources.wandb_server import KEY, Fault, Request, WandbLoopback, serving

ROOT = Path(__file__).resolve().parents[2]
BASIC = base64.b64encode(f"api:{KEY}".encode()).decode()
SECRETS = (KEY, BASIC, "tok3n", "s1gn", "p4ss")
DETAILS = {"Run", "HistoryPage", "RunFullHistory", "RunFiles", "RunConsoleLogTail"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, {"WANDB_API_KEY": KEY})


@pytest.fixture
def server() -> Iterator[WandbLoopback]:
    with serving() as loopback:
        yield loopback


EXAMPLES = [
    (page.name, number, block)
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for number, block in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL))
    if "[[source]]" in block
]


@pytest.mark.parametrize(("page", "number", "block"), EXAMPLES)
def test_examples_of_the_documentation_are_settings(
    tmp_path: Path, page: str, number: int, block: str
) -> None:
    (tmp_path / "runpages.toml").write_text(block)
    settings = load_settings(tmp_path / "runpages.toml")
    for source in settings.source:
        if "://" in source.location:
            options = {"project": source.project, "filter": source.filter}
            opened = open_source(
                source.kind, source.location, file_hosts=source.file_hosts, **options
            )
            assert opened.name


@pytest.mark.parametrize("page", ["wandb-api.md", "mlflow.md", "clearml.md"])
def test_each_tracker_has_a_complete_example(page: str) -> None:
    (block, *_) = (block for name, _, block in EXAMPLES if name == page)
    tables = tomllib.loads(block)
    assert {"site", "archive", "source"} <= set(tables)
    wanted = {"name", "kind", "location", "project", "filter", "include", "run_minutes"}
    assert wanted <= set(tables["source"][0])


def wandb(server: WandbLoopback, *more: str) -> str:
    lines = ('kind = "wandb"', f'location = "{server.url}"', 'project = "team/llm"', *more)
    return "\n".join(lines)


LOGS = 'kind = "auto"\nlocation = "logs"'


def failing(name: str, operation: str = "HistoryPage", **fault: Any) -> Callable[..., Any]:
    """What one run's requests of an operation come to."""

    def faults(request: Request, _count: int) -> Fault | None:
        hit = request.operation == operation and request.variables.get("name") == name
        return Fault(**fault) if hit else None

    return faults


def read_since(server: WandbLoopback, count: int) -> set[str]:
    """Runs of which more was asked than the list tells."""
    asked = server.requests[count:]
    return {request.variables["name"] for request in asked if request.operation in DETAILS}


class Storage(BaseHTTPRequestHandler):
    """Another host that keeps files, and would like a cookie to come back."""

    asked: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.asked.append((self.path, dict(self.headers)))
        data = _png(3)
        self.send_response(200)
        self.send_header("Set-Cookie", "session=c00kie")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def storage() -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    """Its `host:port`, and what it was asked."""
    handler = type("Handler", (Storage,), {"asked": []})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"localhost:{http.server_port}", handler.asked
    http.shutdown()
    http.server_close()
    thread.join()


def secretive(server: WandbLoopback, host: str) -> None:
    """A run that holds keys wherever a run can, and whose files lie elsewhere."""
    config = {
        "api_key": {"value": KEY},
        "lr": {"value": 0.5},
        "_wandb": {
            "value": {
                "e": {
                    "p": {
                        "args": ["--api-key", KEY],
                        "git": {"remote": f"https://u:{KEY}@git.example/r.git?accessToken=tok3n"},
                    }
                }
            }
        },
    }
    put(
        server,
        "secretive",
        config=json.dumps(config),
        rows=[
            row(0, loss=1.0, one=_image("media/a.png")),
            row(1, loss=0.5, two=_image("media/b.png")),
        ],
        stored={"media/a.png": _png(), "media/b.png": _png(2)},
        file_urls={"media/b.png": f"http://{host}/b.png?X-Goog-Signature=s1gn"},
        lines=[f"2026-01-02T03:04:05 export WANDB_API_KEY={KEY}"],
        notes="curl 'https://api.example/x?access_token=tok3n&sig=s1gn' https://u:p4ss@x.example",
    )


def test_from_settings_to_pages_and_what_a_second_pull_asks(
    project: Project, server: WandbLoopback, storage: Any
) -> None:
    host, asked = storage
    for name in ("a", "b"):
        put(server, name, rows=losses(range(30)))
    put(server, "fails", state="failed", rows=losses(range(3)))
    put(server, "other", project="else", rows=losses(range(3)))
    secretive(server, host)
    moved = f"http://{host}/a.png?Signature=s1gn&accessToken=tok3n"
    operation = "GET /files/team/llm/secretive/media/a.png"

    def faults(request: Request, _count: int) -> Fault | None:
        hit = request.operation == operation
        return Fault(status=302, headers={"Location": moved}) if hit else None

    server.faults = faults
    filtered = """filter = '{"state": "finished"}'"""
    project.settings(wandb(server, filtered, f'file_hosts = ["{host}"]'))
    document, _ = project.pull()
    assert document["written"] == ["a", "b", "secretive"]
    runs = project.runs()
    assert runs["a"].series["loss"].step.tolist() == list(range(30))
    assert runs["secretive"].config["lr"] == 0.5
    assert len([s for s in runs["secretive"].samples if s.media is not None]) == 2
    # the storage was asked by the address it was given, and told nothing more
    assert {path.partition("?")[0] for path, _ in asked} == {"/a.png", "/b.png"}
    for _, headers in asked:
        assert not {"authorization", "cookie"} & {name.lower() for name in headers}

    assert "3 pages written" in project.run("build")[0]
    page = next(project.folder.glob("docs/runs/a-*.md")).read_text()
    links = [html.unescape(link) for link in re.findall(r'href="(http[^"]*)"', page)]
    assert f"{server.url}/team/llm/runs/a" in links
    assert not any("?" in link for link in links)

    count = len(server.requests)
    document, _ = project.pull()
    assert document["unchanged"] == ["a", "b", "secretive"]
    assert [request.operation for request in server.requests[count:]] == ["Runs"]

    server.run("team/llm/b").rows += losses([30])
    server.run("team/llm/a").tags = ("best",)
    count = len(server.requests)
    document, _ = project.pull()
    assert (document["written"], document["unchanged"]) == (["a", "b"], ["secretive"])
    assert read_since(server, count) == {"a", "b"}
    assert project.runs()["a"].tags == ("best",)
    assert project.holds(*SECRETS, "c00kie") == []


def test_what_is_chosen(project: Project, server: WandbLoopback) -> None:
    for name in ("keep-1", "keep-2", "left"):
        put(server, name, rows=losses(range(5)))
    server.run("team/llm/keep-2").heartbeatAt = "2026-06-02T00:00:00Z"
    put(server, "keep-live", state="running", rows=losses(range(5)))
    project.settings(wandb(server, 'include = ["keep-*"]'))

    out, _ = project.run("pull", "--dry-run")
    assert out == "2 would be read, 0 unchanged\n"
    assert read_since(server, 0) == set()
    assert sorted(path.name for path in project.folder.iterdir()) == ["runpages.toml"]

    document, err = project.pull("--since", "2026-06-01")
    # of one the list tells that it ended before; the other was sent later than it ended
    assert document["skipped"] == {
        "keep-1": "ended before --since",
        "keep-2": "ended before --since",
        "keep-live": f"{server.url}/team/llm/runs/keep-live: still running, says its tracker;"
        " pull again when it has ended",
    }
    assert read_since(server, 0) == {"keep-2"}
    assert f"{server.url}/team/llm/runs/left: run 'left' is not in this source's include" in err

    count = len(server.requests)
    document, _ = project.pull("--run", "keep-1")
    assert (document["written"], document["skipped"]) == (["keep-1"], {})
    assert read_since(server, count) == {"keep-1"}
    out, _ = project.run("pull", "--dry-run", "--run", "keep-1")
    assert out == "0 would be read, 1 unchanged\n"
    _, err = project.run("pull", "--run", "nobody", code=2)
    assert "no source has a run with the id or slug 'nobody'" in err


def test_one_bad_run_does_not_stop_the_others(project: Project, server: WandbLoopback) -> None:
    for name in ("a", "poisoned", "slow", "z"):
        put(server, name, rows=losses(range(30)))
    broken = failing("poisoned", status=500, body=f"no {KEY}".encode())
    slow = failing("slow", drip_seconds=0.05)
    server.faults = lambda request, count: broken(request, count) or slow(request, count)
    project.settings(wandb(server, "run_minutes = 0.05"), engine="processes")
    document, err = project.pull(code=3)
    assert document["written"] == ["a", "z"]
    assert document["failed"]["poisoned"] == (
        f"{server.url}/team/llm/runs/poisoned: the server answers 500, 3 times; see whether the"
        " server is well and can be reached from here, then pull again"
    )
    assert "longer than the 0.05 min that a run may take" in document["failed"]["slow"]
    assert "raise `run_minutes`" in document["failed"]["slow"]
    assert all(reason in err for reason in document["failed"].values())

    server.faults = lambda _request, _count: None
    count = len(server.requests)
    assert project.pull()[0]["written"] == ["poisoned", "slow"]
    assert read_since(server, count) == {"poisoned", "slow"}
    assert project.holds(*SECRETS) == []


def test_a_source_that_cannot_be_listed_does_not_stop_the_others(
    project: Project, server: WandbLoopback
) -> None:
    write_rundir(project.folder / "logs" / "mine", steps=5)
    put(server, rows=losses(range(5)))
    with serving() as gone:
        pass
    project.settings(wandb(gone, 'name = "gone"'), wandb(server), LOGS)
    document, err = project.pull(code=6, WANDB_API_KEY="wrong-key")
    assert document["written"] == ["mine"]
    down, refused = document["unreachable"]
    assert down.startswith(f"{gone.url}: the connection fails ([Errno 111] Connection refused)")
    assert down.endswith("can be reached from here, then pull again")
    assert refused == (
        f"{server.url}: the server does not accept the API key; set WANDB_API_KEY to a key of this"
        " server, by environment"
    )
    assert down in err
    assert refused in err
    # it answers, and has no such project
    project.settings(wandb(server).replace("team/llm", "team/none"), LOGS)
    document, err = project.pull(code=3)
    assert document["unchanged"] == ["mine"]
    (reason,) = document["failed"].values()
    assert "there is no such project, or this key may not read it" in reason
    assert reason in err
    assert project.holds(*SECRETS, "wrong-key") == []


def test_a_server_that_dies_while_runs_are_read(project: Project) -> None:
    names = [f"r{number:02}" for number in range(20)]
    stored = WandbLoopback()
    for name in names:
        put(stored, name, rows=losses(range(30)))
    open_server = serving(stored)
    server = open_server.__enter__()
    ended = threading.Event()
    ending = threading.Lock()  # many requests are answered at once, the server ends once

    def end() -> None:
        open_server.__exit__(None, None, None)
        ended.set()

    def faults(request: Request, _count: int) -> Fault | None:
        if len({r.variables["name"] for r in server.asked("HistoryPage")}) > 3:
            if ending.acquire(blocking=False):
                threading.Thread(target=end).start()
            ended.wait(30)
            return Fault(reset=True)
        return None

    server.faults = faults
    project.settings(wandb(server, 'name = "lab"'), engine="processes")
    document, _ = project.pull(code=6)
    assert len(document["written"]) >= 2
    assert sorted([*document["written"], *document["failed"]]) == names
    reasons = list(document["failed"].values())
    assert any("Connection refused" in reason for reason in reasons)
    # the others were not waited for one by one
    given_up = [r for r in reasons if r.endswith("its tracker stopped answering; pull again")]
    assert len(given_up) >= 2
    kept = project.runs()
    assert sorted(kept) == document["written"]
    assert all(len(run.series["loss"]) == 30 for run in kept.values())
    assert len(list(project.folder.glob("archive/runs/*"))) == len(kept)

    stored.faults = lambda _request, _count: None
    with serving(stored) as again:
        project.settings(wandb(again, 'name = "lab"'))
        count = len(again.requests)
        document, _ = project.pull()
        assert document["unchanged"] == sorted(kept)
        assert read_since(again, count) == set(names) - set(kept)
    assert sorted(project.runs()) == names


def test_a_pull_that_is_stopped_leaves_what_was_done(
    project: Project, server: WandbLoopback
) -> None:
    names = [f"r{number}" for number in range(9)]
    for name in names:
        put(server, name, rows=losses(range(30)))
    project.settings(wandb(server), engine="processes")
    stops = [
        (lambda process: os.kill(process.pid, signal.SIGKILL), -signal.SIGKILL),
        (lambda process: os.kill(process.pid, signal.SIGTERM), 128 + signal.SIGTERM),
        (lambda process: os.killpg(process.pid, signal.SIGINT), 128 + signal.SIGINT),
    ]
    kept: dict[str, Any] = {}
    for stop, code in stops:
        before = set(kept)
        good = {*before, *[name for name in names if name not in before][:2]}

        def faults(request: Request, _count: int, good: set[str] = good) -> Fault | None:
            stuck = request.operation == "HistoryPage" and request.variables["name"] not in good
            return Fault(drip_seconds=0.05) if stuck else None

        def ready(good: set[str] = good, count: int = len(server.requests)) -> bool:
            """What can be read is kept and noted, and another run is being read."""
            noted = list(project.folder.glob(".cache/runpages/pull/*.json"))
            return len(noted) == len(good) and bool(read_since(server, count) - good)

        server.faults = faults
        count = len(server.requests)
        process = project.start("pull")
        wait_until(ready)
        stop(process)
        _, err = project.end(process, code)
        assert ("Stopped. What was done is kept" in err) == (code > 0)
        kept = project.runs()
        assert set(kept) == good
        assert all(len(run.series["loss"]) == 30 for run in kept.values())
        assert not read_since(server, count) & before
    server.faults = lambda _request, _count: None
    project.settings(wandb(server))
    document, _ = project.pull()
    assert document["written"] == sorted(set(names) - set(kept))
    assert len(project.runs()) == len(names)


def test_the_same_run_offline_and_by_the_server_is_kept_once(
    project: Project, server: WandbLoopback
) -> None:
    put(server, "both", rows=losses(range(20)))
    put(server, "online", rows=losses(range(20)))
    cls = record_class()
    first, *rest = [cls() for _ in range(21)]
    first.run.run_id, first.run.project = "both", "llm"
    first.run.start_time.seconds = int(START)
    for step, record in enumerate(rest):
        record.history.step.num = step
        for name, value in json.loads(losses([step])[0]).items():
            record.history.item.add(key=name, value_json=json.dumps(value))
    logs = project.folder / "logs" / "offline-run-20260102_030405-both"
    write_records(logs / "run-both.wandb", [first, *rest])
    offline = 'kind = "wandb"\nlocation = "logs"\nname = "lab"\nsettle_minutes = 0'
    online = wandb(server, 'name = "lab"')

    project.settings(offline, online)
    document, _ = project.pull()
    assert document["written"] == ["both", "online"]
    assert "runs/both: the same run as" in document["skipped"]["both"]
    assert read_since(server, 0) == {"online"}
    assert project.runs()["both"].provenance.reader.startswith("wandb 1")
    before = (project.folder / "archive").stat().st_mtime_ns
    document, _ = project.pull()
    assert document["unchanged"] == ["both", "online"]
    assert (project.folder / "archive").stat().st_mtime_ns == before

    project.settings(online, offline)
    document, _ = project.pull("lab")
    assert (document["written"], document["unchanged"]) == (["both"], ["online"])
    both = project.runs()["both"]
    assert both.provenance.reader.startswith("wandb-server 1")
    assert both.series["loss"].step.tolist() == list(range(20))
    assert "2 pages written" in project.run("build")[0]
