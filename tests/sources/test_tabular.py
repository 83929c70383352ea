"""Tables of metrics: what counts as a run, what its columns mean, and that speed changes nothing."""

from __future__ import annotations

import csv
import gzip
import json
import math
import os
import random
import struct
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runpages.errors import SourceError
from runpages.model import Run
from runpages.sources import Claim, Folder, sniff
from runpages.sources._tabular_blocks import Block, Form, Table
from runpages.sources._tabular_look import CLOCK_NAMES, STEP_NAMES
from runpages.sources._tabular_rows import Meaning, Rows
from runpages.sources._tabular_silence import Row, exploded, silent_rows
from runpages.sources._textfiles import Ledger
from runpages.sources.tabular import Tabular
from sources.conformance import SourceConformance, read_all

VALUES = [1.0, math.nan, math.inf, -math.inf, 0.1 + 0.2, 5e-324, -0.0, 1.7976931348623157e308]


class TestJsonLines(SourceConformance):
    kind = "tabular"
    log = "train_log.jsonl"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        with (root / "train_log.jsonl").open("w", encoding="utf-8") as stream:
            for step, value in enumerate(VALUES):
                stream.write(json.dumps({"step": step, "loss": value, "opt": {"lr": 0.5}}) + "\n")
        return {
            "loss": list(enumerate(VALUES)),
            "opt.lr": [(step, 0.5) for step in range(len(VALUES))],
        }


class TestLightning(SourceConformance):
    """The rows of its CSVLogger (csv.DictWriter over the union of the keys), with its folders."""

    kind = "tabular"
    log = "metrics.csv"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        folder = root / "lightning_logs" / "version_0"
        folder.mkdir(parents=True)
        (folder / "hparams.yaml").write_text("lr: 0.1\n")
        with (folder / "metrics.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, ["epoch", "step", "train_loss", "val_loss"])
            writer.writeheader()
            for step, value in enumerate(VALUES):
                writer.writerow({"epoch": 0, "step": step, "train_loss": value})
            writer.writerow({"epoch": 0, "step": 7, "val_loss": 0.25})
        return {
            "epoch": [*((step, 0.0) for step in range(8)), (7, 0.0)],
            "train_loss": list(enumerate(VALUES)),
            "val_loss": [(7, 0.25)],
        }


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(root: Path) -> Run:
    (run,) = read_all(Tabular(str(root)))
    return run


def points(run: Run, name: str) -> list[tuple[int, float]]:
    recorded = run.series[name].recorded
    return list(zip(recorded.step.tolist(), recorded.value.tolist(), strict=True))


# what is a run


@pytest.mark.parametrize("name", STEP_NAMES)
def test_each_name_of_a_step_is_known(tmp_path: Path, name: str) -> None:
    write(tmp_path / "log.csv", f"loss,{name}\n0.5,1\n0.25,2\n")
    run = read(tmp_path)
    assert points(run, "loss") == [(1, 0.5), (2, 0.25)]
    assert run.provenance.step_source == name


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ("epoch,step", "step"),
        ("_step,trainer/global_step", "trainer/global_step"),
        ("iter,Step", "Step"),
        ("Global Step,step", "Global Step"),
    ],
)
def test_the_best_step_is_taken(tmp_path: Path, names: str, taken: str) -> None:
    write(tmp_path / "log.csv", f"{names},loss\n1,1,0.5\n2,2,0.25\n")
    assert read(tmp_path).provenance.step_source == taken


def test_a_table_without_a_step_is_a_sentence(tmp_path: Path) -> None:
    write(tmp_path / "log.csv", "loss,lr\n1,2\n")
    source = Tabular(str(tmp_path))
    assert list(source.discover()) == []
    ((path, why),) = source.skipped
    assert path.endswith("log.csv")
    assert why == (
        "has no column that counts steps (it has `loss`, `lr`): add one named `step`, `iteration`"
        " or `epoch`"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.csv", "name,city\n" + "a,b\n" * 50),
        ("data.csv", "id,price\n1,2\n"),
        ("steps.csv", "step,description\n1,mix\n2,stir\n"),
        ("data.jsonl", lines({"step": 1, "text": "long " * 50, "score": 1}, {"step": 2})),
        ("wide.csv", "step,a,b,c,d,x\n1,p,q,r,s,1\n2,p,q,r,s,1\n"),
        ("prices.csv", "epoch,price\n1700000000,1.5\n1700000060,1.6\n"),
        ("events.jsonl", lines({"event": "checkpoint", "step": 1, "size_bytes": 3})),
        ("config.json", '{"step": 100, "loss": 0.5}\n'),
        ("pretty.json", '{\n "step": 100,\n "loss": 0.5\n}\n'),
        ("notes.txt", "step 1 loss 2\nstep 2 loss 1\n"),
        ("0.monitor.csv", '#{"t_start": 1.5}\nr,l,t\n1,2,3\n'),
        ("emissions.csv", "timestamp,duration,emissions,gpu_power\n2026-01-01T00:00:00,1,2,3\n"),
        (
            "gpu.csv",
            "timestamp, utilization.gpu [%], power.draw [W]\n2026/01/01 00:00:00, 0 %, 5 W\n",
        ),
        ("plots/metrics/loss.tsv", "step\tloss\n1\t2\n"),
        ("array.jsonl", "[1, 2]\n[3, 4]\n"),
        ("binary.csv", bytes(range(256)) * 100),
    ],
)
def test_what_is_no_log_is_left_to_others(tmp_path: Path, name: str, text: str | bytes) -> None:
    path = write(tmp_path / name, text)
    folder = Folder(path.parent, (path.name,))
    assert Tabular(str(tmp_path)).claim(folder) == Claim()


def test_results_of_many_models_are_no_run(tmp_path: Path) -> None:
    rows = "".join(f"m{model},{step},0.5\n" for model in range(20) for step in (100, 200))
    write(tmp_path / "results.csv", "model,step,accuracy\n" + rows)
    source = Tabular(str(tmp_path))
    assert list(source.discover()) == []
    assert "goes up and down as in a table of several runs" in source.skipped[0][1]


@pytest.mark.parametrize("name", ["log.txt", "20260101.log", "scalars.json", "m.ndjson"])
def test_json_lines_go_by_many_names(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, lines({"epoch": 0, "loss": 2}, {"epoch": 1, "loss": 1}))
    run = read(tmp_path)
    assert points(run, "loss") == [(0, 2.0), (1, 1.0)]
    assert run.provenance.step_source == "epoch"


# values


def test_values_of_json_lines(tmp_path: Path) -> None:
    texts = [
        "NaN",
        '"NaN"',
        '"nan"',
        "Infinity",
        '"-Infinity"',
        '"0.5"',
        "true",
        "null",
        '""',
        '" "',
    ]
    body = "".join(f'{{"step": {i}, "loss": {t}}}\n' for i, t in enumerate(texts))
    run = read(write(tmp_path / "log.jsonl", body).parent)
    assert [(s, str(v)) for s, v in points(run, "loss")] == [
        (0, "nan"), (1, "nan"), (2, "nan"), (3, "inf"), (4, "-inf"), (5, "0.5"), (6, "1.0"),
    ]  # fmt: skip
    assert run.provenance.warnings == ()


def test_several_shapes_of_records_and_a_step_twice(tmp_path: Path) -> None:
    write(
        tmp_path / "log.jsonl",
        lines(
            {"config": {"lr": 1}},
            {"step": 1, "loss": 2, "optim": {"lr": 0.1, "betas": [0.9, 0.95]}},
            {"step": 2, "loss": 1.5, "optim": {"lr": 0.2}, "phase": "warm-up"},
            {"step": 2, "loss": 1.25},
            {"epoch": 1, "step": 2, "val_loss": 3},
        ),
    )
    run = read(tmp_path)
    assert points(run, "loss") == [(1, 2.0), (2, 1.5), (2, 1.25)]
    assert points(run, "optim.lr") == [(1, 0.1), (2, 0.2)]
    assert points(run, "val_loss") == [(2, 3.0)]
    assert len(run.attempts) == 1
    assert run.provenance.warnings == (
        "log.jsonl: 1 row without `step`; left out",
        "log.jsonl:2: 'optim.betas' is no number; left out (1 row)",
        "log.jsonl:3: 'phase' is no number; left out (1 row)",
    )
    assert (run.provenance.records_read, run.provenance.records_damaged) == (4, 0)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_quotes_and_line_ends(tmp_path: Path, delimiter: str) -> None:
    rows = ['"step"', " loss ", "note"], ["1", " 0.5", '"a ""b"""'], ["2", "0.25", ""]
    text = "".join(delimiter.join(row) + "\r\n" for row in rows)
    run = read(write(tmp_path / "log.csv", "\ufeff" + text).parent)
    assert points(run, "loss") == [(1, 0.5), (2, 0.25)]
    assert run.provenance.records_read == 2


def test_bytes_that_are_no_utf8_cost_no_number(tmp_path: Path) -> None:
    run = read(write(tmp_path / "log.csv", b"step,loss,who\n1,0.5,J\xf6rg\n2,0.25,x\n").parent)
    assert points(run, "loss") == [(1, 0.5), (2, 0.25)]
    write(tmp_path / "utf16.csv", "step,loss\n1,2\n".encode("utf-16"))
    source = Tabular(str(tmp_path))
    assert len(list(source.discover())) == 1
    assert source.skipped[0][1] == "is UTF-16: save it as UTF-8"


def test_a_header_among_the_rows_and_another_one(tmp_path: Path) -> None:
    text = "epoch,loss\n0,3\n1,2\nepoch,loss\n0,2.5\n1,1.5\n2,1\nepoch,acc,loss\n3,0.5,0.75\n"
    run = read(write(tmp_path / "log.csv", text).parent)
    assert points(run, "loss") == [(0, 3), (1, 2), (0, 2.5), (1, 1.5), (2, 1), (3, 0.75)]
    assert points(run, "acc") == [(3, 0.5)]
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(0, 1), (0, 3)]
    assert run.provenance.records_damaged == 0


def test_a_row_of_one_word_is_no_header(tmp_path: Path) -> None:
    run = read(write(tmp_path / "log.csv", "step,loss,val\n1,2,\n,,val\n2,1,\n").parent)
    assert points(run, "loss") == [(1, 2), (2, 1)]
    assert run.provenance.warnings == ("log.csv: 1 row without `step`; left out",)


def test_what_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nothing")
    source = Tabular(str(tmp_path))
    assert list(source.discover()) == []
    assert sorted((Path(path).name, why) for path, why in source.skipped) == [
        ("gone.jsonl", "is a link to nothing"),
        ("pipe.csv", "is no regular file"),
    ]


def test_nothing_is_left_of_a_log_that_became_unusable(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", "step,loss\n1,2\n")
    source = Tabular(str(tmp_path))
    (ref,) = source.discover()
    path.write_text("step,loss\nx,y\n")
    with pytest.raises(SourceError, match=r"log.csv: holds no rows of metrics any more"):
        source.read(ref)


def test_a_torn_last_row_is_cut(tmp_path: Path) -> None:
    run = read(write(tmp_path / "log.csv", "step,loss\n1,0.5\n2,0.123").parent)
    assert points(run, "loss") == [(1, 0.5)]
    assert run.incomplete == ("log.csv ends in the middle of line 3",)


def test_of_two_columns_of_one_name_the_last_is_read(tmp_path: Path) -> None:
    run = read(write(tmp_path / "log.csv", "step,loss,loss\n1,0.5,0.25\n").parent)
    assert points(run, "loss") == [(1, 0.25)]
    assert run.provenance.warnings == ("log.csv:1: two columns named 'loss'; the last is read",)


def test_very_many_columns_are_capped(tmp_path: Path) -> None:
    names = ",".join(f"column_number_{i}" for i in range(100_000))
    cells = ",".join("1" * 100_000)
    run = read(write(tmp_path / "log.csv", f"step,{names}\n1,{cells}\n").parent)
    assert len(run.series) == 10_000
    assert run.provenance.warnings == ("log.csv: more than 10,000 metrics; 90,000 are left out",)


def test_a_line_without_end_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runpages.sources._textfiles._MAX_LINE_BYTES", 1000)
    path = write(tmp_path / "log.jsonl", lines({"step": 1, "loss": 1}))
    with path.open("ab") as stream:
        stream.write(b'{"step": 2, "x": "' + b"y" * 100_000 + b'"}\n')
        stream.write(lines({"step": 3, "loss": 3}).encode())
    ledger = Ledger(tmp_path)
    text = [
        line
        for part in ledger.blocks("log.jsonl", first_bytes=10, block_bytes=50)
        for line in part.each()
    ]
    assert [number for number, _ in text] == [1, 3]
    assert ledger.damaged == 1
    assert ledger.bytes_damaged > 100_000
    assert ledger.warnings == ("log.jsonl:2: more than 1,000 bytes; this line is left out",)


# clocks


@pytest.mark.parametrize("name", CLOCK_NAMES)
def test_times_become_clocks(tmp_path: Path, name: str) -> None:
    write(tmp_path / "log.csv", f"step,{name},loss\n1,2026-09-21T14:13:21Z,1\n2,,2\n")
    run = read(tmp_path)
    assert run.start == 1_790_000_001
    assert list(run.series) == ["loss"]


@pytest.mark.parametrize(
    ("cell", "seconds"), [("1790000000.5", 1_790_000_000.5), ("1790000000500", 1_790_000_000.5)]
)
def test_seconds_and_milliseconds(tmp_path: Path, cell: str, seconds: float) -> None:
    write(tmp_path / "log.csv", f"step,timestamp,loss\n1,{cell},1\n")
    assert read(tmp_path).start == seconds


def test_a_duration_is_a_metric(tmp_path: Path) -> None:
    write(tmp_path / "log.csv", "step,time,loss\n1,0.5,1\n2,12.5,1\n")
    run = read(tmp_path)
    assert points(run, "time") == [(1, 0.5), (2, 12.5)]
    assert run.start is None
    assert "No column of it holds the time of a row." in run.provenance.lossy


# attempts


def test_a_metric_that_falls_behind_itself_begins_an_attempt(tmp_path: Path) -> None:
    rows = [{"step": s, "loss": 1} for s in (10, 20, 30)]
    rows += [{"step": 20, "val_loss": 2}, {"step": 40, "loss": 1}, {"step": 30, "val_loss": 2}]
    rows += [{"step": s, "loss": 0.5} for s in (30, 40, 50)]
    write(tmp_path / "log.jsonl", lines(*rows))
    run = read(tmp_path)
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(10, 40), (30, 50)]
    assert points(run, "val_loss") == [(20, 2), (30, 2)]


def test_a_step_within_each_epoch_is_no_restart(tmp_path: Path) -> None:
    rows = [{"epoch": e, "step": s, "loss": 9 - e} for e in range(3) for s in range(0, 40, 10)]
    write(tmp_path / "log.jsonl", lines(*rows))
    run = read(tmp_path)
    assert len(run.attempts) == 1
    assert run.series["loss"].step.tolist() == [0, 1, 2]
    assert len(points(run, "loss")) == 12
    assert run.provenance.step_source == "epoch (`step` begins anew in each)"
    assert "`step` begins anew in each `epoch`" in run.provenance.warnings[0]
    assert run.provenance.records_read == 12


def test_a_run_that_starts_late_says_so(tmp_path: Path) -> None:
    for version, start in ((0, 0), (1, 3000)):
        rows = "".join(f"{s},1\n" for s in range(start, start + 100, 10))
        write(tmp_path / "logs" / f"version_{version}" / "metrics.csv", "step,loss\n" + rows)
    runs = read_all(Tabular(str(tmp_path)))
    assert [run.name for run in runs] == ["logs/version_0", "logs/version_1"]
    assert [run.provenance.warnings for run in runs] == [
        (),
        ("metrics.csv: starts at step 3,000: it may go on from a run in another file or folder",),
    ]


# files of one folder


def test_files_of_one_folder_are_runs_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "train_log.jsonl", lines({"step": 1, "loss": 1}))
    write(tmp_path / "train_log_finetune.jsonl", lines({"step": 1, "loss": 2}))
    write(tmp_path / "config.json", '{"lr": 1}')
    runs = read_all(Tabular(str(tmp_path)))
    assert [run.ref.run_id for run in runs] == ["train_log.jsonl", "train_log_finetune.jsonl"]
    assert [run.name for run in runs] == ["train_log", "train_log_finetune"]
    assert [run.config for run in runs] == [{}, {}]
    assert ("config.json", "no source reads this file") in sniff(tmp_path).skipped


def test_files_of_the_ranks_are_one_run(tmp_path: Path) -> None:
    for rank in (0, 1, 3):
        rows = [{"step": s, "loss": rank, "time": 1_790_000_000 + s + rank} for s in (1, 2)]
        write(tmp_path / f"metrics_rank{rank}.jsonl", lines(*rows))
    write(tmp_path / "config.json", '{"world_size": 5, "seed": 7}')
    run = read(tmp_path)
    assert run.ref.run_id == "metrics_rank0.jsonl"
    assert points(run, "loss") == [(1, 4 / 3), (2, 4 / 3)]
    assert points(run, "loss [rank 3]") == [(1, 3.0), (2, 3.0)]
    assert points(run, "loss [max of ranks]") == [(1, 3.0), (2, 3.0)]
    assert (run.provenance.ranks_seen, run.provenance.ranks_expected) == ((0, 1, 3), 5)
    assert run.incomplete == ("there is no log of rank 2, 4",)
    assert run.provenance.warnings == ("the clock of rank 3 is +3.0 s off that of the first",)
    assert run.seed == 7
    assert sniff(tmp_path).skipped == ()


def test_training_and_validation_of_one_name_are_one_run(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "step,loss\n1,3\n2,2\n")
    write(tmp_path / "val.csv", "step,loss\n2,4\n")
    run = read(tmp_path)
    assert run.ref.run_id == "train.csv"
    assert {i.name: i.role for i in run.series.infos} == {"loss": "loss", "val/loss": "val_loss"}
    assert points(run, "val/loss") == [(2, 4.0)]
    assert [name for name, _ in run.provenance.files] == ["train.csv", "val.csv"]


def test_a_metric_that_two_files_have_stays_two(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("step,loss,val/loss\n1,2,50\n2,3,60\n")
    (tmp_path / "val.csv").write_text("step,loss\n1,7\n2,8\n")
    (run,) = read_all(Tabular(str(tmp_path)))
    assert run.series["val/loss"].recorded.value.tolist() == [50, 60]
    assert run.series["val/loss (2)"].recorded.value.tolist() == [7, 8]
    assert run.provenance.warnings == (
        "val.csv: another file has `val/loss`, too; it is kept as val/loss (2)",
    )


def test_ranks_with_unlike_attempts_are_told(tmp_path: Path) -> None:
    (tmp_path / "log.rank0.csv").write_text("step,loss\n1,1\n2,1\n1,2\n2,2\n")
    (tmp_path / "log.rank1.csv").write_text("step,loss\n1,7\n2,8\n")
    (run,) = read_all(Tabular(str(tmp_path)))
    assert "do not tell of equally many attempts" in run.provenance.warnings[0]


def test_evaluations_that_say_the_same_again_belong_to_the_table(tmp_path: Path) -> None:
    write(tmp_path / "measurements.csv", "step,loss,val_loss\n1,3,\n2,2,4\n")
    write(tmp_path / "eval_measurements.csv", "val_loss,step\n4,2\n")
    found = sniff(tmp_path)
    assert [ref.run_id for ref in found.runs] == ["measurements.csv"]
    assert found.skipped == ()


def test_event_files_beside_are_told(tmp_path: Path) -> None:
    write(tmp_path / "measurements.csv", "step,loss\n1,3\n")
    write(tmp_path / "events.out.tfevents.1.host", b"")
    assert read(tmp_path).provenance.warnings == (
        "TensorBoard event files lie beside it: they may log the same training",
    )


def test_a_file_that_vanished_is_an_error_or_a_warning(tmp_path: Path) -> None:
    for rank in (0, 1):
        write(tmp_path / f"m_rank{rank}.jsonl", lines({"step": 1, "loss": rank}))
    source = Tabular(str(tmp_path))
    (ref,) = source.discover()
    (tmp_path / "m_rank1.jsonl").unlink()
    assert source.read(ref).provenance.warnings == ("m_rank1.jsonl: is no regular file; left out",)
    (tmp_path / "m_rank0.jsonl").unlink()
    with pytest.raises(SourceError, match=r"m_rank\d.jsonl"):
        source.read(ref)


# settings


def test_settings_of_unknown_tags_are_texts(tmp_path: Path) -> None:
    write(tmp_path / "metrics.csv", "step,loss\n1,2\n")
    write(
        tmp_path / "hparams.yaml",
        "lr: 0.1\nargs: !!python/object:argparse.Namespace\n  layers: &l [1, 2]\n  again: *l\n"
        "call: !!python/object/apply:os.system ['touch gone']\nact: !!python/name:torch.nn.ReLU ''\n"
        "size: !!python/tuple [3, 4]\n",
    )
    run = read(tmp_path)
    assert run.config == {
        "lr": 0.1,
        "args": {"layers": [1, 2], "again": [1, 2]},
        "call": ["touch gone"],
        "act": "python/name:torch.nn.ReLU",
        "size": [3, 4],
    }
    assert not (Path.cwd() / "gone").exists()


def test_a_small_file_may_not_grow_without_bounds(tmp_path: Path) -> None:
    write(tmp_path / "metrics.csv", "step,loss\n1,2\n")
    bomb = "a: &a [x, x]\n" + "".join(
        f"{c}: &{c} [{', '.join([f'*{p}'] * 9)}]\n"
        for p, c in zip("abcdefgh", "bcdefghi", strict=True)
    )
    write(tmp_path / "hparams.yaml", bomb)
    run = read(tmp_path)
    assert run.config == {}
    assert "more than 100,000 values" in run.provenance.warnings[0]


def test_further_settings_stand_under_their_names(tmp_path: Path) -> None:
    write(tmp_path / "measurements.csv", "global_step,loss\n1,2\n")
    write(tmp_path / "hparams.json", '{"lr": 1}')
    write(tmp_path / "flags_0.json", '{"seed": 3}')
    write(tmp_path / "meta_data_0.json", "[1]")
    run = read(tmp_path)
    assert run.config == {"lr": 1, "flags_0": {"seed": 3}}
    assert run.provenance.warnings == ("meta_data_0.json: holds no mapping of settings; left out",)
    assert sniff(tmp_path).skipped == ()


# blank cells after a blow-up


def blown_up(*after: str, last: str = "1e9") -> str:
    healthy = "".join(f"{step},0.5,0.1,\n" for step in range(20))
    return f"step,loss,lr,val_loss\n{healthy}20,{last},0.1,\n" + "".join(
        f"{row}\n" for row in after
    )


@pytest.mark.parametrize(
    ("text", "nan_steps"),
    [
        (blown_up("21,,0.1,", "22,,0.1,", "22,,,7"), [21, 22]),
        (blown_up("21,,0.1,", last="inf"), [21]),
        (blown_up("21,,0.1,", last="nan"), [21]),
        (blown_up("21,,0.1,", last="0.6"), []),
        (blown_up("21,,,7"), []),
        (blown_up("21,,0.1,", "22,0.5,0.1,"), []),
        (blown_up("21,,0.1,").replace("5,0.5,0.1", "5,,0.1"), []),
        (blown_up("21,,0.1,").replace("0,0.5,0.1", "0,,0.1"), []),
    ],
)
def test_blank_cells_after_a_blow_up(tmp_path: Path, text: str, nan_steps: list[int]) -> None:
    write(tmp_path / "log.csv", text)
    run = read(tmp_path)
    found = [(s, v) for s, v in points(run, "loss") if s > 20 and math.isnan(v)]
    assert [step for step, _ in found] == nan_steps
    assert bool(nan_steps) == any("as NaN" in w for w in run.provenance.warnings)


def test_a_metric_that_stops_with_the_loss_does_not_change_the_shape() -> None:
    def row(step: int, *names: str) -> Row:
        return Row(step, math.nan, 1, frozenset(names))

    rows = [row(0, "loss", "norm"), row(1, "loss"), row(2), row(3, "x"), row(4)]
    found = silent_rows(rows, frozenset({"loss", "norm"}))
    assert [r.step for r in found["loss"]] == [2, 4]
    assert [r.step for r in found["norm"]] == [1, 2, 4]


def test_no_blank_cell_before_the_last_step_of_its_attempt_counts() -> None:
    rows = [Row(step, math.nan, 1, frozenset({"loss"})) for step in (8, 9)]
    rows += [Row(step, math.nan, 1, frozenset()) for step in (7, 9, 10)]
    assert [r.step for r in silent_rows(rows, frozenset({"loss"}))["loss"]] == [9, 10]


@pytest.mark.parametrize(
    ("values", "is_one"),
    [
        ([], False),
        ([1.0], False),
        ([math.nan], True),
        ([1.0, 1.0, 11.0], True),
        ([1.0, 1.0, 10.0], False),
        ([1.0, 11.0, 1.0], False),
        ([-1.0, -1.0, -11.0], True),
        ([math.inf, 1.0], False),
        ([*[100.0] * 200, *[1.0] * 100, 11.0], True),
    ],
)
def test_exploded(values: list[float], is_one: bool) -> None:
    assert exploded(values) is is_one


# speed changes nothing

PLAIN = ["-0", "0", "1e5", "1E-3", "-0.0", "1e400", "-1e999", "9007199254740993", "1e-400", "0.5",
         str(2**63), str(-(2**63)), str(2**70 + 1), "1.7976931348623159e308", "5e-324"]  # fmt: skip
ODD = ["", " ", "nan", "NaN", "-nan", "+inf", "inf", "Infinity", "true", "0x10", "1_0", "1.", ".5",
       "nan(1)", "word", "2026-01-01T00:00:00", "+1", "--1", "１", "1e", '"3"', '"a"', "\x00", "5\r",
       "1790000000", "é"]  # fmt: skip
STEPS = ["", "1.0", "x", "2e1", str(2**53 + 1), "3", '"4"', "null", "-0"]
JSON_ODD = ["null", "true", "false", '"nan"', '"1.5"', '""', '"word"', "[1]", "[]", "[Inf, 1]", "{}", '{"a": 1}',
            "NaN", "Inf", "Infinity", "-Infinity", "-NaN", '"NaN"', '"Infinity"', "1.", "01", "1790000000",
            '"2026-01-01T00:00:00Z"', '{"a": {"b": null, "c": "2026-01-01"}}', '"é"', '"\\ud800"',
            "9" * 400, '"\ud800"', "1e999", "1" + "0" * 308]  # fmt: skip


class Writer:
    """Rows of a log, more or less regular."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.oddness = self.random.choice([0, 0, 0.02, 0.2])
        self.falls = self.random.choice([0, 0.02, 0.3])
        self.end = self.random.choice(["\n", "\n", "\r\n"])
        self.step = 0

    def odd(self) -> bool:
        return self.random.random() < self.oddness

    def number(self) -> str:
        if self.random.random() < 0.1:
            return self.random.choice(PLAIN)
        bits = struct.pack("<Q", self.random.getrandbits(64))
        (value,) = struct.unpack("<d", bits)
        return repr(value) if math.isfinite(value) else "0.25"

    def next_step(self) -> str:
        self.step += self.random.randint(0, 2)
        if self.random.random() < self.falls:
            self.step = max(0, self.step - self.random.randint(1, 9))
        return self.random.choice(STEPS) if self.odd() else str(self.step)

    def joined(self, rows: list[str]) -> bytes:
        rows = [
            self.random.choice([row, "", row[:-2], row * 2]) if self.odd() else row for row in rows
        ]
        text = self.end.join(rows) + self.random.choice([self.end, self.end, ""])
        return text.encode("utf-8", "surrogatepass")

    def json_lines(self) -> bytes:
        rows = []
        odd_cells = JSON_ODD if self.random.random() < 0.5 else [self.random.choice(JSON_ODD)]
        names = ["loss", "val", "time", "attempt", "a.b", "a", ""]
        usual = self.random.sample(names, self.random.randint(0, 7))
        often = self.random.choice([0.5, 1, 1])
        strange = {name for name in names if self.random.random() < 0.2}
        for _ in range(self.random.randint(0, 60)):
            cells = {"step": self.next_step()}
            for name in usual:
                if self.random.random() < often:
                    odd = self.odd() or name in strange
                    cells[name] = self.random.choice(odd_cells) if odd else self.number()
                if name in {"time", "attempt"} and name in cells and name not in strange:
                    cells[name] = "1790000000.5" if name == "time" else str(1 + self.step // 30)
            row = "{" + ", ".join(f'"{name}": {cell}' for name, cell in cells.items()) + "}"
            rows.append(row)
        return self.joined(rows)

    def csv(self) -> bytes:
        header = self.random.choice(
            ["step,loss,val,time", "val,step,,loss", "step,loss,loss,attempt", "a,b,step,attempt"]
        ).split(",")
        strange = {name for name in header if self.random.random() < 0.1}
        blank = self.random.choice([0, 0.3])
        rows = [",".join(header)]
        for _ in range(self.random.randint(0, 60)):
            cells = []
            for name in header:
                odd = self.odd() or name in strange
                cell = self.random.choice(ODD) if odd else self.number()
                if name == "step":
                    cell = self.next_step()
                elif name == "time" and not odd:
                    cell = "1790000000.5"
                elif name == "attempt" and not odd:
                    cell = str(1 + self.step // 30)
                elif self.random.random() < blank:
                    cell = ""
                cells.append(cell)
            if self.odd():
                cells = self.random.choice([cells[:-1], [*cells, "1"], header])
            rows.append(",".join(cells))
        return self.joined(rows)


def taken(folder: Path, form: Form, meaning: Meaning, *, columnar: bool) -> tuple[object, ...]:
    """Everything that reading gives, floats by their bits."""
    ledger = Ledger(folder)
    rows = Rows(ledger, meaning)
    table = Table(ledger, "log", form, first_bytes=40, block_bytes=300)
    rows.collect(table.pieces() if columnar else table.one_by_one())
    series = rows.spool.finish()
    return (
        [
            (name, *(column.tobytes() for column in series[name].recorded._replace()))
            for name in series
        ],
        (ledger.records, ledger.damaged, ledger.bytes_damaged, ledger.incomplete),
        ledger.warnings,
        (rows.first, rows.last, rows.seen, rows.without_step, rows.too_many, rows.renewed),
        (rows.head, {name: list(map(repr, tail)) for name, tail in rows.tails.items()}),
        (rows.lives.numbers, rows.lives._newest, rows.lives._label, rows.lives._shift),
    )


MEANINGS = [
    (Form(), Meaning(attempt="attempt")),
    (Form(foreign=True), Meaning(by_metric=True, most_metrics=3, epoch="val", tail=5)),
    (Form(foreign=True), Meaning(by_metric=True, time="", time_unit=1e-3)),
]


@pytest.mark.parametrize(("form", "meaning"), MEANINGS)
@settings(max_examples=250, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_columns_of_json_lines_are_its_lines(
    tmp_path_factory: pytest.TempPathFactory, form: Form, meaning: Meaning, seed: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "log").write_bytes(Writer(seed).json_lines())
    by_line = taken(folder, form, meaning, columnar=False)
    assert taken(folder, form, meaning, columnar=True) == by_line


@pytest.mark.parametrize(("form", "meaning"), MEANINGS)
@settings(max_examples=250, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_columns_of_csv_are_its_lines(
    tmp_path_factory: pytest.TempPathFactory, form: Form, meaning: Meaning, seed: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "log").write_bytes(Writer(seed).csv())
    form = Form(delimiter=",", foreign=form.foreign)
    by_line = taken(folder, form, meaning, columnar=False)
    assert taken(folder, form, meaning, columnar=True) == by_line


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_regular_rows_are_read_as_columns(tmp_path: Path, suffix: str) -> None:
    names = ("step", "time", "loss", "note")
    rows = [(s, 1_790_000_000 + s, s / 7, "word") for s in range(3000)]
    if suffix == "csv":
        text = ",".join(names) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)
    else:
        text = lines(*(dict(zip(names, row, strict=True)) for row in rows))
    write(tmp_path / "log", text)
    form = Form(delimiter="," if suffix == "csv" else "")
    pieces = list(Table(Ledger(tmp_path), "log", form).pieces())
    assert sum(block.rows for block in pieces if isinstance(block, Block)) > 2000
    one = taken(tmp_path, form, Meaning(), columnar=True)
    assert one == taken(tmp_path, form, Meaning(), columnar=False)


# real logs


@pytest.mark.acceptance
def test_labelled_series_come_out_as_they_are(shared: Path) -> None:
    folder = shared / "data" / "labelled"
    expected: dict[str, list[tuple[int, float]]] = defaultdict(list)
    with gzip.open(folder / "series.csv.gz", "rt") as stream:
        for row in csv.DictReader(stream):
            if row["value"] and math.isfinite(float(row["value"])):
                expected[row["series"]].append((int(float(row["step"])), float(row["value"])))
    checked = 0
    for label in json.loads((folder / "labels.json").read_text())["series"]:
        path = shared / "data" / "logs" / label["file"]
        if not label["file"].startswith(("algoperf/", "jsonl/")):
            continue
        (run,) = read_all(Tabular(str(path)))
        found = [(s, v) for s, v in points(run, label["metric"]) if math.isfinite(v)]
        # some of the labelled values are rounded to nine digits
        rounded = [(step, f"{value:.9g}") for step, value in expected[label["id"]]]
        assert [(step, f"{value:.9g}") for step, value in found] == rounded, label["id"]
        checked += 1
    assert checked == 14


@pytest.mark.acceptance
def test_only_the_losses_that_blew_up_have_nan(shared: Path) -> None:
    runs = read_all(Tabular(str(shared / "data" / "logs" / "algoperf")))
    assert len(runs) == 12
    nans = {
        run.ref.run_id.split("/external_tuning/")[-1].partition("/")[0]: int(
            np.isnan(run.series["loss"].value).sum()
        )
        for run in runs
        if np.isnan(run.series["loss"].value).any()
    }
    assert nans == {"generalized_adam": 20, "shampoo_submission": 42}
    assert all(run.config for run in runs)
