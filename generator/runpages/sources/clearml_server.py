"""A ClearML server, read through the SDK."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import groupby
from typing import Any, ClassVar

from clearml.backend_api.services.v2_9 import events, models, projects, tasks

from runpages.errors import SourceError, UnknownNameError, UnreachableError, UsageError
from runpages.model import Link, LoggedEvent, Run, RunRef, Sample

from ._clearml_api import Api, RefusedError, files_origin, web_address
from ._clearml_build import run_of
from ._clearml_events import Found, Tally
from ._clearml_run import CONSOLE_BYTES, Collected, Picture, counted, step_of
from ._clearml_task import as_dict, as_text, moment, state_of
from ._media import MEDIA_BYTES, Gallery
from .contract import ServerSource, is_file_host, settled_state

__all__ = ["ClearmlServer"]

READER = "clearml-server 1"

_PAGE_TASKS = 500
_PAGE_EVENTS = 10_000
"""The most that a server gives at once."""
_PAGE_PLOTS = 200
_PAGE_MESSAGES = 500
_FIELDS = ("id", "name", "project", "status", "last_update", "last_iteration", "tags", "comment")
_MAX_LISTED = 50
_OVERWRITTEN = (
    "a ClearML server keeps one value of a metric at an iteration: what a restart did again"
    " replaced what was there before"
)
_SUFFIXES = {
    "image": (".png", ".jpg", ".jpeg", ".gif", ".webp"),
    "audio": (".wav", ".flac", ".ogg", ".mp3"),
}


class ClearmlServer(ServerSource):
    """The tasks of a ClearML server; `project` is the full name of one project (`team/llm`).

    `filter` is a JSON object of the fields of `tasks.get_all`: {"tags": ["prod"]}. Archived tasks
    are left out unless it names `system_tags`.
    """

    kind: ClassVar[str] = "clearml"
    reads_file_hosts: ClassVar[bool] = True

    def discover(self) -> Iterator[RunRef]:
        try:
            with closing(Api(self.location, run_seconds=self.run_seconds)) as api:
                found = self._found(api)
        except UnreachableError:
            raise
        except RefusedError as error:
            if error.status == 400 and self.filter:
                raise UsageError(f"{self.kind}: {error}; see `filter`") from error
            raise UnreachableError(error.path, error.problem) from error
        except SourceError as error:
            raise UnreachableError(error.path, error.problem, remedy=error.remedy) from error
        yield from (found[run_id] for run_id in sorted(found))

    def _found(self, api: Api) -> dict[str, RunRef]:
        names = self._projects(api)
        found: dict[str, RunRef] = {}
        for page in api.pages(self._request(names), "tasks"):
            api.restart()  # the time is meant for one run, here for one page
            for task in page:
                ref = self._ref(api, as_dict(task), names)
                if ref is not None:
                    found[ref.run_id] = ref
        return found

    def _request(self, names: dict[str, str]) -> Any:
        wanted: dict[str, Any] = {"system_tags": ["-archived"]}
        if self.filter:
            wanted |= self._filter()
        if self.project:
            wanted["project"] = [key for key, name in names.items() if name == self.project]
        # a stable order: a task that is added while pages are read comes last
        wanted |= {"order_by": ["created"], "page_size": _PAGE_TASKS, "only_fields": list(_FIELDS)}
        try:
            request = tasks.GetAllRequest(**wanted)
            request.validate()
        except Exception as error:  # the schema library's errors have no common base
            if not self.filter:
                raise
            raise UsageError(
                f"{self.kind}: `filter` does not fit tasks.get_all: {error}"
            ) from error
        return request

    def _filter(self) -> dict[str, Any]:
        try:
            found = json.loads(self.filter)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{self.kind}: `filter` is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise UsageError(f'{self.kind}: `filter` is no JSON object like {{"tags": ["prod"]}}')
        return found

    def _projects(self, api: Api) -> dict[str, str]:
        """Id -> full name of every project."""
        names: dict[str, str] = {}
        request = projects.GetAllRequest(
            order_by=["name"], page_size=_PAGE_TASKS, only_fields=["id", "name"]
        )
        for page in api.pages(request, "projects"):
            for project in page:
                names[as_text(as_dict(project).get("id"))] = as_text(as_dict(project).get("name"))
        if self.project and self.project not in names.values():
            raise UnknownNameError("project", self.project, sorted(names.values())[:_MAX_LISTED])
        return names

    def _ref(self, api: Api, task: dict[str, Any], names: dict[str, str]) -> RunRef | None:
        run_id = as_text(task.get("id"))
        if not run_id:
            self.skipped.append((api.address, "a task without an id"))
            return None
        project = task.get("project")
        key = as_text(as_dict(project).get("id")) or as_text(project)
        # what people write to a task afterwards changes its page as well
        stamp = [task.get(name) for name in _FIELDS[1:]]
        return RunRef(
            source=self.name,
            project=names.get(key, key),
            run_id=run_id,
            name=as_text(task.get("name")) or run_id,
            state=state_of(task),
            location=f"{api.address}/tasks.get_by_id?task={run_id}",
            kind=self.kind,
            stamp=json.dumps(stamp, sort_keys=True, default=str),
            latest=moment(task.get("last_update")),
        )

    def read(self, ref: RunRef) -> Run:
        with closing(Api(self.location, run_seconds=self.run_seconds)) as api:
            try:
                return self._read(api, ref)
            except SourceError as error:  # it has let us in: it is there
                remedy = error.remedy or "see whether the server is well, then pull again"
                raise SourceError(
                    ref.location, error.problem, place=error.place, remedy=remedy
                ) from error

    def _read(self, api: Api, ref: RunRef) -> Run:
        task = as_dict(api.call(tasks.GetByIdRequest(task=ref.run_id)).get("task"))
        if not task:
            raise SourceError(ref.location, "the server gives no such task")
        tally, collected = Tally(records=1), Collected(ref.run_id)
        _scalars(api, ref.run_id, collected, tally)
        for kind, size in (("plot", _PAGE_PLOTS), ("training_debug_image", _PAGE_EVENTS)):
            for event in _events(api, ref.run_id, kind, size, tally):
                _take(collected, tally, event, kind)
        _console(api, ref.run_id, collected, tally)
        samples, told, unread = _samples(api, collected, self.file_hosts)
        last = max((t for t in (collected.end, moment(task.get("last_update"))) if t), default=None)
        return run_of(
            ref,
            task,
            collected,
            tally,
            reader=READER,
            undecided=settled_state(last, self.settle_minutes),
            samples=samples,
            models=_models(api, task),
            links=_links(api, task, ref.run_id),
            lossy=(_OVERWRITTEN, *unread),
            warnings=told,
        )


def _events(
    api: Api, task_id: str, kind: str, size: int, tally: Tally, *, order: str = "asc"
) -> Iterator[dict[str, Any]]:
    """All events of a kind by their times, page by page."""
    scroll, count = None, 0
    while True:
        request = events.GetTaskEventsRequest(
            task=task_id, event_type=kind, batch_size=size, order=order, scroll_id=scroll
        )
        answer = api.call(request)
        page = answer.get("events")
        scroll = answer.get("scroll_id")
        if not isinstance(page, list) or not page:
            break
        for event in page:
            count += 1
            if isinstance(event, dict):
                yield event
            else:
                tally.damage(kind, 0, "an event is no object")
        if not isinstance(scroll, str):
            break
    total = answer.get("total")
    if isinstance(total, int) and count < total:
        tally.incomplete.append(f"the server gave {count:,} of {total:,} events ({kind})")


def _take(collected: Collected, tally: Tally, event: dict[str, Any], kind: str) -> None:
    tally.records += 1
    problem = collected.take(event)
    if problem:
        tally.reject(Found(event, kind, tally.records, 0), problem)


def _scalars(api: Api, task_id: str, collected: Collected, tally: Tally) -> None:
    """By time; of one millisecond by iteration, as servers give these in any order."""
    kind = "training_stats_scalar"
    found = _events(api, task_id, kind, _PAGE_EVENTS, tally)
    for _, together in groupby(found, key=lambda event: event.get("timestamp")):
        for event in sorted(together, key=lambda event: step_of(event.get("iter")) or 0):
            _take(collected, tally, event, kind)


def _console(api: Api, task_id: str, collected: Collected, tally: Tally) -> None:
    """The last messages, as many as are kept."""
    tail: list[dict[str, Any]] = []
    size = 0
    for event in _events(api, task_id, "log", _PAGE_MESSAGES, Tally(), order="desc"):
        tail.append(event)
        size += len(as_text(event.get("msg")))
        if size > CONSOLE_BYTES:
            break
    for event in reversed(tail):
        _take(collected, tally, event, "log")


def _kind_of(picture: Picture) -> str:
    name = picture.key.lower()
    return next((kind for kind, ends in _SUFFIXES.items() if name.endswith(ends)), "")


def _samples(
    api: Api, collected: Collected, file_hosts: Collection[str]
) -> tuple[tuple[Sample, ...], tuple[str, ...], tuple[str, ...]]:
    """Pictures and sounds that the files server has, what was left out, and what is not read."""
    gallery, other, elsewhere = Gallery(held=True), 0, 0
    origin = files_origin(api.address)
    for picture in collected.pictures.values():
        kind = _kind_of(picture)
        own = bool(origin) and picture.url.startswith(f"{origin}/")
        if picture.raced:
            continue
        if not kind:
            other += 1
        elif not own and not _named(api, picture.url, file_hosts):
            elsewhere += 1  # a token is for ClearML's own servers only
        else:
            sample = Sample(
                kind=kind,
                name=picture.name,
                step=picture.step,
                time=picture.time,
                attempt=picture.attempt,
            )
            load = partial(api.fetch, picture.url, max_bytes=MEDIA_BYTES, keyless=not own)
            gallery.add(sample, load)
    samples, told = gallery.finish()
    unread = []
    if other:
        unread.append(f"not read: {counted(other, 'debug sample')} neither image nor sound")
    if elsewhere:
        unread.append(f"not read: {counted(elsewhere, 'debug sample')} not on the files server")
    return samples, told, tuple(unread)


def _named(api: Api, url: str, file_hosts: Collection[str]) -> bool:
    try:
        return is_file_host(url, file_hosts, secure=api.address.startswith("https:"))
    except ValueError:
        return False


def _models(api: Api, task: dict[str, Any]) -> Iterable[LoggedEvent]:
    """Models that the task read or wrote; servers do not keep the iteration of a model."""
    found: dict[str, tuple[str, str]] = {}
    for role in ("input", "output"):
        entries = as_dict(task.get("models")).get(role)
        for entry in entries if isinstance(entries, list) else ():
            name = as_text(as_dict(entry).get("name"))
            found[as_text(as_dict(entry).get("model"))] = (role, name)
    found.pop("", None)
    if not found:
        return
    request = models.GetAllRequest(
        id=list(found)[:_PAGE_TASKS],
        only_fields=["id", "name", "created"],
        page=0,
        page_size=_PAGE_TASKS,
    )
    times: dict[str, float | None] = {}
    given = api.call(request).get("models")
    for model in given if isinstance(given, list) else ():
        times[as_text(as_dict(model).get("id"))] = moment(as_dict(model).get("created"))
    for key, (role, name) in found.items():
        yield LoggedEvent(kind="model", text=f"{role} {name}", time=times.get(key))


def _links(api: Api, task: dict[str, Any], run_id: str) -> tuple[Link, ...]:
    base = web_address(api.address)
    project = as_text(task.get("project")) or "*"
    if not base:
        return ()
    return (Link(label="ClearML", url=f"{base}/projects/{project}/experiments/{run_id}"),)
