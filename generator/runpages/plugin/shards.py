"""Entries of the site's search → Pagefind bundles, cut by the time at which runs began.

A bundle is made of its own entries alone, so a new run makes one bundle anew, and a withdrawn one
changes only its own. Bundles are kept in the cache by all that enters them.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from runpages.pages.search_tokens import words

from .pagefind import CLIENT, Record, pagefind_version, write_bundle

__all__ = ["FOLDER", "LISTS", "PAGES", "UNDATED", "Shard", "shard_names", "write_shards"]

FOLDER = "search/pagefind"
"""Below the site."""
PAGES = "pages"
"""The team's own pages. Always there: it also holds what a browser needs to search the others."""
LISTS = "lists"
"""Our pages about many runs."""
UNDATED = "undated"
"""Runs without a start."""
_FORMAT = "2"
"""Raised when the same entries give other records."""
_MOST = 2500
"""Runs of a half-year that are one shard. A query asks every shard, so few are better
(benchmarks/search.py); Pagefind takes about 0.13 MB of memory for each run of one."""
_END, _POINT = "\N{LATIN LETTER BILABIAL CLICK}", "\N{LATIN LETTER STRETCHED C}"
_PAIR = "\N{LATIN LETTER ALVEOLAR CLICK}"
"""Close a word, stand for its decimal point, and open the two words of a setting.

Pagefind takes letters and digits only, finds words by their beginning, and where there is none
takes the longest word that the query begins with. With the end as a letter a word can also be asked
for as it is, and nothing else is found."""
_NAMES = 8
"""Positions of the names that a page has as a whole, then those of its title, then its text."""
_TITLE = 16
_PAIRS = 40
"""Numbers with the word before them, `lr 0.0003`: both are common, together they are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A bundle of the site, as the browser is told of it."""

    name: str
    digest: str
    entries: int


Entry = Mapping[str, Any]
"""Of the theme's index: location, title, text (HTML), tags."""


def shard_names(starts: Mapping[str, float | None]) -> dict[str, str]:
    """Key of a run -> name of its shard, by the UTC time of its start.

    Runs of the newest half-year are cut by the month, so that a new run is indexed with few others;
    older ones by the half-year, unless it has very many: those too by the month, or the day.
    """
    days = {
        key: datetime.fromtimestamp(start, UTC)
        for key, start in starts.items()
        if start is not None
    }
    halves = {key: f"{day.year}-h{(day.month + 5) // 6}" for key, day in days.items()}
    months = {key: f"{day:%Y-%m}" for key, day in days.items()}
    in_half, in_month = Counter(halves.values()), Counter(months.values())
    newest = max(halves.values(), default="")
    names = dict.fromkeys(starts, UNDATED)
    for key, day in days.items():
        if in_half[halves[key]] <= _MOST and halves[key] != newest:
            names[key] = halves[key]
        elif in_month[months[key]] <= _MOST:
            names[key] = months[key]
        else:
            names[key] = f"{day:%Y-%m-%d}"
    return names


def write_shards(
    entries: Iterable[Entry],
    site: Path,
    cache: Path,
    *,
    shard_of: Callable[[str], str],
    said: Callable[[str], None] = lambda _: None,
) -> tuple[Shard, ...]:
    """The bundles of `entries` below `site`, newest first; what the cache has is not made again.

    `shard_of` gives the shard of a location; `said` is told of each bundle that is made. Of results
    that are equally good the earlier entry of a bundle comes first. Raises SearchError.
    """
    made_by = pagefind_version()
    parts: dict[str, list[Entry]] = {PAGES: []}
    for entry in entries:
        parts.setdefault(shard_of(entry["location"]), []).append(entry)
    target = site / FOLDER
    shutil.rmtree(target, ignore_errors=True)
    shards = []
    for name in sorted(parts, reverse=True):
        told = [_FORMAT, made_by, name, *map(_fields, parts[name])]
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]
        kept = cache / f"{name}-{digest}"
        if not kept.is_dir():
            said(name)
            _make(parts[name], kept, name=name)
        shutil.copytree(kept, target / name, copy_function=_linked)
        shards.append(Shard(name=name, digest=digest, entries=len(parts[name])))
    _sweep(cache, {f"{shard.name}-{shard.digest}" for shard in shards})
    return tuple(shards)


def _linked(source: str, target: str) -> None:
    """A file for each run: links are made in a third of the time of copies."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def _fields(entry: Entry) -> list[Any]:
    return [entry["location"], entry["title"], entry["text"], list(entry.get("tags", ()))]


def _make(entries: Sequence[Entry], kept: Path, *, name: str) -> None:
    """Into a folder beside it first, so that a broken end leaves no half bundle."""
    raw = kept.with_name(f"{kept.name}.raw")
    shutil.rmtree(raw, ignore_errors=True)
    raw.parent.mkdir(parents=True, exist_ok=True)
    records = (
        (_record(entry, listing=name == LISTS) for entry in entries)
        if entries
        else [Record(words="-", shown="{}")]
    )
    write_bundle(records, raw, name=name)
    for path in raw.iterdir():
        unused = path.suffix in {".js", ".css", ".pagefind"}
        if unused and not (name == PAGES and path.name in CLIENT):
            path.unlink()
    raw.rename(kept)


def _sweep(cache: Path, wanted: set[str]) -> None:
    for folder in cache.iterdir():
        if folder.name not in wanted:
            shutil.rmtree(folder)


def _record(entry: Entry, *, listing: bool) -> Record:
    title = html.unescape(re.sub(r"<[^>]*>", " ", entry["title"]))
    lines = _lines(entry["text"])
    tags = [str(tag) for tag in entry.get("tags", ())]
    shown = {"l": entry["location"], "t": title, "x": "\n".join(lines)}
    if tags:
        shown["g"] = tags
    whole = [title.partition(" ")[2]] if listing else _names(entry["location"], lines)
    found = [_once(words(line)) for line in (*lines, *tags)]
    told = [
        *_padded(_joined([title, *whole]), _NAMES),
        *_padded(map(_closed, words(title)), _TITLE),
        *(_closed(word) for line in found for word in [*line, ""]),
        *_pairs(found),
        *_joined(part for line in lines if line.startswith("Settings: ") for part in _parts(line)),
    ]
    return Record(words=" ".join(told), shown=json.dumps(shown, ensure_ascii=False))


def _lines(text: str) -> list[str]:
    """The paragraphs and list items of an entry's HTML, without their tags."""
    parts = re.split(r"</?(?:p|li|ul|ol|pre|h\d)\b[^>]*>", text)
    told = [" ".join(html.unescape(re.sub(r"<[^>]*>", " ", part)).split()) for part in parts]
    return [line for line in told if line]


def _names(location: str, lines: Sequence[str]) -> list[str]:
    """Slug, and the parts of a run's first line that are one word: its id, its name."""
    parts = _parts(lines[0]) if lines else []
    slug = location.partition("#")[0].strip("/").rpartition("/")[2]
    return [slug, *(part for part in parts if " " not in part)]


def _parts(line: str) -> list[str]:
    return line.partition(": ")[2].split(", ")


def _joined(names: Iterable[str]) -> list[str]:
    """Each name as one word that no other begins with, so that it is found by the whole name."""
    told = ["".join(_once(words(name))) for name in names]
    return [_closed(f"{_END}{name}") for name in dict.fromkeys(told) if name]


def _pairs(lines: Iterable[Sequence[str]]) -> list[str]:
    together = (pair for line in lines for pair in zip(line, line[1:], strict=False))
    told = [f"{_PAIR}{word}{_PAIR}{_closed(number)}" for word, number in together
            if number[0].isdecimal() and not word[0].isdecimal()]  # fmt: skip
    return list(dict.fromkeys(told))[:_PAIRS]


def _padded(found: Iterable[str], positions: int) -> list[str]:
    kept = list(found)[:positions]
    return kept + ["-"] * (positions - len(kept))


def _closed(word: str) -> str:
    return word.replace(".", _POINT) + _END if word else "-"


def _once(found: Sequence[str]) -> list[str]:
    """Notations of one number side by side are one word."""
    return [word for word, _ in groupby(found)]
