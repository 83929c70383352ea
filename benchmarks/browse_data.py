"""A made-up archive's worth of list entries: 10,000 runs, as `pages.listing` would tell of them."""

from __future__ import annotations

import hashlib
import math
import random
from typing import Any

__all__ = ["MODELS", "entries", "seed_sets"]

_START = 1_700_000_000
_STATES = ("finished",) * 14 + ("ended",) * 3 + ("failed", "crashed", "killed")
MODELS = ("gpt-125m", "gpt-350m", "gpt-1b", "llama-3b", "moe-8x1b", "vit-l")
_DATA = ("fineweb-edu", "fineweb", "slimpajama", "the-stack", "c4")
_PEOPLE = ("ada", "grace", "alan", "edsger", "barbara", "donald", "tim", "leslie")
_TAGS = ("baseline", "sweep", "ablation", "release", "debug", "muon", "fp8")
_CONFIG = (
    "lr",
    "optimizer.beta2",
    "optimizer.weight_decay",
    "batch_size",
    "warmup_steps",
    "dropout",
)


def entries(count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """`count` entries, newest first; every fifth belongs to a seed set of five."""
    dice = random.Random(seed)
    made = [_entry(number, dice) for number in range(count)]
    return made[::-1]


def _entry(number: int, dice: random.Random) -> dict[str, Any]:
    family = number // 5
    grouped = family % 5 == 0
    shape = random.Random(family)
    project = f"project-{shape.randrange(24):02d}"
    name = f"{shape.choice(MODELS)}-{shape.choice(('lr', 'wd', 'data', 'width'))}-{family:04d}"
    if grouped:
        name += f"-seed{number % 5}"
    digest = hashlib.sha256(f"logs\n{project}\n{name}".encode()).hexdigest()[:10]
    state = dice.choice(_STATES)
    start = _START + number * 7000 + dice.randrange(6000)
    elapsed = dice.lognormvariate(9, 1)
    loss = (2.5 + shape.random()) * (1 + 0.01 * dice.random())
    missing = {"value": None, "why": "no clock in the log"}
    unpinned = {"value": None, "why": "no baseline is pinned, or this is it"}
    clockless = dice.random() < 0.03
    value: Any = {"value": None, "why": "no loss was logged"} if dice.random() < 0.02 else loss
    if dice.random() < 0.01:
        value = "NaN"
    spark = [float(f"{loss + 6 * math.exp(-i / 6) + 0.1 * dice.random():.4g}") for i in range(40)]
    hours = elapsed / 3600 * 8
    return {
        "slug": f"{name}-{digest}",
        "name": name,
        "id": f"{project}/{name}",
        "source": "wandb",
        "project": project,
        "group": f"family-{family:04d}" if grouped else "",
        "state": state,
        "incomplete": dice.random() < 0.03,
        "start": missing if clockless else start,
        "end": missing if clockless else start + elapsed,
        "events": {
            "critical": int(dice.random() < 0.05),
            "warning": dice.choice((0, 0, 0, 0, 1, 2, 9)),
            "info": dice.choice((0, 0, 1, 3)),
        },
        "verdict": dice.choice((None, None, None, "worked", "mixed", "failed")),
        "path": "",
        "steps": dice.randrange(1000, 200_000),
        "elapsed_seconds": missing if clockless else elapsed,
        "metric": "val/loss",
        "direction": "lower",
        "value": value,
        "spark": spark,
        "author": shape.choice(_PEOPLE),
        "model": shape.choice(MODELS),
        "datasets": [shape.choice(_DATA)],
        "tags": sorted(shape.sample(_TAGS, shape.randrange(3))),
        "seed": number % 5,
        "commit": hashlib.sha256(str(family // 3).encode()).hexdigest()[:12],
        "figures": {
            "device_hours": hours,
            "usd": hours * 2.1,
            "goodput": 100 * (1 - 0.2 * dice.random()),
            "mfu": 40 * dice.random(),
            "tokens": dice.randrange(10**9),
            "tokens_per_second": 1e5 * dice.random(),
            "parameters": 125_000_000,
            "energy_kwh": {"value": None, "why": "no power was sampled"},
            "lost_device_hours": 0.0,
        },
        "regression": dice.choice((unpinned, unpinned, 0.03 * dice.random() - 0.01)),
        "roles": {"val_loss": value} if not isinstance(value, dict) else {},
        "config": {
            key: float(f"{shape.lognormvariate(-7, 1):.2g}")
            for key in _CONFIG
            if dice.random() < 0.95
        },
        "metrics": {"val/loss": value, "train/acc": dice.random()}
        if not isinstance(value, dict)
        else {},
    }


def seed_sets(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The seed sets of the entries, with mean and sample sd of their values."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["group"]:
            groups.setdefault(row["group"], []).append(row)
    out = []
    for name, members in sorted(groups.items()):
        values = [m["value"] for m in members if isinstance(m["value"], float)]
        mean = sum(values) / len(values)
        sd = math.sqrt(sum((v - mean) ** 2 for v in values) / max(1, len(values) - 1))
        out.append(
            {"group": name, "members": [m["slug"] for m in members], "metric": "val/loss",
             "mean": mean, "sd": sd, "n": len(values)}
        )  # fmt: skip
    return out
