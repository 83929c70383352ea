"""What is needed to do a run again, and what of it was recorded."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Needed", "Reproduction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """One thing that must be known to redo a run."""

    name: str
    value: str
    """As recorded; empty = it was not."""
    why: str = ""
    """What is missing, or missing of it; empty = it is complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """Everything that is needed, recorded or not, and the commands that follow from it."""

    items: tuple[Needed, ...]
    commands: str
    """Lines for a shell, with comments where something is not known; empty if nothing is."""

    @property
    def recorded(self) -> int:
        """How many of the items are complete."""
        return sum(not item.why for item in self.items)
