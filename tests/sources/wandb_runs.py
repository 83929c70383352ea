"""Runs put straight into the loopback server, and the reader opened on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runpages.model import Run
from runpages.sources import open_source
from runpages.sources._wandb_api_http import Patience
from runpages.sources.wandb_api import WandbServer
from sources.wandb_schema import StoredRun
from sources.wandb_server import KEY, Fault, Request, WandbLoopback, serving

__all__ = ["START", "alone", "at", "losses", "only", "put", "row", "source"]

START = 1767323045.0  # 2026-01-02T03:04:05Z, as `createdAt` of a stored run
QUICK = Patience(
    tries=4,
    first_pause_seconds=0.01,
    longest_pause_seconds=0.02,
    silence_seconds=2,
    answer_seconds=0.4,
)


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


def alone(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[WandbLoopback]:
    """A server, its key in the environment, and a reader without patience."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("NETRC", str(folder / "netrc"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(WandbServer, "patience", QUICK)
    with serving() as loopback:
        yield loopback
