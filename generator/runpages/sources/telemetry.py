"""Logs of the hardware beside a run: `nvidia-smi` CSV and codecarbon's emissions.csv.

They name no run. `join` adds to a run what they recorded while it ran; an nvidia-smi log with no
run in its folder or below it is read as a run of its own that has nothing but hardware series.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from runpages.errors import SourceError, UsageError
from runpages.model import Attempt, Columns, Hardware, Provenance, Run, RunRef, SeriesSet

from ._textfiles import Ledger, number
from .contract import SETTLE_MINUTES, Claim, FileSource, Folder, settled_state
from .spool import Spool

__all__ = ["Telemetry", "join", "kind_of"]

READER = "telemetry 1"
NVIDIA, CARBON = "nvidia-smi", "codecarbon"
_HEAD_BYTES = 4096
_STAMP = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(\.\d+)?")
_CELL = re.compile(r"(-?\d+(?:\.\d+)?)\s*(%|MiB|W|MHz|C)?")
_ABSENT = frozenset({"", "[n/a]", "n/a", "[not supported]", "[unknown error]", "[gpu is lost]"})
_TEXTS = frozenset(
    {"index", "name", "gpu_name", "uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id", "driver_version",
     "pstate"}
)  # fmt: skip
_DEVICE = ("index", "uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id")
"""Columns that tell of which device a row is, the best first."""
_CARBON_FIGURES = {
    "duration": "s", "emissions": "kg", "cpu_energy": "kWh", "gpu_energy": "kWh",
    "ram_energy": "kWh", "energy_consumed": "kWh", "pue": "",
}  # fmt: skip
"""Columns of emissions.csv that are kept, with their units (codecarbon docs, "Output").

Coordinates, region and country are left out: they tell where somebody lives.
"""


class Telemetry(FileSource):
    """Each nvidia-smi log that stands beside no run is a run with hardware series only."""

    kind = "telemetry"

    def __init__(
        self,
        location: str,
        *,
        name: str = "",
        settle_minutes: float = SETTLE_MINUTES,
        time_zone: str = "",
    ) -> None:
        super().__init__(location, name=name, settle_minutes=settle_minutes)
        self.time_zone = time_zone
        zone_of(time_zone)

    @classmethod
    def claim(cls, folder: Folder) -> Claim:
        csvs = (name for name in folder.files if name.lower().endswith((".csv", ".log", ".txt")))
        return Claim(logs=tuple(name for name in csvs if kind_of(folder.path / name)))

    def gather(self, logs: Sequence[Path]) -> Iterator[RunRef]:
        for path in sorted(logs):
            if kind_of(path) == CARBON:
                self.skipped.append((str(path), "emissions of codecarbon, and no run beside them"))
                continue
            yield RunRef(
                source=self.name,
                project="",
                run_id=self.relative(path),
                name=path.name,
                state="",
                location=str(path),
                kind=self.kind,
                parts=(str(path),),
            )

    def read(self, ref: RunRef) -> Run:
        path = Path(ref.location)
        log = _nvidia(path, zone_of(self.time_zone))
        spool = Spool()
        if not log.spool(spool):
            raise SourceError(path, "no row of it can be read", remedy="log with --format=csv")
        start, end = log.first, log.last
        state = settled_state(end, self.settle_minutes)
        return Run(
            ref=ref,
            name=ref.name,
            state=state,
            incomplete=log.ledger.incomplete,
            start=start,
            end=end,
            attempts=(Attempt(number=1, start=start, end=end, state=state),),
            series=spool.finish(),
            hardware=Hardware(device=log.device, devices=len(log.devices) or None),
            provenance=Provenance(
                reader=READER,
                files=tuple(log.ledger.files),
                records_read=log.ledger.records,
                records_damaged=log.ledger.damaged,
                bytes_damaged=log.ledger.bytes_damaged,
                step_source="number of the sample",
                step_unit="samples of the clock",
                lossy=(
                    "Hardware only: this log names no run, no metric and no step.",
                    *log.lossy(self.time_zone),
                ),
                warnings=log.ledger.warnings,
            ),
        )


def zone_of(name: str) -> ZoneInfo:
    """Raises UsageError for a name that is in no zone database."""
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(f"time_zone = {name!r}: a name like 'Europe/Berlin' is needed") from error


def _zone_words(name: str, time_zone: str) -> tuple[str, ...]:
    if time_zone:
        return ()
    return (
        f"{name} names no time zone: its times are taken as UTC; set `time_zone` if they are not",
    )


def kind_of(path: Path) -> str:
    """`nvidia-smi` or `codecarbon` by the file's first lines; empty for anything else."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return ""
    first = head.partition("\n")[0].strip()
    names = {cell.strip() for cell in first.split(",")}
    if {"timestamp", "energy_consumed", "emissions"} <= names:
        return CARBON
    lines = [line for line in head.split("\n")[:3] if line.strip()]
    stamped = any(_STAMP.match(line.strip()) for line in lines)
    header = "timestamp" in names and any(
        "gpu" in n or "memory" in n or "power" in n for n in names
    )
    units = any(re.search(r",\s*-?\d+(\.\d+)? (%|MiB|W)(,|$)", line.strip()) for line in lines)
    return NVIDIA if stamped and (header or units) else ""


@dataclass(frozen=True, slots=True)
class _Row:
    seconds: float
    device: str
    values: Mapping[str, float]


@dataclass(slots=True)
class _NvidiaLog:
    """One log, read once: `spool` goes through it."""

    path: Path
    zone: ZoneInfo
    ledger: Ledger
    first: float = math.inf
    last: float = -math.inf
    device: str = ""
    devices: set[str] = field(default_factory=set)
    """By index, uuid or bus; empty where no column tells."""

    def lossy(self, time_zone: str) -> tuple[str, ...]:
        name = self.path.name
        untold = f"{name} does not tell which device a row is of: those of all stand together"
        return (*_zone_words(name, time_zone), *(() if self.devices else (untold,)))

    def spool(
        self, spool: Spool, start: float = -math.inf, end: float = math.inf, *, prefix: str = ""
    ) -> int:
        """Rows within [start, end] (UTC seconds) as `system/...` series; how many there were."""
        count = 0
        for row in self._rows():
            self.first, self.last = min(self.first, row.seconds), max(self.last, row.seconds)
            if start <= row.seconds <= end:
                count += 1
                for name, value in row.values.items():
                    spool.sample(f"system/{prefix}{row.device}{name}", row.seconds, value)
        return count

    def _rows(self) -> Iterator[_Row]:
        """Columns by their header; without one by number and unit only."""
        header: list[str] = []
        for count, line in self.ledger.lines(self.path.name, needed=True):
            place = f"{self.path.name}:{count}"
            if not line.endswith(b"\n"):
                self.ledger.cut(self.path.name, count, len(line))
                continue
            cells = _cells(line)
            stamp = next((i for i, cell in enumerate(cells) if _STAMP.fullmatch(cell)), None)
            seconds = None if stamp is None else _seconds(cells[stamp], self.zone)
            if any("timestamp" in cell for cell in cells):
                header = [cell.partition(" [")[0] for cell in cells]
            elif seconds is None:
                problem = "no time like 2026/01/31 12:00:00.000"
                self.ledger.damage(self.path.name, count, len(line), problem)
            elif header and len(cells) != len(header):
                problem = f"{len(cells)} cells under {len(header)} columns"
                self.ledger.damage(self.path.name, count, len(line), problem)
            else:
                self.ledger.records += 1
                names = header or [f"column {i + 1}" for i in range(len(cells))]
                yield self._row(seconds, dict(zip(names, cells, strict=True)), place)

    def _row(self, seconds: float, cells: Mapping[str, str], place: str) -> _Row:
        device = next((cells[column] for column in _DEVICE if cells.get(column)), "")
        self.device = self.device or cells.get("name", "") or cells.get("gpu_name", "")
        if device:
            self.devices.add(device)
        values = {}
        for name, cell in cells.items():
            if name in _TEXTS or cell.lower() in _ABSENT or _STAMP.fullmatch(cell):
                continue
            if found := _CELL.fullmatch(cell):
                values[_named(name, found[2] or "")] = float(found[1])
            else:
                self.ledger.no_number(name, place)
        return _Row(seconds, f"gpu.{device}." if device else "gpu.", values)


def _cells(line: bytes) -> list[str]:
    try:
        return [
            cell.strip() for cell in next(csv.reader([line.decode("utf-8-sig", "replace")]), [])
        ]
    except csv.Error:
        return []


def _named(name: str, unit: str) -> str:
    """`utilization.gpu` → `gpu` as W&B and the analysis call it; the unit stays in the name."""
    known = {"utilization.gpu": "gpu", "power.draw": "powerWatts"}.get(name)
    return known or (f"{name} ({unit})" if unit else name)


def _seconds(text: str, zone: ZoneInfo) -> float | None:
    form = "%Y/%m/%d %H:%M:%S.%f" if "." in text else "%Y/%m/%d %H:%M:%S"
    try:
        return datetime.strptime(text, form).replace(tzinfo=zone).timestamp()
    except ValueError:
        return None


def _nvidia(path: Path, zone: ZoneInfo) -> _NvidiaLog:
    return _NvidiaLog(path, zone, Ledger(path.parent))


def join(run: Run, paths: Sequence[str], time_zone: str = "") -> tuple[Run, tuple[str, ...]]:
    """The run with what the logs recorded while it ran, and the logs that did.

    A run without a start and an end in the record is left as it is.
    """
    if run.start is None or run.end is None:
        return run, ()
    zone = zone_of(time_zone)
    spool = Spool()
    joined: list[str] = []
    files: list[tuple[str, int]] = []
    lossy: list[str] = []
    warnings: list[str] = []
    summary = dict(run.summary)
    kinds = {Path(text): kind_of(Path(text)) for text in paths}
    prefixes = _prefixes([path for path, kind in kinds.items() if kind == NVIDIA])
    for path, kind in kinds.items():
        try:
            size = path.stat().st_size
            if kind == CARBON:
                found = _emissions(path, zone, run.start, run.end)
                used, told = bool(found), _zone_words(path.name, time_zone)
                summary |= found
            else:
                log = _nvidia(path, zone)
                used = log.spool(spool, run.start, run.end, prefix=prefixes.get(path, "")) > 0
                told = log.lossy(time_zone)
                warnings += log.ledger.incomplete if used else ()
        except (SourceError, OSError, csv.Error) as error:
            reason = error.problem if isinstance(error, SourceError) else str(error)
            warnings.append(f"the hardware log {path.name} cannot be read: {reason}")
            continue
        if used:
            joined.append(str(path))
            files.append((path.name, size))
            lossy += told
    provenance = replace(
        run.provenance,
        files=(*run.provenance.files, *files),
        lossy=(*run.provenance.lossy, *lossy),
        warnings=(*run.provenance.warnings, *warnings),
    )
    series = _both(run.series, spool.finish()) if joined else run.series
    return replace(run, series=series, summary=summary, provenance=provenance), tuple(joined)


def _prefixes(paths: Sequence[Path]) -> dict[Path, str]:
    """Each host counts its devices from 0: several logs are told apart by their names.

    Where two have one name, by the names of their folders as well.
    """
    if len(paths) < 2:
        return {}
    for size in range(1, max(len(path.parts) for path in paths)):
        tails = {path: "/".join(path.with_suffix("").parts[-size:]) for path in paths}
        if len(set(tails.values())) == len(paths):
            break
    return {path: f"{tail}/" for path, tail in tails.items()}


def _both(own: SeriesSet, added: SeriesSet) -> SeriesSet:
    """The run's own series first; a name that it has itself is not replaced."""
    infos = {info.name: info for info in (*added.infos, *own.infos)}
    ordered = {info.name: infos[info.name] for info in (*own.infos, *added.infos)}

    def load(name: str) -> Columns:
        return (own if name in own else added).rows(name)

    return SeriesSet(ordered, load, own.spans)


def _emissions(path: Path, zone: ZoneInfo, start: float, end: float) -> dict[str, object]:
    """Figures of the one row whose process overlaps [start, end] longest; none if none does."""
    best: dict[str, object] = {}
    longest = 0.0
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        for row in csv.DictReader(stream):
            duration = number(row.get("duration"))
            finished = _moment(row.get("timestamp") or "", zone)
            if duration is None or finished is None or not duration > 0:
                continue
            overlap = min(end, finished) - max(start, finished - duration)
            if overlap > longest:
                longest = overlap
                best = {
                    f"codecarbon/{name}{f'_{unit}' if unit else ''}": value
                    for name, unit in _CARBON_FIGURES.items()
                    if (value := number(row.get(name))) is not None
                }
    return best


def _moment(text: str, zone: ZoneInfo) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC).timestamp()
