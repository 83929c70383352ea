"""Which runs keep the finer levels of their charts, and how large a site may become."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runpages import builder
from runpages.archive import Archive
from runpages.builder.levels import check_size, choose_full
from runpages.config import Settings, SourceSettings
from runpages.errors import SiteSizeError
from runpages.model import Note
from runpages.review.companions import COMPANIONS
from runs import backdate, write_rundir

HOUR = 3600.0


def settings_of(folder: Path, *, baseline: str = "", **site) -> Settings:
    bare = Settings(
        folder=folder, source=(SourceSettings(kind="auto", location="logs", settle_minutes=0),)
    )
    return replace(
        bare,
        site=replace(bare.site, **site),
        baseline=replace(bare.baseline, default=baseline),
    )


def add_run(folder: Path, name: str, *, hours_ago: float, steps: int = 700) -> str:
    """Pulls a run, long enough for finer levels, that began so long ago; its slug."""
    log = write_rundir(folder / "logs" / name, steps=steps, project=name)
    backdate(log, hours_ago * HOUR)
    (slug,) = builder.pull(settings_of(folder)).slugs("written")
    return slug


def data_of(folder: Path, slug: str) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (folder / "docs/runs/assets/runs" / slug).iterdir()}


def tiles(folder: Path, slug: str) -> list[str]:
    return [name for name in data_of(folder, slug) if name.startswith("detail-")]


def listed(folder: Path) -> list[str]:
    document = json.loads((folder / "docs/runs/assets/index/full.json").read_bytes())
    assert document["schema"] == "runpages.full/1"
    return document["slugs"]


def verdict(folder: Path, slug: str) -> None:
    note = Note(author="Ana", time="2026-01-01", kind="verdict", outcome="worked")
    Archive(folder / "archive").add_note(slug, note)


@pytest.fixture
def old(tmp_path) -> str:
    return add_run(tmp_path, "old", hours_ago=9)


def test_only_the_newest_runs_have_finer_files_and_the_list_names_them(tmp_path, old):
    new = add_run(tmp_path, "new", hours_ago=5)
    builder.build(settings_of(tmp_path, full_runs=1))
    assert (len(tiles(tmp_path, new)), tiles(tmp_path, old)) == (8, [])
    assert listed(tmp_path) == [new]


def test_a_run_that_ages_out_loses_its_finer_files_and_nothing_else(tmp_path, old):
    settings = settings_of(tmp_path, full_runs=1)
    builder.build(settings)
    page = tmp_path / f"docs/runs/{old}.md"
    before, words = data_of(tmp_path, old), page.read_bytes()
    new = add_run(tmp_path, "new", hours_ago=5)
    built = builder.build(settings)
    assert built.written == (new,)
    light = {n: d for n, d in before.items() if not n.startswith(("detail-", "window-"))}
    light = {n: d for n, d in light.items() if n not in COMPANIONS}
    assert len(light) < len(before)
    assert data_of(tmp_path, old) == light
    assert page.read_bytes() == words
    assert not [path for path in built.files_written if old in path]
    assert builder.build(settings).files_written == ()


def test_a_run_that_comes_back_gets_only_its_finer_files(tmp_path, old):
    new = add_run(tmp_path, "new", hours_ago=5)
    settings = settings_of(tmp_path, full_runs=1)
    builder.build(settings)
    Archive(tmp_path / "archive").withdraw(new, "contains private data")
    built = builder.build(settings)
    own = {path for path in built.files_written if old in path and not path.startswith("by/")}
    files = data_of(tmp_path, old)
    finer = [name for name in files if name.startswith(("detail-", "window-"))]
    assert len(finer) > 8
    finer += COMPANIONS
    assert own == {f"assets/runs/{old}/{name}" for name in finer}
    assert listed(tmp_path) == [old]


def test_another_number_of_full_runs_writes_no_page_anew(tmp_path, old):
    new = add_run(tmp_path, "new", hours_ago=5)
    builder.build(settings_of(tmp_path, full_runs=2))
    assert listed(tmp_path) == sorted([new, old])
    built = builder.build(settings_of(tmp_path, full_runs=1, max_mb=0))
    assert (built.written, built.files_written) == ((), ("assets/index/full.json",))
    assert tiles(tmp_path, old) == []


def test_a_verdict_makes_a_run_full(tmp_path, old):
    settings = settings_of(tmp_path, full_runs=0)
    builder.build(settings)
    assert (tiles(tmp_path, old), listed(tmp_path)) == ([], [])
    verdict(tmp_path, old)
    builder.build(settings)
    assert len(tiles(tmp_path, old)) == 8
    assert listed(tmp_path) == [old]


def test_a_mere_note_does_not(tmp_path, old):
    note = Note(author="Ana", time="2026-01-01", kind="note", text="restarted twice")
    Archive(tmp_path / "archive").add_note(old, note)
    builder.build(settings_of(tmp_path, full_runs=0))
    assert tiles(tmp_path, old) == []


def test_the_pinned_baseline_is_full(tmp_path, old):
    new = add_run(tmp_path, "new", hours_ago=5)
    builder.build(settings_of(tmp_path, full_runs=0, baseline=old))
    assert (len(tiles(tmp_path, old)), tiles(tmp_path, new)) == (8, [])


def test_a_run_too_short_for_finer_levels_is_not_listed(tmp_path):
    add_run(tmp_path, "short", hours_ago=1, steps=50)
    builder.build(settings_of(tmp_path))
    assert listed(tmp_path) == []


def test_a_run_without_finer_levels_gets_card_and_badge_when_it_becomes_full(tmp_path):
    slug = add_run(tmp_path, "short", hours_ago=1, steps=50)
    builder.build(settings_of(tmp_path, full_runs=0))
    assert not set(COMPANIONS) & data_of(tmp_path, slug).keys()
    builder.build(settings_of(tmp_path, full_runs=1))
    assert set(COMPANIONS) <= data_of(tmp_path, slug).keys()
    assert builder.build(settings_of(tmp_path, full_runs=1)).files_written == ()


def test_a_run_without_a_date_counts_as_the_oldest(tmp_path):
    begun = {"a": None, "b": 1.0, "c": 2.0}
    archive = Archive(tmp_path / "archive")
    for full_runs, full in ((0, set()), (1, {"c"}), (2, {"b", "c"}), (3, {"a", "b", "c"})):
        settings = settings_of(tmp_path, full_runs=full_runs)
        assert choose_full(begun, settings=settings, archive=archive) == full


def test_a_site_over_its_limit_is_refused_by_name_before_a_file_is_written(tmp_path, old):
    builder.build(settings_of(tmp_path))
    new = add_run(tmp_path, "new", hours_ago=5)
    with pytest.raises(SiteSizeError) as raised:
        builder.build(settings_of(tmp_path, max_mb=1))
    own = (*data_of(tmp_path, old).values(), (tmp_path / f"docs/runs/{old}.md").read_bytes())
    assert (old, sum(map(len, own))) in raised.value.largest
    said = str(raised.value)
    assert f"{tmp_path}/docs/runs: pages and data would be " in said
    assert "more than 90 % of [site] max_mb = 1, and nothing was written" in said
    assert f"{new} (0." in said
    assert "lower [site] full_runs" in said
    assert not (tmp_path / f"docs/runs/{new}.md").exists()
    assert builder.build(settings_of(tmp_path, max_mb=0)).written == (new,)


def test_the_limit_is_ninety_per_cent_of_what_is_new_and_what_stays(tmp_path):
    (tmp_path / "stays").write_bytes(bytes(400_000))
    check_size(tmp_path, {"new": bytes(500_000)}, ["stays"], max_mb=1)
    with pytest.raises(SiteSizeError, match=r"would be 0\.9 MB"):
        check_size(tmp_path, {"new": bytes(500_001)}, ["stays"], max_mb=1)


def test_the_largest_runs_come_first_with_page_and_data(tmp_path):
    files = {f"assets/runs/r{n}/charts.json": bytes(n * 100_000) for n in range(1, 8)}
    files |= {"r1.md": bytes(1_000_000), "index.md": bytes(5_000_000)}
    with pytest.raises(SiteSizeError) as raised:
        check_size(tmp_path, files, (), max_mb=2)
    assert [slug for slug, _ in raised.value.largest] == ["r1", "r7", "r6", "r5", "r4"]
    assert "r1 (1.10 MB), r7 (0.70 MB)" in str(raised.value)
