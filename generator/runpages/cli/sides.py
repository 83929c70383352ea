"""The sides of a comparison, as they are named on the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runpages import builder
from runpages.analysis import Contender, compare, group_contender, run_contender, siblings
from runpages.archive import Archive
from runpages.config import Settings
from runpages.errors import ArchiveError, UsageError
from runpages.model import Comparison, Report, Run
from runpages.pages import group_slug

from .shell import warn
from .show import find_slug

__all__ = ["Reviewed", "kept_runs", "reviewed", "side_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """A run, and what it is held against."""

    report: Report
    comparison: Comparison | None
    """With the run as the only side beside the base; None where there is no base."""


def reviewed(settings: Settings, run: str, *, baseline: str = "") -> Reviewed:
    """`run` against `baseline`, else the pinned one; the pinned one itself stands alone.

    Raises UsageError if the run is part of its own baseline.
    """
    archive = settings.open_archive()
    slug = find_slug(archive, run)
    report = _report(settings, slug)
    base = baseline or settings.baseline.default
    if not base or (not baseline and base == slug):
        return Reviewed(report=report, comparison=None)
    side = side_of(settings, archive, dict(kept_runs(archive)), base, seeds=False)
    if slug in [one.run.slug for one in side.reports]:
        raise UsageError(f"{slug} is part of its own baseline {base!r}: name another --baseline")
    return Reviewed(report=report, comparison=compare(side, [run_contender(report)]))


def kept_runs(archive: Archive) -> Iterator[tuple[str, Run]]:
    """Slug and run of everything that can be read; the rest is told, and matters if it is named."""
    for slug in archive.slugs():
        try:
            yield slug, archive.get(slug)
        except ArchiveError as error:
            warn(str(error))


def side_of(
    settings: Settings, archive: Archive, kept: Mapping[str, Run], name: str, *, seeds: bool
) -> Contender:
    """The run, the group or the set of runs that `name` means. Raises UsageError."""
    group = [slug for slug, run in kept.items() if run.group == name]
    if group and name not in archive:
        return group_contender(name, group_slug(name), [_report(settings, s) for s in group])
    parts = [part.strip() for part in name.split(",") if part.strip()]
    if len(parts) > 1:
        slugs = dict.fromkeys(find_slug(archive, part) for part in parts)
        reports = [_report(settings, slug) for slug in slugs]
        short = f"{reports[0].run.name} and {len(reports) - 1} more"
        return group_contender(short, group_slug(name), reports)
    slug = find_slug(archive, name)
    if not seeds or slug not in kept:
        return run_contender(_report(settings, slug))
    run = kept[slug]
    alike = [s for s, other in kept.items() if s == slug or siblings(run, other)]
    return group_contender(run.name, slug, [_report(settings, s) for s in alike])


def _report(settings: Settings, slug: str) -> Report:
    return builder.report_of(settings, slug, with_baseline=False)
