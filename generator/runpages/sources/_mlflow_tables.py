"""What MLflow's SQL tables hold of one run beside its rows."""

from __future__ import annotations

from collections.abc import Iterator

from runpages.model import Dataset

from ._mlflow_facts import Facts, LoggedModel, ModelVersion, Tally, seconds_of
from ._mlflow_sqlite import Store

__all__ = ["artifact_uri", "experiments", "facts_of_tables", "runs"]

_RUN = ("status", "start_time", "end_time", "user_id", "source_name", "source_version")


def experiments(store: Store, tally: Tally) -> dict[object, tuple[str, bool]]:
    """Id -> (name, whether it is deleted)."""
    columns = ("experiment_id", "name", "lifecycle_stage")
    rows = store.rows(tally, "experiments", columns, where="1")
    return {key: (_word(name), stage == "deleted") for key, name, stage in rows}


def runs(store: Store, tally: Tally) -> list[tuple[object, ...]]:
    """(run_uuid, name, experiment_id, lifecycle_stage, status), ordered by id."""
    columns = ("run_uuid", "name", "experiment_id", "lifecycle_stage", "status")
    found = store.rows(tally, "runs", columns, where="1")
    return sorted((row for row in found if isinstance(row[0], str)), key=lambda row: str(row[0]))


def artifact_uri(store: Store, run_id: str, tally: Tally) -> str:
    return next(
        (_word(u) for (u,) in store.rows(tally, "runs", ("artifact_uri",), value=run_id)), ""
    )


def facts_of_tables(store: Store, run_id: str, tally: Tally) -> Facts:
    """Everything but rows and artifacts."""
    facts = Facts()
    for row in store.rows(tally, "runs", _RUN, value=run_id):
        facts.status = _word(row[0])
        facts.start, facts.end = seconds_of(row[1]), seconds_of(row[2])
        facts.user, facts.source_name, facts.source_version = map(_word, row[3:])
    for table, into in (("params", facts.params), ("tags", facts.tags)):
        for key, value in store.rows(tally, table, ("key", "value"), value=run_id):
            into[_word(key)] = _word(value)
    latest = store.rows(tally, "latest_metrics", ("key",), value=run_id)
    facts.metric_names = frozenset(_word(key) for (key,) in latest)
    facts.datasets = list(_datasets(store, run_id, tally))
    facts.models = list(_models(store, run_id, tally))
    facts.versions = list(_versions(store, run_id, tally))
    return facts


def _datasets(store: Store, run_id: str, tally: Tally) -> Iterator[Dataset]:
    columns = ("input_uuid", "source_id")
    where = "source_type = 'DATASET' AND destination_type = 'RUN' AND destination_id = ?"
    for given, source in store.rows(tally, "inputs", columns, where=where, value=run_id):
        told = store.rows(
            tally, "input_tags", ("name", "value"), where="input_uuid = ?", value=given
        )
        split = next((_word(v) for k, v in told if k == "mlflow.data.context"), "")
        found = store.rows(
            tally, "datasets", ("name", "digest"), where="dataset_uuid = ?", value=source
        )
        for name, digest in found:
            yield Dataset(name=_word(name), digest=_word(digest), split=split)


def _models(store: Store, run_id: str, tally: Tally) -> Iterator[LoggedModel]:
    where = "source_type = 'RUN_OUTPUT' AND source_id = ?"
    outputs = store.rows(tally, "inputs", ("destination_id", "step"), where=where, value=run_id)
    for model_id, step in outputs:
        info = ("name", "creation_timestamp_ms")
        found = store.rows(tally, "logged_models", info, where="model_id = ?", value=model_id)
        name, created = found[0] if found else (None, None)
        columns = ("metric_name", "metric_step", "metric_timestamp_ms", "metric_value")
        linked = store.rows(
            tally, "logged_model_metrics", columns, where="model_id = ?", value=model_id
        )
        yield LoggedModel(
            model_id=_word(model_id),
            name=_word(name),
            step=step if isinstance(step, int) else 0,
            created=seconds_of(created),
            metrics=tuple(
                (_word(metric), at, seconds_of(ms) or 0, float(value))
                for metric, at, ms, value in linked
                if isinstance(at, int) and isinstance(value, int | float)
            ),
        )


def _versions(store: Store, run_id: str, tally: Tally) -> Iterator[ModelVersion]:
    columns = ("name", "version", "current_stage", "creation_time", "run_link")
    rows = store.rows(tally, "model_versions", columns, where="run_id = ?", value=run_id)
    for name, version, stage, created, link in rows:
        yield ModelVersion(
            name=_word(name),
            version=_word(version),
            stage=_word(stage),
            created=seconds_of(created),
            link=_word(link),
        )


def _word(value: object) -> str:
    return "" if value is None else str(value)
