"""W&B server: images, sounds and tables, and where files may come from."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from runpages.errors import SourceError
from runpages.sources import _wandb_api_media as media
from sources.wandb_runs import START, alone, at, only, put, row
from sources.wandb_server import KEY, Fault, Request, WandbLoopback


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WandbLoopback]:
    yield from alone(monkeypatch, tmp_path)


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
    assert (sound.media.media_type, sound.media.read()) == ("audio/wav", WAVE)
    assert sound.time == START + 12
    assert "one (step 2): its file cannot be read: the server has no such file" in (
        run.provenance.warnings
    )
    assert any("video-file" in s and "film (1 logged)" in s for s in run.provenance.lossy)
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
    assert sample.media.read() == _png(2)


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


def test_one_file_that_fails_is_told_several_end_the_run(server: WandbLoopback) -> None:
    names = ["a", "b", "c"]
    put(
        server,
        rows=[row(n, **{name: _image(f"{name}.png")}) for n, name in enumerate(names)],
        stored={f"{name}.png": _png() for name in names},
    )
    first = "GET /files/team/llm/r1/a.png"
    server.faults = at(first, Fault(status=500))
    run = only(server)
    assert [sample.name for sample in run.samples] == ["b", "c"]
    assert "a (step 0): its file cannot be read: the server answers 500, 4 times" in (
        run.provenance.warnings
    )
    server.faults = lambda request, _count: (
        Fault(status=500) if request.operation.startswith("GET") else None
    )
    with pytest.raises(SourceError, match="the server answers 500, 4 times"):
        only(server)


def test_half_a_file_is_no_file(server: WandbLoopback) -> None:
    put(server, rows=[row(0, one=_image("a.png"))], stored={"a.png": _png()})
    first = "GET /files/team/llm/r1/a.png"
    server.faults = at(first, Fault(cut=True), times=2)
    (sample,) = only(server).samples
    assert sample.media is not None
    assert sample.media.read() == _png()
    assert len(server.asked(first)) == 3


def test_many_tables_are_thinned(server: WandbLoopback) -> None:
    put(
        server,
        rows=[row(n, t={"_type": "table-file", "path": "t.json"}) for n in range(100)],
        stored={"t.json": b'{"columns": ["text"], "data": [["x"]]}'},
    )
    run = only(server)
    steps = [sample.step for sample in run.samples]
    assert (steps[0], steps[-1], len(steps)) == (0, 99, 24)
    assert "t: 24 of its 100 tables are read, evenly spaced" in run.provenance.warnings


def test_many_images_are_thinned_before_they_are_fetched(server: WandbLoopback) -> None:
    put(
        server,
        rows=[row(step, one=_image("media/a.png")) for step in range(300)],
        stored={"media/a.png": _png()},
    )
    run = only(server)
    assert [run.samples[0].step, run.samples[-1].step, len(run.samples)] == [0, 299, 24]
    assert len(server.asked("GET /files/team/llm/r1/media/a.png")) <= 24


REMOTE = {
    "_wandb": {"value": {"e": {"w": {"git": {"remote": "https://u:tok3n@git.x/r.git?t=tok3n"}}}}}
}


def test_no_secret_stands_in_a_run(server: WandbLoopback) -> None:
    put(
        server,
        config=json.dumps(REMOTE),
        rows=[row(0, one=_image("media/a.png")), row(1, far=_image("media/far.png"))],
        stored={"media/a.png": _png(), "media/far.png": _png()},
        file_urls={"media/far.png": "https://u:tok3n@far.invalid/x?accessToken=tok3n"},
        sweepName="s1",
    )
    run = only(server)
    shown = repr(run)
    for secret in (KEY, "tok3n", "accessToken", "?", "s1gn"):
        assert secret not in shown
    assert run.code.remote == "https://git.x/r.git"
    assert len(run.samples) == 1
