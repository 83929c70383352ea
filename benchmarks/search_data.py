"""Entries of the search for a made-up archive, and questions to it with the runs that are meant."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from browse_data import MODELS, entries
from runpages.pages.search_words import notations

__all__ = ["Question", "ask", "index_entry", "made_up"]

_KINDS = ("Loss spike", "Divergence", "Plateau", "Slowdown", "Restart", "Near out of memory")
_ALSO = {"Divergence": "diverged", "Restart": "restarted, resumed", "Near out of memory": "OOM"}
_EVALUATIONS = ("hellaswag/acc", "mmlu/acc", "arc_challenge/acc_norm", "gsm8k/exact_match")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is typed, and the slugs of the runs that it is true of."""

    kind: str
    text: str
    right: frozenset[str]


def made_up(count: int, *, seed: int) -> list[Row]:
    """Rows as of `browse_data`, newest first, each with findings, notes and samples in words."""
    dice = random.Random(seed)
    words = _vocabulary(dice)
    weights = [1 / (rank + 10) for rank in range(len(words))]

    def prose(least: int, most: int) -> str:
        return " ".join(dice.choices(words, weights, k=dice.randrange(least, most)))

    rows = entries(count, seed=seed)
    for row in rows:
        row["commit"] = f"{random.Random(row['commit'] + str(seed)).getrandbits(160):040x}"
        row["findings"] = dice.sample(_KINDS, dice.choice((0, 0, 1, 2, 3)))
        row["notes"] = [prose(8, 30) for _ in range(dice.choice((0, 0, 1, 2)))]
        row["samples"] = [prose(25, 40) for _ in range(3)]
    return rows


def _vocabulary(dice: random.Random) -> list[str]:
    syllables = [a + b for a in "bdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er")]
    made = ("".join(dice.choices(syllables, k=dice.randrange(1, 5))) for _ in range(6000))
    return list(dict.fromkeys(made))


def index_entry(row: Row, *, full: bool = False) -> dict[str, str]:
    """The theme's entry of a run; `full` with the tables that a page has besides."""
    verdict = f"{row['verdict']} " if row["verdict"] else ""
    settings = ", ".join(
        f"{key.rpartition('.')[2]} {notations(value)}" for key, value in row["config"].items()
    )
    found = (f"{kind} (warning; {_ALSO.get(kind, kind)})" for kind in row["findings"])
    told = {key: row[key] for key in ("project", "group", "commit", "model")}
    told |= {"tags": ", ".join(row["tags"]), "by": row["author"]}
    named = [f"{key} {value}" for key, value in told.items() if value]
    lines = {
        "Run": ", ".join([row["id"], row["slug"], *named, row["state"]]),
        "Data": ", ".join(row["datasets"]),
        "Settings": settings,
        "Findings": ", ".join(found),
        "Evaluations": ", ".join(_EVALUATIONS),
        "Notes": verdict + " ".join(row["notes"]),
        "Samples": " ".join(row["samples"]),
    }
    text = " ".join(f"<p>{escape(f'{key}: {told}')}</p>" for key, told in lines.items() if told)
    if full:
        dice = random.Random(row["slug"])
        text += "".join(f"<p>{dice.random():.5f} {dice.randrange(10**6)}</p>" for _ in range(250))
    return {"location": f"runs/{row['slug']}/", "title": row["name"], "text": text}


def ask(rows: Sequence[Row], *, seed: int) -> list[Question]:
    """30 questions about rows drawn by `seed`: ids, numbers, hashes, names, findings, phrases."""
    dice = random.Random(seed)
    drawn = iter(dice.sample(rows, len(rows)))
    return [
        *_by("id", drawn, 2, lambda r: r["slug"]),
        *_by("id", drawn, 2, lambda r: r["id"]),
        *_by("id", drawn, 1, lambda r: r["slug"][-10:]),
        *_by("name", drawn, 4, lambda r: r["name"]),
        *_numbers(rows, drawn, dice),
        *_hashes(rows, drawn),
        *_together(rows, drawn),
        *_phrases(drawn, dice),
    ]


def _by(
    kind: str, drawn: Iterator[Row], count: int, text: Callable[[Row], str]
) -> Iterator[Question]:
    for _ in range(count):
        row = next(drawn)
        yield Question(kind=kind, text=text(row), right=frozenset([row["slug"]]))


def _numbers(rows: Sequence[Row], drawn: Iterator[Row], dice: random.Random) -> Iterator[Question]:
    """A setting as people type it; every run that has the value is right."""
    writings: tuple[Callable[[str, float], str], ...] = (
        lambda key, value: f"{key} {value:f}".rstrip("0"),
        lambda key, value: f"{key}={value:g}",
        lambda _, value: f"{value:e}".replace("000e", "e").replace("0e", "e"),
        lambda key, value: f"{key} {value:.1e}",
        lambda key, value: f"{key.replace('_', ' ')} {notations(value).split()[-1]}",
        lambda key, value: f"{key}: {value}",
    )
    for write in writings:
        row = next(r for r in drawn if r["config"])
        key, value = dice.choice(sorted(row["config"].items()))
        alone = write("", value) == write("x", value)
        right = {r["slug"] for r in rows if r["config"].get(key) == value}
        if alone:
            right = {r["slug"] for r in rows if value in r["config"].values()}
        text = write(key.rpartition(".")[2], value)
        yield Question(kind="number", text=text, right=frozenset(right))


def _hashes(rows: Sequence[Row], drawn: Iterator[Row]) -> Iterator[Question]:
    for length in (6, 7, 8, 12):
        text = next(drawn)["commit"][:length]
        right = {r["slug"] for r in rows if r["commit"].startswith(text)}
        yield Question(kind="hash", text=text, right=frozenset(right))


def _together(rows: Sequence[Row], drawn: Iterator[Row]) -> Iterator[Question]:
    """Several facts at once; a run's name tells its model too."""
    asked: tuple[Callable[[Row], tuple[str, ...]], ...] = (
        lambda r: ("diverged" if "Divergence" in r["findings"] else "", r["project"]),
        lambda r: ("OOM" if "Near out of memory" in r["findings"] else "", r["author"]),
        lambda r: (r["author"], r["model"], r["datasets"][0]),
        lambda r: (r["verdict"] or "", r["project"], r["datasets"][0]),
        lambda r: ("crashed" if r["state"] == "crashed" else "", r["model"]),
    )
    for facts in asked:
        told = next(t for t in map(facts, drawn) if all(t))
        right = {r["slug"] for r in rows if set(told) <= _facts(r)}
        yield Question(kind="facts", text=" ".join(told), right=frozenset(right))


def _facts(row: Row) -> set[str]:
    found = {_ALSO.get(kind, kind).partition(",")[0] for kind in row["findings"]}
    named = next((model for model in MODELS if row["name"].startswith(f"{model}-")), "")
    told = (row["project"], row["author"], row["model"], row["verdict"], row["state"], named)
    return {*found, *row["datasets"], *filter(None, told)}


def _phrases(drawn: Iterator[Row], dice: random.Random) -> Iterator[Question]:
    for part, count in (("samples", 4), ("notes", 2)):
        for _ in range(count):
            row = next(r for r in drawn if r[part])
            words = dice.choice(row[part])[:150].split()[:-1]
            at = dice.randrange(max(1, len(words) - 5))
            text = " ".join(words[at : at + 5])
            yield Question(kind=part, text=text, right=frozenset([row["slug"]]))
