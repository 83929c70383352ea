"""What is asked of a W&B server, page by page.

The documents hold only fields that the W&B client itself asks for (wandb 0.31; `runInfo` until
0.21), so that any server which serves that client serves this reader.

History is paged by ranges of `_step`: `history(minStep, maxStep, samples)` gives the rows with
minStep <= _step < maxStep, and a selection of them if there are more than `samples`. A range of at
most `samples` steps is therefore whole; a wider one (where steps are sparse) is taken only if it
gives less than half of `samples` rows, else it is asked again in narrower ranges.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ._textfiles import whole
from ._wandb_api_http import Client, Refused, TooLarge, Trouble
from ._wandb_api_rows import decoded

__all__ = [
    "RUN_FIELDS",
    "Line",
    "Place",
    "artifacts_of",
    "console_lines",
    "event_rows",
    "file_urls",
    "history_rows",
    "info_of",
    "projects_of",
    "run_of",
    "runs_of",
]

PAGE_RUNS = 100
PAGE_ROWS = 1000
PAGE_EVENTS = 100_000
PAGE_ARTIFACTS = 50
MAX_PAGES = 10_000
MAX_ARTIFACTS = 1000
CONSOLE_LINES = 1000
_LAST_STEP = 2**53
"""No step is greater: they would not be told apart as float64."""

_PROJECTS = """query GetProjects($entity: String, $cursor: String, $perPage: Int) {
  models(entityName: $entity, after: $cursor, first: $perPage) {
    edges { node { name } }
    pageInfo { endCursor hasNextPage }
  }
}"""

RUN_FIELDS = (
    "name", "displayName", "state", "heartbeatAt", "historyLineCount",
    "group", "jobType", "tags", "notes",
)  # fmt: skip
"""What a list of runs tells of each: a run of which any of it has changed is read again."""

_RUNS = """query Runs($entity: String!, $project: String!, $cursor: String, $perPage: Int,
    $filters: JSONString) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, after: $cursor, first: $perPage, order: "+created_at") {
      edges { node { FIELDS } cursor }
      pageInfo { endCursor hasNextPage }
    }
  }
}""".replace("FIELDS", " ".join(RUN_FIELDS))

_IN_RUN = """query %s($entity: String!, $project: String!, $name: String!%s) {
  project(name: $project, entityName: $entity) { run(name: $name) { %s } }
}"""

_RUN = _IN_RUN % (
    "Run",
    "",
    """name displayName state config group jobType tags sweepName commit createdAt heartbeatAt
    notes summaryMetrics historyLineCount historyKeys user { name username }""",
)
_HISTORY = _IN_RUN % (
    "HistoryPage",
    ", $minStep: Int64!, $maxStep: Int64!, $pageSize: Int!",
    "history(minStep: $minStep, maxStep: $maxStep, samples: $pageSize)",
)
_EVENTS = _IN_RUN % ("RunFullHistory", ", $samples: Int", "events(samples: $samples)")
_CONSOLE = _IN_RUN % (
    "RunConsoleLogTail",
    ", $last: Int!",
    "logLines(last: $last) { edges { node { line } } }",
)
_FILES = _IN_RUN % (
    "RunFiles",
    ", $names: [String], $limit: Int",
    "files(names: $names, first: $limit) { edges { node { name url sizeBytes } } }",
)
_INFO = _IN_RUN % (
    "RunInfo",
    "",
    """runInfo { program args os python executable cpuCount gpuCount gpu
    git { remote commit } }""",
)
_ARTIFACTS = _IN_RUN % (
    "Run%sArtifacts",
    ", $cursor: String, $perPage: Int",
    """artifacts: %sArtifacts(after: $cursor, first: $perPage) {
      edges { node { artifactSequence { name } versionIndex artifactType { name } metadata
        historyStep state size digest aliases { alias } } }
      pageInfo { endCursor hasNextPage }
    }""",
)
_COUNTS = """query RunResumeStatus($entity: String, $project: String, $name: String!) {
  model(name: $project, entityName: $entity) {
    bucket(name: $name, missingOk: true) { eventsLineCount }
  }
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run lies on the server."""

    entity: str
    project: str
    name: str


class Line(NamedTuple):
    """One row of the history."""

    step: int
    row: dict[str, Any]
    damage: str = ""
    """Why there is no row."""


def _inner(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _nodes(connection: Any) -> Iterator[dict[str, Any]]:
    edges = _inner(connection, "edges")
    for edge in edges if isinstance(edges, list) else ():
        node = _inner(edge, "node")
        if isinstance(node, dict):
            yield node


def _paged(
    client: Client, query: str, *names: str, per_page: int, **variables: object
) -> Iterator[dict[str, Any]]:
    """Nodes of all pages of the connection at `names`. Raises Refused where there is none."""
    cursor, seen = None, set[str]()
    while True:
        data = client.graphql(query, cursor=cursor, perPage=per_page, **variables)
        connection = _inner(data, *names)
        if connection is None and names == ("models",):
            return
        if not isinstance(connection, dict):
            raise Refused(f"there is no such {names[0]}, or this key may not read it")
        yield from _nodes(connection)
        page = connection.get("pageInfo")
        if not _inner(page, "hasNextPage"):
            return
        cursor = _inner(page, "endCursor")
        if not isinstance(cursor, str) or cursor in seen or len(seen) >= MAX_PAGES:
            raise Trouble(f"page {len(seen) + 2:,} of the list does not go on from the one before")
        seen.add(cursor)


def projects_of(client: Client, entity: str) -> list[str]:
    nodes = _paged(client, _PROJECTS, "models", per_page=PAGE_RUNS, entity=entity)
    names = [node["name"] for node in nodes if isinstance(node.get("name"), str)]
    if not names:
        raise Refused("there are no projects of this entity, or this key may not read them")
    return names


def runs_of(client: Client, entity: str, project: str, filters: str) -> Iterator[dict[str, Any]]:
    """What a list of runs tells of each, oldest first. Raises Refused for an unknown project."""
    nodes = _paged(
        client,
        _RUNS,
        "project",
        "runs",
        per_page=PAGE_RUNS,
        entity=entity,
        project=project,
        filters=filters or "{}",
    )
    for node in nodes:
        client.renew()  # the budget is for one page: nobody knows how many there are
        yield node


def _ask(client: Client, query: str, place: Place, **variables: object) -> Any:
    """The run's part of the answer, None where the server has no such run."""
    data = client.graphql(
        query, entity=place.entity, project=place.project, name=place.name, **variables
    )
    return _inner(data, "project", "run")


def run_of(client: Client, place: Place) -> dict[str, Any]:
    """Everything that stands in the run itself. Raises Trouble if it is gone."""
    run = _ask(client, _RUN, place)
    if not isinstance(run, dict):
        raise Trouble(
            "the server has no such run, or this key may not read it",
            remedy="pull again; if it was deleted there, it stays out",
        )
    return run


def history_rows(
    client: Client, place: Place, *, last_step: int | None, expected: int | None
) -> Iterator[Line]:
    """All rows of the history in the order of their steps.

    `last_step` is the greatest one, None if the server does not say; then pages are asked until
    `expected` rows have come. Raises Trouble for a page that goes back.
    """
    rows, width, low, seen = PAGE_ROWS, PAGE_ROWS, 0, 0
    stop = _LAST_STEP if last_step is None else last_step + 1
    while low < stop:
        high = min(low + width, stop)
        try:
            page = _page(client, place, low, high, rows)
        except TooLarge:
            if rows == 1:
                raise
            width = rows = max(1, min(rows, high - low) // 2)
            continue
        if high - low > rows and len(page) > rows // 2:
            width = max(rows, (high - low) // 4)
            continue
        lines = [_line(text, low) for text in page]
        _check(lines, low)
        if len(lines) >= rows and high - low > 1 and len({line.step for line in lines}) < rows:
            width = (high - low) // 2  # steps logged twice: there may be more rows than `rows`
            continue
        kept = [line for line in lines if line.damage or line.step < high]
        yield from kept
        seen += len(kept)
        if last_step is None and expected is not None and seen >= expected:
            return
        low = high
        if len(page) < rows // 4:
            width = min(2 * width, _LAST_STEP)


def _page(client: Client, place: Place, low: int, high: int, rows: int) -> list[Any]:
    run = _ask(client, _HISTORY, place, minStep=low, maxStep=high, pageSize=rows)
    if not isinstance(run, dict):
        raise Trouble(f"the run has vanished from the server before step {low:,}")
    page = run.get("history")
    return page if isinstance(page, list) else []


def _line(text: Any, low: int) -> Line:
    try:
        row = decoded(text)
    except ValueError as error:
        return Line(low, {}, str(error))
    step = row.get("_step") if isinstance(row, dict) else None
    if isinstance(step, float) and step.is_integer():
        step = int(step)
    if not isinstance(step, int) or isinstance(step, bool) or abs(step) > _LAST_STEP:
        return Line(low, {}, "no step in it")
    return Line(step, row)


def _check(lines: list[Line], low: int) -> None:
    least = min((line.step for line in lines), default=low)
    if least < low:
        raise Trouble(
            f"the history page from step {low:,} holds step {least:,} again: the server's pages go"
            " back",
            remedy="pull again; if it stays so, export the run with W&B's client",
        )


def event_rows(client: Client, place: Place) -> tuple[list[dict[str, Any]], int | None]:
    """System readings, and how many the server says it has (None: it does not say)."""
    found, rows = _events(client, place), []
    for text in found:
        with contextlib.suppress(ValueError):
            row = decoded(text)
            if isinstance(row, dict):
                rows.append(row)
    try:
        names = {"entity": place.entity, "project": place.project, "name": place.name}
        count = _inner(client.graphql(_COUNTS, **names), "model", "bucket", "eventsLineCount")
    except Refused:
        count = None
    return rows, count if type(count) is int else None


def _events(client: Client, place: Place) -> list[Any]:
    samples = PAGE_EVENTS
    while True:
        try:
            found = _inner(_ask(client, _EVENTS, place, samples=samples), "events")
        except TooLarge:
            if samples < 1000:
                raise
            samples //= 4
        else:
            return found if isinstance(found, list) else []


def console_lines(client: Client, place: Place) -> list[str]:
    """The last lines of the console. Raises Refused where the server keeps none."""
    run = _ask(client, _CONSOLE, place, last=CONSOLE_LINES)
    lines = [node.get("line") for node in _nodes(_inner(run, "logLines"))]
    return [line for line in lines if isinstance(line, str)]


def file_urls(client: Client, place: Place, names: list[str]) -> dict[str, tuple[str, int]]:
    """Name -> (address, bytes) of those of the run's files that exist."""
    run = _ask(client, _FILES, place, names=names, limit=len(names))
    found = {}
    for node in _nodes(_inner(run, "files")):
        name, url = node.get("name"), node.get("url")
        if name in names and isinstance(url, str):
            found[name] = (url, whole(node.get("sizeBytes")) or 0)
    return found


def info_of(client: Client, place: Place) -> dict[str, Any]:
    """The server's own table of the process; empty on servers that keep none."""
    try:
        info = _inner(_ask(client, _INFO, place), "runInfo")
    except Refused:
        return {}
    return info if isinstance(info, dict) else {}


def artifacts_of(client: Client, place: Place, *, used: bool) -> Iterator[dict[str, Any]]:
    """Artifacts that the run made, or that it used. Raises Refused where there are none."""
    query = _ARTIFACTS % (("Input", "input") if used else ("Output", "output"))
    yield from _paged(
        client,
        query,
        "project",
        "run",
        "artifacts",
        per_page=PAGE_ARTIFACTS,
        entity=place.entity,
        project=place.project,
        name=place.name,
    )
