"""Text to train on: own prose, sentences of a small grammar and sums, put in order by a seed."""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

__all__ = ["ALPHABET", "decode", "encode", "make_text"]

ALPHABET = "\n abcdefghijklmnopqrstuvwxyz0123456789.,?+="
_INDEX = {character: number for number, character in enumerate(ALPHABET)}

_PARAGRAPHS = """
a run begins as a wish and ends as a curve. between the two lie a few hours, a bill for power, and
a folder that nobody opens again.

whoever trains a model learns to wait. the first numbers fall fast, the next ones slowly, and the
last ones only on average.

a log is a promise to a stranger. the stranger is often you, half a year later, with a question
that you did not think of.

when the loss jumps, look at the data first, at the step size second, and at the machine third.
most of the time one of them has a story to tell.

two seeds that agree say little. three that disagree say a lot. none of them says it alone.

a checkpoint that was never loaded is only a file. load it once while nothing is wrong, and it
will be there when something is.

small models are good teachers. they forget quickly, they fail in plain sight, and they are done
before the tea is cold.

write down what you changed, then what you expected, then what you saw. the order matters more
than the words.

a page about a failed run is worth more than none about a good one, for the good one will be told
anyway.

numbers without units are opinions. opinions without numbers are weather.
"""
_PROSE = tuple(p.strip().replace("\n", " ") for p in _PARAGRAPHS.split("\n\n"))
_WHO = ("the model", "a small network", "the reader", "our team", "every seed", "the old run",
        "a new batch", "the loss", "this page", "the optimiser", "one engineer",
        "the night shift", "an empty folder", "the second attempt")  # fmt: skip
_DOES = ("learns", "remembers", "repeats", "forgets", "explains", "counts", "follows", "measures",
         "compares", "answers", "writes down", "looks for", "throws away", "keeps")  # fmt: skip
_WHAT = ("a short word", "the next letter", "what came before", "its own noise",
         "the longer line", "a plain number", "two sums", "nothing new", "the whole story",
         "one more step", "a broken file", "the first question", "an odd result",
         "the wrong column")  # fmt: skip
_WHEN = ("today", "at night", "after a while", "in the end", "without a word", "again and again",
         "before it stops", "when asked", "by itself", "for the last time", "in june",
         "between two meals", "as slowly as it can", "with great care")  # fmt: skip
_LINK = ("and", "but", "while", "because", "so", "until", "although", "as if")


def _clause(chance: random.Random) -> str:
    return " ".join(chance.choice(part) for part in (_WHO, _DOES, _WHAT))


def _sentence(chance: random.Random) -> str:
    kind = chance.random()
    if kind < 0.15:
        left, right = chance.randrange(50), chance.randrange(50)
        return f"{left}+{right}={left + right}."
    if kind < 0.22:
        return chance.choice(_PROSE)
    if kind < 0.3:
        year, pages = chance.randrange(1900, 2030), chance.randrange(2, 900)
        return f"in {year} {chance.choice(_WHO)} had {pages} pages."
    first = _clause(chance)
    if kind < 0.65:
        return f"{first} {chance.choice(_WHEN)}{chance.choice('...?')}"
    return f"{first}, {chance.choice(_LINK)} {_clause(chance)}."


def make_text(seed: int, *, sentences: int = 2000) -> str:
    """About 120 kB of lines over ALPHABET."""
    chance = random.Random(seed)
    return "\n".join(_sentence(chance) for _ in range(sentences))


def encode(text: str) -> NDArray[np.int64]:
    """Characters as numbers; one outside the alphabet becomes a space."""
    return np.array([_INDEX.get(c, 1) for c in text], dtype=np.int64)


def decode(numbers: NDArray[np.int64]) -> str:
    """The reverse of encode."""
    return "".join(ALPHABET[int(n)] for n in numbers)
