"""What a metric means: roles by name, from the team's table first, then from roles.toml."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.resources import files
from types import MappingProxyType

__all__ = [
    "EVALUATIONS",
    "LOSSES",
    "RATES",
    "ROLES",
    "Role",
    "chosen_by",
    "direction_of",
    "role_of",
    "unit_of",
]

LOSSES = frozenset({"loss", "val_loss"})
RATES = frozenset({"tokens_per_second", "tokens_per_second_per_device", "items_per_second"})
"""Work over time: what slows a step lowers them."""
EVALUATIONS = frozenset({"val_loss", "eval", "eval_lower"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One meaning: the unit its values have, and which way is better (`lower`, `higher`, None)."""

    name: str
    unit: str
    direction: str | None
    patterns: tuple[re.Pattern[str], ...]


def _load() -> Mapping[str, Role]:
    text = files("runpages.analysis").joinpath("roles.toml").read_text(encoding="utf-8")
    return MappingProxyType(
        {
            name: Role(
                name=name,
                unit=row["unit"],
                direction=row.get("direction"),
                patterns=tuple(re.compile(p, re.IGNORECASE) for p in row["patterns"]),
            )
            for name, row in tomllib.loads(text).items()
        }
    )


ROLES: Mapping[str, Role] = _load()


@functools.lru_cache(maxsize=4096)
def role_of(name: str) -> str | None:
    """The role that the built-in table gives a metric's name, or None."""
    plain = re.sub(r"[\\ \-]", "_", name)
    plain = re.sub(r"^(system[/.]|stats:)", "", plain)
    if len(plain) > 200:
        return None
    return next(
        (r.name for r in ROLES.values() if any(p.fullmatch(plain) for p in r.patterns)), None
    )


def chosen_by(metrics: Mapping[str, Sequence[str]]) -> Callable[[str], str | None]:
    """The roles of a team's `[metrics]`: role -> names or shell patterns."""
    pairs = [(pattern, role) for role, names in metrics.items() for pattern in names]

    def chosen(name: str) -> str | None:
        return next((r for p, r in pairs if name == p or fnmatchcase(name, p)), None)

    return chosen


def direction_of(role: str | None) -> str | None:
    """`lower` or `higher` = better; None where neither is."""
    return ROLES[role].direction if role and role in ROLES else None


def unit_of(role: str | None) -> str:
    """Unit of the role's values; empty where the name does not tell."""
    return ROLES[role].unit if role and role in ROLES else ""
