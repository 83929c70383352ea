"""What the metadata of a stored artifact tells of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

from ._textfiles import whole

__all__ = ["STEP_KEYS", "step_told"]

STEP_KEYS = ("step", "global_step", "train/global_step", "iteration", "iter")
"""Names under which people note the step of a checkpoint, the best first."""


def step_told(metadata: Mapping[str, object]) -> int | None:
    """The step that somebody noted with an artifact; no truth value, no text, no fraction."""
    noted = (metadata.get(key) for key in STEP_KEYS)
    return next((step for value in noted if type(value) is int and (step := whole(value))
                 is not None), None)  # fmt: skip
