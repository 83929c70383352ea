"""What a W&B server keeps of its runs, and the GraphQL schema that the real client asks it by.

The schema holds the fields that wandb 0.31 (its Python part and its core) names in its documents,
and no more: a query for anything else is refused as a real server refuses it.
"""

# ruff: noqa: N802, N803, N815 - the names of the schema
from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from graphql import GraphQLSchema, build_schema

__all__ = ["Artifact", "Project", "Root", "StoredRun", "schema"]

_SDL = """
scalar JSONString
scalar JSON
scalar Int64
scalar DateTime
scalar Duration
enum AlertSeverity { INFO WARN ERROR }

type Query {
  viewer: User
  serverInfo: ServerInfo
  models(entityName: String, after: String, first: Int): ProjectConnection
  model(name: String, entityName: String): Project
  project(name: String, entityName: String): Project
}
type ServerInfo { features: [Feature!]! }
type Feature { name: String isEnabled: Boolean }
type PageInfo { endCursor: String hasNextPage: Boolean! }
type ApiKey { id: ID name: String description: String }
type ApiKeyEdge { node: ApiKey }
type ApiKeyConnection { edges: [ApiKeyEdge!]! }
type Team { name: String }
type TeamEdge { node: Team }
type TeamConnection { edges: [TeamEdge!]! }
type User {
  id: ID! name: String username: String email: String admin: Boolean flags: JSONString
  entity: String deletedAt: DateTime apiKeys: ApiKeyConnection teams: TeamConnection
}
type Entity { id: ID! name: String! }
type ProjectEdge { node: Project! }
type ProjectConnection { edges: [ProjectEdge!]! pageInfo: PageInfo! }
type Project {
  id: ID! internalId: ID name: String! entityName: String! entity: Entity! createdAt: DateTime
  isBenchmark: Boolean user: User readOnly: Boolean
  runCount(filters: JSONString): Int!
  runs(filters: JSONString, after: String, first: Int, order: String): RunConnection
  run(name: String!): Run
  bucket(name: String!, missingOk: Boolean): Run
}
type RunEdge { node: Run! cursor: String! }
type RunConnection { edges: [RunEdge!]! pageInfo: PageInfo! }
type Run {
  id: ID! projectId: Int name: String! displayName: String description: String notes: String
  tags: [String!] state: String config: JSONString group: String jobType: String commit: String
  sweepName: String readOnly: Boolean createdAt: DateTime heartbeatAt: DateTime user: User
  project: Project summaryMetrics: JSONString systemMetrics: JSONString
  historyKeys: JSON historyLineCount: Int eventsLineCount: Int logLineCount: Int
  historyTail: JSONString eventsTail: JSONString wandbConfig(keys: [String!]): JSONString
  history(minStep: Int64, maxStep: Int64, samples: Int): [JSONString!]
  sampledHistory(specs: [JSONString!]!): [JSON!]
  events(samples: Int): [JSONString!]
  parquetHistory(liveKeys: [String!]!): ParquetHistory
  logLines(last: Int, first: Int, after: String, useImprovedPagination: Boolean): LogConnection
  fileCount: Int
  files(names: [String], pattern: String, after: String, first: Int): FileConnection
  runInfo: RunInfo
  outputArtifacts(after: String, first: Int): ArtifactConnection
  inputArtifacts(after: String, first: Int): ArtifactConnection
}
type ParquetHistory { parquetUrls: [String!] liveData: [JSON!] }
type LogLine { number: Int timestamp: String level: String label: String line: String! }
type LogEdge { node: LogLine! }
type LogConnection { edges: [LogEdge!]! pageInfo: PageInfo! }
type Git { remote: String commit: String }
type RunInfo {
  program: String args: [String!] os: String python: String colab: String executable: String
  codeSaved: Boolean cpuCount: Int gpuCount: Int gpu: String git: Git
}
type File {
  id: ID! name: String! url(upload: Boolean): String directUrl: String sizeBytes: Int64
  mimetype: String updatedAt: DateTime md5: String
}
type FileEdge { node: File! cursor: String! }
type FileConnection { edges: [FileEdge!]! pageInfo: PageInfo! }
interface ArtifactCollection { name: String! project: Project }
type ArtifactSequence implements ArtifactCollection {
  name: String! project: Project latestArtifact: Artifact
}
type ArtifactType { name: String! }
type ArtifactAlias { id: ID! alias: String! artifactCollection: ArtifactCollection }
type Tag { id: ID! name: String! }
type Artifact {
  id: ID! artifactSequence: ArtifactSequence! versionIndex: Int artifactType: ArtifactType!
  description: String metadata: JSONString ttlDurationSeconds: Int64 ttlIsInherited: Boolean
  tags: [Tag!] historyStep: Int64 state: String! size: Int64! digest: String!
  digestAlgorithm: String commitHash: String fileCount: Int64 createdAt: DateTime!
  updatedAt: DateTime aliases: [ArtifactAlias!]
}
type ArtifactEdge { node: Artifact! cursor: String }
type ArtifactConnection { totalCount: Int! edges: [ArtifactEdge!]! pageInfo: PageInfo! }

input UpsertBucketInput {
  id: String name: String groupName: String modelName: String entityName: String
  description: String displayName: String notes: String config: JSONString commit: String
  host: String debug: Boolean jobProgram: String jobRepo: String jobType: String state: String
  sweep: String tags: [String!] summaryMetrics: JSONString
}
type UpsertBucketPayload { bucket: Run inserted: Boolean }
input CreateRunFilesInput {
  entityName: String! projectName: String! runName: String! files: [String!]!
}
type UploadFile { name: String! uploadUrl: String! }
type CreateRunFilesPayload { runID: ID! uploadHeaders: [String!]! files: [UploadFile!]! }
input CreateArtifactInput {
  aliases: [ArtifactAliasInput!] artifactCollectionName: String artifactCollectionNames: [String!]
  artifactTypeName: String! clientID: ID clientMutationId: String description: String
  digest: String! digestAlgorithm: String distributedID: String
  enableDigestDeduplication: Boolean entityName: String! historyStep: Int64 labels: JSONString
  metadata: JSONString projectName: String! runName: String sequenceClientID: ID
  storageRegion: String ttlDurationSeconds: Int64 tags: [JSON!]
}
input ArtifactAliasInput { artifactCollectionName: String alias: String! }
type CreateArtifactPayload { artifact: Artifact! }
input AlertInput {
  entityName: String! projectName: String! runName: String! title: String! text: String!
  severity: AlertSeverity waitDuration: Duration
}
type AlertPayload { success: Boolean! }
type Mutation {
  upsertBucket(input: UpsertBucketInput!): UpsertBucketPayload
  createRunFiles(input: CreateRunFilesInput!): CreateRunFilesPayload
  createArtifact(input: CreateArtifactInput!): CreateArtifactPayload
  notifyScriptableRunAlert(input: AlertInput!): AlertPayload
}
"""


def schema() -> GraphQLSchema:
    return build_schema(_SDL)


def _connection(nodes: Sequence[Any], after: str | None, first: int | None) -> dict[str, Any]:
    start = int(after or 0)
    stop = start + (first or 50)
    edges = [
        {"node": node, "cursor": str(number)}
        for number, node in enumerate(nodes[start:stop], start=start + 1)
    ]
    cursor = edges[-1]["cursor"] if edges else None
    page = {"endCursor": cursor, "hasNextPage": stop < len(nodes)}
    return {"edges": edges, "pageInfo": page, "totalCount": len(nodes)}


def _thinned(rows: Sequence[str], samples: int) -> list[str]:
    """As the server samples: evenly spaced rows, never more than asked for."""
    if len(rows) <= samples:
        return list(rows)
    return [rows[number * len(rows) // samples] for number in range(samples)]


_CONSOLE = re.compile(r"(ERROR )?(\d{4}-\d\d-\d\dT[\d:.]+) (.*)", re.DOTALL)
"""A line of the console as the client sends it: level, time, text."""


@dataclass(kw_only=True)
class Artifact:
    name: str
    type: str
    metadata: str | None = None
    digest: str = "d1"
    size: int = 0
    version: int = 0
    aliases: tuple[str, ...] = ()
    step: int | None = None

    def node(self, project: Project) -> dict[str, Any]:
        sequence = {"__typename": "ArtifactSequence", "name": self.name, "project": project}
        return {
            "id": f"artifact-{self.name}-{self.version}",
            "artifactSequence": sequence | {"latestArtifact": None},
            "versionIndex": self.version,
            "artifactType": {"name": self.type},
            "metadata": self.metadata,
            "historyStep": self.step,
            "state": "COMMITTED",
            "size": self.size,
            "digest": self.digest,
            "createdAt": "2026-01-01T00:00:00Z",
            "fileCount": 1,
            "ttlDurationSeconds": -2,
            "ttlIsInherited": True,
            "tags": [],
            "aliases": [
                {"id": f"a{number}", "alias": alias, "artifactCollection": sequence}
                for number, alias in enumerate(self.aliases)
            ],
        }


@dataclass(kw_only=True)
class StoredRun:
    """A run as the server has it; `history`, `events` and `config` are JSON text."""

    name: str
    displayName: str = ""
    state: str = "running"
    description: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()
    config: str = "{}"
    group: str | None = None
    jobType: str | None = None
    commit: str | None = None
    sweepName: str | None = None
    createdAt: str = "2026-01-02T03:04:05Z"
    heartbeatAt: str = "2026-01-02T04:04:05Z"
    summaryMetrics: str = "{}"
    rows: list[str] = field(default_factory=list)
    system: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    stored: dict[str, bytes] = field(default_factory=dict)
    logged: list[Artifact] = field(default_factory=list)
    used: list[Artifact] = field(default_factory=list)
    alerts: list[tuple[str, str]] = field(default_factory=list)
    runInfo: Mapping[str, object] | None = None
    projectId: int = 1
    readOnly: bool = False
    systemMetrics: str = "{}"
    counted: int | None = None
    """What the server says of the number of rows, if not the truth."""
    last: int | None = None
    """What it says of the last step, if not the truth; -1: says nothing."""
    file_urls: dict[str, str] = field(default_factory=dict)
    """Where a file's URL points, if not to this server."""
    project: Any = None

    @property
    def id(self) -> str:
        return f"storage-{self.name}"

    @property
    def user(self) -> dict[str, str]:
        return {"id": "u1", "name": "Ada L.", "username": "ada"}

    def steps(self) -> Iterator[tuple[int, str]]:
        for row in self.rows:
            yield json.loads(row)["_step"], row

    def historyLineCount(self, _info: object) -> int:
        return len(self.rows) if self.counted is None else self.counted

    def eventsLineCount(self, _info: object) -> int:
        return len(self.system)

    def logLineCount(self, _info: object) -> int:
        return len(self.lines)

    def historyTail(self, _info: object) -> str:
        return json.dumps(self.rows[-1:])

    def eventsTail(self, _info: object) -> str:
        return json.dumps(self.system[-1:])

    def wandbConfig(self, _info: object, keys: Sequence[str]) -> str:
        own = json.loads(self.config).get("_wandb", {}).get("value", {})
        return json.dumps({key: own[key] for key in keys if key in own})

    def historyKeys(self, _info: object) -> dict[str, object] | None:
        last = max((step for step, _ in self.steps()), default=-1)
        if self.last is not None:
            last = self.last
        return {"keys": {}, "sets": [], "lastStep": last} if last >= 0 else None

    def history(
        self,
        _info: object,
        minStep: int = 0,
        maxStep: int = 2**62,
        samples: int = 500,
    ) -> list[str]:
        found = sorted(
            ((step, row) for step, row in self.steps() if minStep <= step < maxStep),
            key=lambda pair: pair[0],
        )
        return _thinned([row for _, row in found], samples)

    def sampledHistory(self, _info: object, specs: Sequence[str]) -> list[list[object]]:
        answers: list[list[object]] = []
        for spec in map(json.loads, specs):
            low, high = spec.get("minStep", 0), spec.get("maxStep", 2**62)
            whole = [json.loads(row) for _, row in self.steps()]
            keys = spec["keys"]
            kept = [
                {key: row[key] for key in keys}
                for row in whole
                if low <= row["_step"] < high and all(key in row for key in keys)
            ]
            answers.append(kept[: spec.get("samples", 500)])
        return answers

    def events(self, _info: object, samples: int = 500) -> list[str]:
        return _thinned(self.system, samples)

    def parquetHistory(self, _info: object, liveKeys: object) -> dict[str, list[str]]:
        return {"parquetUrls": [], "liveData": []}

    def logLines(self, _info: object, last: int = 1000, **_: object) -> dict[str, Any]:
        parsed = (_CONSOLE.fullmatch(line) for line in self.lines)
        kept = [
            {"number": number, "level": (found[1] or "").strip(), "line": found[3]}
            for number, found in enumerate(parsed)
            if found
        ][-last:]
        return _connection(kept, None, len(kept) or 1)

    def fileCount(self, _info: object) -> int:
        return len(self.stored)

    def files(
        self,
        info: Any,
        names: Sequence[str] = (),
        pattern: str | None = None,
        after: str | None = None,
        first: int = 50,
    ) -> dict[str, Any]:
        base = info.context["url"]
        nodes = [
            {
                "id": f"f-{name}",
                "name": name,
                "url": self.file_urls.get(
                    name, f"{base}/files/{self.path}/{name}?accessToken=tok3n"
                ),
                "directUrl": f"https://storage.invalid/{name}?Signature=s1gn",
                "sizeBytes": str(len(data)),
                "mimetype": "application/octet-stream",
                "updatedAt": "2026-01-01T00:00:00Z",
                "md5": "",
            }
            for name, data in sorted(self.stored.items())
            if not names or name in names
        ]
        for node in nodes:
            url = node["url"]
            node["url"] = lambda _info, upload=False, url=url: url
        return _connection(nodes, after, first)

    @property
    def path(self) -> str:
        return f"{self.project.entityName}/{self.project.name}/{self.name}"

    def outputArtifacts(self, _info: object, after: str | None = None, first: int = 50) -> Any:
        return _connection([a.node(self.project) for a in self.logged], after, first)

    def inputArtifacts(self, _info: object, after: str | None = None, first: int = 50) -> Any:
        return _connection([a.node(self.project) for a in self.used], after, first)


@dataclass(kw_only=True)
class Project:
    name: str
    entityName: str
    by_name: dict[str, StoredRun] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"project-{self.name}"

    internalId = "1"
    createdAt = "2026-01-01T00:00:00Z"
    isBenchmark = False
    readOnly = False
    user = None

    @property
    def entity(self) -> dict[str, str]:
        return {"id": f"entity-{self.entityName}", "name": self.entityName}

    def add(self, run: StoredRun) -> StoredRun:
        run.project = self
        self.by_name[run.name] = run
        return run

    def _filtered(self, filters: str | None) -> list[StoredRun]:
        wanted = json.loads(filters or "{}")
        unknown = set(wanted) - {"state", "group", "displayName"}
        if unknown:
            raise ValueError(f"invalid filter: {sorted(unknown)}")
        return [
            run
            for run in self.by_name.values()
            if all(getattr(run, key) == value for key, value in wanted.items())
        ]

    def runCount(self, _info: object, filters: str | None = None) -> int:
        return len(self._filtered(filters))

    def runs(
        self,
        _info: object,
        filters: str | None = None,
        after: str | None = None,
        first: int = 50,
        order: str = "",
    ) -> dict[str, Any]:
        return _connection(self._filtered(filters), after, first)

    def run(self, _info: object, name: str) -> StoredRun | None:
        return self.by_name.get(name)

    def bucket(self, _info: object, name: str, missingOk: bool = False) -> StoredRun | None:
        return self.by_name.get(name)


@dataclass(kw_only=True)
class Root:
    """Resolvers of queries and mutations, and all that the server keeps."""

    projects: dict[tuple[str, str], Project] = field(default_factory=dict)
    url: str = ""

    viewer = {  # noqa: RUF012 - read only
        "id": "u1", "name": "Ada L.", "username": "ada", "email": "", "admin": False,
        "flags": "{}", "entity": "team", "apiKeys": {"edges": []}, "teams": {"edges": []},
    }  # fmt: skip
    serverInfo = {"features": []}  # noqa: RUF012

    def put(self, entity: str, name: str) -> Project:
        known = self.projects.get((entity, name))
        if known is None:
            known = self.projects[entity, name] = Project(name=name, entityName=entity)
        return known

    def models(
        self,
        _info: object,
        entityName: str,
        after: str | None = None,
        first: int = 50,
    ) -> dict[str, Any]:
        mine = [p for (entity, _), p in self.projects.items() if entity == entityName]
        return _connection(mine, after, first)

    def project(self, _info: object, name: str, entityName: str) -> Project | None:
        return self.projects.get((entityName, name))

    model = project

    def upsertBucket(self, _info: object, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        project = self.put(input["entityName"], input["modelName"])
        new = input["name"] not in project.by_name
        now = datetime.now(UTC).isoformat()
        run = project.by_name.get(input["name"])
        run = run or project.add(StoredRun(name=input["name"], createdAt=now))
        run.heartbeatAt = now
        names = {"groupName": "group", "sweep": "sweepName"}
        for key in ("displayName", "notes", "config", "commit", "jobType", "groupName", "sweep",
                    "tags", "summaryMetrics", "state"):  # fmt: skip
            if input.get(key) is not None:
                setattr(run, names.get(key, key), input[key])
        return {"bucket": run, "inserted": new}

    def createRunFiles(self, _info: object, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        where = f"{input['entityName']}/{input['projectName']}/{input['runName']}"
        files = [
            {"name": name, "uploadUrl": f"{self.url}/upload/{where}/{name}"}
            for name in input["files"]
        ]
        return {"runID": "r", "uploadHeaders": [], "files": files}

    def createArtifact(self, _info: object, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        project = self.put(input["entityName"], input["projectName"])
        artifact = Artifact(
            name=input["artifactCollectionName"],
            type=input["artifactTypeName"],
            metadata=input.get("metadata"),
            digest=input["digest"],
            aliases=tuple(alias["alias"] for alias in input.get("aliases") or ()),
        )
        project.by_name[input["runName"]].logged.append(artifact)
        return {"artifact": artifact.node(project)}

    def notifyScriptableRunAlert(self, _info: object, input: Mapping[str, Any]) -> dict[str, Any]:  # noqa: A002
        run = self.projects[input["entityName"], input["projectName"]].by_name[input["runName"]]
        run.alerts.append((input["title"], input["text"]))
        return {"success": True}
