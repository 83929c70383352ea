"""Notes, verdicts and ratings as their authors give them: real processes, a real archive."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runs import write_rundir


def runpages(*arguments, cwd: Path, code: int = 0, stdin: str = "", **environment):
    command = [sys.executable, "-m", "runpages", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, "NO_COLOR": "1", **environment}, capture_output=True,
        text=True, check=False, input=stdin,
    )  # fmt: skip
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    write_rundir(folder / "logs" / "a", name="tiny")
    runpages("preview", "logs", "-o", "out", cwd=folder)
    return folder / "out"


@pytest.fixture
def project(built, tmp_path) -> tuple[Path, str]:
    """A project of one run, its folder and slug; each test has its own copy."""
    shutil.copytree(built, tmp_path / "out")
    (slug,) = [path.name for path in (tmp_path / "out/archive/runs").iterdir()]
    return tmp_path / "out", slug


def notes_of(folder: Path, slug: str) -> list[dict]:
    paths = sorted((folder / "archive/runs" / slug / "notes").glob("*.json"))
    return [json.loads(path.read_text()) for path in paths]


def test_a_verdict_stands_on_the_page_after_the_next_build(project):
    folder, slug = project
    runpages("verdict", "tiny", "failed", "too **hot**", "--author", "Ana", cwd=folder)
    runpages("verdict", "tiny", "mixed", "on reflection", "--author", "Bo", cwd=folder)
    built = runpages("build", "--json", cwd=folder)
    assert json.loads(built.stdout)["written"] == [slug]
    rows = json.loads(runpages("list", "--json", cwd=folder).stdout)["runs"]
    assert rows[0]["verdict"] == "mixed"
    page = (folder / "docs/runs" / f"{slug}.md").read_text()
    assert "on reflection" in page
    assert "<strong>hot</strong>" in page


@pytest.mark.parametrize("way", ["argument", "file", "stdin"])
def test_the_text_of_a_note_comes_three_ways(project, way):
    folder, slug = project
    (folder / "note.md").write_text("look at *this*\n")
    given = {"argument": ["look at *this*"], "file": ["--file", "note.md"], "stdin": []}[way]
    done = runpages(
        "note", "tiny", *given, "--author", "Ana", "--json", cwd=folder, stdin="look at *this*\n"
    )
    document = json.loads(done.stdout)
    (note,) = notes_of(folder, slug)
    assert document["schema"] == "runpages.note/1"
    assert document["run"] == slug
    assert document["note"] == note
    assert (folder / document["file"]).is_file()
    assert (note["author"], note["kind"], note["text"]) == ("Ana", "note", "look at *this*")


def test_the_author_is_gits_else_the_user(project):
    folder, slug = project
    nobody = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
              "GIT_CEILING_DIRECTORIES": str(folder.parent)}  # fmt: skip
    runpages("note", "tiny", "x", cwd=folder, USER="ursula", **nobody)
    told = runpages("note", "tiny", "x", cwd=folder, code=2, USER="", **nobody)
    assert "name yourself with --author" in told.stderr
    config = folder / "gitconfig"
    config.write_text("[user]\nname = Grace\n")
    runpages(
        "note", "tiny", "x", cwd=folder, USER="u", **nobody | {"GIT_CONFIG_GLOBAL": str(config)}
    )
    assert [note["author"] for note in notes_of(folder, slug)] == ["ursula", "Grace"]


def test_a_rating_names_a_sample_of_the_run(project):
    folder, slug = project
    told = runpages(
        *("rate", "tiny", "--sample", "no", "--scale", "1-5", "--value", 3), cwd=folder, code=2
    )
    known = told.stderr.strip().rpartition("there are: ")[2]
    done = runpages(
        *("rate", "tiny", "--sample", known, "--scale", "1-5", "--value", 3, "--rater", "Ana"),
        "--json",
        cwd=folder,
    )
    rating = json.loads(done.stdout)["note"]
    assert {key: rating[key] for key in ("author", "sample", "scale", "value", "prompt")} == {
        "author": "Ana", "sample": known, "scale": "1-5", "value": 3.0, "prompt": "once",
    }  # fmt: skip
    told = runpages(
        *("rate", "tiny", "--sample", known, "--scale", "1-5", "--value", 9, "--rater", "Ana"),
        cwd=folder,
        code=2,
    )
    assert "value 9.0 is not within the scale 1-5" in told.stderr
    assert len(notes_of(folder, slug)) == 1


def test_a_secret_in_a_note_is_not_kept(project):
    folder, slug = project
    secret = "ghp_" + "a1B2" * 9
    done = runpages("note", "tiny", f"token {secret}", "--author", "A", "--json", cwd=folder)
    assert secret not in done.stdout
    assert secret not in json.dumps(notes_of(folder, slug))
    assert "1 secret(s)" in done.stderr


def test_a_secret_that_somebody_pasted_into_a_file_stays_off_the_page(project):
    folder, slug = project
    runpages("note", "tiny", "stays", "--author", "A", cwd=folder)
    (path,) = (folder / "archive/runs" / slug / "notes").glob("*.json")
    secret = "ghp_" + "a1B2" * 9
    path.write_text(path.read_text().replace("stays", f"stays {secret}"))
    runpages("build", cwd=folder)
    written = [p.read_text() for p in (folder / "docs/runs").rglob(f"*{slug}*") if p.is_file()]
    written += [p.read_text() for p in (folder / f"docs/runs/assets/runs/{slug}").glob("*.json")]
    assert any("stays" in text for text in written)
    assert not [text for text in written if secret in text.replace("&#95;", "_")]


def test_show_tells_what_people_said(project):
    folder, _ = project
    runpages("verdict", "tiny", "mixed", "so so", "--author", "Ana", cwd=folder)
    assert "verdict mixed by Ana" in runpages("show", "tiny", cwd=folder).stdout


def test_a_note_that_somebody_broke_is_said_and_the_others_stay(project):
    folder, slug = project
    runpages("note", "tiny", "stays here", "--author", "Ana", cwd=folder)
    (folder / "archive/runs" / slug / "notes/hand.json").write_text("{broken")
    done = runpages("build", cwd=folder)
    assert f"{slug}: notes/hand.json: Expecting property name" in done.stderr
    page = (folder / "docs/runs" / f"{slug}.md").read_text()
    assert "stays here" in page


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"value": 9}, "value 9.0 is not within the scale 1-5"),
        ({"value": "high"}, "'value' is 'high' where a number was expected"),
        ({"scale": "5-1"}, "scale '5-1' is not of the form 1-5"),
        ({"kind": "raiting"}, "kind 'raiting' is none of note, verdict, rating"),
    ],
)
def test_a_rating_that_somebody_edited_badly_is_named_with_its_file(project, edit, told):
    folder, slug = project
    wrong = runpages(
        *("rate", "tiny", "--sample", "no", "--scale", "1-5", "--value", 3), cwd=folder, code=2
    )
    known = wrong.stderr.strip().rpartition("there are: ")[2]
    for rater in ("Ana", "Bo"):
        given = ("--sample", known, "--scale", "1-5", "--value", 3, "--rater", rater)
        runpages("rate", "tiny", *given, cwd=folder)
    (path,) = (folder / "archive/runs" / slug / "notes").glob("*-ana-rating.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | edit, indent=2))
    done = runpages("build", cwd=folder)
    assert done.stderr.count(path.name) == 1
    assert f"{slug}: notes/{path.name}: {told}" in done.stderr
    page = (folder / "docs/runs" / f"{slug}.md").read_text()
    assert "1 rating" in page
    assert "2 ratings" not in page


@pytest.mark.parametrize(
    "arguments", [("note", "tiny", " "), ("verdict", "tiny", "great"), ("note", "nobody", "x")]
)
def test_a_mistake_is_a_sentence(project, arguments):
    folder, slug = project
    assert "Error: " in runpages(*arguments, cwd=folder, code=2).stderr
    assert notes_of(folder, slug) == []


def test_a_withdrawn_run_is_gone_and_its_page_says_why(project):
    folder, slug = project
    runpages("withdraw", "tiny", "--reason", "  ", cwd=folder, code=2)
    told = json.loads(
        runpages("withdraw", "tiny", "--reason", "wrong <data>", "--json", cwd=folder).stdout
    )
    assert (told["schema"], told["run"], told["reason"]) == (
        "runpages.withdraw/1", slug, "wrong <data>",
    )  # fmt: skip
    assert json.loads(runpages("build", "--json", cwd=folder).stdout)["withdrawn"] == [slug]
    assert [path.name for path in (folder / "archive/runs" / slug).iterdir()] == ["run.json"]
    page = (folder / "docs/runs" / f"{slug}.md").read_text()
    assert "wrong &lt;data&gt;" in page or "wrong &#60;data&#62;" in page
    runpages("pull", cwd=folder)
    assert json.loads(runpages("list", "--json", cwd=folder).stdout)["runs"] == []
