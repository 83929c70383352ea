"""Which tables with steps are logs of a training, and how their rows are told apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runpages.model import Run
from runpages.sources.tabular import Tabular


def table(*rows: str) -> str:
    return "".join(f"{row}\n" for row in rows)


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(root: Path, name: str, text: str) -> Run:
    (root / name).write_text(text)
    source = Tabular(str(root))
    (ref,) = source.discover()
    return source.read(ref)


def points(run: Run, name: str) -> list[tuple[int, float]]:
    recorded = run.series[name].recorded
    return list(zip(recorded.step.tolist(), recorded.value.tolist(), strict=True))


TRANSACTIONS = table(
    "step,type,amount,oldbalance,newbalance,target",
    "1,PAYMENT,9839.64,170136.0,160296.36,M1979",
    "1,TRANSFER,181.0,181.0,0.0,C5532",
    "2,PAYMENT,7817.71,53860.0,46042.29,M5736",
)
THERMO = table("Step,Temp,Press,PotEng", "0,3.0,-3.7,-6.77", "100,1.65,-1.2,-4.75")
CLUSTERS = table("Wait rate;Iterations;Mean size;Time", "1.01;0;9.3;0", "1.01;50000;26.7;716")
FOLDS = "fold,epoch,train_loss,val_loss\n" + "".join(
    f"{fold},{epoch},{1 / (epoch + fold)},0.5\n" for fold in (1, 2) for epoch in (1, 2, 3)
)
SEEDS = "step,seed,reward\n" + "".join(
    f"{step},{seed},{step + seed}\n" for step in (0, 10, 20) for seed in (7, 8)
)
TASKS = "step,task,accuracy\n" + "".join(
    f"{step},{task},0.5\n" for step in (1000, 2000) for task in ("arc", "boolq", "piqa")
)
BEST = table("model,epoch,accuracy", "resnet18,87,0.91", "resnet50,88,0.93", "vit_b,90,0.95")


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("payments.csv", TRANSACTIONS, "nothing in it has the name of what a training measures"),
        ("thermo.csv", THERMO, "(`PotEng`, `Press`, `Temp`)"),
        ("simulation.csv", CLUSTERS, "call the file metrics.csv or metrics.jsonl"),
        ("history.csv", FOLDS, "its rows are of several runs, told apart by `fold`: split it by"),
        ("results.csv", SEEDS, "told apart by `seed`"),
        ("results.csv", TASKS, "told apart by `task`"),
        ("leaderboard.csv", BEST, "told apart by `model`"),
    ],
)
def test_other_tables_with_steps_are_no_runs(
    tmp_path: Path, name: str, text: str, why: str
) -> None:
    (tmp_path / name).write_text(text)
    source = Tabular(str(tmp_path))
    assert list(source.discover()) == []
    ((_, reason),) = source.skipped
    assert why in reason


@pytest.mark.parametrize(
    "text",
    [
        # a restart on another host
        table("epoch,host,loss", "1,a,3", "2,a,2", "2,b,2", "3,b,1"),
        # a stamp in no known form, and a file, in each row
        table("step,at time,ckpt,loss", "1,Mon Jan  5,a.pt,3", "2,Mon Jan  5,b.pt,2"),
        # rows of batches within an epoch
        table("epoch,batch,loss", "1,0,3", "1,1,2.5", "2,0,2", "2,1,1.5"),
        table("step,seed,loss", "1,42,3", "2,42,2"),
        table("Wall time,Step,Value", "1790000000.5,1,3", "1790000001.5,2,2"),
        table("epoch,MeanEpRet,x", "1,0.5,1", "2,0.75,1"),
    ],
)
def test_logs_of_one_training_are_runs(tmp_path: Path, text: str) -> None:
    run = read(tmp_path, "table.csv", text)
    assert run.provenance.records_read == len(text.splitlines()) - 1


def test_a_column_tells_training_from_validation(tmp_path: Path) -> None:
    text = table("epoch,phase,loss,acc", "1,train,3,0.1", "1,val,4,0.05", "2,train,2,", "2,val,3,")
    run = read(tmp_path, "table.csv", text)
    assert list(run.series) == ["loss", "acc", "val/loss", "val/acc"]
    assert points(run, "loss") == [(1, 3), (2, 2)]
    assert points(run, "val/loss") == [(1, 4), (2, 3)]
    assert run.series.info("val/loss").role == "val_loss"
    assert run.provenance.warnings == ()


def test_validation_with_names_of_its_own_keeps_them(tmp_path: Path) -> None:
    rows = [{"step": 1, "split": "train", "train_loss": 3}, {"step": 1, "split": "val", "acc": 0.5}]
    run = read(tmp_path, "table.jsonl", lines(*rows))
    assert list(run.series) == ["train_loss", "acc"]


def test_validation_may_come_late(tmp_path: Path) -> None:
    """mmcv 1 writes its environment first, and numbers iterations anew in each epoch."""
    rows: list[object] = [{"env_info": "Python: 3.7\n" * 20, "seed": 0}]
    for epoch in (1, 2):
        where = {"mode": "train", "epoch": epoch}
        rows += [{**where, "iter": i, "lr": 0.1, "loss": 1 / i} for i in range(1, 1201)]
        rows.append({"mode": "val", "epoch": epoch, "iter": 63, "lr": 0.1, "val_acc": epoch / 4})
    text = lines(*rows)
    assert text.index("val") > 64 << 10
    run = read(tmp_path, "20260901.log.json", text)
    assert len(run.attempts) == 1
    assert run.provenance.step_source == "epoch (`iter` begins anew in each)"
    assert points(run, "val_acc") == [(1, 0.25), (2, 0.5)]
    assert points(run, "val/lr") == [(1, 0.1), (2, 0.1)]
    assert len(points(run, "loss")) == 2400


def test_rows_of_metrics_may_be_called_events(tmp_path: Path) -> None:
    rows = [{"event": "config", "lr": 0.1}]
    rows += [{"event": "step", "step": step, "train/loss": 9 - step} for step in range(3)]
    run = read(tmp_path, "train_log.jsonl", lines(*rows))
    assert points(run, "train/loss") == [(0, 9), (1, 8), (2, 7)]


@pytest.mark.parametrize(
    ("name", "delimiter"), [("training.log", ","), ("progress.txt", "\t"), ("a.log", ";")]
)
def test_cells_under_a_header_need_no_suffix_of_their_own(
    tmp_path: Path, name: str, delimiter: str
) -> None:
    text = table("Epoch,AverageEpRet,loss", "0,22.5,0.5", "1,20.25,0.25").replace(",", delimiter)
    run = read(tmp_path, name, text)
    assert points(run, "loss") == [(0, 0.5), (1, 0.25)]
    assert run.provenance.step_unit == "epochs"


@pytest.mark.parametrize(
    "text",
    [
        "step, by step we go on\nand on, and on\n",
        "epoch,loss\n",
        "epoch,loss\nEpoch 1, loss 0.5\nEpoch 2, loss 0.25\n",
    ],
)
def test_texts_with_commas_are_left_to_others(tmp_path: Path, text: str) -> None:
    (tmp_path / "notes.txt").write_text(text)
    source = Tabular(str(tmp_path))
    assert list(source.discover()) == []
    assert source.skipped == []


def test_evaluations_that_mmengine_numbers_by_epoch(tmp_path: Path) -> None:
    rows = []
    for epoch in (1, 2, 3):
        for iteration in (50, 100):
            step = 100 * (epoch - 1) + iteration
            where = {"epoch": epoch, "iter": step, "step": step}
            rows.append({"lr": 0.02, "loss": 3 - epoch, "time": 0.25, **where})
        rows.append({"coco/bbox_mAP": epoch / 8, "time": 0.5, "step": epoch})
    run = read(tmp_path, "scalars.json", lines(*rows))
    assert len(run.attempts) == 1
    assert points(run, "coco/bbox_mAP") == [(100, 0.125), (200, 0.25), (300, 0.375)]
    assert points(run, "time") == [(step, 0.25) for step in range(50, 350, 50)]
    assert points(run, "val/time") == [(100, 0.5), (200, 0.5), (300, 0.5)]
    (told,) = run.provenance.warnings
    assert told == (
        "scalars.json: 3 evaluations of which `step` is the epoch; they stand at the last `iter`"
        " that was logged before"
    )


def test_evaluations_that_mmengine_numbers_by_iteration(tmp_path: Path) -> None:
    rows = []
    for step in (50, 100):
        rows.append({"loss": 1, "epoch": 1, "iter": step, "step": step})
        rows.append({"mIoU": step, "step": step})
    run = read(tmp_path, "scalars.json", lines(*rows))
    assert points(run, "mIoU") == [(50, 50), (100, 100)]
    assert run.provenance.warnings == ()


def tune(folder: Path, iterations: int) -> None:
    """The files of Ray Tune's JSON and CSV loggers, which every trial has."""
    rows = [
        {
            "episode_reward_mean": 20.0 + i,
            "info": {"learner": {"loss": 1.5 - i}},
            "hist_stats": {"episode_reward": [1.0, 2.0]},
            "training_iteration": i + 1,
            "timesteps_total": 4000 * (i + 1),
            "date": "2026-09-01_12-00-00",
            "timestamp": 1_790_000_000 + i,
            "hostname": "node",
            "config": {"lr": 0.0005, "env": "CartPole-v1", "model": {"fcnet_hiddens": [256]}},
        }
        for i in range(iterations)
    ]
    folder.mkdir()
    (folder / "result.json").write_text(lines(*rows))
    cells = [f"{r['episode_reward_mean']},{r['training_iteration']}" for r in rows]
    (folder / "progress.csv").write_text(table("episode_reward_mean,training_iteration", *cells))
    (folder / "params.json").write_text('{"lr": 0.0005}')


@pytest.mark.parametrize("iterations", [1, 3])
def test_the_two_logs_of_a_trial_of_ray_tune_are_one_run(tmp_path: Path, iterations: int) -> None:
    tune(tmp_path / "PPO_0", iterations)
    source = Tabular(str(tmp_path))
    (ref,) = source.discover()
    run = source.read(ref)
    assert source.skipped == []
    assert ref.run_id == f"PPO_0/{'result.json' if iterations > 1 else 'progress.csv'}"
    assert points(run, "episode_reward_mean") == [(i + 1, 20.0 + i) for i in range(iterations)]
    assert not [name for name in run.series if name.startswith("config")]
    assert run.config == {"lr": 0.0005}
    assert run.start == (1_790_000_000 if iterations > 1 else None)


def test_settings_in_the_rows_are_settings(tmp_path: Path) -> None:
    tune(tmp_path / "PPO_0", 400)
    (tmp_path / "PPO_0" / "params.json").unlink()
    source = Tabular(str(tmp_path))
    (ref,) = source.discover()
    run = source.read(ref)
    assert run.config == {"lr": 0.0005, "env": "CartPole-v1"}
    assert points(run, "info.learner.loss") == [(i + 1, 1.5 - i) for i in range(400)]
    assert not [name for name in run.series if name.startswith("config")]


def test_the_same_rows_as_csv_and_json_are_one_run(tmp_path: Path) -> None:
    (tmp_path / "progress.csv").write_text(table("total_timesteps,loss", "1,3", "2,2"))
    rows = [{"total_timesteps": 1, "loss": 3}, {"total_timesteps": 2, "loss": 2}]
    (tmp_path / "progress.json").write_text(lines(*rows))
    (tmp_path / "other.json").write_text(lines(*rows))
    assert [ref.run_id for ref in Tabular(str(tmp_path)).discover()] == [
        "other.json",
        "progress.csv",
    ]


def test_settings_of_ultralytics(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(
        table(
            "                  epoch,         train/box_loss,       metrics/mAP50(B)",
            "                      1,                 1.2345,                0.12345",
            "                      2,                 1.0000,                    nan",
        )
    )
    (tmp_path / "args.yaml").write_text("task: detect\nlr0: 0.01\n")
    source = Tabular(str(tmp_path))
    (ref,) = source.discover()
    run = source.read(ref)
    assert run.config == {"task": "detect", "lr0": 0.01}
    assert points(run, "train/box_loss") == [(1, 1.2345), (2, 1.0)]
    assert run.series["metrics/mAP50(B)"].value.tolist()[0] == 0.12345


def test_the_log_of_llama_factory_beside_checkpoints_says_so(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-10").mkdir()
    row = {"current_steps": 10, "total_steps": 20, "loss": 1.5, "elapsed_time": "0:02:55"}
    run = read(tmp_path, "trainer_log.jsonl", lines(row))
    assert run.provenance.warnings == (
        "the Trainer's checkpoints lie beside it: they log the same training",
        "trainer_log.jsonl:1: 'elapsed_time' is no number; left out (1 row)",
    )
