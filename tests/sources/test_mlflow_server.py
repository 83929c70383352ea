"""A real MLflow server, read directly and through a proxy that disturbs."""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from runpages.errors import SourceError, UnknownNameError, UnreachableError, UsageError
from runpages.model import Run, RunRef
from runpages.sources import open_source
from runpages.sources.mlflow_files import MlflowFiles
from runpages.sources.mlflow_server import MlflowServer
from sources.mlflow_writer import (
    BEGIN,
    client_at,
    experiment_in,
    log_rows,
    rich_run,
    sqlite_store,
)

ROWS = [(step, 1 / (1 + step)) for step in range(50)]


class Served(NamedTuple):
    """A store and the server that runs on it."""

    root: Path
    url: str
    rich: str
    plain: str
    """Ids of two runs."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _starting(root: Path) -> Iterator[Callable[[], str]]:
    """Starts an MLflow server on the store in `root`; call what it gives to wait for its address."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
    command += ["--port", str(port), "--backend-store-uri", f"sqlite:///{root}/mlflow.db"]
    command += ["--artifacts-destination", str(root / "mlartifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (root.parent / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=root.parent,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    try:
        yield lambda: _answering(process, url)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def _answering(process: subprocess.Popen[bytes], url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(600):
        with contextlib.suppress(OSError):
            opener.open(f"{url}/health", timeout=5).close()
            return url
        if process.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(f"no MLflow server came up (it ended with {process.poll()})")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("served") / "lm"
    root.mkdir()
    client = sqlite_store(root / "mlflow.db")
    with _starting(root) as wait:
        rich = rich_run(client, experiment_in(client, "pre/train ü", root / "store"))
        other = experiment_in(client, "other", root / "store")
        plain = client.create_run(other, run_name="plain", tags={"team": "b"}).info.run_id
        log_rows(client, plain, "loss", ROWS)
        log_rows(client, plain, "val", ROWS)
        client.set_terminated(plain, "KILLED", end_time=BEGIN + 60_000)
        client.delete_run(client.create_run(other, run_name="gone").info.run_id)
        client.delete_experiment(experiment_in(client, "gone", root / "store"))
        yield Served(root, wait(), rich, plain)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No keys and proxies but those of a test; waits are short."""
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("runpages.sources._mlflow_rest._FIRST_WAIT_SECONDS", 0.001)


def ref_of(source: MlflowServer, run_id: str) -> RunRef:
    return next(ref for ref in source.discover() if ref.run_id == run_id)


def same(one: Run, other: Run) -> None:
    """Everything but where it was read from."""
    assert one.slug == other.slug
    assert list(one.series) == list(other.series)
    for name in one.series:
        assert one.series.info(name) == other.series.info(name)
        for left, right in zip(one.series[name].recorded, other.series[name].recorded, strict=True):
            assert left.tobytes() == right.tobytes()
    assert one.series.spans == other.series.spans
    for item in fields(Run):
        if item.name not in {"ref", "series", "provenance"}:
            assert getattr(one, item.name) == getattr(other, item.name), item.name
    for name in ("records_read", "records_damaged", "warnings", "step_source", "reader"):
        assert getattr(one.provenance, name) == getattr(other.provenance, name)
    # where no file lies beside the store, only the server knows that there is none
    told = [note for note in other.provenance.lossy if "beside the store" not in note]
    assert list(one.provenance.lossy) == told


def test_the_server_and_its_store_give_the_same_runs(served: Served) -> None:
    server = open_source("mlflow", served.url, name="team")
    store = open_source("mlflow", str(served.root), name="team")
    refs = list(server.discover()), list(store.discover())
    assert [ref.slug for ref in refs[0]] == [ref.slug for ref in refs[1]]
    assert len(refs[0]) == 2
    for left, right in zip(*refs, strict=True):
        assert (left.name, left.state, left.kind) == (right.name, right.state, right.kind)
        same(server.read(left), store.read(right))


def test_media_are_loaded_when_asked_for(served: Served) -> None:
    source = MlflowServer(served.url)
    run = source.read(ref_of(source, served.rich))
    (image,) = (sample for sample in run.samples if sample.name == "dogs/a")
    assert image.media is not None
    assert image.media.load is not None
    assert image.media.load().startswith(b"\x89PNG")


def test_what_is_deleted_is_skipped_and_said(served: Served) -> None:
    source = MlflowServer(served.url)
    assert {ref.run_id for ref in source.discover()} == {served.rich, served.plain}
    reasons = sorted(why for _, why in source.skipped)
    assert reasons[0] == "experiment 'gone' is deleted"
    assert reasons[1].endswith("is deleted")
    assert len(reasons) == 2
    assert all(path.startswith(served.url) for path, _ in source.skipped)


def test_one_experiment_by_name(served: Served) -> None:
    assert [r.run_id for r in MlflowServer(served.url, project="other").discover()] == [
        served.plain
    ]
    with pytest.raises(UnknownNameError, match=r"no experiment named 'ohter'; there are: .*other"):
        list(MlflowServer(served.url, project="ohter").discover())


def test_a_filter_in_mlflows_own_language(served: Served) -> None:
    found = MlflowServer(served.url, filter="tags.team = 'b' and metrics.loss < 1").discover()
    assert [ref.run_id for ref in found] == [served.plain]
    with pytest.raises(UsageError, match=r"Invalid clause.*see `filter`"):
        list(MlflowServer(served.url, filter="no such thing").discover())


def test_the_stamp_changes_with_the_run(served: Served) -> None:
    client = client_at(served.url)
    experiment = experiment_in(client, "stamped")
    run_id = client.create_run(experiment).info.run_id
    stamps = []
    for change in (
        lambda: client.log_metric(run_id, "loss", 1.0, step=1),
        lambda: client.log_metric(run_id, "loss", 1.0, step=2),
        lambda: client.set_tag(run_id, "note", "x"),
        lambda: client.set_terminated(run_id),
        lambda: None,
    ):
        change()
        stamps.append(ref_of(MlflowServer(served.url, project="stamped"), run_id).stamp)
    assert len(set(stamps)) == 4
    assert stamps[3] == stamps[4]
    assert stamps[3].startswith("FINISHED ")


def test_artifacts_that_only_the_server_can_reach(served: Served) -> None:
    """Stored through the server; beside the store they lie in `mlartifacts`."""
    client = client_at(served.url)
    run_id = client.create_run(experiment_in(client, "through")).info.run_id
    client.log_text(run_id, "said", "deep/a.txt")
    assert client.get_run(run_id).info.artifact_uri.startswith("mlflow-artifacts:/")
    server, store = (
        open_source("mlflow", place, name="team") for place in (served.url, str(served.root))
    )
    runs = [
        source.read(next(ref for ref in source.discover() if ref.run_id == run_id))
        for source in (server, store)
    ]
    assert [(s.name, s.text) for s in runs[0].samples] == [("deep/a.txt", "said")]
    same(*runs)


# --- disturbances -----------------------------------------------------------------------------


@dataclass
class Proxy:
    """Stands before the server. `fault` answers a request itself if it returns true."""

    target: str
    fault: Callable[[http.server.BaseHTTPRequestHandler, int], bool]
    seen: list[str] = field(default_factory=list)
    """Paths asked for, with their query."""
    keys: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def disturbed(served: Served) -> Iterator[Callable[..., Proxy]]:
    """Makes a proxy before the server."""
    servers = []

    def make(fault: Callable[[http.server.BaseHTTPRequestHandler, int], bool]) -> Proxy:
        proxy = Proxy(served.url, fault)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
        proxy.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return proxy

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


def _handler(proxy: Proxy) -> type[http.server.BaseHTTPRequestHandler]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                proxy.seen.append(self.path)
                proxy.keys.append(self.headers.get("Authorization", ""))
                number = len(proxy.seen)
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size) if size else None
            if proxy.fault(self, number):
                return
            headers = {"Content-Type": "application/json"} if body else {}
            request = urllib.request.Request(proxy.target + self.path, body, headers)
            try:
                with opener.open(request, timeout=60) as answer:
                    self.whole(200, answer.read())
            except urllib.error.HTTPError as error:
                self.whole(error.code, error.read())

        do_POST = do_GET  # noqa: N815 - as http.server calls it

        def whole(self, status: int, data: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def cut(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"metrics": [{"key":')
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    return Handler


FAULTS: dict[str, Callable[[Any], None]] = {
    "429": lambda h: h.whole(429, b"", Retry_After="0"),
    "429 by date": lambda h: h.whole(429, b"", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"),
    "429 bare": lambda h: h.whole(429, b"slow down"),
    "500": lambda h: h.whole(500, b'{"message": "INTERNAL"}'),
    "503": lambda h: h.whole(503, b"<html>"),
    "cut body": lambda h: h.cut(),
    "cut JSON": lambda h: h.whole(200, b'{"metrics": [{"key": "lo'),
    "hung up": lambda h: h.connection.close(),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_passes_is_waited_for(
    served: Served, disturbed: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Each request is disturbed twice, then answered; nothing is lost or read twice."""
    monkeypatch.setattr("runpages.sources.mlflow_server._PAGE_ROWS", 20)
    counts: dict[str, int] = {}

    def fault(handler: Any, number: int) -> bool:
        counts[handler.path] = counts.get(handler.path, 0) + 1
        if counts[handler.path] > 2:
            return False
        FAULTS[name](handler)
        return True

    proxy = disturbed(fault)
    source = MlflowServer(proxy.url, name="team", project="other")
    (ref,) = source.discover()
    calm = MlflowServer(served.url, name="team", project="other")
    same(source.read(ref), calm.read(ref))
    pages = [path for path in proxy.seen if "get-history" in path]
    assert len(pages) == 3 * len(set(pages)) == 3 * 2 * 3


def test_a_run_goes_on_from_the_page_that_failed(
    served: Served, disturbed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runpages.sources.mlflow_server._PAGE_ROWS", 7)
    failed = []

    def fault(handler: Any, number: int) -> bool:
        if "metric_key=loss" in handler.path and "page_token" in handler.path and not failed:
            failed.append(handler.path)
            handler.cut()
            return True
        return False

    proxy = disturbed(fault)
    source = MlflowServer(proxy.url, project="other")
    (ref,) = source.discover()
    run = source.read(ref)
    assert run.series["loss"].value.tolist() == [value for _, value in ROWS]
    asked = [path for path in proxy.seen if "metric_key=loss" in path]
    assert sorted(asked) == sorted([*set(asked), failed[0]])
    assert len(set(asked)) == 8


def test_runs_come_in_pages(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runpages.sources.mlflow_server._PAGE_RUNS", 1)
    monkeypatch.setattr("runpages.sources.mlflow_server._PAGE_EXPERIMENTS", 1)
    assert {served.rich, served.plain} <= {r.run_id for r in MlflowServer(served.url).discover()}


def test_the_time_that_the_server_asks_for_is_waited(
    disturbed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("runpages.sources._mlflow_rest.time.sleep", waits.append)

    def fault(handler: Any, number: int) -> bool:
        if number <= 10:
            handler.whole(429, b"", Retry_After="7")
        return number <= 10

    source = MlflowServer(disturbed(fault).url, project="other")
    assert len(list(source.discover())) == 1
    assert [wait for wait in waits if wait >= 1] == [7.0] * 10


def test_a_run_that_takes_too_long_is_given_up(served: Served, disturbed: Any) -> None:
    def fault(handler: Any, number: int) -> bool:
        busy = "get-history" in handler.path
        if busy:
            handler.whole(429, b"", Retry_After="3600")
        return busy

    source = MlflowServer(disturbed(fault).url, run_seconds=30)
    ref = ref_of(source, served.plain)
    with pytest.raises(SourceError, match=r"not read after 30 s \(answers 429.*run_minutes"):
        source.read(ref)


def test_a_poisoned_run_does_not_spoil_the_others(served: Served, disturbed: Any) -> None:
    def fault(handler: Any, number: int) -> bool:
        poisoned = served.plain in handler.path and "get-history" in handler.path
        if poisoned:
            handler.whole(500, b'{"error_code": "INTERNAL_ERROR", "message": "bad page"}')
        return poisoned

    source = MlflowServer(disturbed(fault).url)
    with pytest.raises(SourceError, match=r"answers 500.*bad page") as caught:
        source.read(ref_of(source, served.plain))
    assert not isinstance(caught.value, UnreachableError)
    assert source.read(ref_of(source, served.rich)).series["train/loss"].info.points == 10


def test_one_metric_that_fails_ends_the_others(served: Served, disturbed: Any) -> None:
    """Else the run would be waited for until its time is over."""
    waiting = threading.Event()

    def fault(handler: Any, number: int) -> bool:
        if "metric_key=val" in handler.path:
            handler.whole(429, b"", Retry_After="1")
            waiting.set()
        elif "metric_key=loss" in handler.path:
            waiting.wait(30)
            handler.whole(404, b"")
        return "get-history" in handler.path

    source = MlflowServer(disturbed(fault).url, run_seconds=3600)
    with pytest.raises(SourceError, match="answers 404"):
        source.read(ref_of(source, served.plain))


def test_a_run_that_is_gone_is_an_error_of_its_own(served: Served) -> None:
    source = MlflowServer(served.url)
    ref = RunRef(source="x", project="p", run_id="0" * 32, name="n", state="", location="l")
    with pytest.raises(SourceError, match=r"answers 404.*not found"):
        source.read(ref)


def test_rows_that_cannot_be_used_are_counted(served: Served, disturbed: Any) -> None:
    page = (
        b'{"metrics": [{"key": "loss", "value": "word", "timestamp": 1, "step": 0},'
        b'{"key": "loss", "value": 0.5, "timestamp": 1700000000000, "step": "4"},'
        b'{"key": "loss", "timestamp": 1700000001000, "step": 5}, 7, null,'
        b'{"key": "loss", "value": 1, "timestamp": [], "step": 6}]}'
    )

    def fault(handler: Any, number: int) -> bool:
        odd = "metric_key=loss" in handler.path
        if odd:
            handler.whole(200, page)
        return odd

    source = MlflowServer(disturbed(fault).url)
    run = source.read(ref_of(source, served.plain))
    assert run.series["loss"].step.tolist() == [4, 5]
    assert run.series["loss"].value.tolist() == [0.5, 0.0]
    assert run.provenance.records_damaged == 4
    assert run.incomplete == ("loss has 4 records that cannot be used",)
    assert run.series["val"].info.points == len(ROWS)


@pytest.mark.parametrize("status", [404, 500, 501])
def test_a_server_without_registry_models_or_artifacts(
    served: Served, disturbed: Any, status: int
) -> None:
    def fault(handler: Any, number: int) -> bool:
        lacking = any(p in handler.path for p in ("logged-models", "model-versions", "artifacts/"))
        if lacking:
            handler.whole(status, b"no such thing")
        return lacking

    source = MlflowServer(disturbed(fault).url)
    run = source.read(ref_of(source, served.rich))
    assert run.series["train/loss"].info.points == 10
    assert [checkpoint.step for checkpoint in run.checkpoints] == [4]
    assert run.samples == ()
    assert any("the model registry cannot be asked" in w for w in run.provenance.warnings)
    assert any("its artifacts are not read" in note for note in run.provenance.lossy)


def test_paths_of_the_server_stay_below_their_folder(served: Served, disturbed: Any) -> None:
    listing = (
        b'{"files": [{"path": "../../x.txt", "file_size": 3}, {"path": "a", "is_dir": true},'
        b' {"path": "", "is_dir": true}]}'
    )

    def fault(handler: Any, number: int) -> bool:
        lists = "artifacts/list" in handler.path
        if lists:
            handler.whole(200, listing)
        return lists

    proxy = disturbed(fault)
    source = MlflowServer(proxy.url)
    assert source.read(ref_of(source, served.plain)).samples == ()
    assert not any("get-artifact" in path for path in proxy.seen)


# --- doors that stay shut ---------------------------------------------------------------------


def test_a_server_that_does_not_answer() -> None:
    url = f"http://127.0.0.1:{_free_port()}"
    ref = RunRef(source="x", project="p", run_id="0" * 32, name="n", state="", location="l")
    with pytest.raises(UnreachableError, match=r"127.0.0.1:\d+: does not answer \(refused\)"):
        list(MlflowServer(url).discover())
    with pytest.raises(UnreachableError, match="does not answer"):
        MlflowServer(url).read(ref)


def test_a_page_that_is_no_mlflow(disturbed: Any) -> None:
    def fault(handler: Any, number: int) -> bool:
        handler.whole(200, b"<html>welcome</html>")
        return True

    with pytest.raises(UnreachableError, match="does not answer as MLflow does"):
        list(MlflowServer(disturbed(fault).url).discover())


def test_a_redirection_is_named_and_not_followed(
    disturbed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")

    def fault(handler: Any, number: int) -> bool:
        handler.whole(302, b"", Location="https://login.example/?next=secret")
        return True

    with pytest.raises(UnreachableError, match=r"answers 302.*leads to login\.example") as caught:
        list(MlflowServer(disturbed(fault).url).discover())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "file", "key"),
    [
        ({}, "", ""),
        ({"TOKEN": "t0ken"}, "", "Bearer t0ken"),
        ({"USERNAME": "ada", "PASSWORD": "pä:ss"}, "", "Basic YWRhOnDDpDpzcw=="),
        ({"USERNAME": "ada", "PASSWORD": "p", "TOKEN": "t"}, "", "Basic YWRhOnA="),
        (
            {},
            "[mlflow]\nmlflow_tracking_username = ada\nmlflow_tracking_password = p\n",
            "Basic YWRhOnA=",
        ),
        ({"TOKEN": "t0ken"}, "not an ini file", "Bearer t0ken"),
    ],
)
def test_keys_come_from_mlflows_own_places(
    served: Served,
    disturbed: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    names: dict[str, str],
    file: str,
    key: str,
) -> None:
    for name, value in names.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    if file:
        (tmp_path / ".mlflow").mkdir()
        (tmp_path / ".mlflow" / "credentials").write_text(file)

    proxy = disturbed(lambda handler, number: False)
    source = MlflowServer(proxy.url, project="other")
    (ref,) = source.discover()
    run = source.read(ref)
    assert set(proxy.keys) == {key}
    assert "t0ken" not in f"{ref}{run}"


@pytest.mark.parametrize(("status", "what"), [(401, UnreachableError), (403, UnreachableError)])
def test_a_wrong_key_is_a_sentence(
    disturbed: Any, monkeypatch: pytest.MonkeyPatch, status: int, what: type[SourceError]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")

    def fault(handler: Any, number: int) -> bool:
        handler.whole(status, b"no")
        return True

    proxy = disturbed(fault)
    with pytest.raises(what, match=f"answers {status}.*MLFLOW_TRACKING_TOKEN") as caught:
        list(MlflowServer(proxy.url).discover())
    assert "t0ken" not in str(caught.value)
    assert len(proxy.seen) == 1


def test_a_run_that_is_not_for_us_does_not_stop_the_others(served: Served, disturbed: Any) -> None:
    def fault(handler: Any, number: int) -> bool:
        closed = f"runs/get?run_id={served.plain}" in handler.path
        if closed:
            handler.whole(403, b'{"message": "Permission denied"}')
        return closed

    source = MlflowServer(disturbed(fault).url)
    with pytest.raises(SourceError, match="Permission denied") as caught:
        source.read(ref_of(source, served.plain))
    assert not isinstance(caught.value, UnreachableError)


def test_an_address_with_a_path_behind_it(served: Served) -> None:
    source = MlflowServer(f"{served.url}/?token=s3cr3t#/experiments/1")
    refs = list(source.discover())
    assert {served.rich, served.plain} <= {ref.run_id for ref in refs}
    assert "s3cr3t" not in str(refs)  # "secret" would meet MLflow's own names: secretive-crane-454


def test_one_name_for_both_ways(served: Served) -> None:
    server = MlflowServer(served.url)
    assert (server.kind, server.name) == (MlflowFiles.kind, "127.0.0.1")
