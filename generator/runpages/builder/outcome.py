"""What a pull did, run by run."""

from __future__ import annotations

from dataclasses import dataclass

from runpages.model import RunRef
from runpages.sources import UNREADABLE

__all__ = ["Outcome", "Pulled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one run that was found."""

    ref: RunRef
    status: str
    """`written`, `unchanged`, `skipped` or `failed`."""
    reason: str = ""
    redacted: int = 0
    """Secrets that were replaced before the run was kept."""
    damaged: int = 0
    """Records that could not be read."""
    warnings: tuple[str, ...] = ()
    """What was met on reading, one sentence each."""
    joined: tuple[str, ...] = ()
    """Hardware logs that recorded something while the run ran."""
    twin: str = ""
    """Slug of the archived run that this one is another tracker's record of."""
    unreachable: bool = False
    """It failed because its tracker no longer answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What a pull did."""

    outcomes: tuple[Outcome, ...]
    skipped: tuple[tuple[str, str], ...]
    """(path, reason) of what is no run."""
    unreachable: tuple[str, ...] = ()
    """One sentence for each tracker that did not answer."""
    unlisted: tuple[tuple[str, str], ...] = ()
    """(source, reason) of each source that answered and could not say which runs it has."""

    def slugs(self, status: str) -> tuple[str, ...]:
        return tuple(o.ref.slug for o in self.outcomes if o.status == status)

    @property
    def partial(self) -> bool:
        """Whether something that is there could not be read, or not all of it."""
        unread = any(reason.startswith(UNREADABLE) for _, reason in self.skipped)
        failed = any(o.status == "failed" or o.damaged for o in self.outcomes)
        return unread or failed or bool(self.unlisted)

    @property
    def unanswered(self) -> bool:
        """Whether a tracker did not answer, or stopped answering while runs were read."""
        return bool(self.unreachable) or any(o.unreachable for o in self.outcomes)

    def of(self, status: str) -> tuple[Outcome, ...]:
        return tuple(o for o in self.outcomes if o.status == status)
