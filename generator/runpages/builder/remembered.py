"""What an earlier build found out, by the digest of what it was found in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from runpages.archive import Archive, write_atomically
from runpages.config import PublishSettings

__all__ = ["RunFacts", "remembered"]


class RunFacts:
    """Start, end and whether it is published, of each run: [start, end, published].

    In one file, so that a build need not decode the record of every run of the archive.
    """

    def __init__(self, cache: Path, publish: PublishSettings) -> None:
        self._path = cache / "runs.json"
        self._publish = publish
        self._before = self._read()
        self._now: dict[str, list[Any]] = {}

    def of(
        self, slug: str, digest: str, archive: Archive
    ) -> tuple[float | None, float | None, bool]:
        """Raises RunpagesError if the record must be read and cannot be."""
        key = hashlib.sha256(f"{digest} {self._publish.include}".encode()).hexdigest()
        known = self._before.get(slug)
        if known is None or known[0] != key:
            run = archive.get(slug)
            known = [key, run.start, run.end, self._publish.matches(run)]
        self._now[slug] = known
        _, start, end, published = known
        return start, end, published

    def keep(self) -> None:
        if self._now != self._before:
            write_atomically(self._path, json.dumps(self._now).encode(), durable=False)

    def _read(self) -> dict[str, list[Any]]:
        try:
            data = json.loads(self._path.read_bytes())
            fits = all(len(facts) == 4 for facts in data.values())
        except (OSError, ValueError, AttributeError, TypeError):
            return {}
        return data if fits else {}


def remembered(path: Path, inputs: Iterable[str], make: Callable[[], bytes]) -> bytes:
    """What `make` gives, or gave when the inputs were the same."""
    digest = hashlib.sha256("\n".join(inputs).encode()).hexdigest().encode()
    try:
        told, _, data = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        told, data = b"", b""
    sum_ = hashlib.sha256(data).hexdigest().encode()
    if told == digest + b" " + sum_:
        return data
    data = make()
    sum_ = hashlib.sha256(data).hexdigest().encode()
    write_atomically(path, digest + b" " + sum_ + b"\n" + data, durable=False)
    return data
