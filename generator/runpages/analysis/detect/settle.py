"""Overlaps: detectors look at a series each for itself; one happening is one finding."""

from __future__ import annotations

from collections.abc import Iterable

from .track import Candidate

__all__ = ["settled"]


def settled(candidates: Iterable[Candidate]) -> list[Candidate]:
    """One finding for one happening, by start.

    A divergence that begins with a level shift, or lies in an over-fitting, only says less. Within
    a divergence there is no level that a shift or a spike could leave. A spike that begins with a
    shift is its overshoot. A plateau across a shift only hides that the curve falls; one in a
    divergence or an over-fitting is part of it, and so is the flat turn before the latter.
    """
    found = sorted(candidates, key=lambda c: (c.start, c.kind))
    shifts = [c for c in found if c.kind == "level_shift"]
    overfits = [c for c in found if c.kind == "overfit"]
    runs_away = [
        c
        for c in found
        if c.kind == "divergence"
        and not any(_is_rise_of(c, s) for s in shifts)
        and not any(c.end >= o.start for o in overfits)
    ]
    shifts = [s for s in shifts if not any(d.start <= s.end for d in runs_away)]
    return [
        c
        for c in found
        if _stands(c, runs_away, shifts)
        and not (c.kind == "plateau" and any(c.end >= o.start for o in (*overfits, *runs_away)))
    ]


def _stands(found: Candidate, runs_away: list[Candidate], shifts: list[Candidate]) -> bool:
    if found.kind == "divergence":
        return found in runs_away
    if found.kind == "level_shift":
        return found in shifts
    if found.kind == "spike":
        inside = any(found.end >= d.start for d in runs_away)
        return not inside and not any(_is_rise_of(found, s) for s in shifts)
    if found.kind == "plateau":
        return not any(found.start < s.start < found.end for s in shifts)
    return True


def _is_rise_of(other: Candidate, shift: Candidate) -> bool:
    """Whether it begins in the transition of the shift, give or take its length."""
    slack = max(8, 4 * (shift.end - shift.start))
    return other.end >= shift.start and shift.start - slack <= other.start <= shift.end
