"""Many writers at once, and a thousand runs, on an archive that is a branch.

`branch_writers.py [WRITERS...]`: so many processes (default 16 and 32), each in a clone of its own,
put one run each onto a branch of one bare repository; tries, losses and seconds are printed.
`branch_writers.py --runs N`: N runs one after the other; seconds a put, sizes, and what a fresh
clone's first reading takes.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from archive.repositories import bare, clone, git, open_branch  # noqa: E402
from archive.writer import run_named  # noqa: E402

WRITER = ROOT / "tests/archive/writer.py"


def race(folder: Path, writers: int) -> bool:
    """Whether nothing was lost."""
    remote = bare(folder / "remote.git")
    projects = [clone(remote, folder / f"clone-{number}") for number in range(writers)]
    begin = time.monotonic()
    started = [
        subprocess.Popen(
            [sys.executable, str(WRITER), str(project), f"run-{number}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, project in enumerate(projects)
    ]
    tries = [int(process.communicate()[0] or 0) for process in started]
    seconds = time.monotonic() - begin
    reader = open_branch(clone(remote, folder / "reader"))
    reader.refresh(whole=True)
    points = [len(reader.get(slug).series["loss"].recorded.step) for slug in reader.slugs()]
    failed = sum(process.returncode != 0 for process in started)
    git(remote, "fsck", "--strict")
    sys.stdout.write(
        f"{writers} writers at once: {len(points)} runs there, {writers - len(points)} lost,"
        f" {failed} failed; pushes a run: mean {statistics.mean(tries):.1f}, most {max(tries)};"
        f" {seconds:.0f} s\n"
    )
    return points == [2_000] * writers and not failed


def size_of(folder: Path) -> float:
    """Megabytes (10⁶ bytes)."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def cpu() -> float:
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(sum(resource.getrusage(who)[:2]) for who in both)


def many(folder: Path, runs: int) -> None:
    remote = bare(folder / "remote.git")
    archive = open_branch(clone(remote, folder / "writer"))
    seconds, cpus = [], []
    for number in range(runs):
        run = run_named(f"run-{number}", points=10_000)
        begin, used = time.monotonic(), cpu()
        archive.put(run)
        seconds.append(time.monotonic() - begin)
        cpus.append(cpu() - used)
        if number + 1 in {10, 100, 1_000, runs}:
            last = slice(max(0, number - 9), number + 1)
            sys.stdout.write(
                f"{number + 1} runs: a put {statistics.median(seconds[last]):.2f} s,"
                f" CPU {statistics.median(cpus[last]):.2f} s\n"
            )
            sys.stdout.flush()
    for whole in (False, True):
        reader = open_branch(clone(remote, folder / f"reader-{whole}"))
        begin, used = time.monotonic(), cpu()
        reader.refresh(whole=whole)
        took = f"{time.monotonic() - begin:.1f} s, CPU {cpu() - used:.1f} s"
        fetched = size_of(reader.location.with_name("archive.git"))
        what = "everything" if whole else "records"
        sys.stdout.write(
            f"first reading, {what}: {took}; fetched {fetched:.1f} MB,"
            f" copy {size_of(reader.location):.1f} MB\n"
        )
    before = size_of(remote)
    git(remote, "gc", "--quiet", "--prune=now")
    sys.stdout.write(f"the repository: {before:.1f} MB, {size_of(remote):.1f} MB after git gc\n")


def main() -> int:
    os.environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    with tempfile.TemporaryDirectory() as name:
        if sys.argv[1:2] == ["--runs"]:
            many(Path(name), int(sys.argv[2]))
            return 0
        counts = [int(text) for text in sys.argv[1:]] or [16, 32]
        lossless = [race(Path(name) / f"{count}", count) for count in counts]
        return 0 if all(lossless) else 1


if __name__ == "__main__":
    sys.exit(main())
