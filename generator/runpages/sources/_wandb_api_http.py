"""Requests to a W&B server: one GraphQL address, and files of the same host or of named ones.

Every request is tried again after what may pass (a connection that breaks, 429, 5xx, an answer cut
short), with growing pauses or the one that `Retry-After` asks for, within one budget of seconds.
Answers are bounded in bytes and in time. The key goes to the tracker's own host alone, and no
redirect is followed to a host that is not named.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import math
import netrc
import os
import random
import re
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from runpages.errors import SourceError, UnreachableError

from .contract import is_file_host

__all__ = ["Client", "Elsewhere", "Patience", "Refused", "Spent", "TooLarge", "Trouble", "key_for"]

_CHUNK = 1 << 16
_HOPS = 4
_MOVED = frozenset({301, 302, 303, 307, 308})
_AGENT = "runpages"
_ADDRESS = re.compile(r"(https?://)(?:[^\s/]*@)?([^\s/?#]*)\S*")
_URL_SIGNS = "%/:=&?~#+!$,;'@()*[]"
"""What stands in an address as it is; everything else is quoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often and how long a request is tried."""

    tries: int = 7
    first_pause_seconds: float = 1.0
    """Before the second try; doubles with each further one."""
    longest_pause_seconds: float = 30.0
    silence_seconds: float = 30.0
    """Without a byte from the server."""
    answer_seconds: float = 120.0
    """For one whole answer, however it trickles in."""
    answer_bytes: int = 64_000_000


class Trouble(Exception):
    """What ends a read; `unreachable` where the server has not answered, or not to us."""

    def __init__(self, problem: str, *, remedy: str = "", unreachable: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.unreachable = unreachable

    def as_error(self, path: str, *, server: str) -> SourceError:
        if self.unreachable:
            return UnreachableError(server, self.problem, remedy=self.remedy)
        return SourceError(path, self.problem, remedy=self.remedy)


class Refused(Trouble):
    """The server understood the query and will not answer it, now or later."""


class TooLarge(Trouble):
    """The answer has more bytes than are read."""


class Elsewhere(Trouble):
    """The file lies on a host that is neither the tracker's own nor named."""


class Spent(Trouble):
    """The budget of seconds is used up."""


class _Passing(Exception):
    """What may be gone at the next try."""

    def __init__(self, problem: str, *, wait_seconds: float | None = None) -> None:
        super().__init__(problem)
        self.wait_seconds = wait_seconds


class _Moved(Exception):
    """The file lies at another address."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.target = target


def key_for(address: str) -> str:
    """The API key, from where the tracker's client has it: its variable, else the netrc file."""
    if key := os.environ.get("WANDB_API_KEY", "").strip():
        return key
    try:
        known = netrc.netrc(os.environ.get("NETRC") or None).hosts
    except (OSError, netrc.NetrcParseError):
        return ""
    return (known.get(urlsplit(address).hostname or "") or ("", "", ""))[2] or ""


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    standard = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname or "", parts.port or standard


def _host(url: str) -> str:
    """For a sentence: no credentials, path or query."""
    return (urlsplit(url).hostname or "no host")[:100]


class Client:
    """Asks one server. Raises Trouble, and nothing else, for what goes wrong on the way."""

    def __init__(
        self,
        address: str,
        *,
        key: str,
        seconds: float,
        patience: Patience | None = None,
        file_hosts: Collection[str] = (),
    ) -> None:
        self.address = address.rstrip("/")
        self._file_hosts = file_hosts
        self.patience = patience or Patience()
        self.answered = False
        """Whether the server has answered anything yet."""
        self._key = key
        self._seconds = seconds
        self._minutes = f"{seconds / 60:.3g} min"
        self._until = time.monotonic() + seconds
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            self._opener.add_handler(handler)

    def renew(self) -> None:
        """The whole budget again: for work whose size nobody knows before."""
        self._until = time.monotonic() + self._seconds

    def graphql(self, query: str, **variables: object) -> dict[str, Any]:
        """`data` of the answer. Raises Refused with the server's own words."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(  # noqa: S310 - http or https, as ServerSource checks
            f"{self.address}/graphql",
            data=body,
            headers=self._headers() | {"Content-Type": "application/json"},
        )
        answer: dict[str, Any] = self._tried(request, self.patience.answer_bytes, as_json=True)
        if answer.get("errors"):
            raise Refused(f"the server refuses the query: {self._said(answer)}")
        data = answer.get("data")
        return data if isinstance(data, dict) else {}

    def download(self, url: str, *, max_bytes: int) -> bytes:
        """A file on the tracker's own host or on one that was named. Raises Elsewhere for others.

        Away from the own host no key is sent, on the way back neither.
        """
        own = True
        for _ in range(_HOPS):
            url, own = self._allowed(url, own=own)
            request = urllib.request.Request(  # noqa: S310 - http or https
                url, headers=self._headers(key=own)
            )
            try:
                data: bytes = self._tried(request, max_bytes)
            except _Moved as moved:
                url = urljoin(url, moved.target)
            except Trouble as trouble:
                if own:
                    raise
                remedy = "see whether it can be reached from here, or take it out of `file_hosts`"
                raise type(trouble)(f"{_host(url)}: {trouble.problem}", remedy=remedy) from trouble
            else:
                return data
        raise Refused("the server sends on and on")

    def _allowed(self, url: str, *, own: bool) -> tuple[str, bool]:
        """The whole address, and whether it and all before it lie on the own host."""
        secure = self.address.startswith("https:")
        try:
            url = urljoin(f"{self.address}/", url)
            own = own and _origin(url) == _origin(self.address)
            allowed = own or is_file_host(url, self._file_hosts, secure=secure)
        except ValueError as error:
            raise Refused("its address is none") from error
        if not allowed:
            raise Elsewhere(
                f"lies on {_host(url)}, which is not the tracker's own host (`file_hosts` can name"
                " it)"
            )
        return quote(url, safe=_URL_SIGNS), own

    def _headers(self, *, key: bool = True) -> dict[str, str]:
        headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
        if self._key and key:
            secret = base64.b64encode(f"api:{self._key}".encode()).decode()
            headers["Authorization"] = f"Basic {secret}"
        return headers

    def _tried(
        self, request: urllib.request.Request, max_bytes: int, *, as_json: bool = False
    ) -> Any:
        patience = self.patience
        for number in range(patience.tries):
            self._left()
            try:
                data = self._once(request, max_bytes)
                return _object(data) if as_json else data
            except _Passing as passing:
                if number + 1 == patience.tries:
                    raise self._given_up(str(passing)) from passing
                self._pause(number, passing)
        raise AssertionError("unreachable")

    def _given_up(self, problem: str) -> Trouble:
        return Trouble(
            f"{problem}, {self.patience.tries} times",
            remedy="see whether the server is well and can be reached from here, then pull again",
            unreachable=not self.answered,
        )

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise Spent(
                f"reading took longer than the {self._minutes} that a run may take",
                remedy="raise `run_minutes` of this source",
            )
        return left

    def _pause(self, number: int, passing: _Passing) -> None:
        left = self._left()
        wait = passing.wait_seconds
        if wait is None:
            longest = self.patience.longest_pause_seconds
            wait = min(longest, self.patience.first_pause_seconds * 2**number)
            wait *= random.uniform(0.5, 1)  # noqa: S311 - so that many readers do not march in step
        elif wait > left:
            raise Spent(
                f"{passing} and asks to wait {wait:,.0f} s, longer than is left of the "
                f"{self._minutes} that a run may take",
                remedy="pull again later, or raise `run_minutes` of this source",
            ) from passing
        time.sleep(min(wait, left))

    def _once(self, request: urllib.request.Request, max_bytes: int) -> bytes:
        until = time.monotonic() + min(self._left(), self.patience.answer_seconds)
        try:
            with self._opener.open(request, timeout=self.patience.silence_seconds) as response:
                data = _body(response, max_bytes, until)
        except urllib.error.HTTPError as error:
            with error:
                self.answered = True
                raise self._status(request, error) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise _Passing(f"the connection fails ({self._clean(str(reason))})") from error
        self.answered = True
        return data

    def _status(self, request: urllib.request.Request, error: urllib.error.HTTPError) -> Exception:
        code = error.code
        if code in {408, 425, 429} or code >= 500:
            wait = _seconds_of(error.headers.get("Retry-After", ""))
            return _Passing(f"the server answers {code}", wait_seconds=wait)
        if code == 401 and request.data is not None:
            return Trouble(
                "the server does not accept the API key" if self._key else "it asks for an API key",
                remedy="set WANDB_API_KEY to a key of this server, by environment",
                unreachable=True,
            )
        if request.data is None:
            target = error.headers.get("Location", "") if code in _MOVED else ""
            return _Moved(target) if target else Refused(f"the server answers {code}")
        said = ""
        with contextlib.suppress(_Passing, OSError, http.client.HTTPException):
            said = self._said(_object(error.read(_CHUNK)))
        if code in {*_MOVED, 404, 405} and not said:
            return Trouble(
                f"the server answers {code} at /graphql, where a W&B server takes queries",
                remedy="check `location`: it is the address of the API, like https://api.wandb.ai",
            )
        remedy = "use a key that may read it" if code == 403 else ""
        return Refused(f"the server answers {code}{said and f': {said}'}", remedy=remedy)

    def _said(self, answer: Mapping[str, Any]) -> str:
        errors = answer.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else answer.get("error") or ""
        text = first.get("message") if isinstance(first, dict) else first
        return self._clean(str(text or ""))

    def _clean(self, text: str) -> str:
        """One short line without the key; of addresses the host alone."""
        if self._key:
            text = text.replace(self._key, "(key)")
        return " ".join(_ADDRESS.sub(r"\1\2", text).split())[:200]


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _Passing("the server's answer is no JSON") from error
    if not isinstance(found, dict):
        raise _Passing("the server's answer is no JSON object")
    return found


def _body(response: Any, max_bytes: int, until: float) -> bytes:
    promised = response.length
    if promised is not None and promised > max_bytes:
        raise TooLarge(f"{promised:,} bytes, more than the {max_bytes:,} that are read")
    parts, size = [], 0
    while part := response.read1(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            raise TooLarge(f"more than the {max_bytes:,} bytes that are read")
        if time.monotonic() > until:
            raise _Passing(f"the answer trickles in ({size:,} bytes so far)")
    if promised is not None and size < promised:
        raise _Passing(f"the answer ends after {size:,} of {promised:,} bytes")
    return b"".join(parts)


def _seconds_of(text: str) -> float | None:
    """Of a Retry-After header: a number of seconds, or a date."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = (moment - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
