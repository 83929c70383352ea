"""Text to train on: sentences of a small grammar and sums, made from a seed."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALPHABET", "decode", "encode", "make_text"]

ALPHABET = "\n abcdefghijklmnopqrstuvwxyz0123456789.,?+="
_INDEX = {character: number for number, character in enumerate(ALPHABET)}

_WHO = [
    "the model",
    "a small network",
    "the reader",
    "our team",
    "every seed",
    "the old run",
    "a new batch",
    "the loss",
    "this page",
    "the optimiser",
]
_DOES = [
    "learns",
    "remembers",
    "repeats",
    "forgets",
    "explains",
    "counts",
    "follows",
    "measures",
    "compares",
    "answers",
]
_WHAT = [
    "a short word",
    "the next letter",
    "what came before",
    "its own noise",
    "the longer line",
    "a plain number",
    "two sums",
    "nothing new",
    "the whole story",
    "one more step",
]
_WHEN = [
    "today",
    "at night",
    "after a while",
    "in the end",
    "without a word",
    "again and again",
    "before it stops",
    "when asked",
    "by itself",
    "for the last time",
]


def _sentence(chance: random.Random) -> str:
    if chance.random() < 0.3:
        left, right = chance.randrange(50), chance.randrange(50)
        return f"{left}+{right}={left + right}."
    words = " ".join(chance.choice(part) for part in (_WHO, _DOES, _WHAT, _WHEN))
    return words + chance.choice("...?")


def make_text(seed: int, *, sentences: int = 2500) -> str:
    """About 100 kB of lines over ALPHABET."""
    chance = random.Random(seed)
    return "\n".join(_sentence(chance) for _ in range(sentences))


def encode(text: str) -> NDArray[np.int64]:
    """Characters as numbers; one outside the alphabet becomes a space."""
    return np.array([_INDEX.get(c, 1) for c in text], dtype=np.int64)


def decode(numbers: NDArray[np.int64]) -> str:
    """The reverse of encode."""
    return "".join(ALPHABET[int(n)] for n in numbers)
