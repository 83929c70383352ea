"""W&B server, with the real SDK and its core: what they send is what is read back, bit by bit.

The runs are logged by the SDK (`wandb.init`, `wandb sync`), stored by the loopback server as they
come in, and read twice: over the API, and from the .wandb files.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from graphql import (
    FieldNode,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    parse,
    validate,
    visit,
)

from runpages.model import Run
from runpages.sources import open_source
from sources.wandb_server import KEY, WandbLoopback, serving

OFFLINE = """
import math, sys, time
import numpy as np, wandb
from PIL import Image

start = dict(entity="team", project="llm", dir=sys.argv[1], mode="offline")
fast = wandb.Settings(x_stats_sampling_interval=0.2)

run = wandb.init(id="full", name="a 'name' \\N{SNOWMAN}", group="seeds", job_type="train",
    tags=["x", "y"], notes="why", settings=fast,
    config={"lr": 1e-3, "seed": 3, "model": {"layers": 4}}, **start)
run.define_metric("train/*", step_metric="iter")
run.define_metric("acc", step_metric="epoch")
for i, loss in enumerate([1.0, math.nan, math.inf, -math.inf, 0.1 + 0.2, 5e-324, 1.5e308]):
    run.log({"train/loss": loss, "iter": 10 * i, "deep": {"a": {"b": i}}, "flag": i > 2,
             "word": "hi", "dot.ted": 2 ** 60 + i, "late" if i > 3 else "early": 0.0})
run.log({"acc": 0.5, "epoch": 1, "iter": 70, "spread": wandb.Histogram([1.0, 2.0, 4.0])})
rows = [["p1", "c1", 0.1], ["p2", "<script>", math.nan]]
run.log({"said": wandb.Table(columns=["prompt", "completion", "score"], data=rows),
         "numbers": wandb.Table(columns=["a", "b"], data=[[i, None] for i in range(201)])})
pixels = Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8))
run.log({"one": wandb.Image(pixels, caption="cap"), "page": wandb.Html("<b>x</b>"),
         "two": [wandb.Image(pixels, caption="c1"), wandb.Image(pixels, caption="c2")]})
artifact = wandb.Artifact("net", type="model", metadata={"step": 40, "loss": 0.5})
with artifact.new_file("w.bin") as file:
    file.write("x" * 10)
run.log_artifact(artifact)
run.log_artifact(wandb.Artifact("corpus", type="dataset"))
run.summary["best"] = 0.125
print("hello console")
time.sleep(0.7)
run.finish()

run = wandb.init(id="plain", settings=wandb.Settings(x_disable_stats=True), **start)
for i in range(2500):
    run.log({"loss": 1.0 / (i + 1)}, step=2 * i)
run.finish(exit_code=1)
"""

ONLINE = """
import sys, time, wandb
fast = wandb.Settings(x_stats_sampling_interval=0.2)
for run_id, starts in (("fallen", (0, 4)), ("exact", (0, 6))):
    for first in starts:
        run = wandb.init(entity="team", project="llm", id=run_id, resume="allow", dir=sys.argv[1],
                         settings=fast)
        for i in range(first, first + 6):
            run.log({"loss": i + first / 100, "train/global_step": i})
        time.sleep(0.6)
        run.finish()
        time.sleep(1.1)
"""

SYNC = "import sys; from wandb.cli.cli import cli; cli(['sync', '--yes', *sys.argv[1:]])"

SCAN = """
import json, wandb
api, found = wandb.Api(timeout=30), {}
for run in api.runs("team/llm", per_page=1):
    run.load_full_data()
    list(run.scan_history(keys=["loss"]))
    found[run.id] = {
        "name": run.name, "state": run.state, "config": run.config,
        "rows": list(run.scan_history(page_size=1000)),
        "events": run.history(stream="system", pandas=False, samples=1000),
        "files": sorted(file.name for file in run.files(per_page=2)),
        "named": [file.name for file in run.files(names=["wandb-metadata.json"])],
        "logged": [artifact.name for artifact in run.logged_artifacts(per_page=1)],
        "used": [artifact.name for artifact in run.used_artifacts()],
        "console": [line.content for line in run.console_logs(last=10)],
    }
found["projects"] = [project.name for project in api.projects("team")]
print(json.dumps(found))
"""


class Logged(NamedTuple):
    server: WandbLoopback
    offline: Path
    online: Path
    environment: dict[str, str]


def _python(code: str, *arguments: str, environment: dict[str, str], cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment, cwd=cwd, check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    folder = tmp_path_factory.mktemp("wandb-server")
    offline, online = folder / "offline", folder / "online"
    offline.mkdir()
    online.mkdir()
    with serving() as server:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")} | {
            "HOME": str(folder),
            "NETRC": str(folder / "netrc"),
            "WANDB_API_KEY": KEY,
            "WANDB_BASE_URL": server.url,
            "WANDB_SILENT": "true",
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_DATA_DIR": str(folder / "staging"),
            "WANDB_CACHE_DIR": str(folder / "cache"),
            "WANDB_CONFIG_DIR": str(folder / "config"),
        }
        _python(OFFLINE, str(offline), environment=environment, cwd=folder)
        _python(ONLINE, str(online), environment=environment, cwd=folder)
        folders = sorted(str(path) for path in offline.glob("wandb/offline-run-*"))
        _python(SYNC, *folders, environment=environment, cwd=folder)
        yield Logged(server, offline, online, environment)


@pytest.fixture(scope="module")
def scanned(logged: Logged) -> dict[str, Any]:
    """What the real client finds on the same server."""
    where = logged.offline.parent
    found: dict[str, Any] = json.loads(_python(SCAN, environment=logged.environment, cwd=where))
    return found


@pytest.fixture
def both(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Run, Run]]:
    """Id -> the run as the server has it, and as its folder has it."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    served = open_source("wandb", logged.server.url, project="team/llm", name="logs")
    runs = {ref.run_id: served.read(ref) for ref in served.discover()}
    found = {}
    for root in (logged.offline, logged.online):
        files = open_source("wandb", str(root), name="logs")
        found |= {ref.run_id: (runs[ref.run_id], files.read(ref)) for ref in files.discover()}
    assert sorted(found) == sorted(runs) == ["exact", "fallen", "full", "plain"]
    return found


def test_series_are_bit_by_bit_those_of_the_offline_reader(both) -> None:
    for run_id, (served, offline) in both.items():
        assert sorted(served.series) == sorted(offline.series), run_id
        for name in offline.series:
            one, other = served.series[name], offline.series[name]
            assert one.info == other.info
            for left, right in zip(one.recorded, other.recorded, strict=True):
                # as bits: NaN equals NaN (-0.0 the core uploads as 0)
                assert left.tobytes() == right.tobytes(), (run_id, name)
    loss = both["full"][0].series["train/loss"].recorded
    assert loss.step.tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert math.isnan(loss.value[1])
    assert loss.value[2:].tolist() == [np.inf, -np.inf, 0.1 + 0.2, 5e-324, 1.5e308]
    assert len(both["plain"][0].series["loss"]) == 2500
    assert both["full"][0].series["spread/max"].value.tolist() == [4.0]


def test_identity_state_and_steps_are_those_of_the_offline_reader(both) -> None:
    for served, offline in both.values():
        assert served.slug == offline.slug
        assert served.name == offline.name or not offline.ref.name
        assert served.state == offline.state
        assert served.config == offline.config
        assert served.summary == offline.summary
        assert served.provenance.step_source == offline.provenance.step_source
        for field in ("group", "job_type", "tags", "description", "seed", "code", "command"):
            assert getattr(served, field) == getattr(offline, field)
        assert served.hardware == offline.hardware
        assert served.environment == offline.environment
        assert served.incomplete == ()
    assert both["plain"][0].state == "failed"
    assert both["full"][0].ref.name == "a 'name' \N{SNOWMAN}"


def test_times_are_those_of_the_process_not_of_the_upload(both) -> None:
    for served, offline in both.values():
        assert served.end == offline.end
        # the server is told the process's own start, the file when the run was set up in it
        assert abs(served.start - offline.start) < 5
        assert served.start <= min(series.time.min() for series in served.series.values())


def test_a_resumed_run_has_the_same_attempts(both) -> None:
    for run_id in ("fallen", "exact"):
        served, offline = both[run_id]
        spans = [(a.number, a.first_step, a.last_step, a.end) for a in served.attempts]
        assert spans == [(a.number, a.first_step, a.last_step, a.end) for a in offline.attempts]
        assert len(spans) == 2
    loss = both["fallen"][0].series["loss"]
    assert loss.superseded.step.tolist() == [4, 5]
    assert loss.window(4, 4).value.tolist() == [4.04]


def test_tables_images_and_what_is_not_read(both) -> None:
    run, offline = both["full"]
    # the client writes the keys of one row in any order
    texts, other = (
        sorted((s for s in r.samples if s.kind in {"text", "table"}), key=lambda s: s.name)
        for r in (run, offline)
    )
    assert texts == other
    assert [s.text for s in texts if s.name == "said"] == ["c1", "<script>"]
    images = [s for s in run.samples if s.kind == "image"]
    assert [(s.name, s.text, s.step) for s in images] == [
        ("one", "cap", 70), ("two", "c1", 70), ("two", "c2", 70),
    ]  # fmt: skip
    assert all(s.media.media_type == "image/png" for s in images)
    assert images[0].media.read().startswith(b"\x89PNG")
    assert any("html-file" in s and "page (1 logged)" in s for s in run.provenance.lossy)
    assert next(s for s in offline.provenance.lossy if "html-file" in s) in run.provenance.lossy


def test_artifacts_and_console(both) -> None:
    run, offline = both["full"]
    (checkpoint,) = run.checkpoints
    assert (checkpoint.step, checkpoint.path, checkpoint.metrics) == (40, "net:v0", {"loss": 0.5})
    assert [d.name for d in run.datasets] == ["corpus"]
    assert run.datasets[0].digest == offline.datasets[0].digest
    assert "hello console" in run.console
    assert run.author == "ada"


def test_the_real_client_finds_and_scans_the_same(scanned, both) -> None:
    """The server is one for the real client too: the same runs and rows."""
    found = dict(scanned)
    assert found.pop("projects") == ["llm"]
    assert sorted(found) == sorted(both)
    for run_id, (run, _) in both.items():
        seen = found[run_id]
        assert seen["state"] == run.state
        assert len(seen["rows"]) == run.provenance.records_read == run.provenance.records_expected
        assert "wandb-metadata.json" in seen["files"]
        assert seen["named"] == ["wandb-metadata.json"]
    loss = both["plain"][0].series["loss"]
    assert [row["_step"] for row in found["plain"]["rows"]] == loss.step.tolist()
    assert [row["loss"] for row in found["plain"]["rows"]] == loss.value.tolist()
    assert {"net:v0", "corpus:v0"} < set(found["full"]["logged"])
    assert found["full"]["console"][-1:] == ["hello console"]


class _Fields(Visitor):
    """(type, field, arguments) of everything that a document asks for."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self.types = types
        self.found: set[tuple[str, str, tuple[str, ...]]] = set()

    def enter_field(self, node: FieldNode, *_: object) -> None:
        arguments = tuple(sorted(argument.name.value for argument in node.arguments))
        self.found.add((self.types.get_parent_type().name, node.name.value, arguments))


def _fields(schema: GraphQLSchema, query: str) -> set[tuple[str, str, tuple[str, ...]]]:
    document = parse(query)
    if validate(schema, document):  # refused by the server, and the client went on without it
        return set()
    types = TypeInfo(schema)
    fields = _Fields(types)
    visit(document, TypeInfoVisitor(types, fields))
    return fields.found


def test_nothing_is_asked_for_that_the_real_client_does_not_ask_for(
    logged: Logged, scanned, both
) -> None:
    """So any server that serves the client serves the reader."""
    server = logged.server
    mine: set[tuple[str, str, tuple[str, ...]]] = set()
    theirs: set[tuple[str, str, tuple[str, ...]]] = set()
    for request in server.requests:
        if request.query:
            (mine if request.agent == "runpages" else theirs).update(
                _fields(server.schema, request.query)
            )
    served = open_source("wandb", server.url, project="team")
    before = len(server.requests)
    assert len(list(served.discover())) == 4
    mine |= _fields(server.schema, server.requests[before].query)
    names = {(kind, field) for kind, field, _ in theirs}
    assert {("Run", "history"), ("Run", "events"), ("Query", "models")} <= names
    for kind, field, arguments in sorted(mine):
        known = [set(a) for k, f, a in theirs if (k, f) == (kind, field)]
        assert known, (kind, field)
        assert any(set(arguments) <= a for a in known), (kind, field, arguments)


@pytest.mark.acceptance
def test_real_runs_of_several_years_are_the_same_both_ways(
    shared: Path, logged: Logged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders that other versions of the SDK wrote, uploaded by its core."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    root = tmp_path / "logs"
    for path in sorted((shared / "data/logs/wandb").rglob("run-*.wandb")):
        shutil.copytree(path.parent, root / path.parent.name, copy_function=shutil.copyfile)
    folders = [str(path) for path in sorted(root.iterdir())]
    options = ["--entity", "years", "--include-online", "--include-synced"]
    _python(SYNC, *options, *folders, environment=logged.environment, cwd=tmp_path)
    served = open_source("wandb", logged.server.url, project="years", name="logs")
    refs = {ref.slug: ref for ref in served.discover()}
    files = open_source("wandb", str(root), name="logs")
    points = 0
    for ref in files.discover():
        one, other = served.read(refs.pop(ref.slug)), files.read(ref)
        assert [a.number for a in one.attempts] == [a.number for a in other.attempts]
        assert sorted(one.series) == sorted(other.series)
        for name, series in other.series.items():
            # the core does not upload a reading that was taken after the end of the run
            size = len(one.series[name].recorded.step)
            missing = len(series.recorded.step) - size
            assert missing in ({0} if series.info.axis == "step" else {0, 1})
            for left, right in zip(one.series[name].recorded, series.recorded, strict=True):
                assert left.tobytes() == right[:size].tobytes(), (ref.run_id, name)
            points += size
        if one.series:
            assert abs(one.start - other.start) < 5
            assert abs(one.end - other.end) < 20
    assert not refs
    print(f"{points:,} points of real runs are equal both ways")
    assert points > 30_000


def test_reading_writes_nothing(logged: Logged, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    source = open_source("wandb", logged.server.url, project="team/llm")
    for ref in source.discover():
        source.read(ref)
    assert list(tmp_path.rglob("*")) == []
