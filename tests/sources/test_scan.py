"""One walk finds the logs of every source and says why other files are not read."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboardX import SummaryWriter

from runpages import log
from runpages.errors import UsageError
from runpages.sources import open_source, sniff
from runs import write_tensorboard

NOBODY = 65534
SEARCHED = os.pathsep.join(sys.path)


def write_tree(root: Path) -> None:
    """A run directory, a TensorBoard run and a W&B run side by side."""
    with log.start(root / "plain") as run:
        run.metrics(1, {"loss": 1.0})
    with SummaryWriter(str(root / "board")) as writer:
        writer.add_scalar("loss", 1.0, 1)
    code = (
        "import sys, wandb\n"
        "run = wandb.init(project='p', id='abc', mode='offline', dir=sys.argv[1],"
        " settings=wandb.Settings(x_disable_stats=True))\n"
        "run.log({'loss': 1.0}); run.finish()"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    environment |= {
        "WANDB_SILENT": "true",
        "WANDB_DATA_DIR": str(root.parent / "staging"),
        "WANDB_CACHE_DIR": str(root.parent / "cache"),
        "WANDB_CONFIG_DIR": str(root.parent / "config"),
    }
    subprocess.run(
        [sys.executable, "-c", code, str(root)],
        check=True, cwd=root.parent, env=environment, timeout=120, capture_output=True,
    )  # fmt: skip


def test_every_kind_is_found_in_one_tree(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    root.mkdir()
    write_tree(root)
    (root / "plain" / "photo.png").write_bytes(b"\x89PNG")
    (root / ".git").mkdir()
    (root / ".git" / "metrics.jsonl").write_text('{"step": 1, "loss": 1}\n', encoding="utf-8")
    found = sniff(root)
    assert Counter(ref.kind for ref in found.runs) == {"wandb": 1, "tensorboard": 1, "rundir": 1}
    assert len({ref.slug for ref in found.runs}) == 3
    assert ("plain/photo.png", "no source reads an image that no run names") in found.skipped
    assert not [path for path, _ in found.skipped if path.startswith((".git", "board"))]
    for ref in found.runs:
        run = open_source(ref.kind, str(root)).read(ref)
        assert run.series["loss"].value.tolist() == [1.0]


def test_order_does_not_depend_on_the_order_of_creation(tmp_path: Path) -> None:
    orders = []
    for parent, names in (("one", ("b", "a", "c")), ("two", ("c", "a", "b"))):
        root = tmp_path / parent / "logs"
        for name in names:
            log.start(root / name).metrics(1, {"loss": 1.0})
        orders.append([ref.run_id for ref in sniff(root).runs])
    assert orders == [["a", "b", "c"]] * 2


def test_a_missing_path_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file or folder"):
        sniff(tmp_path / "missing")


def test_an_empty_folder_has_no_runs(tmp_path: Path) -> None:
    assert sniff(tmp_path) == type(sniff(tmp_path))(runs=(), skipped=())


def test_a_link_to_a_folder_above_ends(tmp_path: Path) -> None:
    log.start(tmp_path / "run").metrics(1, {"loss": 1.0})
    (tmp_path / "run" / "loop").symlink_to(tmp_path)
    assert len(sniff(tmp_path).runs) == 1


def test_a_link_to_a_folder_elsewhere_is_told(tmp_path: Path) -> None:
    log.start(tmp_path / "other" / "run").metrics(1, {"loss": 1.0})
    root = tmp_path / "logs"
    log.start(root / "own").metrics(1, {"loss": 1.0})
    (root / "linked").symlink_to(tmp_path / "other")
    (root / "latest").symlink_to(root / "own")
    found = sniff(root)
    assert [ref.run_id for ref in found.runs] == ["own"]
    ((path, why),) = found.skipped
    assert path == "linked"
    assert "link to a folder elsewhere" in why
    source = open_source("rundir", str(root))
    assert [ref.run_id for ref in source.discover()] == ["own"]
    assert len(source.skipped) == 1


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    for name in ("metrics.jsonl", "events.jsonl", "a.tfevents.1", "run-x.wandb"):
        os.mkfifo(tmp_path / name)
    code = (
        "import sys; from runpages.sources import sniff; found = sniff(sys.argv[1])\n"
        "print(len(found.runs), sorted(found.skipped))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        check=True, capture_output=True, text=True, timeout=60, env={"PYTHONPATH": SEARCHED},
    )  # fmt: skip
    assert done.stdout.startswith("0 ")
    assert done.stdout.count("is no regular file") == 4


def test_a_link_to_nothing_is_reported(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").symlink_to(tmp_path / "gone")
    ((path, why),) = sniff(tmp_path).skipped
    assert path == "metrics.jsonl"
    assert why


# what root may read, root's tests cannot show: the child gives its rights away once all is loaded
AS_NOBODY = f"""
import os, sys
from runpages.sources import SOURCES, load_source, open_source, sniff

kinds = [load_source(kind) for kind in SOURCES]
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
found = sniff(sys.argv[1])
for path, why in found.skipped:
    print("skipped", path, why)
for ref in found.runs:
    run = open_source(ref.kind, sys.argv[1]).read(ref)
    print("run", ref.run_id, len(run.series), *run.provenance.warnings)
"""


@pytest.fixture
def visible() -> Iterator[Path]:
    """A folder that other users may enter; pytest's own are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        (Path(folder) / "closed").chmod(0o700)


def test_what_may_not_be_read_is_reported_and_the_rest_is_read(visible: Path) -> None:
    for name in ("closed", "file", "open"):
        log.start(visible / name).metrics(1, {"loss": 1.0})
    with SummaryWriter(str(visible / "board")) as writer:
        writer.add_scalar("loss", 1.0, 1)
    (events,) = (visible / "board").iterdir()
    (visible / "open" / "samples.jsonl").touch()
    for path in (
        visible / "closed",
        visible / "file" / "metrics.jsonl",
        visible / "open" / "samples.jsonl",
        events,
    ):
        path.chmod(0)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(visible)],
        check=False, capture_output=True, text=True, timeout=60, env={"PYTHONPATH": SEARCHED},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    denied = "cannot be opened: Permission denied"
    assert [line for line in said if line.startswith("skipped")] == [
        f"skipped closed {denied}",
        f"skipped board/{events.name} {denied}",
        f"skipped file/metrics.jsonl {denied}",
    ]
    (run,) = [line for line in said if line.startswith("run")]
    assert run.startswith("run open 1 samples.jsonl: cannot be ")
    assert "Permission denied" in run
    assert run.endswith("; left out")


@pytest.mark.acceptance
def test_real_logs_raise_nothing(shared: Path) -> None:
    root = shared / "data" / "logs"
    found = sniff(root)
    print(Counter(ref.kind for ref in found.runs), len(found.skipped))
    assert {ref.kind for ref in found.runs} >= {"tensorboard", "wandb"}
    assert len({ref.slug for ref in found.runs}) == len(found.runs)
    for path, why in found.skipped:
        assert not path.startswith("/")
        assert why
    for ref in found.runs:
        run = open_source(ref.kind, str(root)).read(ref)
        for series in run.series.values():
            if series.info.axis == "step":
                for attempt in run.attempts:
                    steps = series.attempt(attempt.number).step
                    assert (steps[1:] >= steps[:-1]).all()


@pytest.mark.parametrize("kind", ["rundir", "tensorboard", "trainer", "dvclive", "monitor"])
def test_the_root_and_a_folder_of_its_name_are_two_runs(tmp_path: Path, kind: str) -> None:
    content = {
        "rundir": ("metrics.jsonl", '{"step": 1, "loss": 1}\n'),
        "trainer": ("trainer_state.json", '{"log_history": [{"step": 1, "loss": 1.0}]}'),
        "dvclive": ("plots/metrics/loss.tsv", "step\tloss\n1\t2.0\n"),
        "monitor": ("monitor.csv", '#{"t_start": 1e9, "env_id": "e"}\nr,l,t\n1,2,3\n'),
    }
    root = tmp_path / "logs"
    for folder in (root, root / "logs"):
        if kind == "tensorboard":
            write_tensorboard(folder, steps=2)
        else:
            name, text = content[kind]
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    refs = list(open_source(kind, str(root)).discover())
    assert [ref.kind for ref in refs] == [kind, kind]
    assert len({ref.slug for ref in refs}) == 2
    assert {ref.name for ref in refs} == {"logs"}
    # and the one in the root keeps its name when the other one is gone
    alone = root / "logs"
    for path in sorted(alone.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    alone.rmdir()
    (ref,) = open_source(kind, str(root)).discover()
    assert (ref.run_id, ref.slug in {r.slug for r in refs}) == ("logs", True)


def test_a_pointer_of_git_lfs_is_no_log(tmp_path: Path) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 45778\n"
    for name in ("trainer_state.json", "data.csv", "model.safetensors"):
        (tmp_path / name).write_text(pointer)
    (tmp_path / "training_log.jsonl").write_text('{"step": 1, "loss": 1}\n')
    found = sniff(tmp_path)
    assert [ref.kind for ref in found.runs] == ["tabular"]
    reasons = dict(found.skipped)
    why = "only Git LFS' pointer to the file is here: fetch it with `git lfs pull`"
    assert reasons["trainer_state.json"] == why
    assert reasons["data.csv"] == f"no source reads this file: {why}"
    source = open_source("trainer", str(tmp_path))
    assert list(source.discover()) == []
    assert source.skipped == [(str(tmp_path / "trainer_state.json"), why)]
