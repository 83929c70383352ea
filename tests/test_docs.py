"""Documentation against code: every verb, setting, source and path it should name."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runpages.cli import main
from runpages.config import Settings
from runpages.config import settings as settings_module
from runpages.model import KINDS, MetricSummary
from runpages.pages.all_figures import FIGURES
from runpages.sources import SOURCES

ROOT = Path(__file__).resolve().parent.parent
DOCS = "\n".join(path.read_text() for path in sorted((ROOT / "docs").rglob("*.md")))


@pytest.mark.parametrize("verb", sorted(main.commands))
def test_every_verb_is_documented_and_has_help(verb):
    assert f"`runpages {verb}" in (ROOT / "docs/reference/cli.md").read_text()
    command = main.commands[verb]
    assert command.help
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert parameter.help, f"{verb} {parameter.name}"


def test_every_setting_is_documented():
    page = (ROOT / "docs/reference/settings.md").read_text()
    for field in dataclasses.fields(Settings):
        if field.name == "folder":
            continue
        assert f"[{field.name}]" in page or f"[[{field.name}]]" in page
    for name in settings_module.__all__:
        cls = getattr(settings_module, name)
        if cls is Settings:
            continue
        for field in dataclasses.fields(cls):
            assert f"`{field.name}`" in page, f"{name}.{field.name}"


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_every_source_is_documented(source):
    assert f"`{source}`" in (ROOT / "docs/sources/index.md").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_finding_is_documented(kind):
    assert f"`{kind}`" in (ROOT / "docs/reference/findings.md").read_text()


@pytest.mark.parametrize("name", [figure.name for figure in FIGURES])
def test_every_figure_is_documented_with_formula_and_reason(name):
    """A row of the table: key, unit, what it is, when it is n/a."""
    page = (ROOT / "docs/reference/figures.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
    assert len([cell for cell in row.strip("|").split("|") if cell.strip()]) == 4


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(MetricSummary)])
def test_every_statistic_of_a_metric_is_documented(field):
    assert f"`{field}`" in (ROOT / "docs/reference/figures.md").read_text()


def test_paths_named_in_the_documentation_exist():
    roots = (ROOT, ROOT / "generator/runpages")
    text = DOCS + (ROOT / "CONTRIBUTING.md").read_text() + (ROOT / "README.md").read_text()
    named = set(
        re.findall(
            r"`((?:analysis|archive|builder|pages|sources|templates|docs|generator|tests|benchmarks|plugin|cli|demo)/[\w./-]*)`",
            text,
        )
    )
    assert named
    missing = [path for path in sorted(named) if not any((root / path).exists() for root in roots)]
    assert [m for m in missing if m != "docs/runs/"] == []


def test_the_slug_vectors_of_the_documentation_hold():
    from runpages.model import slug_of

    rows = re.findall(
        r"\| `(.+?)` \| (.+?) \| `(.+?)` \| `(.+?-[0-9a-f]{10})` \|",
        (ROOT / "docs/sources/index.md").read_text(),
    )
    assert len(rows) == 4
    for source, project, run_id, slug in rows:
        assert slug_of(source, project.strip("`").replace("*(empty)*", ""), run_id) == slug


def _blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


def test_our_own_documentation_builds_strictly(tmp_path):
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "-q",
        "-f",
        str(ROOT / "mkdocs.yml"),
    ]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run([*command, "-d", str(tmp_path / "site")], env=environment, check=True)


@pytest.mark.parametrize("name", ["README.md", "docs/first-site.md"])
def test_the_commands_and_programs_shown_run(name, tmp_path):
    """All of them, to the letter, from an empty folder; but for make, the demo and servers."""
    path = ROOT / name
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for program in _blocks(path, "python"):
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    shutil.copytree(tmp_path / "logs", tmp_path / "path/to/logs")
    lines = [
        line.removeprefix("$ ").partition("   #")[0].strip()
        for block in _blocks(path, "console")
        for line in block.splitlines()
    ]
    folder, ran = tmp_path, 0
    for line in lines:
        if line.startswith(("make", "runpages demo", "python -m http.server")):
            continue
        if line.startswith("cd "):
            folder /= line.removeprefix("cd ")
            continue
        command = shlex.split(line.replace("/data/runs", str(tmp_path / "logs")))
        subprocess.run(command, cwd=folder, env=environment, check=True)
        ran += 1
    assert ran >= 5
    assert (tmp_path / "preview/site/runs/index.html").is_file()
