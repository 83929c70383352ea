"""The command line as a user meets it: real processes, real folders."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runs import write_rundir, write_tensorboard

ENV = {**os.environ, "NO_COLOR": "1"}


def runpages(*arguments, cwd: Path, code: int = 0) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "runpages", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def previewed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("preview")
    write_rundir(folder / "logs" / "a", spike=80, name='<b>/.."emoji 🔥')
    write_tensorboard(folder / "logs" / "b")
    (folder / "logs" / "readme.txt").write_text("not a log")
    done = runpages("preview", "logs", "-o", "out", "--json", cwd=folder)
    return folder, json.loads(done.stdout), done


def test_preview_finds_every_run_and_builds_the_site(previewed):
    folder, document, _ = previewed
    assert document["schema"] == "runpages.preview/1"
    assert sorted(run["source"] for run in document["runs"]) == ["rundir", "tensorboard"]
    assert {"path": "readme.txt", "reason": "no source reads this file"} in document["skipped"]
    for run in document["runs"]:
        assert (folder / document["site"] / "runs" / run["slug"] / "index.html").is_file()
        assert run["points"] > 0


def test_a_hostile_name_is_shown_and_not_obeyed(previewed):
    folder, document, _ = previewed
    slug = next(run["slug"] for run in document["runs"] if run["source"] == "rundir")
    html = (folder / "out/site/runs" / slug / "index.html").read_text()
    assert '<b>/.."emoji' not in html
    assert "🔥" in html


def test_a_second_preview_builds_only_what_changed(previewed):
    folder, _, _ = previewed
    done = runpages("preview", "logs", "-o", "out", cwd=folder)
    assert "2 run pages (0 new or changed)" in done.stdout


def test_a_preview_never_takes_over_another_project(tmp_path):
    write_rundir(tmp_path / "logs" / "a")
    (tmp_path / "runpages.toml").write_text("")
    done = runpages("preview", "logs", "-o", ".", cwd=tmp_path, code=2)
    assert "no preview folder" in done.stderr
    assert (tmp_path / "runpages.toml").read_text() == ""


def test_from_an_empty_folder_to_pages(tmp_path):
    write_rundir(tmp_path / "logs" / "first", spike=80)
    out = runpages("init", cwd=tmp_path).stdout
    assert "wrote runpages.toml" in out
    assert "1 new or changed" in runpages("pull", cwd=tmp_path).stdout
    assert "0 new or changed, 1 unchanged" in runpages("pull", cwd=tmp_path).stdout
    assert "1 pages written" in runpages("build", cwd=tmp_path).stdout
    listed = json.loads(runpages("list", "--json", cwd=tmp_path).stdout)
    (row,) = listed["runs"]
    assert listed["schema"] == "runpages.list/1"
    assert row["events"]["warning"] == 1
    assert "first" in runpages("list", cwd=tmp_path).stdout
    shown = json.loads(runpages("show", "first", "--json", cwd=tmp_path).stdout)
    assert shown["slug"] == row["slug"]
    assert shown["events"][0]["kind"] == "spike"
    said = runpages("show", row["slug"][:8], cwd=tmp_path).stdout
    assert "[warning] Loss" in said
    assert "on the site: full, with the finer levels of its charts" in said


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ("[site]\nfull_runs = 0\n", "light, without finer levels of its charts"),
        ('[publish]\ninclude = ["others/*"]\n', "no page ([publish] include leaves it out)"),
    ],
)
def test_show_tells_what_the_site_has_of_a_run(tmp_path, settings, level):
    write_rundir(tmp_path / "logs" / "first")
    (tmp_path / "runpages.toml").write_text(
        f'{settings}[[source]]\nkind = "auto"\nlocation = "logs"\n'
    )
    runpages("pull", cwd=tmp_path)
    assert f"on the site: {level}\n" in runpages("show", "first", cwd=tmp_path).stdout


def test_init_adds_itself_to_an_existing_site(tmp_path):
    original = "site_name: Ours # keep\nplugins:\n  # comment\n  - search\nnav:\n  - index.md\n"
    (tmp_path / "mkdocs.yml").write_text(original)
    runpages("init", cwd=tmp_path)
    text = (tmp_path / "mkdocs.yml").read_text()
    assert text == original.replace("  - search\n", "  - runpages\n  - search\n")
    assert "/docs/runs/" in (tmp_path / ".gitignore").read_text()
    runpages("init", cwd=tmp_path)
    assert (tmp_path / "mkdocs.yml").read_text() == text


def test_doctor_names_every_file_that_is_not_read(previewed):
    folder, _, _ = previewed
    document = json.loads(runpages("doctor", "logs", "--json", cwd=folder).stdout)
    assert document["schema"] == "runpages.doctor/1"
    assert sorted(run["source"] for run in document["runs"]) == ["rundir", "tensorboard"]
    assert document["skipped"] == [{"path": "readme.txt", "reason": "no source reads this file"}]
    said = runpages("doctor", "logs", cwd=folder).stdout
    assert "2 runs: rundir 1, tensorboard 1" in said
    assert "  readme.txt: no source reads this file" in said
    runpages("doctor", "nowhere", cwd=folder, code=2)


def test_doctor_alone_tells_what_is_installed(tmp_path):
    document = json.loads(runpages("doctor", "--json", cwd=tmp_path).stdout)
    assert document["sources"]["tensorboard"] == "ready"
    assert document["plotly_bundle"]["bytes"] > 1_000_000
    assert "tensorboard" in runpages("doctor", cwd=tmp_path).stdout


def test_sources_lists_what_can_be_read(tmp_path):
    document = json.loads(runpages("sources", "--json", cwd=tmp_path).stdout)
    assert {row["name"] for row in document["sources"]} >= {"wandb", "tensorboard", "rundir"}


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["preview", "nowhere"], 2, "nowhere: there is no such file or folder"),
        (["pull"], 2, "runpages.toml: there is no such file"),
        (["build", "-f", "bad.toml"], 2, "bad.toml:1: unknown key 'sites'"),
        (["show", "x", "-f", "good.toml"], 2, "no run named 'x'"),
        (["pull", "mlflow", "-f", "good.toml"], 2, "no source named 'mlflow'"),
        (["pull", "-f", "kind.toml"], 2, "no source named 'mlfow'; there are: clearml"),
        (["pull", "--since", "soon", "-f", "good.toml"], 2, "a date like"),
    ],
)
def test_a_mistake_is_one_sentence_and_its_exit_code(tmp_path, arguments, code, sentence):
    (tmp_path / "bad.toml").write_text("[sites]\n")
    (tmp_path / "good.toml").write_text("")
    (tmp_path / "kind.toml").write_text("[[source]]\nkind='mlfow'\nlocation='.'\n")
    done = runpages(*arguments, cwd=tmp_path, code=code)
    assert sentence in done.stderr


def test_a_damaged_log_ends_in_3_and_keeps_its_good_part(tmp_path):
    folder = write_rundir(tmp_path / "logs" / "a", steps=50)
    with (folder / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 50, "train/lo')
    runpages("init", cwd=tmp_path)
    done = runpages("pull", cwd=tmp_path, code=3)
    assert "metrics.jsonl ends in the middle of line 51" in done.stderr
    shown = json.loads(runpages("show", "a", "--json", cwd=tmp_path).stdout)
    assert shown["provenance"]["records_damaged"] == 1
    assert shown["incomplete"] is True
    assert shown["figures"]["steps"]["value"] == 49


def test_strict_pull_refuses_a_secret_but_keeps_it_out_of_the_archive(tmp_path):
    secret = "hf_" + "A1b2" * 9
    write_rundir(tmp_path / "logs" / "a", config={"hub_token": secret, "note": f"use {secret}"})
    runpages("init", cwd=tmp_path)
    done = runpages("pull", "--strict", cwd=tmp_path, code=4)
    assert "secrets were found" in done.stderr
    archived = b"".join(p.read_bytes() for p in (tmp_path / "archive").rglob("*") if p.is_file())
    assert secret.encode() not in archived
    assert b"[redacted:" in archived


def test_what_is_there_but_cannot_be_opened_ends_in_3(tmp_path):
    write_rundir(tmp_path / "logs" / "good")
    (tmp_path / "logs" / "loop").symlink_to("loop")
    (tmp_path / "logs" / "gone").symlink_to("nowhere")
    runpages("init", cwd=tmp_path)
    done = runpages("pull", cwd=tmp_path, code=3)
    assert "1 new or changed" in done.stdout
    assert "loop: cannot be opened: Too many levels of symbolic links" in done.stderr
    assert "gone: is a link to nothing" in done.stderr
