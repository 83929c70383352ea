"""A site of which little changed: its bytes are those of a full build, whatever ended the last."""

from __future__ import annotations

import filecmp
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runpages import builder
from runpages.archive import Archive
from runpages.config import load_settings
from runpages.model import Note
from runs import write_rundir

RUNS = 5

HOOK = """\
import os, signal
from mkdocs.plugins import event_priority

def _maybe(event):
    if os.environ.get("END_AT") == event:
        os.kill(os.getpid(), signal.SIGKILL)

def on_files(files, config):
    _maybe("files")

def on_post_page(output, page, config):
    _maybe("page") if page.file.src_uri.startswith("runs/run3") else None
    return output + "<!-- words of a hook -->"

def on_post_build(config):
    _maybe("post_build")

@event_priority(100)
def on_shutdown():
    _maybe("shutdown")
"""
EXTENSION = """\
from mkdocs.plugins import BasePlugin

class Stamp(BasePlugin):
    def on_post_page(self, output, page, config):
        return output + "<!-- stamp {version} -->"
"""


class Project:
    """An MkDocs project with runs, and the real command in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def settings(self):
        return load_settings(self.folder / "runpages.toml")

    @property
    def archive(self) -> Archive:
        return Archive(self.settings.archive_path)

    @property
    def slugs(self) -> tuple[str, ...]:
        return self.archive.slugs()

    def add_run(self, name: str, **facts) -> None:
        write_rundir(self.folder / "logs" / name, steps=40, project="p", group="g", **facts)

    def generate(self) -> None:
        builder.pull(self.settings)
        assert builder.build(self.settings).failed == ()

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        path = self.folder / name
        path.write_text(change(path.read_text()))

    def install_stamp(self, version: str) -> None:
        """The plugin `stamp` on PYTHONPATH, as a package that pip installed."""
        packages = self.folder / "packages/site-packages"
        shutil.rmtree(packages, ignore_errors=True)
        told = packages / f"stamp-{version}.dist-info"
        told.mkdir(parents=True)
        (packages / "stamp.py").write_text(EXTENSION.format(version=version))
        (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: stamp\nVersion: {version}\n")
        (told / "entry_points.txt").write_text("[mkdocs.plugins]\nstamp = stamp:Stamp\n")

    def start(self, site: str = "site", *, engine: str = "mkdocs", **more: str) -> subprocess.Popen:
        paths = [str(self.folder / "packages/site-packages"), os.environ.get("PYTHONPATH", "")]
        env = os.environ | {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"} | more
        env["PYTHONPATH"] = os.pathsep.join(paths)
        env["PYTHONDONTWRITEBYTECODE"] = "1"
        command = [
            sys.executable,
            "-m",
            engine,
            "build",
            "--strict",
            "-f",
            "mkdocs.yml",
            "-d",
            site,
        ]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=self.folder, env=env, stdout=pipe, stderr=pipe, text=True
        )

    def mkdocs(self, site: str = "site", *, code: int = 0, **more: str) -> tuple[int, int]:
        """Build; how many run pages were reused and made."""
        process = self.start(site, **more)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, out + err
        found = re.search(r"Run pages: (\d+) reused, (\d+) made", err)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    def full(self, **more: str) -> Path:
        """A site that owes nothing to an earlier build."""
        copy = Project(self.folder.with_name(f"{self.folder.name}-full"))
        shutil.rmtree(copy.folder, ignore_errors=True)
        shutil.copytree(self.folder, copy.folder, ignore=shutil.ignore_patterns("site", ".cache"))
        assert copy.mkdocs(**more)[0] == 0
        return copy.folder / "site"


def differing(one: Path, other: Path) -> list[str]:
    """What `diff -r` would name."""
    compared = filecmp.dircmp(one, other, ignore=[], hide=[])
    names = [*compared.left_only, *compared.right_only]
    _, wrong, odd = filecmp.cmpfiles(one, other, compared.common_files, shallow=False)
    for folder in compared.common_dirs:
        names += differing(one / folder, other / folder)
    return [*names, *wrong, *odd]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("incremental") / "built")
    for number in range(RUNS):
        project.add_run(f"run{number}", seed=number, spike=20 if number == 1 else None)
    builder.write_project(project.folder, title="Team", locations=("logs",), settle_minutes=0)
    (project.folder / "hook.py").write_text(HOOK)
    project.install_stamp("1.0")
    project.edit(
        "mkdocs.yml",
        lambda text: (
            "site_url: https://example.org/team/\nhooks: [hook.py]\n"
            f"validation: {{anchors: warn}}\n{text}"
        ).replace("  - runpages\n", "  - runpages\n  - stamp\n"),
    )
    project.generate()
    assert project.mkdocs()[0] == 0
    return project


@pytest.fixture
def project(built, tmp_path) -> Project:
    """A copy at another place, with its cache: as CI restores it."""
    shutil.copytree(built.folder, tmp_path / "copy")
    return Project(tmp_path / "copy")


def new_run(project: Project) -> None:
    project.add_run("another", seed=9)
    project.generate()


def withdrawn(project: Project) -> None:
    project.archive.withdraw(project.slugs[0], "by mistake")
    project.generate()


def template(project: Project) -> None:
    project.edit("runpages.toml", lambda t: t.replace("[site]\n", '[site]\ntemplates = "own"\n'))
    (project.folder / "own").mkdir()
    extends = '{% extends "runpages/run.md.jinja" %}{% block notes %}Words of ours{% endblock %}'
    (project.folder / "own/run.md.jinja").write_text(extends)
    project.generate()


def more_steps(project: Project) -> None:
    log = project.folder / "logs/run2/metrics.jsonl"
    last = json.loads(log.read_text().splitlines()[-1])
    with log.open("a") as stream:
        for step in range(40, 60):
            stream.write(json.dumps({**last, "step": step}) + "\n")
    project.generate()


def note(project: Project) -> None:
    found = Note(author="Ana", time="2026-01-01", kind="verdict", outcome="mixed")
    project.archive.add_note(project.slugs[1], found)
    project.generate()


def price(project: Project) -> None:
    """Of an accelerator that no run names."""
    row = '[[price]]\naccelerator="H100"\nusd_per_device_hour=9\nvalid_from="2001-01-01"\n'
    project.edit("runpages.toml", lambda text: f"{text}\n{row}")
    project.generate()


def baseline(project: Project) -> None:
    pinned = f'[baseline]\ndefault = "{project.slugs[0]}"\n'
    project.edit("runpages.toml", lambda text: f"{text}\n{pinned}")
    project.generate()


def home_page(project: Project) -> None:
    project.edit("docs/index.md", lambda text: f"{text}\nMore words.\n")


def mkdocs_yml(project: Project) -> None:
    project.edit("mkdocs.yml", lambda text: f"copyright: The team\n{text}")


def override(project: Project) -> None:
    (project.folder / "theme").mkdir()
    block = '{% extends "base.html" %}{% block announce %}Words of ours{% endblock %}'
    (project.folder / "theme/main.html").write_text(block)
    project.edit("mkdocs.yml", lambda t: t.replace("theme:\n", "theme:\n  custom_dir: theme\n"))


def plugin_version(project: Project) -> None:
    project.install_stamp("1.1")


def hook(project: Project) -> None:
    project.edit("hook.py", lambda text: text.replace("words of a hook", "other words"))


def title_in_nav(project: Project) -> None:
    """The navigation stands on every page, and takes this title out of the page."""
    project.edit("mkdocs.yml", lambda text: text.replace("- Home: index.md", "- index.md"))
    project.mkdocs()
    project.edit("docs/index.md", lambda text: text.replace("# Team", "# Our team"))


@pytest.mark.parametrize(
    ("change", "runs_made", "lists_too"),
    [
        (new_run, 1, False),
        (withdrawn, 1, False),
        (more_steps, 1, False),
        (note, 1, False),
        (home_page, 0, False),
        (template, RUNS, False),
        (price, 0, False),
        (baseline, RUNS, False),
        (mkdocs_yml, RUNS, True),
        (override, RUNS, True),
        (plugin_version, RUNS, True),
        (hook, RUNS, True),
        (title_in_nav, RUNS, True),
    ],
)
def test_an_incremental_build_has_the_bytes_of_a_full_one(project, change, runs_made, lists_too):
    """`runs_made`: pages of runs that have to be made anew; `lists_too`: and all others."""
    change(project)
    reused, made = project.mkdocs()
    lists = len(list((project.folder / "docs/runs/by").rglob("*.md"))) + 2  # browse, compare
    assert runs_made <= made <= runs_made + lists
    assert reused + made >= RUNS
    assert (reused == 0) == lists_too
    assert differing(project.folder / "site", project.full()) == []


def test_nothing_changed_and_every_page_is_reused(project):
    assert project.mkdocs()[1] == 0


def test_with_csp_a_new_script_in_the_theme_is_allowed_on_reused_pages(project):
    project.edit(
        "docs/index.md", lambda text: f"{text}\n<script>ours()</script>\n"
    )  # one policy for all pages
    assert project.mkdocs()[1] == 0
    assert differing(project.folder / "site", project.full()) == []


def test_search_by_pagefind_is_the_same(project):
    project.edit("runpages.toml", lambda t: t.replace("[site]\n", '[site]\nsearch="pagefind"\n'))
    project.mkdocs()
    new_run(project)
    assert project.mkdocs()[0] >= RUNS
    assert differing(project.folder / "site", project.full()) == []


def test_another_theme_and_its_search(project):
    def plain(text: str) -> str:
        begin, end = text.index("theme:"), text.index("# The runpages plugin")
        text = f"{text[:begin]}theme: mkdocs\n{text[end:]}"
        return re.sub(r"  - search:\n(?:      .*\n)+", "  - search\n", text)

    project.edit("mkdocs.yml", plain)
    # its home page tells when it was built
    day = {"SOURCE_DATE_EPOCH": "1700000000"}
    project.mkdocs(**day)
    new_run(project)
    assert project.mkdocs(**day)[0] >= RUNS
    assert differing(project.folder / "site", project.full(**day)) == []


def test_properdocs_reuses_pages_too(project):
    project.mkdocs(engine="properdocs")
    new_run(project)
    assert project.mkdocs(engine="properdocs")[0] >= RUNS
    assert differing(project.folder / "site", project.full(engine="properdocs")) == []


def test_a_damaged_cache_costs_time_and_no_byte(project):
    kept = sorted((project.folder / ".cache/runpages/site").rglob("??/*"))
    kept[0].write_bytes(kept[0].read_bytes()[:-9])
    kept[1].write_bytes(b"")
    assert project.mkdocs()[1] == 2
    assert differing(project.folder / "site", project.full()) == []


def test_the_cache_holds_no_more_than_the_site(project):
    before = len(list((project.folder / ".cache/runpages/site").rglob("??/*")))
    mkdocs_yml(project)
    project.mkdocs()
    assert len(list((project.folder / ".cache/runpages/site").rglob("??/*"))) == before


@pytest.mark.parametrize("event", ["files", "page", "post_build", "shutdown"])
def test_a_killed_build_leaves_the_old_site_complete(project, event):
    before = snapshot(project.folder / "site")
    new_run(project)
    project.mkdocs(code=-signal.SIGKILL, END_AT=event)
    assert snapshot(project.folder / "site") == before
    project.mkdocs()
    assert differing(project.folder / "site", project.full()) == []
    assert not list(project.folder.glob(".site*"))


def test_a_build_that_fails_leaves_the_old_site(project):
    before = snapshot(project.folder / "site")
    project.edit("docs/index.md", lambda text: f"{text}\n[gone](gone.md)\n")
    project.mkdocs(code=1)
    assert snapshot(project.folder / "site") == before
    assert not list(project.folder.glob(".site*"))


def test_a_link_to_a_reused_page_is_checked_to_its_anchor(project):
    page = f"runs/{project.slugs[0]}.md"
    project.edit("docs/index.md", lambda text: f"{text}\n[a run]({page}#summary)\n")
    assert project.mkdocs()[1] == 0
    project.edit("docs/index.md", lambda text: text.replace("#summary", "#nowhere"))
    project.mkdocs(code=1)


def test_two_builds_at_once(project):
    new_run(project)
    both = [project.start(), project.start()]
    told = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("Waiting for another" in text for text in told) == 1
    assert differing(project.folder / "site", project.full()) == []


def test_what_mkdocs_leaves_alone_in_a_site_stays(project):
    (project.folder / "site/.nojekyll").write_text("")
    (project.folder / "site/stale.html").write_text("old")
    project.mkdocs()
    assert (project.folder / "site/.nojekyll").is_file()
    assert not (project.folder / "site/stale.html").exists()


def test_the_sitemap_has_the_days_of_the_runs_and_no_other(project):
    text = (project.folder / "site/sitemap.xml").read_text()
    days = dict(re.findall(r"<loc>([^<]*)</loc>\s*<lastmod>([^<]*)</lastmod>", text))
    runs = {f"https://example.org/team/runs/{slug}/" for slug in project.slugs}
    assert set(days) == runs
    assert (project.folder / "site/sitemap.xml.gz").read_bytes()[4:8] == bytes(4)


def test_pages_are_published_from_the_sites_own_folder(project):
    """`gh-deploy` reads it when the build has ended."""
    git = ["git", "-C", str(project.folder)]
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, *who, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    bare = project.folder.with_name("bare")
    subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
    subprocess.run([*git, "remote", "add", "origin", str(bare)], check=True)
    env = os.environ | {
        "NO_MKDOCS_2_WARNING": "1",
        "PYTHONPATH": os.pathsep.join(
            [str(project.folder / "packages/site-packages"), os.environ.get("PYTHONPATH", "")]
        ),
        **{f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
           for key, value in {"NAME": "a", "EMAIL": "a@example.org"}.items()},
    }  # fmt: skip
    command = [sys.executable, "-m", "mkdocs", "gh-deploy", "-q"]
    subprocess.run(command, cwd=project.folder, env=env, check=True, capture_output=True)
    tree = ["git", "-C", str(bare), "ls-tree", "-r", "--name-only", "gh-pages"]
    names = subprocess.run(tree, check=True, capture_output=True, text=True).stdout.split()
    assert f"runs/{project.slugs[0]}/index.html" in names
