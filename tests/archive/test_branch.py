"""The archive on a branch, with real git and real processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from archive.repositories import bare, clone, git, open_branch
from archive.writer import run_named
from runpages.archive import BranchArchive
from runpages.errors import ArchiveError, UsageError
from runpages.model import Note

WRITER = Path(__file__).with_name("writer.py")
NOTE = Note(author="Ana", time="2026-01-02T03:04:05Z", kind="note", text="seen")


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return bare(tmp_path / "remote.git")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings but the repositories' own: no name and no address to commit under."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def start_writer(
    project: Path, run_id: str, *, out: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(WRITER), str(project), run_id],
        stdout=out,
        text=True,
        start_new_session=True,
    )


def commits(remote: Path) -> list[str]:
    return git(remote, "log", "--format=%s", "archive").splitlines()


def check_out(remote: Path, folder: Path) -> Path:
    git(remote, "clone", "--quiet", "--branch=archive", f"file://{remote}", str(folder))
    return folder


def test_eight_writers_at_once_lose_nothing(tmp_path, remote):
    projects = [clone(remote, tmp_path / f"clone-{number}") for number in range(6)]
    projects += [projects[0], projects[1]]  # two pairs share a clone
    writers = [start_writer(project, f"run-{n}") for n, project in enumerate(projects)]
    tries = [int(writer.communicate(timeout=300)[0]) for writer in writers]
    wanted = {run_named(f"run-{number}").slug for number in range(8)}
    reader = open_branch(clone(remote, tmp_path / "reader"))
    reader.refresh()
    assert set(reader.slugs()) == wanted
    assert sorted(commits(remote)) == sorted(f"Run {slug}" for slug in wanted)
    assert all(count >= 1 for count in tries)


def test_a_put_is_one_commit_and_the_same_run_none(tmp_path, remote):
    archive = open_branch(clone(remote, tmp_path / "clone"))
    run = run_named("one")
    assert archive.put(run) is True
    assert archive.put(run) is False
    archive.add_note(run.slug, NOTE)
    archive.withdraw(run.slug, "wrong data")
    told = [f"Withdraw {run.slug}", f"Note on {run.slug}", f"Run {run.slug}"]
    assert commits(remote) == told
    left = git(remote, "ls-tree", "-r", "--name-only", "archive").splitlines()
    assert left == [f"runs/{run.slug}/run.json"]


def test_what_the_user_has_in_hand_is_not_touched(tmp_path, remote):
    project = clone(remote, tmp_path / "clone")
    (project / "staged").write_text("a")
    git(project, "add", "staged")
    (project / "staged").write_text("b")

    def in_hand() -> tuple[str, ...]:
        state = git(project, "status", "--porcelain", "--", "staged")
        return (
            state,
            git(project, "for-each-ref"),
            git(project, "diff"),
            git(project, "stash", "list"),
        )

    before = in_hand(), (project / ".git/index").read_bytes(), (project / ".git/HEAD").read_bytes()
    open_branch(project).put(run_named("one"))
    assert before[1:] == (
        (project / ".git/index").read_bytes(),
        (project / ".git/HEAD").read_bytes(),
    )
    assert before[0] == in_hand()


def test_other_files_of_the_branch_stay_as_they_are(tmp_path, remote):
    project = clone(remote, tmp_path / "clone")
    (project / "tool.sh").write_text("#!/bin/sh\n")
    (project / "tool.sh").chmod(0o755)
    (project / "link").symlink_to("/etc/passwd")
    git(project, "add", ".")
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
    git(project, *who, "commit", "--quiet", "-m", "tools")
    git(project, "push", "--quiet", "origin", "HEAD:archive")
    before = git(remote, "ls-tree", "archive")
    archive = open_branch(project)
    archive.put(run_named("one"))
    after = git(remote, "ls-tree", "archive").splitlines()
    assert [line for line in after if not line.endswith("runs")] == before.splitlines()
    assert sorted(path.name for path in archive.location.iterdir()) == ["runs"]


def test_a_link_in_a_run_is_no_file_of_it(tmp_path, remote):
    project = clone(remote, tmp_path / "clone")
    archive = open_branch(project)
    run = run_named("one")
    archive.put(run)
    user = check_out(remote, tmp_path / "user")
    notes = user / "runs" / run.slug / "notes"
    notes.mkdir()
    (notes / "x.json").symlink_to("/etc/passwd")
    git(user, "add", ".")
    git(user, "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "--quiet", "-m", "x")
    git(user, "push", "--quiet", "origin", "archive")
    archive.refresh()
    assert archive.slugs() == (run.slug,)
    assert archive.unreadable_notes(run.slug) == ()


def test_files_come_when_they_are_read(tmp_path, remote):
    run = run_named("one")
    open_branch(clone(remote, tmp_path / "writer")).put(run)
    reader = open_branch(clone(remote, tmp_path / "reader"))
    reader.refresh()
    here = sorted(path.name for path in reader.location.rglob("*") if path.is_file())
    assert here == ["run.json"]
    (place,) = reader.location.with_name("archive.git").glob("git-*")
    lacking = git(place, "rev-list", "--objects", "--missing=print", "refs/runpages/tip")
    assert [line[0] for line in lacking.splitlines()].count("?") == 1
    assert len(reader.get(run.slug).series["loss"].recorded.step) == 2_000


@pytest.mark.parametrize("partial", [True, False])
def test_a_whole_mirror_needs_git_no_more(tmp_path, partial):
    remote = bare(tmp_path / "remote.git", partial=partial)
    run = run_named("one")
    open_branch(clone(remote, tmp_path / "writer")).put(run)
    reader = open_branch(clone(remote, tmp_path / "reader"))
    reader.refresh(whole=True)
    shutil.rmtree(remote)
    assert len(reader.get(run.slug).series["loss"].recorded.step) == 2_000


def test_the_fetch_is_shallow(tmp_path, remote):
    writer = open_branch(clone(remote, tmp_path / "writer"))
    for name in ("one", "two", "three"):
        writer.put(run_named(name))
    reader = open_branch(clone(remote, tmp_path / "reader"))
    reader.refresh()
    (place,) = reader.location.with_name("archive.git").glob("git-*")
    assert git(place, "rev-list", "--count", "refs/runpages/tip") == "1"


def test_what_is_gone_from_the_branch_goes_from_the_mirror(tmp_path, remote):
    one, two = (open_branch(clone(remote, tmp_path / name)) for name in ("one", "two"))
    run = run_named("one")
    one.put(run)
    two.refresh(whole=True)
    one.discard(run.slug)
    two.refresh()
    assert two.slugs() == ()
    assert not [path for path in two.location.rglob("*") if path.is_file()]


def test_a_run_that_another_machine_has_withdrawn_stays_withdrawn(tmp_path, remote):
    one, two = (open_branch(clone(remote, tmp_path / name)) for name in ("one", "two"))
    run = run_named("one")
    one.put(run)
    two.refresh()
    one.withdraw(run.slug, "wrong data")
    with pytest.raises(ArchiveError, match="withdrawn: wrong data"):
        two.put(run)
    two.refresh()
    assert two.withdrawn() == {run.slug: "wrong data"}


def test_a_large_run_is_refused_with_what_to_do(tmp_path, remote):
    archive = open_branch(clone(remote, tmp_path / "clone"), max_run_mb=0.01)
    with pytest.raises(ArchiveError, match=r"max_run_mb = 0\.01.*object store"):
        archive.put(run_named("one", points=20_000))
    archive.refresh()
    assert archive.slugs() == ()


def test_a_branch_that_lets_nobody_push_is_one_sentence(tmp_path, remote):
    hook = remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    archive = open_branch(clone(remote, tmp_path / "clone"))
    with pytest.raises(ArchiveError, match=r"the push was refused: .*hook declined"):
        archive.put(run_named("one"))


@pytest.mark.parametrize("where", ["remote", "location"])
def test_no_password_in_any_sentence(tmp_path, remote, where):
    project = clone(remote, tmp_path / "clone")
    address = "http://ana:hunter2@127.0.0.1:9/none.git"
    if where == "remote":
        git(project, "remote", "set-url", "origin", address)
        archive = open_branch(project)
    else:
        archive = open_branch(project, remote=f"@{address}")
    with pytest.raises((ArchiveError, UsageError)) as caught:
        archive.put(run_named("one"))
    assert "hunter2" not in str(caught.value)
    kept = [path for path in (project / ".cache").rglob("*") if path.is_file()]
    assert not [path for path in kept if b"hunter2" in path.read_bytes()]


def test_settings_of_a_ci_checkout_are_handed_on(tmp_path, remote):
    project = clone(remote, tmp_path / "clone")
    git(project, "remote", "set-url", "origin", "somewhere:else")
    git(project, "config", f"url.file://{remote}.insteadOf", "somewhere:else")
    run = run_named("one")
    archive = open_branch(project)
    archive.put(run)
    assert commits(remote) == [f"Run {run.slug}"]


def test_another_remote_by_name_and_by_address(tmp_path, remote):
    project = clone(remote, tmp_path / "clone")
    other = bare(tmp_path / "other.git")
    git(project, "remote", "add", "runs", f"file://{other}")
    one, two = run_named("one"), run_named("two")
    open_branch(project, remote="@runs").put(one)
    open_branch(project, remote=f"@file://{other}").put(two)
    assert commits(other) == [f"Run {two.slug}", f"Run {one.slug}"]


def test_a_repository_without_a_remote_keeps_the_branch_itself(tmp_path):
    project = tmp_path / "alone"
    project.mkdir()
    git(project, "init", "--quiet")
    run = run_named("one")
    open_branch(project).put(run)
    assert commits(project) == [f"Run {run.slug}"]


def test_outside_of_a_repository_it_says_so(tmp_path):
    with pytest.raises(UsageError, match="not a git repository"):
        open_branch(tmp_path).refresh()


@pytest.mark.parametrize("name", ["", "-x", "a..b", "a/", "a b", "x.lock/", ".x"])
def test_what_is_no_name_of_a_branch(tmp_path, name):
    with pytest.raises(UsageError, match="no name of a branch"):
        BranchArchive(f"git+branch:{name}", project=tmp_path, mirror=tmp_path, max_run_mb=1)


def test_a_killed_writer_leaves_all_whole(tmp_path, remote):
    """At six moments of its life, and its git with it or (every other time) not."""
    project = clone(remote, tmp_path / "clone")
    open_branch(project).put(run_named("first"))
    begin = time.monotonic()
    assert start_writer(project, "measure", out=subprocess.DEVNULL).wait(timeout=120) == 0
    life = time.monotonic() - begin
    for number in range(6):
        writer = start_writer(project, f"run-{number}", out=subprocess.DEVNULL)
        time.sleep(life * (0.4 + 0.1 * number))
        if number % 2:
            os.killpg(writer.pid, signal.SIGKILL)
        else:
            writer.kill()
        writer.wait()
    git(remote, "fsck", "--strict", "--no-dangling")
    git(project, "fsck", "--strict")
    again = open_branch(project)
    for number in range(6):
        again.put(run_named(f"run-{number}"))
    names = ("first", "measure", *(f"run-{number}" for number in range(6)))
    assert set(again.slugs()) == {run_named(name).slug for name in names}
    for name in names:
        assert len(again.get(run_named(name).slug).series["loss"].recorded.step) == 2_000
