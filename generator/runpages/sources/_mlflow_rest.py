"""Requests to an MLflow tracking server: patient with what passes, plain about what does not.

Every request is one that can be asked again: what a page of rows gave is kept, and after a cut
connection, a refusal for now (429) or an error of the server (5xx) the same page is asked for
again, until the run's time is over.
"""

from __future__ import annotations

import base64
import configparser
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth

from runpages.errors import SourceError, UnreachableError

__all__ = ["CONNECTIONS", "Client", "Refused"]

CONNECTIONS = 4
"""Requests at one time."""

_API = "/api/2.0/mlflow/"
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_TRIES = 6
_FIRST_WAIT_SECONDS = 0.25
_LONGEST_WAIT_SECONDS = 30.0
_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 120.0
_ANSWER_BYTES = 256_000_000
_MAX_PAGES = 100_000
_KEY_REMEDY = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_CUT = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)

_Answer = TypeVar("_Answer")


class Refused(SourceError):
    """The server answers with an error that asking again does not change, or did not change."""

    status = 0


class _Key(AuthBase):
    """The key of MLflow's own environment variables or file; nothing if there is none."""

    def __init__(self) -> None:
        user, password = _from_file()
        user = os.environ.get("MLFLOW_TRACKING_USERNAME") or user
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD") or password
        self._basic = HTTPBasicAuth(user.encode(), password.encode()) if user and password else None
        self._token = os.environ.get("MLFLOW_TRACKING_TOKEN", "")
        basic = base64.b64encode(f"{user}:{password}".encode()).decode() if self._basic else ""
        self.secrets = [secret for secret in (basic, password, self._token) if secret]

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._basic:
            self._basic(request)
        elif self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _from_file() -> tuple[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(Path("~/.mlflow/credentials").expanduser(), encoding="utf-8")
        found = parser["mlflow"]
    except (configparser.Error, KeyError, OSError, ValueError, RuntimeError):
        return "", ""
    return found.get("mlflow_tracking_username", ""), found.get("mlflow_tracking_password", "")


@dataclass(slots=True)
class Client:
    """Talks to one server, for `seconds` from its making or its last `restart` on."""

    location: str
    seconds: float
    deadline: float = field(init=False)
    """By the monotonic clock."""
    answered: bool = field(init=False, default=False)
    """Whether the server has answered anything yet."""
    base: str = field(init=False)
    session: requests.Session = field(init=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.location)
        self.base = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        self.session = requests.Session()
        self.session.auth = _Key()
        self.session.verify = _verify()
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))
        self.restart()

    def restart(self) -> None:
        """The time begins anew."""
        self.deadline = time.monotonic() + self.seconds

    def stop(self) -> None:
        """What is being asked in other threads is given up."""
        self.deadline = 0.0

    def get(self, call: str, **values: object) -> dict[str, Any]:
        """The answer to a GET of MLflow's REST API."""
        return self._asked("GET", _API + call, params=values)

    def post(self, call: str, body: Mapping[str, object]) -> dict[str, Any]:
        return self._asked("POST", _API + call, json=body)

    def pages(
        self, method: str, call: str, values: Mapping[str, object]
    ) -> Iterator[dict[str, Any]]:
        """Every page of an answer."""
        token = ""
        for _ in range(_MAX_PAGES):
            asked = {**values, **({"page_token": token} if token else {})}
            page = self.post(call, asked) if method == "POST" else self.get(call, **asked)
            yield page
            last, token = token, str(page.get("next_page_token") or "")
            if not token or token == last:
                return

    def file(self, run_id: str, path: str, limit: int) -> bytes:
        """A file that a run stored. Raises OSError or ValueError, as a file on disk does."""
        asked = {"run_id": run_id, "path": path}
        try:
            return self._patient("GET", "/get-artifact", bytes, limit=limit, params=asked)
        except Refused as error:
            raise OSError(error.problem) from error

    def _asked(self, method: str, path: str, **values: Any) -> dict[str, Any]:
        return self._patient(method, path, _object, limit=_ANSWER_BYTES, **values)

    def _patient(
        self,
        method: str,
        path: str,
        understood: Callable[[bytes], _Answer | None],
        *,
        limit: int,
        **values: Any,
    ) -> _Answer:
        """Ask until there is a whole answer, of at most `limit` bytes, that is `understood`."""
        problem: SourceError | None = None
        tries = 0
        while True:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise self._late(problem)
            answer, problem, wait = self._once(
                method, path, understood, limit=limit, left=left, **values
            )
            if answer is not None:
                return answer
            if wait is None:
                wait = min(_FIRST_WAIT_SECONDS * 2**tries, _LONGEST_WAIT_SECONDS)
                tries += 1
            else:  # a server that names the time to wait is working: that is no failure
                wait = max(wait, _FIRST_WAIT_SECONDS)
            if tries >= _TRIES:
                raise problem
            if wait >= left:
                raise self._late(problem)
            time.sleep(wait)

    def _once(
        self,
        method: str,
        path: str,
        understood: Callable[[bytes], _Answer | None],
        *,
        limit: int,
        left: float,
        **values: Any,
    ) -> tuple[_Answer | None, SourceError, float | None]:
        """(answer or None, what was wrong, seconds that the server asks to wait)."""
        try:
            response = self.session.request(
                method,
                self.base + path,
                timeout=(min(_CONNECT_SECONDS, left), min(_ANSWER_SECONDS, left)),
                allow_redirects=False,  # a key is for the tracker's own host
                stream=True,
                **values,
            )
            with response:
                data = _body(response, limit)
        except _CUT as error:
            kind = SourceError if self.answered else UnreachableError
            return None, kind(self.base, f"does not answer ({_reason(error)})"), None
        self.answered = True
        if response.status_code == 200:
            foreign = Refused(self.base, "does not answer as MLflow does")
            return understood(data), foreign, None
        problem = self._refusal(response, data)
        if response.status_code not in _PASSING:
            raise problem
        return None, problem, _retry_after(response)

    def _late(self, problem: SourceError | None) -> SourceError:
        last = problem.problem if problem else ""
        return SourceError(
            self.base,
            f"the run is not read after {self.seconds:g} s",
            place=last,
            remedy="raise `run_minutes` or pull again when the server is less busy",
        )

    def _refusal(self, response: requests.Response, data: bytes) -> SourceError:
        status = response.status_code
        answer = _object(data) or {}
        said = " ".join(_keyless(str(answer.get("message", ""))).split())[:200]
        words = f"answers {status} {response.reason or ''}".rstrip() + (f": {said}" if said else "")
        if status == 401:
            return UnreachableError(self.base, words, remedy=_KEY_REMEDY)
        if 300 <= status < 400:
            to = urlsplit(response.headers.get("Location", "")).hostname or "another page"
            return UnreachableError(self.base, words, remedy=f"it leads to {to}: set that address")
        remedy = f"ask for the right to read, or {_KEY_REMEDY}" if status == 403 else ""
        refused = Refused(self.base, words, remedy=remedy)
        refused.status = status
        return refused


def _keyless(text: str) -> str:
    """What a server says without the keys that it was sent."""
    key = _Key()
    for secret in key.secrets:
        text = text.replace(secret, "(key)")
    return text


def _verify() -> bool | str:
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in {"1", "true"}:
        return False
    return os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True


def _body(response: requests.Response, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    for part in response.iter_content(1 << 20):
        size += len(part)
        if size > limit:
            raise Refused(response.url.partition("?")[0], f"answers more than {limit:,} bytes")
        parts.append(part)
    return b"".join(parts)


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _retry_after(response: requests.Response) -> float | None:
    """Seconds that the server asks to wait, as a number or a date."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), 86_400.0)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())


def _reason(error: requests.RequestException) -> str:
    """Of a failed connection in few words, without the address (it is named before)."""
    text = str(error)
    known = ("refused", "reset", "timed out", "Name or service not known", "certificate")
    return next((word for word in known if word in text), type(error).__name__)
