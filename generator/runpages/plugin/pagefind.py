"""Records → one Pagefind bundle, by the program that the `pagefind` package brings.

The package's own client reads ten answers a second, so that 10,000 records would take a quarter of
an hour. The same messages go over the same pipe here, one answer awaited after the other: records
keep their order, and so the same records give the same bytes.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from pagefind.service import get_executable

from runpages.errors import SearchError

__all__ = ["CLIENT", "Record", "pagefind_version", "write_bundle"]

CLIENT = ("pagefind.js", "wasm.unknown.pagefind")
"""What a browser needs beside a bundle's own index."""
_CHUNK = 1500
"""Postings of a file of the index (Pagefind: 20,000). A query fetches one such file of each bundle
for each of its words: benchmarks/search.py measures what that comes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Words to be found by, apart from what is shown of them."""

    words: str
    """Parted by spaces; each counts as one position, also a lone "-", which is not indexed."""
    shown: str
    """Comes back with a result as it stands."""


def pagefind_version() -> str:
    """Of the program; raises SearchError where there is none."""
    if get_executable() is None:
        raise SearchError("Pagefind's program is missing: pip install 'pagefind[bin]'")
    try:
        return version("pagefind_bin")
    except PackageNotFoundError:  # PAGEFIND_BINARY_PATH, or one on the PATH
        return f"{version('pagefind')} {get_executable()}"


def write_bundle(records: Iterable[Record], folder: Path, *, name: str) -> None:
    """Index `records` into `folder`; the ids of its results begin with `name`.

    Pagefind takes the name for a language that it has no stemmer of, which is wanted: ids and
    numbers have no stems. Raises SearchError.
    """
    program = get_executable()
    if program is None:
        raise SearchError("Pagefind's program is missing: pip install 'pagefind[bin]'")
    env = {**os.environ, "PAGEFIND_UNSTABLE_INDEX_CHUNK_SIZE": str(_CHUNK)}
    pipe = subprocess.PIPE
    with subprocess.Popen([program, "--service"], stdin=pipe, stdout=pipe, env=env) as process:
        service = _Service(process)
        index = service.ask(type="NewIndex", config={"force_language": name})["index_id"]
        for record in records:
            service.ask(
                type="AddRecord",
                index_id=index,
                url="//" + record.shown,  # what begins so comes back untouched
                content=record.words,
                language=name,
                meta={},
                filters={},
                sort={},
            )
        # WriteFiles answers before all is on the disk, and ends with a file empty on a busy machine
        for file in service.ask(type="GetFiles", index_id=index)["files"]:
            path = folder / file["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(base64.b64decode(file["content"]))


class _Service:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.asked = 0

    def ask(self, **payload: Any) -> Mapping[str, Any]:
        """The answer's payload: base64 of JSON, ended by a comma, as the question."""
        self.asked += 1
        message = json.dumps({"message_id": self.asked, "payload": payload}).encode()
        questions, answers = self._pipes()
        try:
            questions.write(base64.b64encode(message) + b",")
            questions.flush()
        except BrokenPipeError as error:
            with suppress(BrokenPipeError):  # what was not sent would be sent once more at the end
                questions.close()
            raise SearchError("Pagefind's program ended before its work was done") from error
        answer = bytearray()
        while not answer.endswith(b","):
            more = os.read(answers.fileno(), 1 << 20)
            if not more:
                raise SearchError("Pagefind's program ended before its work was done")
            answer += more
        told: Mapping[str, Any] = json.loads(base64.b64decode(answer[:-1]))["payload"]
        if told["type"] == "Error":
            raise SearchError(f"Pagefind: {told.get('message', 'an error without words')}")
        return told

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self.process.stdin is None or self.process.stdout is None:
            raise SearchError("Pagefind's program has no pipes")
        return self.process.stdin, self.process.stdout
