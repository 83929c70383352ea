"""Files on hosts beside a tracker's own: which are asked, and what they are told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runpages.errors import SourceError, UsageError
from runpages.sources import open_source
from runpages.sources.contract import is_file_host
from sources.test_clearml_server import api, logged
from sources.test_clearml_server import read as read_clearml
from sources.test_wandb_api_media import _image, _png
from sources.wandb_runs import alone, at, only, put, row
from sources.wandb_server import Fault, WandbLoopback

__all__ = ["api", "logged"]


class _Storage(BaseHTTPRequestHandler):
    """A host that keeps files, and would like a cookie to come back."""

    asked: list[tuple[str, dict[str, str]]]
    url: str

    def do_GET(self) -> None:
        self.asked.append((self.path, dict(self.headers)))
        status = {"/back": 302, "/broken": 503}.get(self.path, 200)
        data = _png(5) if status == 200 else b""
        self.send_response(status)
        self.send_header("Set-Cookie", "session=c00kie")
        if status == 302:
            self.send_header("Location", self.url)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def storage() -> Iterator[type[_Storage]]:
    """`url` is its address by a name that is not the trackers'."""
    handler = type("Handler", (_Storage,), {"asked": []})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.url = f"http://localhost:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield handler
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WandbLoopback]:
    yield from alone(monkeypatch, tmp_path)


@pytest.fixture
def netrc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Logins that a library could send by itself."""
    (tmp_path / "logins").write_text("machine localhost login me password p4ss\n")
    (tmp_path / "logins").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "logins"))


def host_of(storage: type[_Storage]) -> str:
    return storage.url.removeprefix("http://")


def told_nothing(storage: type[_Storage]) -> bool:
    private = {"authorization", "cookie", "proxy-authorization", "referer"}
    return not any(private & {n.lower() for n in headers} for _, headers in storage.asked)


def moved(server: WandbLoopback, target: str) -> None:
    """A run with an image that the tracker says is elsewhere."""
    put(server, rows=[row(0, one=_image("media/a.png"))], stored={"media/a.png": _png()})
    answer = Fault(status=302, headers={"Location": target})
    server.faults = at("GET /files/team/llm/r1/media/a.png", answer)


def test_wandb_follows_to_a_named_host(server: WandbLoopback, storage: type[_Storage]) -> None:
    moved(server, f"{storage.url}/x.png?Signature=s1gn")
    run = only(server)
    assert run.samples == ()
    assert storage.asked == []
    assert (
        "1 file not fetched: each lies on localhost, which is not the tracker's own host"
        " (`file_hosts` can name it)" in run.provenance.lossy
    )
    (sample,) = only(server, file_hosts=[host_of(storage)]).samples
    assert sample.media is not None
    assert sample.media.read() == _png(5)
    assert [path for path, _ in storage.asked] == ["/x.png?Signature=s1gn"]
    assert told_nothing(storage)


def test_no_key_goes_to_the_tracker_by_way_of_a_named_host(
    server: WandbLoopback, storage: type[_Storage]
) -> None:
    moved(server, f"{storage.url}/back")
    host, storage.url = host_of(storage), f"{server.url}/files/team/llm/r1/media/b.png"
    assert only(server, file_hosts=[host]).samples == ()
    assert [path for path, _ in storage.asked] == ["/back"]
    assert server.asked("GET /files/team/llm/r1/media/b.png") == []


def test_a_named_host_that_fails_is_named(server: WandbLoopback, storage: type[_Storage]) -> None:
    names = [f"media/{number}.png" for number in range(3)]
    put(
        server,
        rows=[row(n, one=_image(name)) for n, name in enumerate(names)],
        stored=dict.fromkeys(names, _png()),
        file_urls=dict.fromkeys(names, f"{storage.url}/broken"),
    )
    with pytest.raises(SourceError, match=r"localhost: the server answers 503") as caught:
        only(server, file_hosts=[host_of(storage)])
    assert "take it out of `file_hosts`" in str(caught.value)


@pytest.mark.usefixtures("netrc")
def test_clearml_reads_images_of_a_named_host(api, storage: type[_Storage]) -> None:
    for number, event in enumerate(api.events.values()):
        if "url" in event:
            event["url"] = f"{storage.url}/{number}.png?Signature=s1gn"
            event["key"] = f"{number}.png"
    run = read_clearml(api, "rich <b>")
    assert all(sample.media is None for sample in run.samples)
    assert storage.asked == []
    run = read_clearml(api, "rich <b>", file_hosts=[host_of(storage)])
    images = [sample.media for sample in run.samples if sample.media is not None]
    assert len(images) > 1
    assert all(media.read() == _png(5) for media in images)
    assert told_nothing(storage)
    assert "s1gn" not in repr(run)


HOSTS = {"storage.example", "minio.example:9000", "[::1]:9000"}


@pytest.mark.parametrize(
    ("url", "secure", "allowed"),
    [
        ("https://storage.example/x?Signature=1", True, True),
        ("https://STORAGE.example:443/x", True, True),
        ("https://storage.example:8443/x", True, False),
        ("http://storage.example/x", True, False),
        ("http://storage.example/x", False, True),
        ("https://minio.example:9000/x", True, True),
        ("https://minio.example/x", True, False),
        ("https://[::1]:9000/x", True, True),
        ("https://a.storage.example/x", True, False),
        ("https://storage.example.evil/x", True, False),
        ("https://storage.example@evil/x", True, False),
        ("https://u:p@storage.example/x", True, False),
        ("file://storage.example/etc/passwd", False, False),
        ("//storage.example/x", False, False),
    ],
)
def test_which_hosts_are_meant(url: str, secure: bool, allowed: bool) -> None:
    assert is_file_host(url, HOSTS, secure=secure) is allowed


@pytest.mark.parametrize("host", ["https://x", "x/y", "*.x", "", "x y", "u@x", ".x"])
def test_what_is_no_host_name_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="`file_hosts` names"):
        open_source("wandb", "https://api.wandb.ai", file_hosts=[host])


def test_a_tracker_that_has_no_use_for_it_says_so() -> None:
    with pytest.raises(UsageError, match="`file_hosts` has no use here"):
        open_source("mlflow", "https://mlflow.example", file_hosts=["x"])
