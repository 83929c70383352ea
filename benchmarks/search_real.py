"""Ranks of the right page on a site of real runs, by both engines.

runpages preview LOGS -o DIR
python benchmarks/search_real.py DIR [--questions SEED]
"""

from __future__ import annotations

import argparse
import html
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from playwright.sync_api import sync_playwright

from search import ranks
from search_data import Question

Entries = dict[str, dict[str, str]]
"""Slug -> label of a line of its entry -> the line; the title under "Title"."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("--questions", type=int, default=1)
    chosen = parser.parse_args()
    sites = {engine: _built(chosen.project, engine) for engine in ("material", "pagefind")}
    entries = _entries(sites["material"])
    asked = list(_questions(entries, random.Random(chosen.questions)))
    program = shutil.which(os.environ.get("RUNPAGES_CHROMIUM", "chromium"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for engine, site in sites.items():
            print(f"{engine}, {len(entries)} runs\n{ranks(browser, site, asked)}", flush=True)
        browser.close()


def _built(project: Path, engine: str) -> Path:
    settings = project / "runpages.toml"
    plain = settings.read_text()
    settings.write_text(plain.replace("[site]\n", f'[site]\nsearch = "{engine}"\n'))
    site = (project / f"search-{engine}").resolve()
    env = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    try:
        command = [sys.executable, "-m", "mkdocs", "build", "-q", "-d", str(site)]
        subprocess.run(command, cwd=project, env=env, check=True)
    finally:
        settings.write_text(plain)
    return site


def _entries(site: Path) -> Entries:
    docs = json.loads((site / "search/search_index.json").read_text())["docs"]
    found: Entries = {}
    for doc in docs:
        slug = doc["location"].removeprefix("runs/").rstrip("/")
        if doc["text"].startswith("<p>Run:"):
            lines = re.findall(r"<p>(\w+): (.*?)</p>", doc["text"], re.DOTALL)
            found[slug] = {label: html.unescape(line) for label, line in lines}
            found[slug]["Title"] = html.unescape(doc["title"])
    return found


def _questions(entries: Entries, dice: random.Random) -> Iterator[Question]:
    """Up to 30: what stands in a run's entry, as people type it; each run that has it is right."""

    def drawn() -> Iterator[str]:
        return iter(dice.sample(sorted(entries), len(entries)))

    def asked(
        kind: str, count: int, text_of: Callable[[str], str], among: str
    ) -> Iterator[Question]:
        texts = (text for text in map(text_of, drawn()) if text)
        for text in islice(texts, count):
            if among == "Title":
                right = [s for s, lines in entries.items() if text in {s, lines["Title"]}]
            else:
                right = [s for s, lines in entries.items() if text in lines.get(among, "")]
            yield Question(kind=kind, text=text, right=frozenset(right))

    def part(label: str, pattern: str) -> Callable[[str], str]:
        def text_of(slug: str) -> str:
            found = re.findall(pattern, entries[slug].get(label, ""))
            return str(dice.choice(found)) if found else ""

        return text_of

    yield from asked("slug", 4, lambda slug: slug, "Title")
    yield from asked("name", 5, lambda slug: entries[slug]["Title"], "Title")
    yield from asked("id", 4, lambda slug: entries[slug]["Run"].split(", ")[0], "Run")
    yield from asked("hash", 3, part("Run", r"commit ([0-9a-f]{8})"), "Run")
    yield from _numbers(entries, drawn(), dice)
    yield from asked("samples", 3, part("Samples", r"\b[a-z]+ [a-z]+ [a-z]+ [a-z]+\b"), "Samples")
    yield from asked("notes", 1, part("Notes", r"\b[A-Za-z]+ [a-z]+ [a-z]+\b"), "Notes")
    yield from _findings(entries, drawn())


def _numbers(entries: Entries, drawn: Iterator[str], dice: random.Random) -> Iterator[Question]:
    """The last notation of a setting that the entry gives, or the first."""
    count = 0
    for slug in drawn:
        settings = re.findall(
            r"(?:^|, )(\S+ [-\d.e ]+\d)(?=,|$)", entries[slug].get("Settings", "")
        )
        if not settings:
            continue
        setting = dice.choice(settings)
        key, *notations = setting.split(" ")
        parts = [lines.get("Settings", "").split(", ") for lines in entries.values()]
        right = frozenset(s for s, told in zip(entries, parts, strict=True) if setting in told)
        yield Question(kind="number", text=f"{key} {notations[-(count % 2)]}", right=right)
        count += 1
        if count == 6:
            return


def _findings(entries: Entries, drawn: Iterator[str]) -> Iterator[Question]:
    """A kind of finding and the run's project."""
    count = 0
    for slug in drawn:
        kinds = re.findall(r"(?:^|, )([A-Z][\w ]+?) \(", entries[slug].get("Findings", ""))
        project = re.search(r"project ([^,]+)", entries[slug]["Run"])
        if not kinds or not project:
            continue
        right = frozenset(
            other
            for other, lines in entries.items()
            if kinds[0] in lines.get("Findings", "") and project.group() in lines["Run"]
        )
        yield Question(kind="findings", text=f"{kinds[0]} {project.group(1)}", right=right)
        count += 1
        if count == 4:
            return


if __name__ == "__main__":
    main()
