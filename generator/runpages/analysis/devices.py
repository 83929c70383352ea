"""Accelerators by the names that trackers give them: peak rates and power, with their sources."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Sequence
from importlib.resources import files

from runpages.model import Accelerator

__all__ = ["find_accelerator", "shipped_accelerators"]

_MAKERS = re.compile(
    r"\b(nvidia|amd|intel|habana|google|cloud|aws|instinct|tesla|tensor core gpu)\b"
)


@functools.cache
def shipped_accelerators() -> tuple[Accelerator, ...]:
    """The rows of accelerators.toml."""
    text = files("runpages.analysis").joinpath("accelerators.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["accelerator"]
    return tuple(Accelerator(**{**row, "names": tuple(row["names"])}) for row in rows)


def find_accelerator(device: str, first: Sequence[Accelerator] = ()) -> Accelerator | None:
    """The row whose name the device bears, of `first` (the team's) before the shipped ones.

    Names are compared whole, without case, maker and punctuation: `NVIDIA A100-SXM4-80GB` is
    `a100 sxm4 80gb`. A part of a name is not enough, as `H100` is three devices.
    """
    wanted = _plain(device)
    if not wanted:
        return None
    rows = (*first, *shipped_accelerators())
    return next((row for row in rows if wanted in {_plain(name) for name in row.names}), None)


def _plain(name: str) -> str:
    bare = _MAKERS.sub(" ", name.casefold().replace("(r)", " ").replace("(tm)", " "))
    return " ".join(re.findall(r"[a-z0-9.]+", bare))
