"""From logs to Markdown: pulling, building, and what a second time changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runpages import builder, markup
from runpages.archive import Archive
from runpages.config import Settings, SourceSettings, load_settings
from runpages.errors import ConfigError, LockedError
from runpages.model import Note
from runs import write_rundir, write_tensorboard


def project(folder: Path, **changes) -> Settings:
    settings = Settings(
        folder=folder,
        source=(SourceSettings(kind="auto", location="logs", settle_minutes=0),),
    )
    return replace(settings, **changes)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def logs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "logs"
    for seed in (0, 1):
        write_rundir(
            folder / f"s{seed}",
            seed=seed,
            group="seeds",
            project="p",
            config={"lr": 0.1, "seed": seed},
        )
    write_rundir(folder / "spiked", spike=80)
    write_tensorboard(folder / "tb")
    return folder


def put_logs(logs: Path, folder: Path) -> None:
    shutil.copytree(logs, folder / "logs")


def test_pull_is_idempotent_and_knows_what_it_has_read(tmp_path, logs):
    put_logs(logs, tmp_path)
    first = builder.pull(project(tmp_path))
    assert len(first.slugs("written")) == 4
    assert builder.pull(project(tmp_path)).slugs("unchanged") == first.slugs("written")
    again = builder.pull(project(tmp_path), again=True)
    assert set(again.slugs("unchanged")) == set(first.slugs("written"))


def test_a_changed_log_is_read_again(tmp_path):
    write_rundir(tmp_path / "logs" / "a", steps=30)
    builder.pull(project(tmp_path))
    write_rundir(tmp_path / "logs" / "a", steps=40)
    pulled = builder.pull(project(tmp_path))
    assert len(pulled.slugs("written")) == 1
    run = Archive(tmp_path / "archive").get(pulled.slugs("written")[0])
    assert len(run.attempts) == 2


def test_a_running_run_waits_and_says_so(tmp_path):
    write_tensorboard(tmp_path / "logs" / "live")
    source = SourceSettings(kind="auto", location="logs")
    pulled = builder.pull(project(tmp_path, source=(source,)))
    (outcome,) = pulled.outcomes
    assert outcome.status == "skipped"
    assert "still running" in outcome.reason
    assert "settle_minutes" in outcome.reason
    assert Archive(tmp_path / "archive").slugs() == ()
    shown = builder.pull(project(tmp_path, source=(source,)), running=True)
    assert len(shown.slugs("written")) == 1


def test_one_unreadable_run_does_not_stop_the_others(tmp_path):
    write_rundir(tmp_path / "logs" / "good")
    bad = tmp_path / "logs" / "bad"
    bad.mkdir()
    (bad / "metrics.jsonl").write_text('{"step": \n{"step": \n')
    pulled = builder.pull(project(tmp_path))
    assert len(pulled.slugs("written")) == 1
    (failed,) = pulled.of("failed")
    assert "bad" in failed.reason
    assert "no line of its logs can be read" in failed.reason


def test_one_run_seen_by_two_trackers_is_kept_once(tmp_path):
    write_rundir(tmp_path / "logs" / "a" / "same")
    write_tensorboard(tmp_path / "logs" / "b" / "same")
    pulled = builder.pull(project(tmp_path))
    assert len(pulled.slugs("written")) == 1
    (skipped,) = pulled.of("skipped")
    assert "the same run as" in skipped.reason
    # and also when the second one comes later
    shutil.rmtree(tmp_path / "logs" / "b")
    later = tmp_path / "later"
    shutil.copytree(tmp_path / "logs", later / "logs")
    builder.pull(project(later))


def test_two_runs_with_one_name_get_two_pages(tmp_path):
    for folder in ("a", "b"):
        write_rundir(tmp_path / "logs" / folder, name="same name")
    builder.pull(project(tmp_path))
    assert len(builder.build(project(tmp_path)).written) == 2


def test_building_twice_writes_nothing(tmp_path, logs):
    put_logs(logs, tmp_path)
    builder.pull(project(tmp_path))
    first = builder.build(project(tmp_path))
    assert len(first.written) == 4
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "docs").rglob("*")}
    second = builder.build(project(tmp_path))
    assert (second.written, second.files_written) == ((), ())
    assert len(second.unchanged) == 4
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "docs").rglob("*")}


BUILD = """
import sys
from pathlib import Path
from runpages import builder, markup
from runpages.config import Settings
builder.build(Settings(folder=Path(sys.argv[1])))
"""


def test_the_same_bytes_from_a_moved_archive_in_another_zone_and_hash_seed(tmp_path, logs):
    put_logs(logs, tmp_path)
    builder.pull(project(tmp_path))
    builder.build(project(tmp_path))
    moved = tmp_path / "else" / "where"
    shutil.copytree(tmp_path / "archive", moved / "archive")
    environment = {**os.environ, "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "77", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", BUILD, str(moved)], env=environment, check=True)
    assert tree(tmp_path / "docs") == tree(moved / "docs")


def test_a_new_run_changes_its_own_files_its_group_and_the_index(tmp_path, logs):
    put_logs(logs, tmp_path)
    builder.pull(project(tmp_path))
    builder.build(project(tmp_path))
    write_rundir(
        tmp_path / "logs" / "s2", seed=2, group="seeds", project="p", config={"lr": 0.1, "seed": 2}
    )
    (slug,) = builder.pull(project(tmp_path)).slugs("written")
    built = builder.build(project(tmp_path))
    assert built.written == (slug,)
    others = [path for path in built.files_written if slug not in path]
    assert "index.md" in others
    indexes = (
        "index.md",
        "browse.md",
        "compare.md",
        "feed.xml",
        "llms.txt",
        "by/",
        "assets/index/",
        "groups/",
    )
    assert all(path.startswith(indexes) for path in others), others
    assert "assets/index/runs.json" in others
    assert any(path.startswith("by/group/seeds-") for path in others)


def test_a_new_run_leaves_listings_it_is_not_in_alone(tmp_path, logs):
    put_logs(logs, tmp_path)
    builder.pull(project(tmp_path))
    builder.build(project(tmp_path))
    write_rundir(tmp_path / "logs" / "new", project="q", config={"beta2": 0.9})
    builder.pull(project(tmp_path))
    written = builder.build(project(tmp_path)).files_written
    assert [path for path in written if path.startswith("by/project/q-")]
    assert not [path for path in written if path.startswith("by/project/p-")]
    columns = [path for path in written if "/columns/" in path]
    assert columns
    # keys that only older runs have keep their files: rows are added at the end
    assert len(columns) < len(list((tmp_path / "docs/runs/assets/index/columns").iterdir()))


def test_seed_sets_in_lists_are_those_of_the_groups_page(tmp_path, logs):
    put_logs(logs, tmp_path)
    builder.pull(project(tmp_path))
    for _ in range(2):  # the second time out of the cache
        builder.build(project(tmp_path))
        section = tmp_path / "docs/runs"
        runs = json.loads((section / "assets/index/runs.json").read_text())
        (group,) = [json.loads(p.read_text()) for p in (section / "groups").iterdir()]
        (found,) = runs["seed_sets"]
        (metric,) = [m for m in group["metrics"] if m["name"] == found["metric"]]
        assert {k: found[k] for k in ("mean", "sd", "n")} == {
            k: metric[k] for k in ("mean", "sd", "n")
        }
        slugs = [runs["columns"]["slug"]["values"][row] for row in found["rows"]]
        assert sorted(slugs) == sorted(group["seed_set"])
        shutil.rmtree(section)


def test_a_lost_cache_changes_no_byte(tmp_path, logs):
    put_logs(logs, tmp_path)
    builder.pull(project(tmp_path))
    builder.build(project(tmp_path))
    before = tree(tmp_path / "docs")
    shutil.rmtree(tmp_path / ".cache")
    built = builder.build(project(tmp_path))
    assert built.files_written == ()
    assert tree(tmp_path / "docs") == before


def test_a_withdrawn_run_leaves_a_page_that_says_so_and_nothing_else(tmp_path, logs):
    put_logs(logs, tmp_path)
    slug = builder.pull(project(tmp_path)).slugs("written")[0]
    builder.build(project(tmp_path))
    Archive(tmp_path / "archive").withdraw(slug, "<b>private</b> data")
    built = builder.build(project(tmp_path))
    assert built.withdrawn == (slug,)
    left = [path for path in tree(tmp_path / "docs/runs") if slug in path]
    assert left == [f"{slug}.md"]
    page = (tmp_path / "docs/runs" / left[0]).read_text()
    assert f"withdrawn: {markup.text('<b>private</b> data')}" in page
    assert slug not in (tmp_path / "docs/runs/index.md").read_text()


def test_a_run_that_may_never_have_had_a_page_leaves_none(tmp_path, logs):
    put_logs(logs, tmp_path)
    settings = project(tmp_path)
    slug = builder.pull(settings).slugs("written")[0]
    Archive(tmp_path / "archive").withdraw(slug, "contains private data")
    chosen = replace(settings, publish=replace(settings.publish, include=("p/*",)))
    builder.build(chosen)
    assert not (tmp_path / f"docs/runs/{slug}.md").exists()


def test_a_withdrawn_run_is_not_read_back(tmp_path):
    write_rundir(tmp_path / "logs" / "a")
    settings = project(tmp_path)
    slug = builder.pull(settings).slugs("written")[0]
    Archive(tmp_path / "archive").withdraw(slug, "contains private data")
    shutil.rmtree(settings.cache_path)
    for again in (False, True):
        (outcome,) = builder.pull(settings, again=again).of("skipped")
        assert outcome.reason.endswith("withdrawn: contains private data")
    assert Archive(tmp_path / "archive").withdrawn() == {slug: "contains private data"}


def test_what_is_written_while_a_pull_reads_is_read_the_next_time(tmp_path):
    write_rundir(tmp_path / "logs" / "a", steps=3)

    def still_training(done: int, total: int, name: str) -> None:
        with (tmp_path / "logs" / "a" / "metrics.jsonl").open("a") as log:
            log.write('{"step": 3, "train/loss": 0.5}\n')

    builder.pull(project(tmp_path), progress=still_training)
    (slug,) = builder.pull(project(tmp_path)).slugs("written")
    assert Archive(tmp_path / "archive").get(slug).series["train/loss"].step.tolist()[-1] == 3


def test_of_two_logs_in_one_folder_always_the_same_one_is_kept(tmp_path):
    write_rundir(tmp_path / "logs" / "a", steps=5)
    write_tensorboard(tmp_path / "logs" / "a" / "train", steps=5)
    first = builder.pull(project(tmp_path))
    (slug,) = first.slugs("written")
    (other,) = first.of("skipped")
    assert other.reason.endswith("found twice; kept as tensorboard recorded it")
    assert builder.pull(project(tmp_path)).slugs("unchanged") == (slug,)
    with (tmp_path / "logs" / "a" / "metrics.jsonl").open("a") as log:
        log.write('{"step": 5, "train/loss": 0.5}\n')
    builder.pull(project(tmp_path))
    assert Archive(tmp_path / "archive").get(slug).ref.kind == "tensorboard"


def test_a_damaged_record_is_mended_by_pulling_again(tmp_path):
    for name in ("a", "b"):
        write_rundir(tmp_path / "logs" / name / "run", steps=5, seed=ord(name))
    settings = project(tmp_path)
    slugs = builder.pull(settings).slugs("written")
    (tmp_path / "archive" / "runs" / slugs[0] / "run.json").write_text("[]")
    write_rundir(tmp_path / "logs" / "c" / "a" / "run", steps=5, seed=3)
    assert len(builder.pull(settings).slugs("written")) == 1
    assert builder.pull(settings, only=slugs[0], again=True).slugs("written") == (slugs[0],)


def test_only_what_publish_includes_gets_a_page(tmp_path, logs):
    put_logs(logs, tmp_path)
    builder.pull(project(tmp_path))
    settings = project(tmp_path)
    chosen = replace(settings, publish=replace(settings.publish, include=("p/*",)))
    built = builder.build(chosen)
    assert len(built.written) == 2
    index = (tmp_path / "docs/runs/index.md").read_text()
    assert "spiked" not in index


def test_what_is_published_is_decided_anew_when_the_setting_or_the_run_changes(tmp_path, logs):
    put_logs(logs, tmp_path)
    settings = project(tmp_path)
    slugs = builder.pull(settings).slugs("written")
    builder.build(settings)
    narrow = replace(settings, publish=replace(settings.publish, include=(slugs[0],)))
    assert builder.build(narrow).unchanged == (slugs[0],)
    assert set(builder.build(settings).written) == set(slugs[1:])


def test_without_the_cache_the_bytes_are_the_same(tmp_path, logs):
    put_logs(logs, tmp_path)
    settings = project(tmp_path)
    builder.pull(settings)
    builder.build(settings)
    builder.build(settings)  # from the cache
    before = tree(tmp_path / "docs")
    shutil.rmtree(settings.cache_path)
    builder.build(settings)
    assert tree(tmp_path / "docs") == before


def test_a_damaged_cache_is_no_cache(tmp_path, logs):
    put_logs(logs, tmp_path)
    settings = project(tmp_path)
    builder.pull(settings)
    builder.build(settings)
    before = tree(tmp_path / "docs")
    for path in settings.cache_path.rglob("*"):
        if path.is_file() and path.parent.name != "pull":
            path.write_bytes(path.read_bytes()[:-7])
    builder.build(settings)
    assert tree(tmp_path / "docs") == before


def test_the_baseline_is_pinned_and_must_exist(tmp_path, logs):
    put_logs(logs, tmp_path)
    slugs = builder.pull(project(tmp_path)).slugs("written")
    settings = project(tmp_path)
    pinned = replace(settings, baseline=replace(settings.baseline, default=slugs[0]))
    builder.build(pinned)
    assert markup.text(slugs[0]) in (tmp_path / f"docs/runs/{slugs[1]}.md").read_text()
    wrong = replace(settings, baseline=replace(settings.baseline, default="nothing-0123456789"))
    with pytest.raises(ConfigError, match="no such run"):
        builder.build(wrong)


def test_a_price_that_begins_later_touches_no_page(tmp_path, logs):
    put_logs(logs, tmp_path)
    builder.pull(project(tmp_path))
    config = tmp_path / "runpages.toml"
    config.write_text("")
    builder.build(load_settings(config))
    config.write_text(
        '[[price]]\naccelerator="H100"\nusd_per_device_hour=9\nvalid_from="2199-01-01"\n'
    )
    assert builder.build(load_settings(config)).written == ()
    config.write_text(
        '[[price]]\naccelerator="H100"\nusd_per_device_hour=9\nvalid_from="2001-01-01"\n'
    )
    assert len(builder.build(load_settings(config)).written) == 4


def test_each_setting_that_pages_read_rebuilds_them(tmp_path, logs):
    (tmp_path / "logs").mkdir()
    shutil.copytree(logs / "spiked", tmp_path / "logs/spiked")
    builder.pull(project(tmp_path))
    config = tmp_path / "runpages.toml"
    for setting in (
        "",
        '[[target]]\nmetric="train/loss"\nvalue=2\n',
        "[energy]\npue=1.5\n",
        '[model]\nloss_unit="nats"\n',
        "[summary]\nat_steps=[10]\n",
        '[[evaluation]]\nmetric="val/loss"\nn=100\n',
    ):
        config.write_text(setting)
        assert len(builder.build(load_settings(config)).written) == 1, setting


def test_templates_of_a_team_rebuild_the_pages_when_they_change(tmp_path, logs):
    (tmp_path / "logs").mkdir()
    shutil.copytree(logs / "spiked", tmp_path / "logs/spiked")
    (slug,) = builder.pull(project(tmp_path)).slugs("written")
    config = tmp_path / "runpages.toml"
    config.write_text('[site]\ntemplates="own"\n')
    with pytest.raises(ConfigError, match="there is no such folder"):
        builder.build(load_settings(config))
    template = tmp_path / "own/run.md.jinja"
    template.parent.mkdir()
    for words in ("first words", "second words, longer"):
        extends = '{% extends "runpages/run.md.jinja" %}'
        template.write_text(f"{extends}{{% block notes %}}{words}{{% endblock %}}")
        assert builder.build(load_settings(config)).written == (slug,)
        assert words in (tmp_path / f"docs/runs/{slug}.md").read_text()
        assert builder.build(load_settings(config)).written == ()
    template.write_text("{% block notes %}")
    ((failed, reason),) = builder.build(load_settings(config)).failed
    assert failed == slug
    assert "own/run.md.jinja:1: Unexpected end of template" in reason


def test_notes_rebuild_the_page_they_stand_on_and_a_broken_one_is_a_remark(tmp_path, logs):
    put_logs(logs, tmp_path)
    settings = project(tmp_path)
    slug, *_ = builder.pull(settings).slugs("written")
    assert len(builder.build(settings).written) == 4
    note = Note(author="Ana", time="2026-01-01", kind="verdict", outcome="mixed")
    Archive(settings.archive_path).add_note(slug, note)
    assert builder.build(settings).written == (slug,)
    broken = settings.archive_path / "runs" / slug / "notes/x.json"
    broken.write_text("{")
    built = builder.build(settings)
    assert (built.written, built.failed) == ((slug,), ())
    ((which, told),) = built.remarks
    assert which == slug
    assert told.startswith("notes/x.json: ")


def test_a_damaged_archived_run_is_reported_and_the_others_are_built(tmp_path, logs):
    put_logs(logs, tmp_path)
    slugs = builder.pull(project(tmp_path)).slugs("written")
    next((tmp_path / "archive/runs" / slugs[0]).glob("series-*")).write_bytes(b"broken")
    built = builder.build(project(tmp_path))
    assert [slug for slug, _ in built.failed] == [slugs[0]]
    assert "restore it" in built.failed[0][1]
    assert len(built.written) == 3


def test_two_builds_at_once_do_not_mix(tmp_path, logs):
    from runpages.archive import locked

    with locked(tmp_path / ".cache/runpages"), pytest.raises(LockedError):
        builder.build(project(tmp_path))


def test_run_json_is_strict_json(tmp_path, logs):
    put_logs(logs, tmp_path)
    builder.pull(project(tmp_path))
    builder.build(project(tmp_path))
    documents = list((tmp_path / "docs/runs/assets/runs").glob("*/run.json"))
    assert len(documents) == 4
    for path in documents:
        document = json.loads(path.read_text(), parse_constant=pytest.fail)
        assert document["schema"] == "runpages.show/1"
        assert document["figures"]["usd"]["value"] is None
        assert document["figures"]["usd"]["why"]


def test_dialects_of_the_team_reach_the_text_logs(tmp_path):
    (tmp_path / "logs").mkdir()
    lines = [f"@{step} loss~{5 / (1 + step):.4f} took~12ms\n" for step in range(40)]
    (tmp_path / "logs" / "train.out").write_text("".join(["#### run 1\n", *lines]))
    settings = """
[[source]]
kind = "auto"
location = "logs"
settle_minutes = 0

[[dialect]]
name = "ours"
begin = ['#### run ']

[[dialect.row]]
mark = "@"
line = '@(?P<step>\\d+) (?P<pairs>.*)'
pairs = '(?P<name>\\w+)~(?P<value>{num})(?P<unit>ms)?'
"""
    (tmp_path / "runpages.toml").write_text(settings)
    settings = load_settings(tmp_path / "runpages.toml")
    (slug,) = builder.pull(settings, running=True).slugs("written")
    run = Archive(settings.archive_path).get(slug)
    assert run.series["loss"].step.tolist() == list(range(40))
    assert run.series["took_ms"].value.tolist() == [12.0] * 40


def test_runs_of_a_sweep_that_started_together_are_all_kept(tmp_path):
    for seed in range(3):
        write_rundir(tmp_path / "logs" / f"seed{seed}" / "run", steps=5, seed=seed)
    shutil.copytree(tmp_path / "logs" / "seed0", tmp_path / "logs" / "backup")
    pulled = builder.pull(project(tmp_path), running=True)
    assert len(pulled.slugs("written")) == 3
    (copy,) = pulled.of("skipped")
    assert "the same run as" in copy.reason


@pytest.mark.parametrize(("said", "group"), [("folder", "sweep/wide"), ("all", "all"), ("", "")])
def test_runs_that_name_no_group_get_the_one_of_their_source(tmp_path, said, group):
    for name in ("sweep/wide/a", "sweep/wide/b"):
        write_rundir(tmp_path / "logs" / name)
    write_rundir(tmp_path / "logs" / "c", group="own")
    source = SourceSettings(kind="auto", location="logs", settle_minutes=0, group=said)
    settings = project(tmp_path, source=(source,))
    builder.pull(settings)
    archive = Archive(tmp_path / "archive")
    found = {(run := archive.get(slug)).ref.run_id: run.group for slug in archive.slugs()}
    assert found == {"sweep/wide/a": group, "sweep/wide/b": group, "c": "own"}
