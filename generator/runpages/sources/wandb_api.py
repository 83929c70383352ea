"""Weights & Biases: runs on its cloud or on a server of one's own, read without the SDK.

The offline reader's rules place the rows, so that a run read here and from its folder is one run
with equal series.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urlsplit

from runpages.errors import SourceError, UsageError
from runpages.model import Run, RunRef

from ._textfiles import seconds, text
from ._wandb_api_build import read_run, state_of
from ._wandb_api_http import Client, Patience, Refused, Trouble, key_for
from ._wandb_api_pages import RUN_FIELDS, Place, projects_of, runs_of
from .contract import RUN_SECONDS, SETTLE_MINUTES, ServerSource

__all__ = ["WandbServer", "api_address", "app_address"]

_RUN_PAGE = re.compile(r"/([^/]+)/([^/]+)/runs/([^/]+)/?$")
_API_OF_APP = {"wandb.ai": "api.wandb.ai", "www.wandb.ai": "api.wandb.ai"}


def api_address(location: str) -> str:
    """Where queries go, from an API's address or the page of a run: no query, no run."""
    parts = urlsplit(location)
    host = parts.hostname or ""
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError as error:
        raise UsageError(f"wandb: {location!r}: {error}") from error
    if ":" in host:
        host = f"[{host}]"
    if host.startswith("app."):
        host = f"api.{host.removeprefix('app.')}"
    host = _API_OF_APP.get(host, host)
    path = _RUN_PAGE.sub("", parts.path).rstrip("/").removesuffix("/graphql")
    return f"{parts.scheme}://{host}{port}{path}"


def app_address(api: str) -> str:
    """Where people look at the runs of this API (as `wandb.util.api_to_app_url` has it)."""
    if "://api.wandb." in api:
        return api.replace("://api.", "://", 1)
    return api.replace("://api.", "://app.", 1)


class WandbServer(ServerSource):
    """`project` is `entity/project`, or an entity for all its projects; `filter` is JSON."""

    kind: ClassVar[str] = "wandb"
    reads_file_hosts: ClassVar[bool] = True
    patience: ClassVar[Patience] = Patience()

    def __init__(
        self,
        location: str,
        *,
        name: str = "",
        settle_minutes: float = SETTLE_MINUTES,
        project: str = "",
        filter: str = "",  # noqa: A002 - the name of the setting
        run_seconds: float = RUN_SECONDS,
        file_hosts: Sequence[str] = (),
    ) -> None:
        super().__init__(
            location,
            name=name,
            settle_minutes=settle_minutes,
            project=project.strip("/"),
            filter=filter.strip(),
            run_seconds=run_seconds,
            file_hosts=file_hosts,
        )
        self.location = api_address(location)
        self.name = name or urlsplit(self.location).hostname or ""
        self.entity, _, self.only_project = self.project.partition("/")
        _check_filter(self.filter)

    def _client(self) -> Client:
        return Client(
            self.location,
            key=key_for(self.location),
            seconds=self.run_seconds,
            patience=self.patience,
            file_hosts=self.file_hosts,
        )

    def discover(self) -> Iterator[RunRef]:
        if not self.entity or "/" in self.only_project:
            raise UsageError(
                f"wandb: `project` is {self.project!r}; it must be 'entity/project', or 'entity'"
                " for all its projects"
            )
        client = self._client()
        try:
            names = [self.only_project] if self.only_project else projects_of(client, self.entity)
            for name in sorted(set(names)):
                yield from self._runs_in(client, name)
        except Trouble as trouble:
            where = f"{self.location}/{self.project}"
            raise trouble.as_error(where, server=self.location) from trouble

    def _runs_in(self, client: Client, project: str) -> list[RunRef]:
        """In the order of their ids; of a run that two pages hold, the later word."""
        refs: dict[str, RunRef] = {}
        try:
            for node in runs_of(client, self.entity, project, self.filter):
                run_id = node.get("name")
                if isinstance(run_id, str) and run_id:
                    refs[run_id] = self._ref(project, run_id, node)
                else:
                    where = f"{self.entity}/{project}"
                    self.skipped.append((where, "the server lists a run without an id"))
        except Refused as refused:
            if self.only_project:
                raise
            self.skipped.append((f"{self.entity}/{project}", refused.problem))
        return [refs[run_id] for run_id in sorted(refs)]

    def _ref(self, project: str, run_id: str, node: dict[str, Any]) -> RunRef:
        return RunRef(
            source=self.name,
            project=project,
            run_id=run_id,
            name=text(node.get("displayName")) or run_id,
            state=state_of(node, self.settle_minutes),
            location=self._page(self.entity, project, run_id),
            kind=self.kind,
            stamp=json.dumps({key: node.get(key) for key in RUN_FIELDS}),
            latest=seconds(node.get("heartbeatAt")),
        )

    def _page(self, entity: str, project: str, run_id: str) -> str:
        names = (entity, project, "runs", run_id)
        return "/".join((app_address(self.location), *(quote(n, safe="") for n in names)))

    def read(self, ref: RunRef) -> Run:
        found = _RUN_PAGE.search(urlsplit(ref.location).path)
        entity = unquote(found[1]) if found else self.entity
        if not entity:
            raise SourceError(ref.location or ref.run_id, "names no entity", remedy="pull again")
        place = Place(entity=entity, project=ref.project, name=ref.run_id)
        try:
            return read_run(
                self._client(),
                place,
                ref,
                app=app_address(self.location),
                settle_minutes=self.settle_minutes,
            )
        except Trouble as trouble:
            page = self._page(entity, ref.project, ref.run_id)
            raise trouble.as_error(page, server=self.location) from trouble


def _check_filter(filters: str) -> None:
    try:
        good = not filters or isinstance(json.loads(filters), dict)
    except (ValueError, RecursionError):
        good = False
    if not good:
        raise UsageError(
            f"wandb: `filter` is {filters[:80]!r}; it must be a JSON object like"
            ' {"state": "finished"}'
        )
