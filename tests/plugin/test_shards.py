"""Bundles of the search index: which runs share one, and what a change makes anew."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runpages.errors import SearchError
from runpages.plugin.shards import FOLDER, shard_names, write_shards


def start(year: int, month: int, day: int = 3) -> float:
    return datetime(year, month, day, tzinfo=UTC).timestamp()


RUNS = {"a-1": "2026-01", "b-2": "2026-02", "c-3": "2026-02", "d-4": "undated"}


def entry(slug: str, words: str = "lr 0.0003") -> dict[str, str]:
    return {"location": f"runs/{slug}/", "title": slug, "text": f"<p>Settings: {words}</p>"}


def home() -> dict[str, str]:
    return {"location": "", "title": "Home", "text": "<p>The team's own words</p>"}


def shard_of(location: str) -> str:
    return RUNS.get(location.removeprefix("runs/").removesuffix("/"), "pages")


def write(folder: Path, entries: list[dict[str, str]], *, cache: str = "cache") -> list[str]:
    """Names of the bundles that were made anew."""
    made: list[str] = []
    write_shards(entries, folder, folder / cache, shard_of=shard_of, said=made.append)
    return sorted(made)


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in (folder / FOLDER).rglob("*") if path.is_file())
    root = folder / FOLDER
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_the_newest_half_year_is_cut_by_the_month_and_older_ones_are_whole():
    starts = {
        "new": start(2026, 7),
        "newer": start(2026, 8),
        "spring": start(2026, 2),
        "summer": start(2026, 6),
        "none": None,
    }
    assert shard_names(starts) == {
        "new": "2026-07",
        "newer": "2026-08",
        "spring": "2026-h1",
        "summer": "2026-h1",
        "none": "undated",
    }


def test_an_old_half_year_of_very_many_runs_is_cut_too(monkeypatch):
    monkeypatch.setattr("runpages.plugin.shards._MOST", 3)
    crowd = {f"r{number}": start(2025, 3, 1 + number) for number in range(5)}
    few = {"april": start(2025, 4), "new": start(2026, 7)}
    names = shard_names(crowd | few)
    assert names["r0"] == "2025-03-01"
    assert names["april"] == "2025-04"


def test_every_run_is_in_the_bundle_of_its_month(tmp_path):
    write(tmp_path, [home(), *map(entry, RUNS)])
    parts = {path.split("/")[0] for path in digests(tmp_path)}
    assert parts == {"pages", "2026-01", "2026-02", "undated"}


def test_one_new_run_makes_one_bundle_anew(tmp_path):
    write(tmp_path, [home(), *map(entry, ["a-1", "b-2", "d-4"])])
    before = digests(tmp_path)
    assert write(tmp_path, [home(), *map(entry, RUNS)]) == ["2026-02"]
    after = digests(tmp_path)
    changed = {path.split("/")[0] for path in after if before.get(path) != after[path]}
    assert changed == {"2026-02"}


def test_a_withdrawn_run_is_in_no_file_any_more(tmp_path):
    write(tmp_path, [home(), *map(entry, RUNS)])
    before = digests(tmp_path)
    assert write(tmp_path, [home(), *map(entry, ["b-2", "c-3", "d-4"])]) == []
    after = digests(tmp_path)
    assert {path for path in before if path not in after and path.startswith("2026-01")}
    assert not [path for path in after if path.startswith("2026-01")]
    assert not list((tmp_path / "cache").glob("2026-01-*"))


def test_without_the_cache_the_bytes_are_the_same(tmp_path):
    entries = [home(), *(entry(f"x-{number}", f"lr 0.{number}") for number in range(40))]
    write(tmp_path, entries)
    before = digests(tmp_path)
    write(tmp_path, entries, cache="another")
    assert digests(tmp_path) == before


def test_a_site_without_pages_of_its_own_can_be_searched(tmp_path):
    write(tmp_path, [entry("a-1")])
    files = digests(tmp_path)
    assert "pages/pagefind.js" in files
    assert "pages/wasm.unknown.pagefind" in files
    assert not [path for path in files if "pagefind-ui" in path]


def test_an_entry_without_words_is_indexed_by_its_title(tmp_path):
    assert write(tmp_path, [{"location": "x/", "title": "X", "text": "<p>…</p>"}]) == ["pages"]


def test_a_program_that_breaks_off_is_an_error_and_leaves_no_bundle(tmp_path, monkeypatch):
    monkeypatch.setenv("PAGEFIND_BINARY_PATH", "/bin/true")
    with pytest.raises(SearchError, match="ended before"):
        write(tmp_path, [entry("a-1")])
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".raw"]
