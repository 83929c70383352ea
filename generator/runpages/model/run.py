"""Run and everything it is made of. The contract in prose stands in the package's docstring."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .series import SeriesSet

__all__ = [
    "STATES",
    "Attempt",
    "Checkpoint",
    "Code",
    "Dataset",
    "Hardware",
    "Link",
    "LoggedEvent",
    "Media",
    "ModelFacts",
    "Provenance",
    "Run",
    "RunRef",
    "Sample",
    "slug_of",
]

STATES = ("finished", "failed", "crashed", "killed", "ended", "running")

_SLUG_MAX = 64


def slug_of(source: str, project: str, run_id: str) -> str:
    """The run's name in URLs: readable part of the id, then 10 hex digits of its identity.

    sha256 over the UTF-8 text `source LF project LF run_id`; where a source or project has a line
    feed in its own name, over the three as a JSON list. Lower case, [a-z0-9-], at most 64.
    Lone surrogates (undecodable file names) are hashed as their escaped form.
    """
    parts = [source, project, run_id]
    identity = json.dumps(parts) if "\n" in source + project else "\n".join(parts)
    digest = hashlib.sha256(identity.encode("utf-8", "backslashreplace")).hexdigest()[:10]
    plain = unicodedata.normalize("NFKD", run_id).encode("ascii", "ignore").decode().lower()
    readable = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[: _SLUG_MAX - 11].strip("-")
    return f"{readable}-{digest}" if readable else f"run-{digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRef:
    """A run that a source has found, before it is read."""

    source: str
    """Name of the source; part of the run's identity."""
    project: str
    run_id: str
    """The tracker's id; for plain files the POSIX path of the first attempt below the root."""
    name: str
    """Display name; never part of a URL."""
    state: str
    location: str
    """Where the first attempt lies: a path or a URL without credentials."""
    kind: str = ""
    """Name of the reader in the table of sources."""
    parts: tuple[str, ...] = ()
    """Files or folders of all attempts, oldest first; empty where `location` says it all."""
    telemetry: tuple[str, ...] = ()
    """Hardware logs that stand beside the run: what they recorded while it ran belongs to it."""
    stamp: str = ""
    """For runs that are no files: a text that changes when the run does."""
    latest: float | None = None
    """For runs that are no files: nothing of the run is later than this (UTC seconds)."""

    @property
    def slug(self) -> str:
        return slug_of(self.source, self.project, self.run_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One life of the training process."""

    number: int
    start: float | None = None
    """UTC seconds; None where the source does not know."""
    end: float | None = None
    """Time of the last record."""
    first_step: int | None = None
    last_step: int | None = None
    state: str = "ended"
    host: str = ""
    devices: int | None = None
    """Accelerators this attempt used, over all hosts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """An image or a sound; its bytes are loaded when asked for."""

    media_type: str
    """By the file's first bytes, never by its name: `image/png`, `audio/wav`..."""
    size_bytes: int
    sha256: str
    """64 hex digits over the bytes."""
    load: Callable[[], bytes] | None = field(default=None, compare=False)

    @classmethod
    def of(cls, media_type: str, data: bytes, load: Callable[[], bytes] | None = None) -> Media:
        """From the bytes themselves; `load` gets them again if they need not stay in memory."""
        digest = hashlib.sha256(data).hexdigest()
        return cls(
            media_type=media_type,
            size_bytes=len(data),
            sha256=digest,
            load=load or (lambda: data),
        )

    def read(self) -> bytes:
        """Raises ArchiveError or OSError if they are gone."""
        if self.load is None:
            raise ValueError("this media file has no bytes: only its digest is known")
        return self.load()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Something the model produced: a text, a table, or a media file."""

    kind: str
    """`text`, `image`, `audio` or `table`."""
    name: str
    step: int | None = None
    time: float | None = None
    attempt: int = 1
    prompt: str = ""
    text: str = ""
    """The text, or the caption of a media file."""
    media: Media | None = None
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    decoding: Mapping[str, object] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """`<step>-<6 hex of what the sample is>`: what a rating names. The same sample of the same
        step has the same id however often and in whatever order it was logged."""
        media = self.media.sha256 if self.media else ""
        parts = [self.kind, self.name, self.prompt, self.text, media, self.columns, self.rows]
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:6]
        return f"x-{digest}" if self.step is None else f"{self.step}-{digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A saved state of the model, as the run reported it."""

    step: int
    path: str = ""
    time: float | None = None
    attempt: int = 1
    size_bytes: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """Something the run itself reported: an alert, a rollback, a note of the trainer."""

    kind: str
    text: str = ""
    step: int | None = None
    time: float | None = None
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    name: str
    version: str = ""
    digest: str = ""
    split: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    commit: str = ""
    dirty: bool | None = None
    remote: str = ""
    entry_point: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    hosts: tuple[str, ...] = ()
    device: str = ""
    """Accelerator as the source names it, e.g. `NVIDIA A100-SXM4-80GB`; empty = not recorded."""
    devices: int | None = None
    """Accelerators over all hosts; None = not recorded."""
    cpu: str = ""
    cpu_count: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    architecture: str = ""
    parameters: int | None = None
    context: int | None = None
    """Tokens a sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    label: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What was read, and what was not."""

    reader: str = ""
    """Name and version of the reader, e.g. `tensorboard 1`."""
    files: tuple[tuple[str, int], ...] = ()
    """(name below the root, bytes) of each file read."""
    records_read: int = 0
    records_expected: int | None = None
    records_damaged: int = 0
    bytes_damaged: int = 0
    ranks_seen: tuple[int, ...] = ()
    """Ranks whose own logs were read; empty where the run has one log."""
    ranks_expected: int | None = None
    """World size as the run states it; None = not stated."""
    step_source: str = "step"
    """Where the optimiser step comes from, e.g. `_step` (counts log calls) or `train/iter`."""
    step_unit: str = ""
    """What the steps of this log count where it is known to be something else: `epochs`,
    `samples`, `records`, `environment steps`... Then no time of a step is told."""
    parts_joined: bool = False
    """Whether the source puts a training's parts into one file, so that it tells no restart."""
    lossy: tuple[str, ...] = ()
    """What this format cannot tell, one sentence each."""
    warnings: tuple[str, ...] = ()
    """What was met on reading and set aside, one sentence each."""
    redactions: Mapping[str, int] = field(default_factory=dict)
    """Rule -> number of values replaced before the run was archived."""
    redaction_rules: str = ""
    """Version of the rule set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training run."""

    ref: RunRef
    name: str
    state: str = "ended"
    incomplete: tuple[str, ...] = ()
    """Reasons why records are known to be missing; empty = nothing is known to be missing."""
    start: float | None = None
    end: float | None = None
    attempts: tuple[Attempt, ...] = ()
    series: SeriesSet
    config: Mapping[str, object] = field(default_factory=dict)
    summary: Mapping[str, object] = field(default_factory=dict)
    """The tracker's own summary, as it stands there."""
    group: str = ""
    job_type: str = ""
    author: str = ""
    parent: str = ""
    tags: tuple[str, ...] = ()
    description: str = ""
    """Notes that the tracker keeps with the run."""
    model: ModelFacts = field(default_factory=ModelFacts)
    code: Code = field(default_factory=Code)
    hardware: Hardware = field(default_factory=Hardware)
    environment: Mapping[str, str] = field(default_factory=dict)
    """python, os, cuda, framework versions...: never environment variables."""
    command: str = ""
    seed: int | None = None
    datasets: tuple[Dataset, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    samples: tuple[Sample, ...] = ()
    logged_events: tuple[LoggedEvent, ...] = ()
    console: str = ""
    """The last lines of the console, at most 64 kB."""
    links: tuple[Link, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def slug(self) -> str:
        return self.ref.slug
