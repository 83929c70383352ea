"""A Run of what the events and the description of a ClearML task hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runpages.model import Checkpoint, Link, LoggedEvent, Provenance, Run, RunRef, Sample

from ._clearml_events import Tally
from ._clearml_run import Collected
from ._clearml_task import (
    as_text,
    code_of,
    config_of,
    datasets_of,
    environment_of,
    events_of_task,
    hardware_of,
    moment,
    seed_of,
    state_of,
)

__all__ = ["run_of"]


def run_of(
    ref: RunRef,
    task: Mapping[str, Any],
    collected: Collected,
    tally: Tally,
    *,
    reader: str,
    undecided: str,
    samples: Iterable[Sample],
    checkpoints: Sequence[Checkpoint] = (),
    models: Iterable[LoggedEvent] = (),
    links: Sequence[Link] = (),
    lossy: Iterable[str] = (),
    warnings: Iterable[str] = (),
) -> Run:
    """`undecided` is the state where the task's status does not end the run."""
    config = config_of(task)
    hardware = hardware_of(task, collected.workers)
    series = collected.spool.finish()
    state = state_of(task) or undecided
    tags = task.get("tags")
    attempts = collected.attempts(
        series.spans,
        state=state,
        devices=hardware.devices,
        host=hardware.hosts[0] if len(hardware.hosts) == 1 else "",
    )
    return Run(
        ref=ref,
        name=ref.name,
        state=state,
        incomplete=tuple(tally.incomplete),
        # a task that is started again forgets its first start
        start=min(_known(moment(task.get("started")), collected.start), default=None),
        end=max(_known(moment(task.get("completed")), collected.end), default=None),
        attempts=attempts,
        series=series,
        config=config,
        summary=collected.summary,
        job_type=as_text(task.get("type")),
        parent=as_text(task.get("parent")),
        tags=tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
        description=as_text(task.get("comment")).strip(),
        code=code_of(task),
        hardware=hardware,
        environment=environment_of(task),
        seed=seed_of(config),
        datasets=datasets_of(task),
        checkpoints=tuple(checkpoints),
        samples=(*collected.samples, *samples),
        logged_events=(*events_of_task(task), *models),
        console=collected.console,
        links=tuple(links),
        provenance=Provenance(
            reader=reader,
            files=tuple(tally.files),
            records_read=tally.records,
            records_damaged=tally.damaged,
            bytes_damaged=tally.bytes_damaged,
            step_source="iter",
            lossy=(*collected.lossy(), *lossy),
            warnings=(*collected.warnings(), *tally.warnings, *warnings),
        ),
    )


def _known(*moments: float | None) -> list[float]:
    return [found for found in moments if found is not None]
