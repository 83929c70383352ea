"""What Lightning's and Keras' own CSV loggers wrote (tests/fixtures/make_*.py) is read as logged."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from runpages.sources.tabular import Tabular
from sources.conformance import SourceConformance, read_all

FIXTURES = Path(__file__).parents[1] / "fixtures"


def logged(logger: str) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """File or folder -> metric -> (step, value) in the order of logging."""
    runs = json.loads((FIXTURES / logger / "logged.json").read_text())
    return {
        run: {name: [(s, float(v)) for s, v in rows] for name, rows in metrics.items()}
        for run, metrics in runs.items()
    }


def added(path: Path, column: str, step: str) -> list[tuple[int, float]]:
    """A column that the logger adds by itself, as the csv module reads it."""
    with path.open(newline="") as stream:
        return [(int(row[step]), float(row[column])) for row in csv.DictReader(stream)]


class TestLightningsOwn(SourceConformance):
    kind = "tabular"
    log = "metrics.csv"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        version = root / "lightning_logs" / "version_0"
        shutil.copytree(FIXTURES / "lightning" / "lightning_logs" / "version_0", version)
        epochs = added(version / "metrics.csv", "epoch", "step")
        return {"epoch": epochs, **logged("lightning")["version_0"]}


class TestKerasOwn(SourceConformance):
    kind = "tabular"
    log = "training.csv"

    def write(self, root: Path) -> dict[str, list[tuple[int, float]]]:
        shutil.copy(FIXTURES / "keras" / "plain" / "training.csv", root)
        rates = added(root / "training.csv", "learning_rate", "epoch")
        return {"learning_rate": rates, **logged("keras")["plain/training.csv"]}


@pytest.mark.parametrize("version", ["version_0", "version_1"])
def test_each_version_of_lightning_is_a_run_with_its_settings(version):
    source = Tabular(str(FIXTURES / "lightning"))
    refs = {ref.run_id.split("/")[1]: ref for ref in source.discover()}
    assert set(refs) == {"version_0", "version_1"}
    run = source.read(refs[version])
    assert "learning_rate" in run.config
    for name, rows in logged("lightning")[version].items():
        recorded = run.series[name].recorded
        assert recorded.step.tolist() == [step for step, _ in rows]
        np.testing.assert_array_equal(recorded.value, [value for _, value in rows])
    # version_1 goes on from a checkpoint of version_0: nothing in its files says so
    late = any("starts at step 20" in warning for warning in run.provenance.warnings)
    assert late is (version == "version_1")


@pytest.mark.parametrize("file", ["plain", "rerun", "resumed"])
def test_files_of_keras_hold_all_that_was_logged(file):
    source = Tabular(str(FIXTURES / "keras" / file))
    (ref,) = source.discover()
    run = source.read(ref)
    assert run.provenance.step_unit == "epochs"
    expected = logged("keras")[f"{file}/training.csv"]
    steps = [step for step, _ in expected["loss"]]
    falls = sum(later < earlier for earlier, later in zip(steps, steps[1:], strict=False))
    assert len(run.attempts) == 1 + falls
    for name, rows in expected.items():
        recorded = run.series[name].recorded
        assert recorded.step.tolist() == [step for step, _ in rows]
        np.testing.assert_array_equal(recorded.value, [value for _, value in rows])


def test_algoperf_counts_its_devices_in_the_meta_data_beside_the_table(tmp_path):
    (tmp_path / "measurements.csv").write_text("global_step,loss\n1,2.0\n2,1.5\n3,1.0\n")
    (tmp_path / "meta_data_0.json").write_text('{"gpu.count": 8}')
    (run,) = read_all(Tabular(str(tmp_path)))
    assert run.hardware.devices == 8
