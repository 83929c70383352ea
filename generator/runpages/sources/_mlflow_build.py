"""A Run from what was read of MLflow, the same whichever way it was read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

from runpages.model import (
    Attempt,
    Checkpoint,
    Code,
    Link,
    LoggedEvent,
    Provenance,
    Run,
    RunRef,
    SeriesSet,
)

from ._mlflow_artifacts import samples_of
from ._mlflow_facts import STATUS, Artifact, Facts, ModelVersion, Tally
from ._mlflow_rows import Lives, arranged
from .contract import settled_state
from .spool import Spool

__all__ = ["run_of"]

READER = "mlflow 1"
_HISTORY_ENTRIES = 200
_NOT_READ = "traces, assessments and the files of logged models are not read"


def run_of(
    ref: RunRef,
    facts: Facts,
    rows: Spool,
    artifacts: Iterable[Artifact],
    tally: Tally,
    *,
    settle_minutes: float,
) -> Run:
    """The whole run. `rows` holds each metric's rows as they came, all in attempt 1."""
    raw = rows.finish()
    missing = sorted(facts.metric_names - set(raw))
    if missing:
        listed = ", ".join(name[:80] for name in missing[:5]) + ", ..." * (len(missing) > 5)
        tally.lost.append(f"the store names metrics of which it holds no row: {listed}")
    series, lives = arranged(raw, tally)
    if lives.ties:
        tally.lossy.append(
            f"MLflow keeps no order of rows at one step and millisecond ({lives.ties:,} times): the"
            " greatest value counts as the last"
        )
    tally.lossy.append(_NOT_READ)
    newest = max(lives.last.values(), default=facts.start)
    state = STATUS.get(facts.status) or settled_state(newest, settle_minutes)
    attempts = _attempts(series, lives, facts, state)
    tags = facts.tags
    checkpoints, events = _models(facts, lives)
    samples = samples_of(artifacts, tally, lives.at)
    return Run(
        ref=ref,
        name=tags.get("mlflow.runName") or ref.name,
        state=state,
        incomplete=tally.incomplete,
        start=facts.start if facts.start is not None else lives.first.get(1),
        end=facts.end if facts.end is not None else max(lives.last.values(), default=None),
        attempts=attempts,
        series=series,
        config=dict(sorted(facts.params.items())),
        job_type=tags.get("mlflow.runType", ""),
        author=tags.get("mlflow.user") or facts.user,
        parent=tags.get("mlflow.parentRunId", ""),
        tags=_own_tags(tags),
        description=tags.get("mlflow.note.content", ""),
        code=_code(facts),
        environment=_environment(tags),
        datasets=tuple(sorted(facts.datasets, key=lambda d: (d.name, d.digest, d.split))),
        checkpoints=checkpoints,
        samples=samples,
        logged_events=events,
        links=_links(facts),
        provenance=Provenance(
            reader=READER,
            files=tuple(tally.files),
            records_read=tally.records,
            records_damaged=tally.damaged,
            bytes_damaged=tally.bytes_damaged,
            lossy=tuple(tally.lossy),
            warnings=tally.warnings,
        ),
    )


def _attempts(series: SeriesSet, lives: Lives, facts: Facts, state: str) -> tuple[Attempt, ...]:
    last = lives.numbers[-1]
    return tuple(
        Attempt(
            number=number,
            start=facts.start
            if number == 1 and facts.start is not None
            else lives.first.get(number),
            end=lives.last.get(number),
            first_step=series.spans[number][0] if number in series.spans else None,
            last_step=series.spans[number][1] if number in series.spans else None,
            state=state if number == last else "ended",
        )
        for number in lives.numbers
    )


def _own_tags(tags: dict[str, str]) -> tuple[str, ...]:
    """What people set; MLflow's own begin with `mlflow.` and stand in the fields they mean."""
    own = sorted(item for item in tags.items() if not item[0].startswith("mlflow."))
    return tuple(f"{key}={value}" if value else key for key, value in own)


def _code(facts: Facts) -> Code:
    tags = facts.tags
    dirty = tags.get("mlflow.source.git.dirty", "").lower()
    return Code(
        commit=tags.get("mlflow.source.git.commit") or facts.source_version,
        dirty={"true": True, "false": False}.get(dirty),
        remote=tags.get("mlflow.source.git.repoURL") or tags.get("mlflow.gitRepoURL", ""),
        entry_point=tags.get("mlflow.source.name") or facts.source_name,
    )


def _environment(tags: dict[str, str]) -> dict[str, str]:
    known = {
        "git branch": tags.get("mlflow.source.git.branch") or tags.get("mlflow.gitBranchName"),
        "docker image": tags.get("mlflow.docker.image.uri"),
    }
    return {key: value for key, value in known.items() if value}


def _models(facts: Facts, lives: Lives) -> tuple[tuple[Checkpoint, ...], tuple[LoggedEvent, ...]]:
    """Logged models: checkpoints if they were logged at a step, else events, as versions are."""
    checkpoints, events = [], _history(facts.tags, lives)
    for model in sorted(facts.models, key=lambda m: (m.step, m.created or 0, m.model_id)):
        attempt = lives.at(model.created)
        if model.step:
            checkpoints.append(
                Checkpoint(
                    step=model.step,
                    path=f"models:/{model.model_id}",
                    time=model.created,
                    attempt=attempt,
                    metrics={m[0]: m[3] for m in sorted(model.metrics) if m[1] == model.step},
                )
            )
        else:
            said = f"{model.name or model.model_id} (models:/{model.model_id})"
            events.append(LoggedEvent(kind="model", text=said, time=model.created, attempt=attempt))
    for version in _versions(facts):
        stage = f", stage {version.stage}" if version.stage not in {"", "None"} else ""
        events.append(
            LoggedEvent(
                kind="model_version",
                text=f"registered as {version.name} version {version.version}{stage}",
                time=version.created,
                attempt=lives.at(version.created),
            )
        )
    return tuple(checkpoints), tuple(events)


def _history(tags: dict[str, str], lives: Lives) -> list[LoggedEvent]:
    """Models as MLflow 1 and 2 list them in a tag; no step is given there."""
    try:
        entries = json.loads(tags.get("mlflow.log-model.history", "[]"))
    except (ValueError, RecursionError):
        return []
    events = []
    for entry in entries[:_HISTORY_ENTRIES] if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        flavors = entry.get("flavors")
        kinds = ", ".join(map(str, flavors)) if isinstance(flavors, dict) else ""
        time = _utc(entry.get("utc_time_created"))
        events.append(
            LoggedEvent(
                kind="model",
                text=f"{entry.get('artifact_path', '')}" + (f" ({kinds})" if kinds else ""),
                time=time,
                attempt=lives.at(time),
            )
        )
    return events


def _utc(value: object) -> float | None:
    try:
        return datetime.fromisoformat(str(value)).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _versions(facts: Facts) -> list[ModelVersion]:
    return sorted(facts.versions, key=lambda version: (version.name, version.version))


def _links(facts: Facts) -> tuple[Link, ...]:
    """The addresses that somebody gave with a version of the model registry."""
    return tuple(
        Link(label=f"{version.name} version {version.version}", url=url)
        for version in _versions(facts)
        if (url := _bare(version.link))
    )


def _bare(address: str) -> str:
    """A web address without credentials and query; empty for anything else.

    The fragment stays if it is a path, as in the addresses of MLflow's own pages.
    """
    try:
        parts = urlsplit(address)
        place = f"{parts.hostname or ''}:{parts.port}" if parts.port else parts.hostname or ""
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not place:
        return ""
    fragment = parts.fragment.partition("?")[0]
    return urlunsplit((parts.scheme, place, parts.path, "", "" if "=" in fragment else fragment))
