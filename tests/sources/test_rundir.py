"""Run directories: what is written is what is read, and a bad line costs only itself."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from runpages import log
from runpages.errors import SourceError
from runpages.model import Run
from runpages.sources import sniff
from runpages.sources.rundir import RunDirectory
from sources.conformance import SourceConformance, read_all

VALUES = [1.0, math.nan, math.inf, -math.inf, 0.1 + 0.2, 5e-324, -0.0, 1.7976931348623157e308]


class TestJsonLines(SourceConformance):
    kind = "rundir"
    log = "metrics.jsonl"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        with log.start(root / "run", project="p", config={"lr": 0.1}) as run:
            for step, value in enumerate(VALUES):
                run.metrics(step, {"train/loss": value, "lr": 0.1 * step})
        return {
            "train/loss": list(enumerate(VALUES)),
            "lr": [(step, 0.1 * step) for step in range(len(VALUES))],
        }


class TestCsv(SourceConformance):
    kind = "rundir"
    log = "metrics.csv"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        folder = root / "deep" / "run"
        folder.mkdir(parents=True)
        rows = [f"{step},{value!r}," for step, value in enumerate(VALUES)]
        rows[3] += "0.25"
        (folder / "metrics.csv").write_text("step,loss,acc\n" + "\n".join(rows) + "\n")
        return {"loss": list(enumerate(VALUES)), "acc": [(3, 0.25)]}


def write(folder: Path, **files: str | bytes) -> Path:
    """Files of a run directory; `metrics_jsonl="..."` becomes metrics.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name.replace("_", ".")).write_bytes(data)
    return folder


def read(folder: Path) -> Run:
    (run,) = read_all(RunDirectory(str(folder)))
    return run


def row(step: int, loss: float = 1.0, **more: object) -> str:
    return json.dumps({"step": step, "loss": loss, **more}) + "\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{broken\n", "metrics.jsonl:2: not JSON"),
        ("[1, 2]\n", "metrics.jsonl:2: not a JSON object"),
        ("\x00\x00\x00\x00\n", "metrics.jsonl:2: not JSON"),
        ("[" * 100_000 + "\n", "metrics.jsonl:2: not JSON"),
        ('{"step": 2, "loss": ' + "9" * 5000 + "}\n", "metrics.jsonl:2: not JSON"),
        ('{"loss": 3}\n', "metrics.jsonl:2: no whole number under `step`"),
        ('{"step": 1.5, "loss": 3}\n', "metrics.jsonl:2: no whole number under `step`"),
        ('{"step": 1e999, "loss": 3}\n', "metrics.jsonl:2: no whole number under `step`"),
        ('{"step": "x", "loss": 3}\n', "metrics.jsonl:2: no whole number under `step`"),
        ('{"step": 9223372036854775808, "loss": 3}\n', "metrics.jsonl:2: no whole number"),
    ],
)
def test_a_bad_line_is_left_out_counted_and_named(tmp_path: Path, line: str, said: str) -> None:
    run = read(write(tmp_path, metrics_jsonl=row(1) + line + row(3)))
    assert run.series["loss"].step.tolist() == [1, 3]
    (warning,) = run.provenance.warnings
    assert warning.startswith(said)
    assert warning.endswith("this line is left out")
    assert len(warning) < 250
    assert run.provenance.records_damaged == 1
    assert run.provenance.bytes_damaged == len(line)
    assert run.provenance.records_read == 2
    assert run.incomplete == ("metrics.jsonl has 1 line that cannot be used",)


def test_invalid_utf8_costs_one_line(tmp_path: Path) -> None:
    bad = b'{"step": 2, "\xff": 1}\n'
    run = read(write(tmp_path, metrics_jsonl=row(1).encode() + bad + row(3).encode()))
    assert run.series["loss"].step.tolist() == [1, 3]
    assert run.provenance.bytes_damaged == len(bad)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[1]", "'odd' is no number"),
        ('{"a": 1}', "'odd' is no number"),
        ('"word"', "'odd' is no number"),
        ("9" * 400, "'odd' is no number"),
        ('"1_000"', "'odd' is no number"),
    ],
)
def test_what_is_no_number_costs_only_itself(tmp_path: Path, value: str, said: str) -> None:
    lines = "".join(f'{{"step": {i}, "loss": 1, "odd": {value}}}\n' for i in (1, 2, 3))
    run = read(write(tmp_path, metrics_jsonl=lines))
    assert list(run.series) == ["loss"]
    assert run.provenance.warnings == (f"metrics.jsonl:1: {said}; left out (3 rows)",)
    assert run.provenance.records_damaged == 0


def test_nan_and_infinities_bare_and_by_name(tmp_path: Path) -> None:
    text = "".join(
        f'{{"step": {step}, "loss": {value}}}\n'
        for step, value in enumerate(
            ["NaN", '"nan"', "Infinity", '"-inf"', '"Infinity"', "-Infinity", "null", "true"]
        )
    )
    loss = read(write(tmp_path, metrics_jsonl=text)).series["loss"]
    assert loss.step.tolist() == [0, 1, 2, 3, 4, 5, 7]
    assert [str(v) for v in loss.value] == ["nan", "nan", "inf", "-inf", "inf", "-inf", "1.0"]


def test_big_steps_are_exact(tmp_path: Path) -> None:
    steps = [2**53 + 1, 2**53 + 2, 2**63 - 1]
    run = read(write(tmp_path / "j", metrics_jsonl="".join(row(step) for step in steps)))
    assert run.series["loss"].step.tolist() == steps
    cells = "step,loss\n" + "".join(f"{step},1\n" for step in steps)
    assert read(write(tmp_path / "c", metrics_csv=cells)).series["loss"].step.tolist() == steps


def test_times_are_seconds_or_iso(tmp_path: Path) -> None:
    text = (
        row(1, time=1_790_000_000.5)
        + row(2, time="2026-09-21T14:13:21Z")
        + row(3, time="2026-09-21T16:13:22+02:00")
        + row(4, time="soon")
        + row(5, time=1e300)
        + row(6)
    )
    run = read(write(tmp_path, metrics_jsonl=text))
    times = run.series["loss"].time
    assert times[:3].tolist() == [1_790_000_000.5, 1_790_000_001, 1_790_000_002]
    assert all(math.isnan(t) for t in times[3:])
    assert (run.start, run.end) == (1_790_000_000.5, 1_790_000_002)
    assert [w.partition(" ")[0] for w in run.provenance.warnings] == [
        "metrics.jsonl:4:",
        "metrics.jsonl:5:",
    ]


def test_falling_steps_begin_an_attempt(tmp_path: Path) -> None:
    steps = [0, 1, 2, 3, 2, 3, 3, 4, 1]
    run = read(write(tmp_path, metrics_jsonl="".join(row(s, float(s)) for s in steps)))
    assert [(a.number, a.first_step, a.last_step) for a in run.attempts] == [
        (1, 0, 3),
        (2, 2, 4),
        (3, 1, 1),
    ]


@pytest.mark.parametrize(
    ("rows", "attempts"),
    [
        ([(1, 5), (1, 3), (1, 4)], [1, 2, 2]),
        ([(1, 5), (1, 3), (2, 4), (2, 5)], [1, 2, 3, 3]),
        ([(1, 5), (2, 0), (1, 6), (2, 1)], [1, 2, 1, 2]),
        ([(2, 5), (3, 1)], [2, 3]),
        ([(0, 1), (-3, 2), (2**62, 3), ("x", 4)], [1, 1, 1, 1]),
    ],
)
def test_given_attempts_are_kept_unless_steps_fall_in_one(
    tmp_path: Path, rows: list[tuple[object, int]], attempts: list[int]
) -> None:
    text = "".join(row(step, attempt=number) for number, step in rows)
    recorded = read(write(tmp_path, metrics_jsonl=text)).series["loss"].recorded
    assert recorded.attempt.tolist() == attempts
    assert recorded.step.tolist() == [step for _, step in rows]


def fail_after_ten_steps(folder: Path) -> None:
    with log.start(folder, name="n", devices=4) as run:
        for step in range(10):
            run.metrics(step, {"loss": 1.0})
        run.checkpoint(5, "ckpt-5", size_bytes=10, loss=0.5)
        raise RuntimeError


def test_a_run_resumed_with_the_writer(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        fail_after_ten_steps(tmp_path)
    with log.start(tmp_path, devices=2, seed=3, notes="why", tags=["a", "b"], group="g") as run:
        for step in range(6, 12):
            run.metrics(step, {"loss": 2.0})
        run.sample(11, "<b>said</b>", prompt="ask")
        run.event("alert", step=8, text="hot")
    found = read(tmp_path)
    assert [(a.number, a.first_step, a.last_step, a.state, a.devices) for a in found.attempts] == [
        (1, 0, 9, "failed", 4),
        (2, 6, 11, "finished", 2),
    ]
    assert found.series["loss"].value.tolist() == [1.0] * 6 + [2.0] * 6
    assert (found.name, found.state, found.seed, found.group) == ("n", "finished", 3, "g")
    assert (found.tags, found.description) == (("a", "b"), "why")
    (checkpoint,) = found.checkpoints
    assert (checkpoint.step, checkpoint.path, checkpoint.size_bytes) == (5, "ckpt-5", 10)
    assert (checkpoint.metrics, checkpoint.attempt) == ({"loss": 0.5}, 1)
    (sample,) = found.samples
    assert (sample.text, sample.prompt, sample.step, sample.attempt) == (
        "<b>said</b>",
        "ask",
        11,
        2,
    )
    (event,) = found.logged_events
    assert (event.kind, event.text, event.step, event.attempt) == ("alert", "hot", 8, 2)


def test_without_an_end_the_last_time_decides(tmp_path: Path) -> None:
    log.start(tmp_path).metrics(1, {"loss": 1.0})
    assert read(tmp_path).state == "running"
    source = RunDirectory(str(tmp_path), settle_minutes=0)
    assert read_all(source)[0].state == "ended"


def test_a_run_that_died_before_its_first_row_is_a_run(tmp_path: Path) -> None:
    log.start(tmp_path / "run", name="short").finish("failed")
    run = read(tmp_path)
    assert (run.name, run.state, len(run.series)) == ("short", "failed", 0)


def test_two_runs_and_their_names(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    log.start(root / "b").metrics(1, {"loss": 1.0})
    log.start(root / "a" / "deep", name="../<x>", project="p").metrics(1, {"loss": 1.0})
    source = RunDirectory(str(root))
    assert [(r.run_id, r.name, r.project) for r in source.discover()] == [
        ("a/deep", "../<x>", "p"),
        ("b", "b", ""),
    ]


def test_a_damaged_first_event_hides_no_name(tmp_path: Path) -> None:
    write(tmp_path, metrics_jsonl=row(1), events_jsonl='{bad\n{"event": "start", "name": "n"}\n')
    assert read(tmp_path).name == "n"


def test_facts_of_the_wrong_type_are_left_out(tmp_path: Path) -> None:
    start = {
        "event": "start",
        "attempt": -4,
        "seed": "three",
        "devices": 10**30,
        "cpus": True,
        "tags": "abc",
        "name": ["x"],
        "time": {},
    }
    write(tmp_path / "run", metrics_jsonl=row(1), events_jsonl=json.dumps(start) + "\n")
    run = read(tmp_path)
    assert (run.seed, run.hardware.devices, run.hardware.cpu_count, run.tags) == (
        None,
        None,
        None,
        (),
    )
    assert [(a.number, a.devices) for a in run.attempts] == [(1, None)]


def test_config_of_both_kinds(tmp_path: Path) -> None:
    write(tmp_path / "j", metrics_jsonl=row(1), config_json='{"model": {"layers": 4}}')
    write(
        tmp_path / "y", metrics_jsonl=row(1), config_yaml="model:\n  layers: 4\nday: 2026-01-02\n"
    )
    runs = read_all(RunDirectory(str(tmp_path)))
    assert runs[0].config == {"model": {"layers": 4}}
    assert runs[1].config == {"model": {"layers": 4}, "day": "2026-01-02"}


BOMB = "a: &a [x, x]\n" + "".join(
    f"{c}: &{c} [{', '.join([f'*{p}'] * 9)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.yaml", BOMB, "aliases (*name) are not read"),
        ("config.yaml", "!!python/object/apply:os.system ['true']", "could not determine"),
        ("config.yaml", "a: [1", "cannot be read"),
        ("config.yaml", "[" * 5000, "cannot be read"),
        ("config.yaml", "a: 2026-99-99", "cannot be read"),
        ("config.yaml", "- 1", "holds no mapping of settings"),
        ("config.json", '{"a": ' + "9" * 5000 + "}", "cannot be read"),
        ("config.json", '{"a": ' * 20_000, "cannot be read"),
        ("config.json", "[1]", "holds no mapping of settings"),
        ("config.json", " " * 1_000_001, "more than 1000000"),
        ("config.json", b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_config_that_cannot_be_used_is_a_sentence(
    tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    write(tmp_path, metrics_jsonl=row(1))
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    run = read(tmp_path)
    assert run.config == {}
    assert run.series["loss"].step.tolist() == [1]
    (warning,) = run.provenance.warnings
    assert warning.startswith(f"{name}: ")
    assert said in warning
    assert "\n" not in warning
    assert len(warning) < 250


def test_a_config_may_repeat_what_it_merges_only_by_value(tmp_path: Path) -> None:
    write(tmp_path, metrics_jsonl=row(1), config_yaml="? [1, 2]\n: 3\n")
    assert read(tmp_path).provenance.warnings[0].startswith("config.yaml: cannot be read")


@pytest.mark.parametrize(
    "head", ["step,loss,note", '"step","loss","note"', "\ufeffstep,loss,note", "loss,step,note"]
)
def test_csv_headers(tmp_path: Path, head: str) -> None:
    cells = "2,1,\r\n" if head.startswith("loss") else "1,2,\r\n"
    run = read(write(tmp_path, metrics_csv=f"{head}\r\n{cells}"))
    assert list(run.series) == ["loss"]
    assert run.series["loss"].step.tolist() == [1]
    assert run.series["loss"].value.tolist() == [2.0]
    assert run.provenance.warnings == ()


def test_csv_blank_cells_and_bad_rows(tmp_path: Path) -> None:
    text = "step,loss,acc\n1,,0.5\n\nx,1,1\n3,nan,\n4,-Infinity,word\n5\n"
    run = read(write(tmp_path, metrics_csv=text))
    assert run.series["acc"].step.tolist() == [1]
    assert run.series["loss"].step.tolist() == [3, 4]
    assert run.provenance.warnings == (
        "metrics.csv:4: no whole number under `step`; this line is left out",
        "metrics.csv:6: 'acc' is no number; left out (1 row)",
    )
    assert run.provenance.records_damaged == 1


def test_a_csv_row_without_its_end_of_line_is_not_trusted(tmp_path: Path) -> None:
    run = read(write(tmp_path, metrics_csv="step,loss\n1,0.5\n2,0.123"))
    assert run.series["loss"].step.tolist() == [1]
    assert run.incomplete == ("metrics.csv ends in the middle of line 3",)
    assert run.provenance.records_damaged == 1


def test_a_csv_cell_of_any_length_is_no_traceback(tmp_path: Path) -> None:
    text = 'step,loss\n1,0.5\n2,"' + "x" * 200_000 + "\n3,0.25\n"
    run = read(write(tmp_path, metrics_csv=text))
    assert run.series["loss"].step.tolist()[0] == 1
    assert run.provenance.records_damaged >= 1


def test_lightnings_metrics_csv_is_not_ours(tmp_path: Path) -> None:
    write(tmp_path, metrics_csv="epoch,step,loss\n0,1,2\n", hparams_yaml="{}")
    assert list(RunDirectory(str(tmp_path)).discover()) == []
    assert list(RunDirectory(str(tmp_path / "metrics.csv")).discover()) == []


def test_a_folder_of_which_no_line_can_be_used_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, metrics_jsonl='{"step": \n{"step": \n')
    source = RunDirectory(str(tmp_path))
    (ref,) = source.discover()
    with pytest.raises(SourceError, match=r"no line of its logs can be read \(metrics.jsonl:1:"):
        source.read(ref)


def test_many_bad_lines_are_told_in_few(tmp_path: Path) -> None:
    run = read(write(tmp_path, metrics_jsonl=row(1) + "{\n" * 5000))
    assert len(run.provenance.warnings) == 21
    assert run.provenance.warnings[-1] == "and 4980 more"
    assert run.provenance.records_damaged == 5000


def test_samples_without_text_are_damage(tmp_path: Path) -> None:
    write(
        tmp_path,
        metrics_jsonl=row(1),
        samples_jsonl='{"step": 1}\n{"step": 2, "text": "t", "attempt": -1}\n',
    )
    run = read(tmp_path)
    assert [(s.step, s.text, s.attempt) for s in run.samples] == [(2, "t", 1)]
    assert run.provenance.warnings == (
        "samples.jsonl:1: no text under `text`; this line is left out",
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("version_0/metrics.csv", "epoch,step,train_loss\n0,49,0.5\n"),
        ("a/metrics.jsonl", '{"step": 1, "loss": 3}\n{"step": 1, "eval": {"acc": 0.5}}\n'),
    ],
)
def test_tables_of_other_programs_are_left_to_others(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text(text)
    assert list(RunDirectory(str(tmp_path)).discover()) == []
    assert [ref.kind for ref in sniff(tmp_path).runs] == ["tabular"]


def test_a_run_is_redone_by_the_command_that_began_it(tmp_path: Path) -> None:
    starts = [
        {"event": "start", "command": "python train.py", "libraries": {"torch": "2.9.0"}},
        {"event": "start", "command": "python train.py --resume\nrm -r x"},
        {"event": "start", "command": "python train.py"},
    ]
    rows = [{"step": 1, "loss": 1.0, "attempt": n} for n in (1, 2, 3)]
    for name, lines in (("events", starts), ("metrics", rows)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    run = read(tmp_path)
    assert run.command == "python train.py\n# attempt 2: python train.py --resume rm -r x"
    assert run.environment == {"torch": "2.9.0"}
