"""Calls to a code host's API: patient where a call may be repeated, and silent about the token."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.auth import AuthBase

from runpages.errors import PassingPostError, PostError

__all__ = ["TRIES", "Api"]

TRIES = 5
_CONNECT_SECONDS, _ANSWER_SECONDS = 10.0, 60.0
_LONGEST_WAIT_SECONDS = 60.0
_PASSING = frozenset({429, 500, 502, 503, 504})
_PER_PAGE = 100
_MOST_PAGES = 100


class _Token(AuthBase):
    """Sent to the host that was named; an entry for it in netrc does not take its place."""

    def __init__(self, header: str, value: str) -> None:
        self.header, self.value = header, value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers[self.header] = self.value
        return request


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A host's API below `base`. `token` is (header, value) and in no error."""

    base: str
    token: tuple[str, str] = field(repr=False)
    needs: str
    """What the token must be allowed to do, for the sentence of a refusal."""
    headers: Mapping[str, str] = field(default_factory=dict)
    first_wait_seconds: float = 1.0

    def get(self, path: str, **params: object) -> Any:
        return self._patient("GET", path, params=params)[0]

    def replace(self, method: str, path: str, body: Mapping[str, object]) -> Any:
        """A call that may be repeated: PUT, PATCH, and a POST that only asks."""
        return self._patient(method, path, json=body)[0]

    def create(self, path: str, body: Mapping[str, object]) -> Any:
        """Asked once: raises PassingPostError where it may or may not have been done."""
        return self._once("POST", path, json=body)[0]

    def pages(self, path: str, **params: object) -> Iterator[Any]:
        """The items of all pages. Whether there is a next one says the header Link (RFC 8288), as
        a page can be short by what the token may not see."""
        for page in range(1, _MOST_PAGES + 1):
            asked = {**params, "per_page": _PER_PAGE, "page": page}
            items, link = self._patient("GET", path, params=asked)
            if not isinstance(items, list):
                raise PostError(self.base, "does not answer with a list")
            yield from items
            if 'rel="next"' not in link and (link or len(items) < _PER_PAGE):
                return
        raise PostError(self.base, f"has more than {_MOST_PAGES * _PER_PAGE:,} comments here")

    def _patient(self, method: str, path: str, **values: Any) -> tuple[Any, str]:
        for number in range(1, TRIES + 1):
            try:
                return self._once(method, path, **values)
            except PassingPostError as error:
                if number == TRIES:
                    raise
                self.wait(number, asked=error.wait_seconds)
        raise AssertionError  # the last try has raised

    def wait(self, number: int, *, asked: float | None = None) -> None:
        """After the try of this number: as long as the host asks, else twice as long each time."""
        wait = self.first_wait_seconds * 2 ** (number - 1) if asked is None else asked
        time.sleep(min(wait, _LONGEST_WAIT_SECONDS))

    def _once(self, method: str, path: str, **values: Any) -> tuple[Any, str]:
        """(the answer's JSON, its header Link)."""
        try:
            response = requests.request(
                method,
                path if path.startswith("http") else self.base + path,
                headers={"Accept": "application/json", **self.headers},
                auth=_Token(*self.token),
                timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS),
                allow_redirects=False,  # the token is for this host, and a POST would become a GET
                **values,
            )
        except requests.RequestException as error:
            raise PassingPostError(self.base, f"does not answer ({_reason(error)})") from None
        status = response.status_code
        if 200 <= status < 300:
            try:
                return response.json(), response.headers.get("Link", "")
            except ValueError:
                raise PassingPostError(self.base, "answers something that is no JSON") from None
        words = f"answers {status} {response.reason or ''}".rstrip() + self._said(response)
        if status in _PASSING:
            raise PassingPostError(self.base, words, wait_seconds=_retry_after(response))
        raise PostError(self.base, words, remedy=self._remedy(status))

    def _said(self, response: requests.Response) -> str:
        try:
            answer = json.loads(response.content)
            said = " ".join(str(answer["message"]).replace(self.token[1], "(token)").split())
        except (ValueError, KeyError, TypeError):
            return ""
        return f": {said[:200]}"

    def _remedy(self, status: int) -> str:
        if status == 401:
            return "the token is not valid there"
        if status in {403, 404}:
            return f"the token needs {self.needs}"
        return "it was moved: set its new address" if 300 <= status < 400 else ""


def _retry_after(response: requests.Response) -> float | None:
    value = response.headers.get("Retry-After", "").strip()
    return float(value) if value.isascii() and value.isdigit() else None


def _reason(error: requests.RequestException) -> str:
    """In few words, without the address: it is named before."""
    text = str(error)
    known = ("refused", "reset", "timed out", "Name or service not known", "certificate")
    return next((word for word in known if word in text), type(error).__name__)
