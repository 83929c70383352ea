"""Text logs: runs, attempts, ranks, errors, clocks, damage, and what is no log."""

# ruff: noqa: ISC004 - format strings stand here as the programs have them

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runpages.errors import SourceError, UsageError
from runpages.sources import sniff
from runpages.sources._textlog_dialects import LINE_CHARS
from runpages.sources._textlog_lines import Counts, text_lines
from runpages.sources.textlog import TextLog
from sources.conformance import read_all
from sources.textlog_lines import (
    ROWS,
    TRACE,
    arguments,
    cyclegan,
    megatron,
    nemo_bar,
    points,
    read,
    write,
)

# --- several lives, several runs -------------------------------------------------------------


def test_a_restart_from_a_checkpoint_is_an_attempt(tmp_path: Path) -> None:
    first = arguments(seed=1) + "".join(megatron(i, 3.0) for i in (10, 20, 30))
    again = arguments(seed=1) + "".join(megatron(i, 2.0) for i in (20, 30, 40))
    run = read(write(tmp_path, first + again))
    assert [(a.number, a.first_step, a.last_step) for a in run.attempts] == [
        (1, 10, 30),
        (2, 20, 40),
    ]
    assert run.series["lm loss"].value.tolist() == [3.0, 2.0, 2.0, 2.0]


def test_a_restart_that_goes_on_is_an_attempt_because_of_its_header(tmp_path: Path) -> None:
    text = arguments(a=1) + megatron(10, 3.0) + megatron(20, 3.0) + arguments(a=1)
    run = read(write(tmp_path, text + megatron(30, 2.0)))
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(10, 20), (30, 30)]


def test_falling_steps_without_a_header_are_an_attempt(tmp_path: Path) -> None:
    run = read(write(tmp_path, "".join(megatron(i, 3.0) for i in (1, 2, 3, 1, 2))))
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(1, 3), (1, 2)]


def test_a_header_and_the_first_step_again_are_another_run(tmp_path: Path) -> None:
    one = arguments(lr=0.1, seed=1) + "".join(megatron(i, 3.0) for i in (1, 2, 3))
    two = arguments(lr=0.2, seed=2) + "".join(megatron(i, 2.0) for i in (1, 2))
    three = arguments(lr=0.3, seed=3) + "".join(megatron(i, 1.0) for i in (1, 2))
    again = arguments(lr=0.3, seed=3) + "".join(megatron(i, 0.5) for i in (2, 3))
    source = TextLog(str(write(tmp_path, one + two + three + again)))
    refs = list(source.discover())
    assert [ref.run_id for ref in refs] == ["train.log", "train.log#2", "train.log#3"]
    runs = [source.read(ref) for ref in refs]
    assert [run.seed for run in runs] == [1, 2, 3]
    assert [run.config["lr"] for run in runs] == [0.1, 0.2, 0.3]
    assert [len(run.attempts) for run in runs] == [1, 1, 2]
    assert points(runs[1], "lm loss") == [(1, 2.0), (2, 2.0)]
    assert "2.000000E+00" in runs[1].console
    assert "3.000000E+00" not in runs[1].console


def test_a_log_that_began_in_the_middle_was_resumed_again(tmp_path: Path) -> None:
    text = arguments(a=1) + "".join(megatron(i, 3.0) for i in (30020, 30040, 30060))
    again = arguments(a=1) + "".join(megatron(i, 2.0) for i in (30020, 30040))
    anew = arguments(a=1) + "".join(megatron(i, 1.0) for i in (20, 40))
    runs = read_all(TextLog(str(write(tmp_path, text + again + anew))))
    assert [len(run.attempts) for run in runs] == [2, 1]


def test_a_file_that_lost_its_later_run_is_a_sentence(tmp_path: Path) -> None:
    one = arguments(a=1) + megatron(1, 3.0) + megatron(2, 3.0)
    source = TextLog(str(write(tmp_path, one + one)))
    ref = list(source.discover())[1]
    write(tmp_path, one)
    with pytest.raises(SourceError, match="no run number 2 in this file"):
        source.read(ref)


def test_cyclegan_headers_part_runs_and_options_are_the_last_ones(tmp_path: Path) -> None:
    header = "================ Training Loss (Wed Aug 23 13:29:28 2023) ================\n"
    one = header + cyclegan(1, 100, {"D_A": 0.5}) + cyclegan(1, 200, {"D_A": 0.4})
    write(tmp_path, one + one, "loss_log.txt")
    options = "----------------- Options ---------------\n               batch_size: 1  \n"
    options += "                       lr: 0.0002                        \t[default: 0.1]\n"
    write(tmp_path, options + "----------------- End -------------------\n", "train_opt.txt")
    runs = read_all(TextLog(str(tmp_path)))
    assert [run.ref.run_id for run in runs] == ["loss_log.txt", "loss_log.txt#2"]
    assert [run.config for run in runs] == [{}, {"batch_size": 1, "lr": 0.0002}]
    assert runs[0].start == 1692797368.0
    assert [run.provenance.step_source[:20] for run in runs] == ["number of the record"] * 2
    assert sniff(tmp_path).skipped == ()


def test_cyclegan_continued_redoes_the_records_it_goes_back_to(tmp_path: Path) -> None:
    header = "================ Training Loss (Wed Aug 23 13:29:28 2023) ================\n"
    text = header + "".join(cyclegan(e, i, {"D_A": 1.0}) for e in (1, 2, 3) for i in (100, 200))
    text += header + "".join(cyclegan(3, i, {"D_A": 2.0}) for i in (100, 200, 300))
    run = read(write(tmp_path, text, "loss_log.txt"))
    assert [(a.first_step, a.last_step) for a in run.attempts] == [(0, 5), (4, 6)]
    assert run.series["D_A"].value.tolist() == [1.0] * 4 + [2.0] * 3


# --- what stands around the figures -----------------------------------------------------------

PROGRAM = '''import os
def main():
    print0(f"step:{step}/{n} train_loss:{loss:.4f} train_time:{t}ms step_avg:{a}ms")
    # step:1/10 train_loss:9.9 would be a line of the log, here it is a comment
    seed:int = 3
"""
step 0. AdamH follows the baseline: val_loss:3.28 at step:100/100
"""
peak memory consumption: {x} MiB
'''


def test_a_program_before_its_log_gives_no_rows_and_no_settings(tmp_path: Path) -> None:
    rule = "=" * 100 + "\n"
    text = PROGRAM * 400 + rule + "Running Python 3.12.3 (main)\nRunning PyTorch 2.6.0+cu124 "
    text += "compiled for CUDA 12.4\n|   0  NVIDIA H100 80GB HBM3          On  | 0 Off |\n"
    text += rule + "world_size:8 grad_accum_steps:1\nseed:1337\nmodel_params:17059912\n"
    text += "warmup_step:1/20\nstep:0/9 val_loss:6.9 train_time:0ms step_avg:0.01ms\n"
    text += "step:1/9 train_loss:6.8 train_time:24ms step_avg:23.99ms\n"
    text += "stopping_early: wallclock_cap train_time:600038ms step:1/9\n"
    text += "peak memory allocated: 10184 MiB reserved: 10200 MiB\n"
    text += "final_int8_zlib_roundtrip val_loss:2.0727 val_bpb:1.2244 eval_time:1401ms\n"
    run = read(write(tmp_path, text))
    assert points(run, "val_loss") == [(0, 6.9)]
    assert run.config == {
        "world_size": 8, "grad_accum_steps": 1, "seed": 1337, "model_params": 17059912,
    }  # fmt: skip
    assert (run.seed, run.model.parameters, run.hardware.devices) == (1337, 17059912, 8)
    assert run.hardware.device == "NVIDIA H100 80GB HBM3"
    assert run.provenance.ranks_expected == 8
    assert run.environment == {"python": "3.12.3", "torch": "2.6.0+cu124", "cuda": "12.4"}
    assert run.summary["final_int8_zlib_roundtrip val_bpb"] == 1.2244
    assert run.state == "finished"
    assert [event.kind for event in run.logged_events] == ["stopping_early"]


def test_a_log_that_was_resumed_says_so(tmp_path: Path) -> None:
    text = "logs/1f.txt\nResuming from checkpoint: ./checkpoints/ckpt_step30000.pt\n"
    text += "  Resumed at step 30000, training_time=47870254ms\n"
    text += "step:30020/60000 train_loss:2.1 train_time:47902254ms step_avg:1595.68ms\n"
    text += "step:30040/60000 train_loss:2.1 train_time:47934254ms step_avg:1595.68ms\n"
    run = read(write(tmp_path, text))
    assert {event.kind for event in run.logged_events} == {"resumed"}


def test_arguments_are_settings(tmp_path: Path) -> None:
    text = arguments(
        seed=1234, lr=0.00015, bf16=True, data_path=["a", "b"], world_size=64, seq_length=4096,
        load=None, name="it's",
    )  # fmt: skip
    run = read(write(tmp_path, text + megatron(1, 3.0) + megatron(2, 3.0)))
    assert run.config == {
        "seed": 1234, "lr": 0.00015, "bf16": True, "data_path": ["a", "b"], "world_size": 64,
        "seq_length": 4096, "load": None, "name": "it's",
    }  # fmt: skip
    assert (run.seed, run.hardware.devices, run.model.context) == (1234, 64, 4096)


@pytest.mark.parametrize(
    ("line", "config"),
    [
        ("Namespace(lr=0.1, name='x', layers=[1, 2])", {"lr": 0.1, "name": "x", "layers": [1, 2]}),
        ("{'lr': 0.1, 'deep': {'a': None}}", {"lr": 0.1, "deep": {"a": None}}),
        ("Namespace(" + "(" * 5000 + ")", {}),
        ("{'a': __import__('os').system('true')}", {}),
        ("{'loss': 2.5, 'epoch': 0.1}", {}),
        (r"Namespace(path='C:\data', n=0)", {"path": "C:\\data", "n": 0}),
        ("Namespace(x=__import__('os').getcwd())", {"x": "__import__('os').getcwd()"}),
    ],
)
def test_literals_are_settings_and_are_never_run(
    tmp_path: Path, line: str, config: dict[str, object]
) -> None:
    text = f"{line}\nstep=1 loss=1.0\nstep=2 loss=1.0\nstep=3 loss=1.0\n{{'late': 1}}\n"
    assert read(write(tmp_path, text)).config == config


def test_samples_have_the_step_of_the_row_that_follows(tmp_path: Path) -> None:
    row = "step {:5d} | loss: 1.0 | lr 1.0e-04 | norm: 1.0 | dt: 1.00ms | tok/sec: 1.00\n"
    text = row.format(249) + "validation loss: 6.1696\n"
    text += "rank 1 sample 0: Hello, I'm a language model, \"CD.\nThe I)\n"
    text += "rank 0 sample 0: Hello <b>you</b>\n" + row.format(250)
    run = read(write(tmp_path, text))
    assert [(s.name, s.step, s.text) for s in run.samples] == [
        ("rank 1 sample 0", 250, "Hello, I'm a language model, \"CD.\nThe I)"),
        ("rank 0 sample 0", 250, "Hello <b>you</b>"),
    ]


def test_a_figure_whose_row_never_came_is_not_the_next_process_s(tmp_path: Path) -> None:
    row = "step {:5d} | loss: 1.0 | lr 1.0e-04 | norm: 1.0 | dt: 1.00ms | tok/sec: 1.00\n"
    begin = "total desired batch size: 524288\n"
    text = begin + "validation loss: 9.0\n" + row.format(0) + row.format(1)
    text += "validation loss: 8.0\n" + TRACE + begin
    run = read(write(tmp_path, text + "validation loss: 7.0\n" + row.format(1) + row.format(2)))
    rows = run.series["validation loss"].recorded
    assert rows.step.tolist() == [0, 2, 1]
    assert rows.value.tolist() == [9.0, 8.0, 7.0]
    assert rows.attempt.tolist() == [1, 1, 2]


def test_checkpoints_that_were_saved(tmp_path: Path) -> None:
    text = megatron(1, 3.0) + megatron(2, 3.0)
    text += "saving checkpoint at iteration       2 to /ckpt in torch_dist format\n"
    text += "  successfully saved checkpoint from iteration       2 to /ckpt [ t 1/1, p 1/1 ]\n"
    text += "saving checkpoint at iteration       4 to /ckpt in torch_dist format\n"
    (checkpoint,) = read(write(tmp_path, text)).checkpoints
    assert (checkpoint.step, checkpoint.path) == (2, "/ckpt")
    nano = (
        "Overriding: out_dir = out\nOverriding: lr = 1e-3\ntokens per iteration will be: 491,520\n"
    )
    nano += "step 0: train loss 6.1, val loss 6.1\nsaving checkpoint to out-shakespeare\n"
    nano += "step 250: train loss 6.1, val loss 6.1\nsaving checkpoint to out-shakespeare\n"
    run = read(write(tmp_path / "nano", nano))
    assert [(c.step, c.path) for c in run.checkpoints] == [
        (0, "out-shakespeare"),
        (250, "out-shakespeare"),
    ]
    assert run.config == {"out_dir": "out", "lr": 0.001}


LIMIT = (
    "slurmstepd: error: *** JOB 18 ON n1 CANCELLED AT 2026-03-01T12:00:00 DUE TO TIME LIMIT ***\n"
)


@pytest.mark.parametrize(
    ("tail", "state", "kinds"),
    [
        ("", "ended", []),
        ("[after training is done] datetime: 2026-03-01 11:00:00 \n", "finished", []),
        (LIMIT, "killed", ["cancelled"]),
        (LIMIT + megatron(3, 3.0), "ended", ["cancelled"]),
        (TRACE + "torch.OutOfMemoryError: CUDA out of memory. Tried\n", "failed", ["error"] * 2),
        (TRACE + "ValueError: caught\nand on it goes\n", "ended", ["error"]),
        ("[rank3]:[E101 ProcessGroupNCCL.cpp:6] [Rank 3] Watchdog caught collective operation "
         "timeout: WorkNCCL(SeqNum=5)\n", "ended", ["error"]),
        ("torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n", "failed",
         ["error"]),
        ("srun: error: n1: task 3: Exited with exit code 1\n", "failed", ["error"]),
        ("srun: error: n1: task 3: Exited with exit code 0\n", "ended", []),
        ("in the text: srun: error: n1: task 3: Exited with exit code 1\n", "ended", []),
    ],
)  # fmt: skip
def test_a_state_needs_a_line_that_proves_it(
    tmp_path: Path, tail: str, state: str, kinds: list[str]
) -> None:
    run = read(write(tmp_path, ROWS + tail))
    assert run.state == state
    assert [event.kind for event in run.logged_events] == kinds
    assert all(event.step == 2 for event in run.logged_events)


def test_the_error_stream_beside_tells_of_the_end(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "job-18.out")
    write(tmp_path, "Setting OMP_NUM_THREADS\n" + LIMIT, "job-18.err")
    write(tmp_path, "unrelated\n", "job-19.err")
    run = read(tmp_path)
    assert (run.ref.run_id, run.state) == ("job-18.out", "killed")
    assert [name for name, _ in run.provenance.files] == ["job-18.out", "job-18.err"]
    found = sniff(tmp_path)
    assert found.skipped == (("job-19.err", "no source reads this file"),)


def test_two_streams_with_rows_are_two_runs(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "job.out")
    write(tmp_path, ROWS, "job.err")
    assert [ref.run_id for ref in sniff(tmp_path).runs] == ["job.err", "job.out"]


def test_rows_on_the_error_stream_are_a_run_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, ROWS, "job.err")
    write(tmp_path, "nothing\n", "job.out")
    assert read(tmp_path).ref.run_id == "job.err"


def test_the_console_is_the_last_64_kilobytes(tmp_path: Path) -> None:
    run = read(write(tmp_path, ROWS + "noise é\n" * 20_000 + "the end\n"))
    assert run.console.endswith("noise é\nthe end")
    assert len(run.console.encode()) <= 64_000


# --- clocks -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "options", "seconds", "guessed"),
    [
        ("2026-03-01 10:00:00", {}, 1772359200.0, True),
        ("2026-03-01 10:00:00", {"time_zone": "Europe/Berlin"}, 1772355600.0, False),
        ("2026-03-01T10:00:00,500+02:00", {}, 1772352000.5, False),
        ("2026-03-01 10:00:00Z", {}, 1772359200.0, False),
    ],
)
def test_a_clock_without_a_zone_is_said_to_be_read_as_utc(
    tmp_path: Path, clock: str, options: dict[str, object], seconds: float, guessed: bool
) -> None:
    text = megatron(1, 3.0, clock=clock) + megatron(2, 3.0, clock=clock)
    run = read(write(tmp_path, text), **options)
    assert run.series["lm loss"].time.tolist() == [seconds] * 2
    assert (run.start, run.end) == (seconds, seconds)
    assert any("names no time zone" in said for said in run.provenance.lossy) is guessed


def test_a_log_without_a_clock_has_no_times(tmp_path: Path) -> None:
    run = read(write(tmp_path, "step=1 loss=1\nstep=2 loss=1\nstep=3 loss=1\n"))
    assert all(math.isnan(t) for t in run.series["loss"].time)
    assert (run.start, run.state) == (None, "ended")
    assert "its rows have no clock" in run.provenance.lossy


def test_a_run_whose_zone_is_unknown_may_be_running_for_half_a_day_longer(tmp_path: Path) -> None:
    for hours, state in ((1, "running"), (13, "ended")):
        clock = (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M:%S")
        text = megatron(1, 3.0, clock=clock) + megatron(2, 3.0, clock=clock)
        write(tmp_path, text)
        assert read(tmp_path).state == state
        assert read(tmp_path, time_zone="UTC").state == "ended"


def test_an_unknown_zone_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no time zone named 'Mars/Olympus'"):
        TextLog(str(tmp_path), time_zone="Mars/Olympus")


# --- disks and terminals -----------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    text = ("\ufeff" if encoding == "utf-16-be" else "") + "".join(
        f"step={i} loss={i}.5 größe={i}\r\n" for i in range(5)
    )
    run = read(write(tmp_path, text.encode(encoding)))
    assert points(run, "loss") == [(i, i + 0.5) for i in range(5)]
    assert run.incomplete == ()


def test_zeros_are_counted_and_what_follows_is_read(tmp_path: Path) -> None:
    text = megatron(1, 3.0).encode() + b"\0" * 5000 + megatron(2, 3.0).encode()
    run = read(write(tmp_path, text + megatron(3, 3.0).encode()))
    assert run.series["lm loss"].step.tolist() == [1, 2, 3]
    assert run.provenance.bytes_damaged == 5000
    assert run.incomplete == ("train.log has 5,000 zero bytes where text was to be",)


def test_a_line_of_ten_megabytes_costs_itself_and_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(b"a\n" + b"x" * 10_000_000 + b"\nb\n" + b"y" * (LINE_CHARS + 1) + b"\nc\n")
    counts = Counts()
    lines = list(text_lines(path, counts))
    assert [(line.number, line.data) for line in lines] == [(1, b"a"), (3, b"b"), (5, b"c")]
    assert (counts.long_lines, counts.long_bytes) == (2, 10_000_000 + LINE_CHARS + 1)
    run = read(write(tmp_path / "run", ROWS + "x" * 2_000_000 + "\n" + megatron(3, 3.0)))
    assert run.series["lm loss"].step.tolist() == [1, 2, 3]
    assert "1 lines of more than 16,384 bytes are passed over" in run.provenance.warnings[0]


def test_lines_are_the_same_wherever_blocks_end(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    body = b"".join(b"%d\r\n" % i if i % 3 else b"%d\r%d\n" % (i, i) for i in range(60_000))
    for pad in range(3):
        path.write_bytes(b"p" * pad + b"\n" + body)
        lines = [line for line in text_lines(path, Counts()) if b"p" not in line.data]
        assert [int(line.data) for line in lines if line.number % 7 == 0] == [
            i for i in range(60_000) for _ in range(1 if i % 3 else 2) if (i + 2) % 7 == 0
        ]
        assert all(line.closed for line in lines)


def test_a_last_line_without_its_end_is_not_trusted(tmp_path: Path) -> None:
    cut = megatron(3, 3.0)[:-60]
    run = read(write(tmp_path, ROWS + cut))
    assert run.series["lm loss"].step.tolist() == [1, 2]
    assert run.incomplete == ("train.log ends in the middle of line 3",)
    assert (run.provenance.records_damaged, run.provenance.bytes_damaged) == (1, len(cut))


def test_a_bar_that_is_closed_needs_no_end_of_line(tmp_path: Path) -> None:
    run = read(write(tmp_path, nemo_bar(5, "2.5", "5.000") + nemo_bar(6, "2.4")))
    assert points(run, "reduced_train_loss") == [(5, 2.5), (6, 2.4)]
    assert run.incomplete == ()


@pytest.mark.parametrize("line", ["step=" + "9" * 5000 + " loss=1", "step=9223372036854775808 a=1"])
def test_absurd_steps_are_no_rows(tmp_path: Path, line: str) -> None:
    run = read(write(tmp_path, f"step=1 loss=1\nstep=2 loss=1\nstep=3 loss=1\n{line}\n"))
    assert run.series["loss"].step.tolist() == [1, 2, 3]


def test_invalid_utf8_in_a_row_costs_nothing(tmp_path: Path) -> None:
    text = b"".join(b"step=%d loss=1.5 caf\xe9=2\n" % i for i in (1, 2, 3))
    run = read(write(tmp_path, text + b"step=4 loss=1.0\nstep=5 loss=1.0\nstep=6 loss=1.0\n"))
    assert run.series["loss"].step.tolist()[-3:] == [4, 5, 6]


# --- a team's own dialects ----------------------------------------------------------------------

OWN = {
    "name": "ours",
    "source": "our/trainer loop.py",
    "least": 2,
    "begin": [r"#{5} run "],
    "end": ["bye"],
    "row": [
        {
            "mark": "@",
            "line": r"@(?P<step>\d+) (?P<pairs>.*)",
            "pairs": r"(?P<name>\w+)~(?P<value>{num})(?P<unit>ms)?",
            "names": {"l": "train/loss"},
            "skip": ["host"],
            "absent": {"acc": -1},
        }
    ],
}


def test_a_teams_own_dialect(tmp_path: Path) -> None:
    write(tmp_path, "##### run \n@1 l~2.5 acc~-1 host~7 dt~3ms\n@2 l~2.25 acc~0.5 host~7\nbye\n")
    run = read(tmp_path, dialects=[OWN])
    assert run.provenance.reader == "textlog 1, ours"
    assert points(run, "train/loss") == [(1, 2.5), (2, 2.25)]
    assert points(run, "acc") == [(2, 0.5)]
    assert points(run, "dt_ms") == [(1, 3.0)]
    assert "host" not in run.series
    assert run.state == "finished"
    assert sniff(tmp_path).runs == ()
    assert len(sniff(tmp_path, options={"textlog": {"dialects": [OWN]}}).runs) == 1


ROW = {"line": r"@(?P<step>\d+) (?P<loss>{num})"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"row": [ROW]}, "dialects[0]: name is missing"),
        ({"name": "megatron-lm", "row": [ROW]}, "'megatron-lm': there is another one"),
        ({"name": "x"}, "dialect 'x': no row"),
        ({"name": "x", "rows": []}, "no field named 'rows'; there are: begin, "),
        ({"name": 3, "row": [ROW]}, "name must be of type str, not 3"),
        ({"name": "x", "row": [{}]}, "dialect 'x'.row[0]: line is missing"),
        ({"name": "x", "row": ["a"]}, "dialect 'x'.row[0]: a table of fields is expected"),
        ({"name": "x", "row": "a"}, "row must be a list of tables"),
        ({"name": "x", "row": [{"line": "("}]}, "line is no regular expression"),
        ({"name": "x", "row": [{"line": "a"}]}, "exactly one must say where the step is"),
        ({"name": "x", "row": [{**ROW, "waits": 0}]}, "exactly one must say where the step is"),
        ({"name": "x", "row": [{**ROW, "pairs": "a"}]}, "pairs needs a group (?P<name>...)"),
        ({"name": "x", "row": [{**ROW, "waits": True}]}, "waits must be of type int"),
        ({"name": "x", "row": [{**ROW, "absent": {"a": "b"}}]}, "absent.a must be of type"),
        ({"name": "x", "row": [ROW], "begin": "a"}, "begin must be a list of texts"),
        ({"name": "x", "row": [ROW], "include": ["y"]}, "include knows no dialect 'y'"),
        ({"name": "x", "row": [ROW], "facts": {"gpus": "n"}}, "facts knows no 'gpus'"),
        ({"name": "x", "row": [ROW], "hints": ["(?P<gpus>a)"]}, "hints knows no 'gpus'"),
        ({"name": "x", "row": [ROW], "event": [{"line": "a", "state": "ended"}]}, "state is failed"),
        ({"name": "x", "row": [ROW], "config": [{"line": "a"}]}, "line needs a group (?P<key>...)"),
        ("x", "dialects[0]: a table of fields is expected"),
    ],
)  # fmt: skip
def test_a_wrong_dialect_names_table_and_field(tmp_path: Path, table: object, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        TextLog(str(tmp_path), dialects=[table])  # type: ignore[list-item]
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
