"""One run of a W&B server, put together from what the server's pages hold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from runpages.model import Attempt, Link, Provenance, Run, RunRef

from ._textfiles import number, seconds, text
from ._wandb_api_facts import (
    Settings,
    add_info,
    add_process,
    add_requirements,
    add_sampled_devices,
    json_object,
    settings_of,
)
from ._wandb_api_http import Client, Refused
from ._wandb_api_media import Files, Kept, samples_of, stored_artifacts
from ._wandb_api_pages import Place, console_lines, event_rows, history_rows, info_of, run_of
from ._wandb_api_rows import Lives, add_events, add_summary
from ._wandb_build import (
    attempts_of,
    console_of,
    environment_of,
    lossy_of,
    summary_of,
    warnings_of,
)
from ._wandb_curves import Curves, curves_of
from ._wandb_facts import Facts, code_of, command_of, hardware_of
from ._wandb_part import CONSOLE_BYTES, Part
from ._wandb_steps import Placed
from ._wandb_steps import place as place_rows
from .contract import settled_state

__all__ = ["read_run", "state_of"]

READER = "wandb-server 1"

_METADATA = "wandb-metadata.json"
_REQUIREMENTS = "requirements.txt"
_CONSOLE = "output.log"
_NO_ALERTS = "alerts of W&B are not read from its server, whose API does not tell them"
_TEXT_BYTES = 1_000_000
_CONSOLE_FILE_BYTES = 16_000_000
_STATES = {
    "finished": "finished",
    "failed": "failed",
    "crashed": "crashed",
    "killed": "killed",
    "running": "running",
    "pending": "running",
    "preempting": "running",
}
"""W&B's own words; `preempted` and unknown ones go by the last heartbeat."""


@dataclass(slots=True, kw_only=True)
class _Fetched:
    """What the server gave of one run, before it is put into order."""

    run: dict[str, Any]
    settings: Settings
    parts: list[Part] = field(default_factory=list)
    """One a process life, where the server tells them apart."""
    facts: Facts = field(default_factory=Facts)
    first: float | None = None
    """Time of the earliest row."""
    began: float | None = None
    """By the run's own clock: time of the first row less its `_runtime`."""
    damaged: int = 0
    expected: int | None = None
    lossy: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)


def state_of(node: dict[str, Any], settle_minutes: float) -> str:
    known = _STATES.get(text(node.get("state")))
    return known or settled_state(seconds(node.get("heartbeatAt")), settle_minutes)


def read_run(client: Client, place: Place, ref: RunRef, *, app: str, settle_minutes: float) -> Run:
    """The whole run; `app` is the address of the server's pages. Raises Trouble."""
    run, files = run_of(client, place), Files(client, place)
    got = _Fetched(run=run, settings=settings_of(run.get("config")))
    _history(got, client, place)
    _system(got, client, place)
    _facts(got, client, place, files)
    _console(got, client, place, files)
    add_summary(got.parts[-1], json_object(run.get("summaryMetrics")))
    placed = place_rows(got.parts)
    curves = curves_of(got.parts, placed)
    kept = samples_of(got.parts, placed, curves, files)
    stored_artifacts(client, place, kept)
    state = state_of(run, settle_minutes)
    attempts = _attempts(got, placed, curves, state, settle_minutes)
    return _with_texts(
        Run(
            ref=ref,
            name=text(run.get("displayName")) or ref.name,
            state=state,
            incomplete=tuple(got.incomplete),
            start=attempts[0].start,
            end=attempts[-1].end,
            attempts=attempts,
            series=curves.series,
            config=got.settings.config,
            summary=summary_of(got.parts),
            code=code_of([got.facts]),
            hardware=hardware_of(
                [*(Facts(texts={"host": host}) for host in _hosts(got)), got.facts]
            ),
            environment=environment_of([got.facts]),
            command=command_of([got.facts]),
            datasets=tuple(kept.datasets),
            checkpoints=tuple(kept.checkpoints),
            samples=tuple(kept.samples),
            logged_events=tuple(kept.events),
            console=console_of(got.parts),
            links=tuple(_links(run, place, app, ref.location)),
            provenance=_provenance(got, placed, kept, files),
        ),
        got,
    )


def _with_texts(run: Run, got: _Fetched) -> Run:
    stored, user = got.run, json_object(got.run.get("user"))
    tags = stored.get("tags")
    seed = run.config.get("seed")
    return replace(
        run,
        group=text(stored.get("group")),
        job_type=text(stored.get("jobType")),
        author=text(user.get("username")) or text(user.get("name")),
        tags=tuple(map(str, tags)) if isinstance(tags, list) else (),
        description=text(stored.get("notes")),
        seed=seed if type(seed) is int else None,
    )


def _links(run: dict[str, Any], place: Place, app: str, page: str) -> list[Link]:
    links = [Link(label="Weights & Biases", url=page)]
    if sweep := text(run.get("sweepName")):
        names = (place.entity, place.project, "sweeps", sweep)
        url = "/".join((app, *(quote(name, safe="") for name in names)))
        links.append(Link(label=f"sweep {sweep}", url=url))
    return links


def _history(got: _Fetched, client: Client, place: Place) -> None:
    expected = got.run.get("historyLineCount")
    got.expected = expected if type(expected) is int else None
    last = json_object(got.run.get("historyKeys")).get("lastStep")
    last = last if type(last) is int and last >= 0 else None
    lives = Lives(place.name, definitions=got.settings.definitions, restart=_last_start(got))
    reasons: dict[str, int] = {}
    if got.expected != 0 or last is not None:
        for line in history_rows(client, place, last_step=last, expected=got.expected):
            if line.damage:
                reasons[line.damage] = reasons.get(line.damage, 0) + 1
            else:
                _begun(got, line.row)
                lives.add(line.step, line.row)
    got.parts, got.first = lives.finish(), lives.first
    got.damaged = sum(reasons.values())
    for reason, count in reasons.items():
        rows = "1 row of the history" if count == 1 else f"{count:,} rows of the history"
        got.incomplete.append(f"{rows} cannot be read: {reason}")
    read = lives.read + got.damaged
    if got.expected is not None and read != got.expected:
        got.incomplete.append(
            f"the server gave {read:,} rows of the history, and counts {got.expected:,}"
        )


def _begun(got: _Fetched, row: dict[str, Any]) -> None:
    """`_runtime` counts the seconds of all lives of the run: only the first row tells its start."""
    moment, runtime = number(row.get("_timestamp")), number(row.get("_runtime"))
    if got.began is None and moment is not None and runtime is not None:
        got.began = seconds(moment - runtime)


def _system(got: _Fetched, client: Client, place: Place) -> None:
    try:
        rows, count = event_rows(client, place)
    except Refused as refused:
        got.lossy.append(f"system metrics are not read: {refused.problem}")
        return
    for row in rows[:1]:
        _begun(got, row)
    add_events(got.parts, rows)
    if count is not None and len(rows) < count:
        got.lossy.append(
            f"system metrics are a selection: the server gave {len(rows):,} of {count:,} readings"
        )


def _facts(got: _Fetched, client: Client, place: Place, files: Files) -> None:
    facts, processes = got.facts, list(got.settings.processes)
    facts.versions |= {k: v for k, v in got.settings.versions.items() if k != "python"}
    if commit := text(got.run.get("commit")):
        facts.texts["commit"] = commit
    if not processes:
        data = _optional(got, files, _METADATA)
        processes = [json_object(data)]
    # the latest process says what the run ran on last
    for process in reversed(processes):
        add_process(facts, process)
    if not facts.texts.get("os"):
        add_info(facts, info_of(client, place))
    if python := got.settings.versions.get("python"):
        facts.texts.setdefault("python", python)
    add_requirements(facts, _optional(got, files, _REQUIREMENTS))
    add_sampled_devices(facts, got.parts[-1].stats.names)
    if len(_hosts(got)) > 1:
        # at once or one after the other: how many were used together is not recorded
        facts.numbers.pop("gpu_count", None)


def _hosts(got: _Fetched) -> list[str]:
    """Of all processes that wrote to the run."""
    hosts = (text(process.get("host")) for process in got.settings.processes)
    return list(dict.fromkeys(host for host in hosts if host))


def _optional(got: _Fetched, files: Files, name: str, *, max_bytes: int = _TEXT_BYTES) -> bytes:
    """A file that many runs lack."""
    try:
        return files.fetch(name, max_bytes=max_bytes)
    except FileNotFoundError:
        return b""
    except (OSError, ValueError) as error:
        got.warnings.append(f"{name}: cannot be read: {error}")
        return b""


def _console(got: _Fetched, client: Client, place: Place, files: Files) -> None:
    try:
        lines = console_lines(client, place)
    except Refused:
        lines = []
    said = "\n".join(lines)
    if not said:
        data = _optional(got, files, _CONSOLE, max_bytes=_CONSOLE_FILE_BYTES)
        said = data[-2 * CONSOLE_BYTES :].decode("utf-8", "replace")
    got.parts[-1].console.append(said)


def _last_start(got: _Fetched) -> float | None:
    """When the last process began. Several at once are writers of one life, not its successors."""
    processes = got.settings.processes
    return seconds(processes[0].get("startedAt")) if len(processes) == 1 else None


def _start(got: _Fetched) -> float | None:
    """When the first process began: by its own record, else by the run's clock.

    What is later than the first row tells of something else: of several processes the server keeps
    the last one's start, and a run that was synchronised was made there after it was logged.
    """
    started = [seconds(process.get("startedAt")) for process in got.settings.processes]
    known = [*started, got.began, seconds(got.run.get("createdAt"))]
    first = got.first
    return next((t for t in known if t is not None and (first is None or t <= first)), first)


def _attempts(
    got: _Fetched, placed: Placed, curves: Curves, state: str, settle_minutes: float
) -> tuple[Attempt, ...]:
    """As the offline reader's; state from the server, its heartbeat where nothing was recorded."""
    first, last = got.parts[0], got.parts[-1]
    end = last.last if last.last is not None else seconds(got.run.get("heartbeatAt"))
    first.start = _start(got)
    first.seen(first.start)
    facts = [Facts() for _ in got.parts[:-1]] + [got.facts]
    attempts = attempts_of(got.parts, placed, curves, facts, settle_minutes)
    return (*attempts[:-1], replace(attempts[-1], state=state, end=end))


def _provenance(got: _Fetched, placed: Placed, kept: Kept, files: Files) -> Provenance:
    return Provenance(
        reader=READER,
        files=tuple(sorted(files.read.items())),
        records_read=sum(part.history.rows for part in got.parts),
        records_expected=got.expected,
        records_damaged=got.damaged,
        step_source=placed.step_source,
        lossy=(
            _NO_ALERTS,
            *got.lossy,
            *lossy_of(got.parts),
            *kept.lossy,
            *files.not_fetched(),
        ),
        warnings=(
            *placed.warnings,
            *warnings_of(got.parts, placed),
            *got.warnings,
            *kept.warnings,
        ),
    )
