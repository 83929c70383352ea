"""What people say of a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["NOTE_KINDS", "OUTCOMES", "Note"]

NOTE_KINDS = ("note", "verdict", "rating")
OUTCOMES = ("worked", "mixed", "failed", "undecided")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A human assessment, kept beside the run in the archive; never changed, only added to."""

    author: str
    time: str
    """ISO 8601; without an offset it is UTC."""
    kind: str
    """One of NOTE_KINDS."""
    outcome: str = ""
    """Of a verdict: one of OUTCOMES."""
    text: str = ""
    """Markdown."""
    prompt: str = ""
    """Of a rating: the prompt of the rated sample, so that the file can be read by itself."""
    sample: str = ""
    """Of a rating: `Sample.id`."""
    scale: str = ""
    """Of a rating: `<lowest>-<highest>`, such as `1-5`."""
    value: float | None = None
    """Of a rating."""

    @property
    def moment(self) -> datetime:
        """`time` in UTC. Raises ValueError if it is none."""
        try:
            moment = datetime.fromisoformat(self.time)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            form = "2026-01-31T12:00:00Z"
            raise ValueError(f"time {self.time!r} is not of the form {form}") from None
