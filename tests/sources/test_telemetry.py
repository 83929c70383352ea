"""Hardware logs: nvidia-smi's CSV (its format, written here line by line) and codecarbon's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest

from runpages import builder
from runpages.archive import Archive
from runpages.config import Settings, SourceSettings
from runpages.errors import SourceError, UsageError
from runpages.sources import open_source, sniff
from runpages.sources.telemetry import join
from runs import write_rundir

HEADER = "timestamp, index, name, utilization.gpu [%], memory.used [MiB], power.draw [W]\n"


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y/%m/%d %H:%M:%S.%f")[:-3]


def smi(path, start: float, count: int = 20, *, header: str = HEADER):
    """As `nvidia-smi --query-gpu=... --format=csv -l 1` prints it, for two devices."""
    lines = [
        f"{stamp(start + second)}, {index}, NVIDIA L4, {second} %, 512 MiB, 7{index}.25 W\n"
        for second in range(count)
        for index in range(2)
    ]
    path.write_text("".join([header, *lines]))
    return path


def read(path):
    source = open_source("telemetry", str(path.parent), settle_minutes=0)
    (ref,) = source.discover()
    return source.read(ref)


def test_a_log_beside_no_run_is_a_run_with_hardware_only(tmp_path):
    run = read(smi(tmp_path / "gpu.csv", 1.7e9))
    assert run.state == "ended"
    assert (run.start, run.end) == (1.7e9, 1.7e9 + 19)
    assert (run.hardware.device, run.hardware.devices) == ("NVIDIA L4", 2)
    assert {info.name: info.role for info in run.series.infos} == {
        "system/gpu.0.gpu": "gpu_util",
        "system/gpu.0.memory.used (MiB)": "gpu_memory",
        "system/gpu.0.powerWatts": "gpu_power",
        "system/gpu.1.gpu": "gpu_util",
        "system/gpu.1.memory.used (MiB)": "gpu_memory",
        "system/gpu.1.powerWatts": "gpu_power",
    }
    util = run.series["system/gpu.1.gpu"]
    assert util.info.axis == "time"
    assert util.value.tolist() == list(range(20))
    assert util.time.tolist() == [1.7e9 + second for second in range(20)]
    assert "taken as UTC" in run.provenance.lossy[1]


def test_without_a_header_no_column_gets_a_name(tmp_path):
    path = tmp_path / "gpu.csv"
    path.write_text(f"{stamp(1.7e9)}, 5 %, 2 MiB, 11.64 W\n{stamp(1.7e9 + 5)}, 6 %, 2 MiB, [N/A]\n")
    run = read(path)
    names = [info.name for info in run.series.infos]
    assert names == ["system/gpu.column 2 (%)", "system/gpu.column 3 (MiB)",
                     "system/gpu.column 4 (W)"]  # fmt: skip
    assert run.series["system/gpu.column 4 (W)"].value.tolist() == [11.64]
    assert run.hardware.devices is None


@pytest.mark.parametrize("column", ["uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id"])
def test_devices_are_told_apart_by_any_column_that_names_them(tmp_path, column):
    smi(tmp_path / "gpu.csv", 1.7e9, 3, header=HEADER.replace("index", column))
    run = read(tmp_path / "gpu.csv")
    assert run.series["system/gpu.1.powerWatts"].value.tolist() == [71.25] * 3
    assert run.hardware.devices == 2
    assert not any("which device" in sentence for sentence in run.provenance.lossy)
    smi(tmp_path / "gpu.csv", 1.7e9, 3, header=HEADER.replace("index", "serial"))
    assert any(
        "which device" in sentence for sentence in read(tmp_path / "gpu.csv").provenance.lossy
    )


def started(folder, start, seconds=10):
    """A run that took so long, as its source reads it."""
    folder.mkdir(parents=True)
    rows = [{"step": n, "time": start + n, "loss": 1.0} for n in range(seconds + 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def joined_run(root):
    (ref,) = sniff(root).runs
    return join(open_source(ref.kind, str(root)).read(ref), ref.telemetry, "UTC")


def test_logs_of_one_name_in_two_folders_stay_two(tmp_path):
    started(tmp_path / "logs" / "run", 1.7e9)
    smi(tmp_path / "logs" / "gpu.csv", 1.7e9, 3)
    smi(tmp_path / "logs" / "run" / "gpu.csv", 1.7e9 + 5, 2)
    run, _ = joined_run(tmp_path / "logs")
    assert len(run.series["system/logs/gpu/gpu.0.gpu"].time) == 3
    assert len(run.series["system/run/gpu/gpu.0.gpu"].time) == 2


def test_a_hardware_log_that_cannot_be_read_costs_no_run(tmp_path):
    started(tmp_path / "run", 1.7e9)
    emissions = tmp_path / "emissions.csv"
    emissions.write_text(
        f"timestamp,duration,emissions,energy_consumed\n2023-11-14T22:13:25,{'9' * 200_000},1,1\n"
    )
    run, joined = joined_run(tmp_path)
    assert joined == ()
    (told,) = run.provenance.warnings
    assert told.startswith("the hardware log emissions.csv cannot be read: field larger")
    (ref,) = sniff(tmp_path).runs
    emissions.unlink()
    run, joined = join(open_source(ref.kind, str(tmp_path)).read(ref), ref.telemetry, "UTC")
    assert run.provenance.warnings[0].startswith("the hardware log emissions.csv cannot be read")


def test_damage_in_a_joined_log_is_told(tmp_path):
    started(tmp_path / "run", 1.7e9)
    path = smi(tmp_path / "gpu.csv", 1.7e9, 3)
    path.write_text(f"{path.read_text()}nonsense\n")
    run, _ = joined_run(tmp_path)
    assert run.provenance.warnings == ("gpu.csv has 1 line that cannot be used",)


def test_damaged_rows_are_counted_and_the_others_kept(tmp_path):
    path = smi(tmp_path / "gpu.csv", 1.7e9)
    text = path.read_text()
    path.write_text(
        text + "2023/99/14 22:13:20.000, 0, NVIDIA L4, 1 %, 1 MiB, 1 W\nnonsense\n2023/11"
    )
    run = read(path)
    assert run.provenance.records_read == 40
    assert run.provenance.records_damaged == 3
    assert run.incomplete == (
        "gpu.csv ends in the middle of line 44", "gpu.csv has 2 lines that cannot be used",
    )  # fmt: skip
    assert run.series["system/gpu.0.gpu"].value.tolist() == list(range(20))


def test_nothing_readable_is_a_sentence(tmp_path):
    path = tmp_path / "gpu.csv"
    path.write_text(HEADER + f"{stamp(1.7e9)}, 5\n")
    with pytest.raises(SourceError, match="no row of it can be read"):
        read(path)


def test_a_time_zone_moves_the_clock(tmp_path):
    path = smi(tmp_path / "gpu.csv", 1.7e9)
    source = open_source("telemetry", str(tmp_path), time_zone="Asia/Kathmandu")
    (ref,) = source.discover()
    run = source.read(ref)
    assert run.start == 1.7e9 - 5.75 * 3600
    assert not any("UTC" in sentence for sentence in run.provenance.lossy)
    with pytest.raises(UsageError, match="Europe/Berlin"):
        open_source("telemetry", str(path.parent), time_zone="Mars/Base")


def test_a_log_beside_a_run_is_joined_by_time(tmp_path):
    logs = tmp_path / "logs"
    write_rundir(logs / "run", steps=5)
    rows = [json.loads(line) for line in (logs / "run" / "metrics.jsonl").read_text().splitlines()]
    start = rows[0]["time"]
    with (logs / "run" / "metrics.jsonl").open("a") as stream:
        stream.write(json.dumps({"step": 9, "time": start + 12, "train/loss": 1.0}) + "\n")
    smi(logs / "gpu.csv", start - 3, 30)
    smi(
        logs / "run" / "own.csv",
        start + 0.001,
        5,
        header=HEADER.replace("memory.used", "memory.free"),
    )
    smi(logs / "later.csv", start + 5000)
    settings = Settings(
        folder=tmp_path,
        source=(SourceSettings(kind="auto", location="logs", settle_minutes=0),),
    )
    pulled = builder.pull(settings, running=True)
    (slug,) = pulled.slugs("written")
    reason = "hardware log: no run beside it ran at its time"
    assert pulled.skipped == ((str(logs / "later.csv"), reason),)
    run = Archive(settings.archive_path).get(slug)
    util = run.series["system/gpu/gpu.0.gpu"]
    assert util.role == "gpu_util"
    assert 12 <= len(util.time) <= 15
    assert run.start <= util.time[0] <= util.time[-1] <= run.end
    assert len(run.series["system/own/gpu.1.memory.free (MiB)"].time) == 5
    assert ("gpu.csv", (logs / "gpu.csv").stat().st_size) in run.provenance.files
    assert builder.pull(settings, running=True).slugs("unchanged") == (slug,)


CARBON = """
import sys, time
from codecarbon import OfflineEmissionsTracker
tracker = OfflineEmissionsTracker(
    country_iso_code="FRA", output_dir=sys.argv[1], measure_power_secs=1, log_level="critical",
    allow_multiple_runs=True, force_cpu_power=40,
)
tracker.start()
time.sleep(2)
tracker.stop()
"""


def test_emissions_of_codecarbon_are_joined_to_the_run_of_their_time(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    began = time.time()
    environment = {**os.environ, "HOME": str(tmp_path), "TZ": "UTC"}
    subprocess.run(
        [sys.executable, "-c", CARBON, str(logs)],
        check=True, env=environment, cwd=tmp_path, capture_output=True, timeout=120,
    )  # fmt: skip
    found = sniff(logs)
    assert found.runs == ()
    assert found.skipped == (("emissions.csv", "emissions of codecarbon, and no run beside them"),)
    write_rundir(logs / "run", steps=3)
    rows = [
        {"step": n, "time": began + n * (time.time() - began) / 9, "loss": 1.0} for n in range(9)
    ]
    (logs / "run" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (ref,) = sniff(logs).runs
    run, joined = join(open_source("rundir", str(logs)).read(ref), ref.telemetry, "UTC")
    assert joined == (str(logs / "emissions.csv"),)
    assert run.summary["codecarbon/energy_consumed_kWh"] > 0
    assert run.summary["codecarbon/duration_s"] > 1
    assert not any("latitude" in key or "country" in key for key in run.summary)
