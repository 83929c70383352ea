"""Which words two texts do not share: the longest common subsequence of words, in linear rows.

The script of the samples does the same (templates/assets/rp-samples.js), so that a pair that a
reader picks is marked as the pair that stands in the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from runpages.markup import Safe, pre

__all__ = ["marked_pair"]

_WORDS_MAX = 600
"""More words are not compared: the time goes with the square."""
_COMMON_MIN = 0.2
"""Smaller shared part: marks would cover everything and say nothing."""
_TOKEN = re.compile(r"\S+\s*|\s+")


def marked_pair(left: str, right: str) -> tuple[Safe, Safe] | None:
    """Both texts with what only one of them says in `<del>` (left) and `<ins>` (right).

    None where they are the same, have too little in common or are too long.
    """
    one, two = _TOKEN.findall(left), _TOKEN.findall(right)
    if left == right or max(len(one), len(two)) > _WORDS_MAX:
        return None
    shared_left, shared_right = _common([t.strip() for t in one], [t.strip() for t in two])
    if len(shared_left) < _COMMON_MIN * max(len(one), len(two)):
        return None
    return _marked(one, shared_left, "del"), _marked(two, shared_right, "ins")


def _common(one: Sequence[str], two: Sequence[str]) -> tuple[set[int], set[int]]:
    """Places of a longest common subsequence in each of the two."""
    width = len(two) + 1
    lengths = [0] * (width * (len(one) + 1))
    for i in range(len(one) - 1, -1, -1):
        for j in range(len(two) - 1, -1, -1):
            at = i * width + j
            if one[i] == two[j]:
                lengths[at] = lengths[at + width + 1] + 1
            else:
                lengths[at] = max(lengths[at + width], lengths[at + 1])
    pairs = list(_walk(one, two, lengths))
    return {i for i, _ in pairs}, {j for _, j in pairs}


def _walk(
    one: Sequence[str], two: Sequence[str], lengths: Sequence[int]
) -> Iterator[tuple[int, int]]:
    i = j = 0
    width = len(two) + 1
    while i < len(one) and j < len(two):
        if one[i] == two[j]:
            yield i, j
            i, j = i + 1, j + 1
        elif lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]:
            i += 1
        else:
            j += 1


def _marked(tokens: Sequence[str], shared: set[int], tag: str) -> Safe:
    """White space after the last word of a stretch stays outside its mark."""
    out: list[str] = []
    for common, places in groupby(range(len(tokens)), key=lambda place: place in shared):
        stretch = "".join(tokens[place] for place in places)
        words = stretch.rstrip()
        if common or not words:
            out.append(pre(stretch))
        else:
            out.append(f"<{tag}>{pre(words)}</{tag}>{pre(stretch[len(words) :])}")
    return Safe("".join(out))
