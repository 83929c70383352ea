"""What the answers of an MLflow server hold of one run beside its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runpages.model import Dataset

from ._mlflow_facts import RUN_ID, Facts, LoggedModel, ModelVersion, Tally, seconds_of
from ._mlflow_rest import Client, Refused
from ._textfiles import number, text, whole

__all__ = ["Json", "dict_of", "dicts_of", "facts_of_answer"]

_MAX_MODELS = 1000
_PAGE_VERSIONS = 200

Json = dict[str, Any]


def dict_of(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def dicts_of(value: object) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def facts_of_answer(client: Client, run_id: str, run: Json, tally: Tally) -> Facts:
    """Everything but rows and artifacts; `run` is the server's own record."""
    info, data = dict_of(run.get("info")), dict_of(run.get("data"))
    inputs, outputs = dict_of(run.get("inputs")), dict_of(run.get("outputs"))
    return Facts(
        status=text(info.get("status")),
        start=seconds_of(whole(info.get("start_time"))),
        end=seconds_of(whole(info.get("end_time"))),
        user=text(info.get("user_id")),
        params=_pairs(data.get("params")),
        tags=_pairs(data.get("tags")),
        datasets=[_dataset(found) for found in dicts_of(inputs.get("dataset_inputs"))],
        models=list(_models(client, outputs, tally)),
        versions=list(_versions(client, run_id, tally)),
        metric_names=frozenset(text(m.get("key")) for m in dicts_of(data.get("metrics"))),
    )


def _pairs(items: object) -> dict[str, str]:
    return {text(item.get("key")): text(item.get("value")) for item in dicts_of(items)}


def _dataset(found: Json) -> Dataset:
    data = dict_of(found.get("dataset"))
    split = _pairs(found.get("tags")).get("mlflow.data.context", "")
    return Dataset(name=text(data.get("name")), digest=text(data.get("digest")), split=split)


def _models(client: Client, outputs: Json, tally: Tally) -> Iterator[LoggedModel]:
    for output in dicts_of(outputs.get("model_outputs"))[:_MAX_MODELS]:
        model_id = text(output.get("model_id"))
        if not RUN_ID.fullmatch(model_id):
            continue
        try:
            model = dict_of(client.get(f"logged-models/{model_id}").get("model"))
        except Refused as error:
            tally.warn(f"model {model_id}: only its id is known; the server {error.problem}")
            model = {}
        info, data = dict_of(model.get("info")), dict_of(model.get("data"))
        yield LoggedModel(
            model_id=model_id,
            name=text(info.get("name")),
            step=whole(output.get("step")) or 0,
            created=seconds_of(whole(info.get("creation_timestamp_ms"))),
            metrics=tuple(
                (
                    text(metric.get("key")),
                    whole(metric.get("step", 0)) or 0,
                    seconds_of(whole(metric.get("timestamp"))) or 0,
                    value,
                )
                for metric in dicts_of(data.get("metrics"))
                if (value := number(metric.get("value"))) is not None
            ),
        )


def _versions(client: Client, run_id: str, tally: Tally) -> Iterator[ModelVersion]:
    asked = {"filter": f"run_id='{run_id}'", "max_results": _PAGE_VERSIONS}
    try:
        for page in client.pages("GET", "model-versions/search", asked):
            for found in dicts_of(page.get("model_versions")):
                yield ModelVersion(
                    name=text(found.get("name")),
                    version=text(found.get("version")),
                    stage=text(found.get("current_stage")),
                    created=seconds_of(whole(found.get("creation_timestamp"))),
                    link=text(found.get("run_link")),
                )
    except Refused as error:
        tally.warn(f"the model registry cannot be asked: the server {error.problem}")
