"""Quantity: a number that knows its unit, or why it is absent."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Quantity",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """A number with its unit, or the reason why there is none."""

    value: float | None
    unit: str = ""
    why: str = ""
    """Why `value` is None; empty when it is known."""
    note: str = ""
    """How it came about, for the reader who doubts it."""

    @property
    def known(self) -> bool:
        return self.value is not None

    @classmethod
    def unknown(cls, why: str, unit: str = "") -> Quantity:
        return cls(value=None, unit=unit, why=why)
