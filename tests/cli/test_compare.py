"""`runpages compare` as a user meets it: a real process over a real archive."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from runpages.analysis import compare, run_contender
from runpages.cli.comparison import print_comparison
from siblings import judged, write_sibling

ENV = {**os.environ, "NO_COLOR": "1"}
OLD = (2.000, 2.100, 2.300)
NEW = (1.900, 2.005, 2.190)


def runpages(
    *arguments, cwd: Path, code: int = 0, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "runpages", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=ENV | (env or {}), capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Two groups of three seeds each, and a run of its own, in an archive."""
    folder = tmp_path_factory.mktemp("compare")
    for group, finals, lr in (("old", OLD, 0.1), ("new", NEW, 0.2)):
        for seed, final in enumerate(finals):
            write_sibling(
                folder / "logs" / f"{group}-{seed}",
                final=final, seed=seed, group=group, config={"lr": lr, "seed": seed},
            )  # fmt: skip
    write_sibling(
        folder / "logs" / "lone", final=1.5, name="\x1b[31mlone\x07 run", config={"lr": 0.3}
    )
    for name in ("twin", "twin-2"):
        write_sibling(folder / "logs" / name, config={"lr": 0.4}, name=name)
    runpages("init", cwd=folder)
    runpages("pull", cwd=folder)
    return folder


def document(project: Path, *arguments: str) -> dict:
    return json.loads(runpages("compare", *arguments, "--json", cwd=project).stdout)


def test_two_groups_are_paired_by_their_seeds(project):
    found = document(project, "old", "new")
    assert found["schema"] == "runpages.compare/1"
    base, other = found["runs"]
    assert (found["base"], base["name"], base["seeds"]) == (base["slug"], "old", [0, 1, 2])
    row = next(m for m in found["metrics"] if m["name"] == "val/loss")
    assert (row["direction"], row["run"], row["test"]) == ("lower", other["slug"], "paired")
    assert set(row["values"]) == {base["slug"], other["slug"]}
    assert row["values"][base["slug"]]["n"] == 3
    assert row["values"][base["slug"]]["sd"] == pytest.approx(0.152753, abs=1e-6)
    # differences -.100 -.095 -.110: mean -.101667, sd .0076376; t(.975, 2) = 4.303
    assert row["delta"] == pytest.approx(-0.101667, abs=1e-6)
    assert row["ci95"] == pytest.approx([-0.120641, -0.082693], abs=5e-6)
    assert row["verdict"] == "better"
    assert found["differences"] == [
        {"key": "config.lr", "values": {base["slug"]: 0.1, other["slug"]: 0.2}}
    ]
    assert found["verdicts"][other["slug"]].startswith("new is better than old: val/loss is 0.1017")


def test_the_text_says_verdict_warnings_metrics_and_differences(project):
    lines = runpages("compare", "old", "lone", cwd=project).stdout.splitlines()
    text = "\n".join(line.rstrip() for line in lines)
    assert lines[0].startswith("base  old  (group of 3 runs, seeds 0, 1, 2)")
    assert re.search(
        r"val/loss is 0\.6333 lower; .*lone.* is one run: its variance is not known", text
    )
    assert text.index("Read with care") < text.index("Metrics") < text.index("What differs")
    (row,) = [line for line in lines if line.startswith("val/loss ↓")]
    assert "2.13 ± 0.15 (n = 3)" in row
    assert "▼ 0.6333 better" in row
    assert "is one run: its variance is not known" in row


def test_piped_text_holds_no_control_characters(project):
    text = runpages("compare", "old", "lone", cwd=project).stdout
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert "lone" in text


def test_a_terminal_gets_colours_and_no_replaced_characters(tmp_path):
    sides = []
    for name, final in (("a", 2.0), ("b", 3.0)):
        write_sibling(tmp_path / name / "run", final=final, name=name)
        sides += map(run_contender, judged(tmp_path / name).values())
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, color_system="standard")
    print_comparison(compare(sides[0], sides[1:]), console)
    text = stream.getvalue()
    assert "\N{REPLACEMENT CHARACTER}" not in text
    assert "\x1b[31m▲ 1.000 worse\x1b[0m" in text


def test_a_damaged_run_hinders_only_its_own_comparison(project, tmp_path):
    shutil.copytree(project / "archive", tmp_path / "archive")
    (tmp_path / "runpages.toml").write_text("")
    lone = next(p for p in (tmp_path / "archive/runs").iterdir() if p.name.startswith("lone-"))
    (lone / "run.json").write_text("{")
    done = runpages("compare", "old", "new", cwd=tmp_path)
    assert "new is better than old" in done.stdout
    assert lone.name in done.stderr
    runpages("compare", "old", lone.name, cwd=tmp_path, code=3)


def test_runs_are_named_by_slug_by_its_beginning_and_by_name(project):
    first = document(project, "old-0", "new-0")
    slugs = [run["slug"] for run in first["runs"]]
    assert document(project, *slugs) == first
    assert [run["is_group"] for run in first["runs"]] == [False, False]
    row = next(m for m in first["metrics"] if m["name"] == "val/loss")
    assert row["values"][slugs[0]]["sd"] == {"value": None, "why": "one run: no variance known"}
    assert row["verdict"]["value"] is None


def test_a_name_goes_before_the_beginning_of_several_slugs(project):
    found = document(project, "twin", "twin-2")
    assert [run["name"] for run in found["runs"]] == ["twin", "twin-2"]


def test_the_base_is_the_first_or_the_one_that_is_named(project):
    assert document(project, "new", "old")["runs"][0]["name"] == "new"
    found = document(project, "new", "old", "--base", "old")
    assert [run["name"] for run in found["runs"]] == ["old", "new"]
    found = document(project, "new", "lone", "--base", "old")
    assert [run["name"] for run in found["runs"]][:2] == ["old", "new"]
    assert {m["run"] for m in found["metrics"]} == {run["slug"] for run in found["runs"][1:]}


def test_runs_joined_by_commas_are_a_set(project):
    found = document(project, "old-0,old-2", "new-0,new-2,lone")
    assert [run["seeds"] for run in found["runs"]] == [[0, 2], [0, 2]]
    row = next(m for m in found["metrics"] if m["name"] == "val/loss")
    assert (row["test"], row["delta"]) == ("paired", pytest.approx(-0.105))
    assert any("is left out: differs in lr" in warning for warning in found["warnings"])


def test_runs_stand_for_their_seeds_if_asked(project):
    found = document(project, "old-0", "new-2", "--seeds")
    assert [sorted(run["seeds"]) for run in found["runs"]] == [[0, 1, 2], [0, 1, 2]]
    assert [run["name"] for run in found["runs"]] == ["old-0", "new-2"]
    row = next(m for m in found["metrics"] if m["name"] == "val/loss")
    assert (row["test"], row["delta"]) == ("paired", pytest.approx(-0.101667, abs=1e-6))


def test_a_single_run_is_compared_with_the_pinned_baseline(project):
    base = document(project, "old-0", "old-1")["base"]
    (project / "pinned.toml").write_text(f'[baseline]\ndefault = "{base}"\n')
    assert document(project, "new-1", "-f", "pinned.toml")["base"] == base


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("old",), "name two runs or groups to compare"),
        (("old-0", "old-0-"), "is named twice"),
        (("old", "nobody"), "no run named 'nobody'"),
        (("old", "new-"), "'new-' means 3 runs"),
    ],
)
def test_a_mistake_is_one_sentence(project, arguments, sentence):
    assert sentence in runpages("compare", *arguments, cwd=project, code=2).stderr
