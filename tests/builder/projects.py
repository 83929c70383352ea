"""A folder with runpages.toml, and the real command line in it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runpages.archive import Archive
from runpages.model import Run

__all__ = ["Project", "wait_until"]

_IMPATIENT = Path(__file__).with_name("impatient.py")


def wait_until(true: Any, *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "what was waited for has not come"
        time.sleep(0.02)


@dataclass
class Project:
    """Home and temporary folder of the processes are its own, so that what is left there shows."""

    base: Path
    keys: dict[str, str]
    said: list[str] = field(default_factory=list)
    """All that was printed."""

    def __post_init__(self) -> None:
        for folder in (self.folder, self.home, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def folder(self) -> Path:
        return self.base / "project"

    @property
    def home(self) -> Path:
        return self.base / "home"

    @property
    def temporary(self) -> Path:
        return self.base / "tmp"

    def settings(self, *sources: str, engine: str = "serial") -> None:
        text = "".join(f"[[source]]\n{source}\n" for source in sources)
        text += f'[engine]\nkind = "{engine}"\n'
        (self.folder / "runpages.toml").write_text(text)

    def start(self, *arguments: str, **keys: str) -> subprocess.Popen[str]:
        known = ("WANDB", "MLFLOW", "CLEARML", "NETRC")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(known)}
        places = {"HOME": str(self.home), "TMPDIR": str(self.temporary), "NO_PROXY": "*"}
        return subprocess.Popen(
            [sys.executable, str(_IMPATIENT), *arguments],
            cwd=self.folder,
            env=kept | places | {"PYTHONWARNINGS": "error"} | self.keys | keys,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[str], code: int) -> tuple[str, str]:
        """What it printed. Nothing of it may be left: processes, temporary files, complaints."""
        out, err = process.communicate(timeout=180)
        self.said += [out, err]
        assert process.returncode == code, err + out
        for word in ("Traceback", "Exception ignored", "Warning"):
            assert word not in err, err
        wait_until(lambda: not _alive(process.pid), seconds=10)
        left = [*self.home.rglob("*"), *self.temporary.rglob("*"), *self.folder.rglob(".tmp-*")]
        assert left == []
        return out, err

    def run(self, *arguments: str, code: int = 0, **keys: str) -> tuple[str, str]:
        return self.end(self.start(*arguments, **keys), code)

    def pull(self, *arguments: str, code: int = 0, **keys: str) -> tuple[dict[str, Any], str]:
        """The JSON document, with names instead of slugs, and what stood on standard error."""
        out, err = self.run("pull", "--json", *arguments, code=code, **keys)
        document = json.loads(out)
        for name in ("written", "unchanged"):
            document[name] = [slug[:-11] for slug in document[name]]
        for name in ("skipped", "failed"):
            document[name] = {entry["ref"][:-11]: entry["reason"] for entry in document[name]}
        return document, err

    def runs(self) -> dict[str, Run]:
        archive = Archive(self.folder / "archive")
        return {run.ref.run_id: run for run in map(archive.get, archive.slugs())}

    def holds(self, *secrets: str) -> list[str]:
        """Where one of them stands: in any file that was written, or in what was printed."""
        found = (p for p in self.folder.rglob("*") if p.is_file() and p.suffix != ".toml")
        files = {str(p): p.read_bytes() for p in found}
        files |= {f"printed {n}": text.encode() for n, text in enumerate(self.said)}
        names = {path: path.encode() for path in files}
        return [
            f"{secret} in {path}"
            for path, data in files.items()
            for secret in secrets
            if secret.encode() in data or secret.encode() in names[path]
        ]


def _alive(group: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, 0)
        return True
    return False
