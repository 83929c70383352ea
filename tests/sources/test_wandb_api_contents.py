"""W&B server: what of a run is read from where, besides its history."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from runpages.sources import _wandb_api_pages as pages
from runpages.sources._wandb_api_facts import bare_url, settings_of
from runpages.sources._wandb_api_http import key_for
from sources.wandb_runs import START, alone, losses, only, put, row, source
from sources.wandb_schema import Artifact
from sources.wandb_server import KEY, WandbLoopback


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WandbLoopback]:
    yield from alone(monkeypatch, tmp_path)


CONFIG = {
    "lr": {"value": 3e-4, "desc": None},
    "seed": {"value": 7},
    "model": {"value": {"layers": 4, "scale": "NaN"}},
    "plain": 5,
    "wandb_version": 1,
    "_wandb": {
        "value": {
            "cli_version": "0.31.0",
            "python_version": "3.11.7",
            "m": [{"1": "val/*"}, {"1": "it"}, {"2": "train/*", "5": 2}, "?", {"1": "x", "5": 99}],
            "e": {
                "w1": {
                    "os": "Linux",
                    "python": "CPython 3.11.7",
                    "startedAt": "2026-01-02T03:04:06Z",
                    "host": "node1",
                    "program": "/home/u/train.py",
                    "codePath": "train.py",
                    "executable": "/venv/bin/python3",
                    "args": ["--lr", "3e-4"],
                    "gpu": "NVIDIA H100",
                    "gpu_count": 8,
                    "cpu_count": 64,
                    "cpu": {"model": "EPYC"},
                    "memory": {"total": "1000000"},
                    "cudaVersion": "12.4",
                    "git": {"remote": "https://u:tok3n@git.x/r.git?t=tok3n", "commit": "c0ffee"},
                }
            },
        }
    },
}


def test_everything_that_stands_in_the_run(server: WandbLoopback) -> None:
    put(
        server,
        displayName="my run",
        config=json.dumps(CONFIG),
        summaryMetrics=json.dumps(
            {"loss": "NaN", "best": {"min": 0.1}, "_step": 3, "_wandb": {"runtime": 5}}
        ),
        group="g",
        jobType="train",
        tags=("a", "b"),
        notes="why",
        sweepName="sw/1",
        commit="c0ffee",
        rows=[row(i, **{"train/loss": 1.0, "it": 10 * i}) for i in range(3)],
        lines=[
            "2026-01-02T03:04:07.000 step 1\x1b[31m red\x1b[0m",
            "ERROR 2026-01-02T03:04:08.1 bye",
        ],
        stored={"requirements.txt": b"torch==2.5.0\nnumpy==2\n"},
    )
    run = only(server)
    assert (run.name, run.group, run.job_type, run.tags) == ("my run", "g", "train", ("a", "b"))
    assert (run.description, run.author, run.seed) == ("why", "ada", 7)
    assert run.config == {
        "lr": 3e-4, "seed": 7, "model": {"layers": 4, "scale": "NaN"}, "plain": 5,
    }  # fmt: skip
    assert math.isnan(run.summary.pop("loss"))
    assert run.summary == {"best.min": 0.1}
    assert run.code.commit == "c0ffee"
    assert run.code.remote == "https://git.x/r.git"
    assert run.code.entry_point == "train.py"
    assert run.command == "python3 /home/u/train.py --lr 3e-4"
    assert run.hardware.hosts == ("node1",)
    assert (run.hardware.device, run.hardware.devices) == ("NVIDIA H100", 8)
    assert (run.hardware.cpu, run.hardware.cpu_count) == ("EPYC", 64)
    assert run.hardware.memory_bytes == 1_000_000
    assert run.environment == {
        "os": "Linux", "python": "CPython 3.11.7", "cuda": "12.4", "torch": "2.5.0",
        "wandb": "0.31.0",
    }  # fmt: skip
    assert run.console == "step 1 red\nbye"
    assert run.start == START + 1
    assert run.series["train/loss"].step.tolist() == [0, 10, 20]
    assert run.provenance.step_source == "it (define_metric)"
    assert [(link.label, link.url) for link in run.links] == [
        ("Weights & Biases", f"{server.url}/team/llm/runs/r1"),
        ("sweep sw/1", f"{server.url}/team/llm/sweeps/sw%2F1"),
    ]


@pytest.mark.parametrize(
    ("runtime", "started", "created", "start"),
    [
        (4.0, "2026-01-02T03:04:07Z", "2026-01-02T03:04:05Z", START + 2),
        (4.0, None, "2026-01-02T03:04:05Z", START + 6),
        (4.0, "2026-01-02T04:00:00Z", "2026-01-09T00:00:00Z", START + 6),
        (None, None, "2026-01-02T03:04:05Z", START),
        (None, None, "2026-01-09T00:00:00Z", START + 10),
    ],
)
def test_a_run_starts_when_its_process_did(
    server: WandbLoopback, runtime: float | None, started: str | None, created: str, start: float
) -> None:
    own = {"e": {"w": {"startedAt": started, "os": "x"}}}
    stored = {"_step": 0, "_timestamp": START + 10, "_runtime": runtime, "loss": 1.0}
    put(
        server,
        rows=[json.dumps(stored)],
        createdAt=created,
        config=json.dumps({"_wandb": {"value": own}}),
    )
    run = only(server)
    assert (run.start, run.end) == (start, START + 10)
    assert run.attempts[0].start == start


def test_definitions_by_name_and_by_place() -> None:
    assert settings_of(json.dumps(CONFIG)).definitions == (
        ("val/*", "", ""), ("it", "", ""), ("", "train/*", "it"), ("", "", ""), ("x", "", ""),
    )  # fmt: skip
    named = {"_wandb": {"value": {"m": [{"1": "loss", "4": "it"}]}}}
    assert settings_of(json.dumps(named)).definitions == (("loss", "", "it"),)


@pytest.mark.parametrize(
    "config",
    [
        "",
        "[1]",
        "{",
        '{"a": ' + "[" * 300 + "]" * 300 + "}",
        '{"_wandb": 5}',
        '{"_wandb": {"value": []}}',
    ],
)
def test_a_configuration_of_another_shape_costs_only_itself(
    server: WandbLoopback, config: str
) -> None:
    put(server, config=config, summaryMetrics="[", rows=losses(range(3)))
    run = only(server)
    assert run.config == {}
    assert len(run.series["loss"]) == 3


def test_machine_of_an_old_run_from_its_file_or_the_servers_table(server: WandbLoopback) -> None:
    metadata = {
        "os": "Linux-5",
        "host": "old",
        "gpu": "V100",
        "gpu_count": 2,
        "memory": {"total": 1.5},
    }
    put(server, "a", stored={"wandb-metadata.json": json.dumps(metadata).encode()})
    put(
        server,
        "b",
        runInfo={"os": "Linux-4", "gpuCount": 4, "gpu": "A100", "python": "3.8", "args": ["-x"],
                 "program": "t.py", "git": {"remote": "git@h:r.git", "commit": "abc"}},
    )  # fmt: skip
    opened = source(server)
    one, other = (opened.read(ref) for ref in opened.discover())
    assert (one.environment["os"], one.hardware.device, one.hardware.devices) == (
        "Linux-5", "V100", 2,
    )  # fmt: skip
    assert one.hardware.memory_bytes == 3 * 2**29
    assert ("wandb-metadata.json", len(json.dumps(metadata))) in one.provenance.files
    assert (other.environment["os"], other.hardware.devices) == ("Linux-4", 4)
    assert (other.code.commit, other.code.remote) == ("abc", "git@h:r.git")
    assert other.command == "t.py -x"


def test_of_several_writers_the_accelerators_are_not_known(server: WandbLoopback) -> None:
    """Whether they ran at once, or one after the other, is not recorded."""
    writers = {
        host: {"host": host, "gpu_count": 8, "gpu": "H100", "startedAt": f"2026-01-02T03:04:0{n}Z"}
        for n, host in enumerate(("n1", "n2"), start=6)
    }
    put(server, config=json.dumps({"_wandb": {"value": {"e": writers}}}), rows=losses(range(9)))
    run = only(server)
    assert (run.hardware.hosts, run.hardware.device) == (("n1", "n2"), "H100")
    assert run.hardware.devices is None
    assert [attempt.devices for attempt in run.attempts] == [None]


def test_system_metrics_stand_on_the_clock(server: WandbLoopback) -> None:
    events = [
        {
            "_timestamp": START + 15 * i,
            "_runtime": 15 * i,
            "_wandb": True,
            "system.gpu.0.gpu": 9.0 + i,
        }
        for i in range(2500)
    ]
    put(server, system=[json.dumps(event) for event in events])
    run = only(server)
    series = run.series["system/gpu.0.gpu"]
    assert (list(run.series), series.info.axis) == (["system/gpu.0.gpu"], "time")
    assert series.value.tolist() == [9.0 + i for i in range(2500)]
    assert series.time.tolist() == [START + 15 * i for i in range(2500)]
    assert run.hardware.devices == 1
    assert run.provenance.lossy == (NO_ALERTS,)
    assert run.end == START + 15 * 2499


NO_ALERTS = "alerts of W&B are not read from its server, whose API does not tell them"


def test_a_selection_of_system_metrics_is_told(server: WandbLoopback, monkeypatch) -> None:
    monkeypatch.setattr(pages, "PAGE_EVENTS", 500)
    put(
        server,
        system=[json.dumps({"_timestamp": START + i, "system.cpu": 1.0}) for i in range(900)],
    )
    run = only(server)
    assert len(run.series["system/cpu"]) == 500
    assert (
        "system metrics are a selection: the server gave 500 of 900 readings"
        in run.provenance.lossy
    )


def test_console_from_the_log_file_where_the_server_has_no_lines(server: WandbLoopback) -> None:
    text = "".join(f"line {number}\n" for number in range(20_000))
    put(server, stored={"output.log": text.encode()})
    run = only(server)
    assert run.console.endswith("line 19999\n")
    assert 60_000 < len(run.console) <= 64_000
    assert run.console.startswith("line ")


def test_artifacts_are_known_by_their_metadata(server: WandbLoopback, monkeypatch) -> None:
    monkeypatch.setattr(pages, "PAGE_ARTIFACTS", 2)
    put(
        server,
        logged=[
            Artifact(
                name="net", type="model", version=3, size=10, metadata='{"step": 40, "l": 0.5}'
            ),
            Artifact(name="bare", type="model", version=1),
            Artifact(name="run-r1-said", type="run_table"),
            Artifact(name="job", type="wandb-history"),
            Artifact(name="corpus", type="dataset", version=2, digest="d9"),
        ],
        used=[
            Artifact(name="web", type="dataset", version=7, digest="d7"),
            Artifact(name="base", type="model", version=1, metadata='{"step": 9}'),
        ],
    )
    run = only(server)
    (checkpoint,) = run.checkpoints
    assert (checkpoint.step, checkpoint.path, checkpoint.size_bytes) == (40, "net:v3", 10)
    assert checkpoint.metrics == {"l": 0.5}
    assert [(d.name, d.version, d.digest) for d in run.datasets] == [
        ("corpus", "v2", "d9"), ("web", "v7", "d7"),
    ]  # fmt: skip
    assert [e.text for e in run.logged_events] == ["model bare:v1", "used model base:v1"]


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("https://wandb.ai/a?accessToken=tok3n#x", "https://wandb.ai/a"),
        ("https://u:p@host:8080/r.git", "https://host:8080/r.git"),
        ("ssh://git:p@host/r.git", "ssh://git@host/r.git"),
        ("git@host:a/r.git", "git@host:a/r.git"),
        ("/local/path?x", "/local/path"),
        ("https://[bad", ""),
    ],
)
def test_addresses_are_shown_bare(url: str, bare: str) -> None:
    assert bare_url(url) == bare


def test_the_key_comes_from_the_variable_else_from_netrc(monkeypatch, tmp_path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.wandb.ai login user password k1\ndefault login x password k2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("WANDB_API_KEY", f" {KEY}\n")
    assert key_for("https://api.wandb.ai") == KEY
    monkeypatch.delenv("WANDB_API_KEY")
    assert key_for("https://api.wandb.ai") == "k1"
    assert key_for("https://other.host") == ""
    netrc.write_text("machine")
    assert key_for("https://api.wandb.ai") == ""


def test_the_same_run_twice_is_the_same(server: WandbLoopback) -> None:
    put(server, config=json.dumps(CONFIG), rows=losses(range(1200)))
    one, other = only(server), only(server)
    assert one.provenance == other.provenance
    assert one.attempts == other.attempts
    assert one.series["loss"].value.tobytes() == other.series["loss"].value.tobytes()
