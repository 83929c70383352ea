"""One sticky comment in a review: found by marker and author, else made."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from runpages.errors import PassingPostError, UsageError

from .http import TRIES, Api

__all__ = ["Comment", "Posted", "Thread", "post_sticky"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment that stands in a review."""

    id: int
    author: str
    body: str
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """What was done."""

    action: str
    """`created`, `updated` or `unchanged`."""
    url: str


class Thread(Protocol):
    """The comments of one pull or merge request."""

    @property
    def api(self) -> Api: ...

    def me(self) -> str:
        """The author that a comment of this token has."""

    def comments(self) -> Iterable[Comment]:
        """Oldest first."""

    def create(self, body: str) -> Comment: ...

    def update(self, comment: Comment, body: str) -> Comment: ...


def post_sticky(thread: Thread, text: str, *, key: str = "review") -> Posted:
    """Create the comment of this key, or bring the one there up to date.

    Only a comment that begins with the marker AND is of the token's own author is touched. Whether
    a call that broke off has made a comment is looked up before it is tried again. Raises
    PostError, or UsageError for a key that is none.
    """
    if not re.fullmatch(r"[a-z0-9-]{1,40}", key):
        raise UsageError(f"--key {key!r}: at most 40 of a-z, 0-9 and - were expected")
    marker = f"<!-- runpages:{key} -->"
    body = f"{marker}\n{text}"
    me = thread.me()
    for number in range(1, TRIES + 1):
        own = (c for c in thread.comments() if c.author == me and c.body.startswith(marker))
        found = next(own, None)
        if found is not None:
            if found.body.replace("\r\n", "\n").strip() == body.strip():
                return Posted(action="unchanged", url=found.url)
            return Posted(action="updated", url=thread.update(found, body).url)
        try:
            return Posted(action="created", url=thread.create(body).url)
        except PassingPostError as error:
            if number == TRIES:
                raise
            thread.api.wait(number, asked=error.wait_seconds)
    raise AssertionError  # the last try has raised
