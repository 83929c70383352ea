"""Seven runs that between them have everything the table must cope with."""

from __future__ import annotations

from typing import Any

__all__ = ["SEED_SETS", "entries"]

JANUARY = 1_767_700_000
"""2026-01-06."""
FEBRUARY = JANUARY + 40 * 86_400


def entries() -> list[dict[str, Any]]:
    """Newest first: one with a good verdict, a seed set, a crashed one, a hostile one, an empty one."""
    family = [
        _entry(
            f"fam-{seed}",
            start=FEBRUARY + seed,
            value=2.8 + seed / 10,
            steps=9000,
            group="fam",
            seed=seed,
            config={"optim.lr": 3e-4},
        )
        for seed in (2, 1, 0)
    ]
    return [
        _entry(
            "wide",
            start=FEBRUARY + 9000,
            value=3.3,
            steps=800,
            verdict="worked",
            author="ada",
            tags=["sweep"],
            datasets=["fineweb"],
            regression=0.02,
            config={"optim.lr": 1e-3, "optimizer": "muon"},
            metrics={"train/acc": 0.9},
        ),
        *family,
        _entry(
            "crashed",
            start=JANUARY + 9000,
            value=3.1,
            steps=700,
            state="crashed",
            incomplete=True,
            project="vision",
            model="vit",
            tags=["sweep"],
            events={"critical": 1, "warning": 2, "info": 0},
            config={"optim.lr": 3e-4},
        ),
        _entry(
            "hostile <b>x</b>",
            slug="hostile",
            start=JANUARY,
            value="NaN",
            steps=5,
            state="failed",
            author="=cmd()",
            datasets=["all the data"],
            tags=["<img src=x onerror=window.pwned=1>"],
            config={"<script>window.pwned=1</script>": 1},
        ),
        _entry("empty"),
    ]


SEED_SETS = [
    {
        "group": "fam",
        "members": [f"fam-{seed}-0000000000" for seed in range(3)],
        "metric": "val/loss",
        "mean": 2.9,
        "sd": 0.1,
        "n": 3,
    }
]


def _entry(name: str, **facts: Any) -> dict[str, Any]:
    value = facts.get("value", {"value": None, "why": "no loss was logged"})
    missing = {"value": None, "why": "no clock in the log"}
    start = facts.get("start", missing)
    unknown = {"value": None, "why": "not logged"}
    metrics = {**facts.get("metrics", {})}
    if isinstance(value, float):
        metrics["val/loss"] = value
    figures = dict.fromkeys(
        ("usd", "goodput", "mfu", "tokens", "tokens_per_second", "parameters", "energy_kwh",
         "lost_device_hours"),
        unknown,
    )  # fmt: skip
    return {
        "slug": f"{facts.get('slug', name)}-0000000000",
        "name": name,
        "id": name,
        "source": "wandb",
        "project": facts.get("project", "llm"),
        "group": facts.get("group", ""),
        "state": facts.get("state", "finished"),
        "incomplete": facts.get("incomplete", False),
        "start": start,
        "end": start if isinstance(start, dict) else start + 600,
        "events": facts.get("events", {"critical": 0, "warning": 0, "info": 0}),
        "verdict": facts.get("verdict"),
        "path": "",
        "steps": facts.get("steps", unknown),
        "elapsed_seconds": missing if isinstance(start, dict) else 600.0,
        "metric": "val/loss" if "value" in facts else None,
        "direction": "lower",
        "value": value,
        "spark": [3.0, 2.0, 1.0] if isinstance(value, float) else [],
        "author": facts.get("author", ""),
        "model": facts.get("model", ""),
        "datasets": facts.get("datasets", []),
        "tags": facts.get("tags", []),
        "seed": facts.get("seed"),
        "commit": "",
        "figures": {"device_hours": 4.0, **figures},
        "regression": facts.get("regression", {"value": None, "why": "no baseline is pinned"}),
        "roles": {"val_loss": value} if isinstance(value, float) else {},
        "config": facts.get("config", {}),
        "metrics": metrics,
    }
