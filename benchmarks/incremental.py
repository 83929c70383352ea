"""What publishing one more run costs, with N runs on the site, beside a build of everything.

    python benchmarks/incremental.py --runs 1000 [--project DIR]

The project (logs, archive, pages) is made once and kept in DIR. Then, each in a process of its own:
`mkdocs build` of all; one new run through `runpages pull` and `build`; `mkdocs build` again; and,
for the bytes, `mkdocs build` of all once more without a cache, in another place. CPU seconds hold
those of child processes.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from incremental_project import make_project, write_log

_MKDOCS = (sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-f", "mkdocs.yml")
_RUNPAGES = (sys.executable, "-m", "runpages")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    cpu: float
    wall: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--project", type=Path)
    parser.add_argument("--engine", choices=("auto", "material", "pagefind"), default="auto")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        project = (chosen.project or Path(temporary) / "project").resolve()
        if not (project / "docs/runs").is_dir():
            make_project(project, chosen.runs)
        settings = project / "runpages.toml"
        if chosen.engine != "auto":
            line = f'[site]\nsearch = "{chosen.engine}"\n'
            settings.write_text(settings.read_text().replace("[site]\n", line, 1))
        measure(project, Path(temporary))


def measure(project: Path, temporary: Path) -> None:
    shutil.rmtree(project / "site", ignore_errors=True)
    shutil.rmtree(project / ".cache/runpages/site", ignore_errors=True)
    shutil.rmtree(project / ".cache/runpages/search", ignore_errors=True)
    before = spend(project, *_MKDOCS)
    told("mkdocs build, everything", before)
    number = len(list((project / "logs").iterdir()))
    write_log(project / "logs", number)
    told("runpages pull, one new run", spend(project, *_RUNPAGES, "pull"))
    told("runpages build, one new run", spend(project, *_RUNPAGES, "build"))
    after = spend(project, *_MKDOCS)
    told("mkdocs build, one new run", after)
    clone = temporary / "clone"
    ignored = shutil.ignore_patterns("site", ".cache", "logs", "archive")
    shutil.copytree(project, clone, ignore=ignored)
    shutil.copytree(project / "archive", clone / "archive", copy_function=os.link)
    full = spend(clone, *_MKDOCS)
    told("mkdocs build, everything, again", full)
    print(f"ratio of CPU: {full.cpu / after.cpu:.1f}")
    pages, files = count(project / "site")
    print(f"site: {pages} pages, {files} files")
    command = ["diff", "-r", "-q", str(project / "site"), str(clone / "site")]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    print(f"diff -r: {found or 'nothing'}")


def spend(folder: Path, *command: str) -> Spent:
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    begun, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return Spent(cpu=cpu, wall=time.monotonic() - begun)


def told(what: str, spent: Spent) -> None:
    print(f"{what:<36} {spent.cpu:8.2f} CPU s {spent.wall:8.2f} s", flush=True)


def count(site: Path) -> tuple[int, int]:
    files = [name for _, _, names in os.walk(site) for name in names]
    return files.count("index.html"), len(files)


if __name__ == "__main__":
    main()
