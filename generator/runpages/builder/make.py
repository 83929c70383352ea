"""Archive → Markdown and data: only pages whose inputs changed are made anew."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from runpages.analysis import analyze, analyze_group
from runpages.archive import Archive, locked, write_atomically
from runpages.config import Settings, load_settings
from runpages.engine import open_engine, run_all
from runpages.errors import ConfigError, RunpagesError
from runpages.model import Report
from runpages.pages import Page, group_slug, list_row, render, render_group
from runpages.pages.by import Listing
from runpages.pages.listing import listed_facts
from runpages.pages.templating import template_folder
from runpages.redact import redact_text
from runpages.review import Links
from runpages.review.companions import COMPANIONS, companions

from .assets import shared_assets
from .levels import check_size, choose_full, full_list
from .listings import index_pages, listing_file, seed_set_of
from .remembered import RunFacts, remembered
from .tombstones import tombstones
from .write import read_generated, write_section

__all__ = ["Built", "archive_state", "build", "report_of", "rows"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Slugs by what became of their page, and (slug, reason) of those that failed."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    withdrawn: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    files_written: tuple[str, ...] = ()
    """Paths below the section."""
    remarks: tuple[tuple[str, str], ...] = ()
    """(slug, sentence) on what its page leaves out: notes that cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    slug: str
    key: str
    settings: Settings
    full: bool
    """Whether its finer files are wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    """What the cache keeps of a page: enough to leave it alone and to list it."""

    key: str
    row: dict[str, Any]
    files: dict[str, str]
    finer: dict[str, str] = field(default_factory=dict)
    """Files that are written of full runs only; an empty digest is of one that was not made."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What pages about many runs need beside the row; of a group, its seed set."""

    @property
    def has_levels(self) -> bool:
        """Whether the page has files to fetch of a full run, beside what is for others."""
        return any(Path(path).name not in COMPANIONS for path in self.finer)

    def wanted(self, *, full: bool) -> dict[str, str]:
        """Path -> digest of what a run of this level has."""
        return {**self.files, **self.finer} if full else self.files


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rendered:
    card: _Card
    files: dict[str, bytes]


def build(
    config: str | Path | Settings = "runpages.toml", *, progress: Progress | None = None
) -> Built:
    """Write the section's Markdown and data from the archive.

    A page whose inputs (archived files, pinned baseline, settings, generator) have not changed is
    left alone. A run that cannot be rendered is listed in `failed`, the others are built. Raises
    ConfigError, ForeignFileError, LockedError or SiteSizeError.
    """
    settings = config if isinstance(config, Settings) else load_settings(config)
    with locked(settings.cache_path), locked(settings.site_cache_path):
        return _Builder(settings, progress).build()


def report_of(settings: Settings, slug: str, *, with_baseline: bool = True) -> Report:
    """The report of an archived run under these settings."""
    archive = settings.open_archive(refresh=False)
    options = settings.analysis_options()
    pinned = settings.baseline.default
    baseline = None
    if with_baseline and pinned and pinned != slug:
        baseline = analyze(archive.get(pinned), options)
    report = analyze(archive.get(slug), options, baseline=baseline)
    # people edit these files: what they pasted into one is looked through once more
    notes = tuple(replace(n, text=redact_text(n.text)[0]) for n in archive.notes(slug))
    return replace(report, notes=notes, unreadable_notes=archive.unreadable_notes(slug))


def rows(settings: Settings, *, progress: Progress | None = None) -> list[dict[str, Any]]:
    """The list row of every published run, newest first."""
    builder = _Builder(settings, progress)
    return _ordered([c.row for c in builder.cards().values()])


class _Builder:
    def __init__(self, settings: Settings, progress: Progress | None) -> None:
        self.settings = settings
        self.progress = progress
        self.archive = settings.open_archive(whole=True)
        self.failed: list[tuple[str, str]] = []
        self.begun: dict[str, float | None] = {}
        """Starts of the runs to be published."""
        self.digests: dict[str, str] = {}
        """Of every archived run that is not withdrawn."""
        self.generator = _generator_digest() + _own_templates(settings)
        pinned = settings.baseline.default
        if pinned and pinned not in self.archive:
            problem = f"[baseline] default = {pinned!r}: the archive has no such run"
            raise ConfigError(settings.folder / "runpages.toml", problem)

    def build(self) -> Built:
        section = self.settings.section_path
        generated = read_generated(section)
        keys = self._keys()
        cards = {s: c for s, k in keys.items() if (c := self._cached("pages", s, k)) is not None}
        full = choose_full(self.begun, settings=self.settings, archive=self.archive)
        wanted = {s: c.wanted(full=s in full) for s, c in cards.items()}
        kept = {s: cards[s] for s, w in wanted.items() if _present(section, w, generated.files)}
        files: dict[str, bytes] = {}
        changed = [slug for slug in keys if slug not in kept]
        rendered = self._render(_page, {slug: keys[slug] for slug in changed}, full=full)
        cards = dict(kept)
        for slug, page in rendered.items():
            cards[slug] = page.card
            files.update(page.files)
        unchanged = {path: digest for slug in kept for path, digest in wanted[slug].items()}
        group_files, group_kept, seed_sets = self._groups(cards, generated.files)
        files.update(group_files)
        unchanged.update(group_kept)
        ordered = _ordered([{**card.row, **card.facts} for card in cards.values()])
        listing = partial(self._listing, keys)
        files.update(index_pages(ordered, seed_sets, site=self.settings.site, listing=listing))
        files.update(full_list(s for s, card in cards.items() if s in full and card.has_levels))
        files.update(shared_assets())
        withdrawn = self.archive.withdrawn()
        files.update(tombstones(withdrawn, self.settings))
        check_size(section, files, unchanged, max_mb=self.settings.site.max_mb)
        state = _state(self.digests)
        done = write_section(section, files, unchanged, archive=state)
        for slug, page in rendered.items():
            self._cache("pages", slug, page.card)
        return Built(
            written=tuple(sorted(rendered)),
            unchanged=tuple(sorted(kept)),
            withdrawn=tuple(sorted(withdrawn)),
            failed=tuple(sorted(self.failed)),
            files_written=done.written,
            remarks=tuple((s, told) for s in cards for told in self.archive.unreadable_notes(s)),
        )

    def cards(self) -> dict[str, _Card]:
        """A card for every published run, rendered now where the cache has none."""
        keys = self._keys()
        cards = {s: c for s, k in keys.items() if (c := self._cached("pages", s, k)) is not None}
        for slug, page in self._render(
            _page, {s: k for s, k in keys.items() if s not in cards}
        ).items():
            cards[slug] = page.card
            self._cache("pages", slug, page.card)
        return cards

    def _keys(self) -> dict[str, str]:
        """Slug -> page key of every run that is to be published."""
        baseline = self.settings.baseline.default
        common = [
            self.generator,
            # pages do not know their level, nor what the plugin does with the built site
            repr(
                replace(
                    self.settings.site, full_runs=0, max_mb=0, search="", pagefind_from=0, csp=False
                )
            ),
            repr(sorted(self.settings.metrics.items())),
            repr(self.settings.model),
            repr(self.settings.accelerator),
            repr(self.settings.summary),
            repr(self.settings.target),
            repr(self.settings.evaluation),
            repr(self.settings.energy),
            f"{baseline} {self.archive.digest(baseline)}" if baseline else "",
        ]
        keys = {}
        facts = RunFacts(self.settings.cache_path, self.settings.publish)
        for slug in self.archive.slugs():
            self.digests[slug] = digest = self.archive.digest(slug)
            try:
                start, end, published = facts.of(slug, digest, self.archive)
            except RunpagesError as error:
                self.failed.append((slug, str(error)))
                continue
            if published:
                self.begun[slug] = start
                parts = [*common, digest, repr(self._prices(end))]
                keys[slug] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        facts.keep()
        return keys

    def _listing(self, keys: Mapping[str, str], listing: Listing) -> bytes:
        """The keys of its runs tell all that it shows of them."""
        path = self.settings.cache_path / "listings" / listing.path
        inputs = [self.generator, *(keys[row["slug"]] for row in listing.entries)]
        return remembered(path, inputs, partial(listing_file, listing))

    def _prices(self, end: float | None) -> list[object]:
        """The price rows that can hold at the run's end: later ones do not touch its page."""
        if end is None:
            return []
        day = datetime.fromtimestamp(end, UTC).date().isoformat()
        return [row for row in self.settings.price if row.valid_from <= day]

    def _render(
        self,
        task: Callable[[_Task], _Rendered],
        keys: Mapping[str, str],
        *,
        full: frozenset[str] = frozenset(),
    ) -> dict[str, _Rendered]:
        tasks = [
            _Task(slug=s, key=k, settings=self.settings, full=s in full) for s, k in keys.items()
        ]
        out: dict[str, _Rendered] = {}
        # a worker costs its start-up (imports of plotly and pyarrow): few pages are faster here
        kind = self.settings.engine.kind if len(tasks) > 3 else "serial"
        with open_engine(kind) as executor:
            for number, (one, future) in enumerate(run_all(executor, task, tasks), start=1):
                try:
                    out[one.slug] = future.result()
                except RunpagesError as error:
                    self.failed.append((one.slug, str(error)))
                if self.progress:
                    self.progress(number, len(tasks), one.slug)
        return out

    def _groups(
        self, cards: Mapping[str, _Card], listed: Mapping[str, str]
    ) -> tuple[dict[str, bytes], dict[str, str], list[dict[str, Any]]]:
        """Files of the group pages to write, those that stay, and the groups' seed sets."""
        members: dict[str, list[str]] = defaultdict(list)
        for slug in sorted(cards):
            if name := cards[slug].row["group"]:
                members[name].append(slug)
        files: dict[str, bytes] = {}
        kept: dict[str, str] = {}
        seed_sets = []
        for name, slugs in sorted(members.items()):
            path = group_slug(name)
            key = hashlib.sha256("\n".join(cards[s].key for s in slugs).encode()).hexdigest()
            card = self._cached("groups", path, key)
            if card is not None and _present(self.settings.section_path, card.files, listed):
                kept.update(card.files)
                seed_sets.append(card.facts)
                continue
            reports = [report_of(self.settings, slug, with_baseline=False) for slug in slugs]
            group = analyze_group(reports)
            page = render_group(
                group, _ordered([cards[s].row for s in slugs]), site=self.settings.site
            )
            made = self._below(page, f"by/group/{path}.md")
            files.update(made)
            facts = seed_set_of(group, reports)
            seed_sets.append(facts)
            self._cache("groups", path, _Card(key=key, row={}, files=_digests(made), facts=facts))
        return files, kept, [one for one in seed_sets if one]

    def _below(self, page: Page, path: str) -> dict[str, bytes]:
        return _section_files(page, path, self.settings.site.section)

    def _cached(self, kind: str, name: str, key: str) -> _Card | None:
        try:
            data = json.loads((self.settings.cache_path / kind / f"{name}.json").read_bytes())
            card = _Card(**{f.name: data[f.name] for f in fields(_Card)})
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return card if card.key == key else None

    def _cache(self, kind: str, name: str, card: _Card) -> None:
        data = json.dumps(asdict(card)).encode()
        path = self.settings.cache_path / kind / f"{name}.json"
        write_atomically(path, data, durable=False)


def _page(task: _Task) -> _Rendered:
    """Runs in a worker: judge one run and write its page's files in memory."""
    report = report_of(task.settings, task.slug)
    settings = task.settings
    page = render(report, section=settings.site.section, templates=settings.templates_path)
    files = _section_files(page, f"{task.slug}.md", task.settings.site.section)
    finer = {name.removeprefix(f"{settings.site.section}/") for name in page.finer}
    beside = [f"assets/runs/{task.slug}/{name}" for name in COMPANIONS]
    if task.full:  # a card takes as long to draw as the charts of its page
        links = Links(url=settings.site.url, section=settings.site.section)
        made = companions(report, links=links)
        files |= {path: made[Path(path).name] for path in beside}
    digests = {**dict.fromkeys(beside, ""), **_digests(files)}
    finer |= set(beside)
    card = _Card(
        key=task.key,
        row=list_row(report),
        files={path: digest for path, digest in digests.items() if path not in finer},
        finer={path: digest for path, digest in digests.items() if path in finer},
        facts=listed_facts(report),
    )
    wanted = card.wanted(full=task.full)
    return _Rendered(card=card, files={path: files[path] for path in wanted})


def _section_files(page: Page, path: str, section: str) -> dict[str, bytes]:
    files = {path: page.markdown.encode()}
    files.update({name.removeprefix(f"{section}/"): data for name, data in page.files.items()})
    return files


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}


def _present(section: Path, wanted: Mapping[str, str], listed: Mapping[str, str]) -> bool:
    return all(
        listed.get(path) == digest and os.path.isfile(f"{section}/{path}")
        for path, digest in wanted.items()
    )


def _ordered(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Newest first; runs without a date last; then by slug."""

    def date(row: dict[str, Any]) -> float | None:
        return row["start"] if isinstance(row["start"], int | float) else None

    dated = [row for row in rows if date(row) is not None]
    undated = [row for row in rows if date(row) is None]
    dated.sort(key=lambda row: (-(date(row) or 0.0), row["slug"]))
    return dated + sorted(undated, key=lambda row: str(row["slug"]))


def archive_state(archive: Archive) -> str:
    """Digest of all that the archive holds: the plugin compares it with the built one."""
    return _state({slug: archive.digest(slug) for slug in archive.slugs()})


def _state(digests: Mapping[str, str]) -> str:
    told = "".join(f"{slug} {digest}\n" for slug, digest in digests.items())
    return hashlib.sha256(told.encode()).hexdigest()


def _sources_of_pages() -> Iterator[tuple[str, bytes]]:
    package = Path(str(package_files("runpages")))
    for folder in (package, template_folder()):
        for path in sorted(folder.rglob("*")):
            if (
                path.suffix in {".py", ".toml", ".jinja", ".css", ".js"}
                and "vendor" not in path.parts
            ):
                yield path.relative_to(folder).as_posix(), path.read_bytes()


def _own_templates(settings: Settings) -> str:
    """Digest of the team's own templates. Raises ConfigError if their folder is not there."""
    folder = settings.templates_path
    if folder is None:
        return ""
    if not folder.is_dir():
        problem = f"[site] templates = {settings.site.templates!r}: there is no such folder"
        raise ConfigError(settings.folder / "runpages.toml", problem)
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.jinja")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\n" + path.read_bytes())
    return digest.hexdigest()


def _generator_digest() -> str:
    digest = hashlib.sha256()
    for name, data in _sources_of_pages():
        digest.update(name.encode() + b"\n" + data)
    return digest.hexdigest()
