"""A ClearML API server, spoken to through the SDK's own session.

Logging in, tokens and the checks of each request are the SDK's. Sending is ours: the SDK waits for
ever for a server in maintenance or for an answer that is cut off, follows redirects with the token,
and applies settings and files that a server or ~/clearml.conf asks for.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from clearml.backend_api.session.session import LoginError, Session
from clearml.utilities.pyhocon import ConfigFactory
from requests.auth import AuthBase
from urllib3.exceptions import DecodeError, HTTPError, ProtocolError
from urllib3.exceptions import TimeoutError as TimeoutError_

from runpages.errors import SourceError, UnreachableError

__all__ = ["Api", "RefusedError", "files_origin", "web_address"]

_ACCESS_KEY, _SECRET_KEY, _TOKEN = (
    "CLEARML_API_ACCESS_KEY",
    "CLEARML_API_SECRET_KEY",
    "CLEARML_AUTH_TOKEN",
)
_FILES_HOST = "CLEARML_FILES_HOST"
_TRIES = 4
_WAITS_SECONDS = (0.5, 2.0, 5.0)
_MAX_WAIT_SECONDS = 30.0
_TIMEOUT_SECONDS = (10.0, 60.0)
_BODY_BYTES = 512 << 20
_PIECE_BYTES = 256 << 10
_SETTINGS = {"api": {"http": {"max_req_size": 15 << 20}}}
"""Instead of ~/clearml.conf; a session asks for this one."""
_PASSING = frozenset({429, 500, 502, 503, 504})


class RefusedError(SourceError):
    """The server understood a request and refused it; `status` is HTTP's."""

    def __init__(self, path: str, problem: str, *, status: int) -> None:
        super().__init__(path, problem)
        self.status = status


class _Answer(NamedTuple):
    """As much of requests' Response as the SDK looks at."""

    status_code: int
    reason: str
    content: bytes
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        return self.status_code < 400

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        try:
            return json.loads(self.content)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


class _AsItIs(AuthBase):
    """No key beside what a request holds: without it netrc's would be sent in its place."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class Api(Session):
    """One login. All methods raise UnreachableError, RefusedError or SourceError."""

    _offline_mode = False

    def __init__(self, location: str, *, run_seconds: float) -> None:
        keys = [os.environ.get(name, "").strip() for name in (_ACCESS_KEY, _SECRET_KEY)]
        self.address = location.rstrip("/")
        if not all(keys) and not os.environ.get(_TOKEN):
            raise UnreachableError(
                self.address, "no keys", remedy=f"set {_ACCESS_KEY} and {_SECRET_KEY}"
            )
        self._run_seconds = run_seconds
        self._http = requests.Session()
        self._http.trust_env = True
        self._http.auth = _AsItIs()
        self._keyless = requests.Session()
        self._keyless.auth = _AsItIs()
        self._keyless.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._fault: SourceError | None = None
        self.restart()
        try:
            super().__init__(
                worker="runpages",
                api_key=keys[0] or None,
                secret_key=keys[1] or None,
                host=self.address,
                verbose=False,
                config=ConfigFactory.from_dict(_SETTINGS),  # type: ignore[no-untyped-call]
                http_retries_config={"total": 0},
            )
        except LoginError as error:
            raise self._login_fault(error) from error
        except ValueError as error:
            raise self._no_api() from error

    def close(self) -> None:
        self._http.close()
        self._keyless.close()

    def restart(self) -> None:
        """The time for one run begins now."""
        self._deadline = time.monotonic() + self._run_seconds

    def _login_fault(self, error: Exception) -> SourceError:
        if self._fault is not None:
            return self._fault
        if "(error 40" in str(error):
            return UnreachableError(
                self.address,
                "does not accept the keys",
                remedy=f"check {_ACCESS_KEY} and {_SECRET_KEY}",
            )
        return self._no_api()

    def _no_api(self) -> UnreachableError:
        return UnreachableError(
            self.address,
            "does not answer as a ClearML API server",
            remedy="give the API's address (https://api.…, or port 8008), not the web page's",
        )

    def _load_vaults(self) -> None:
        """Settings that a server would have us apply: none."""

    def _apply_config_sections(self, local_logger: Any) -> None:
        """Environment variables and files that settings would have us write: none."""

    # called by the SDK for every request, the login included
    def _send_request(
        self,
        service: str,
        action: str,
        version: str | None = None,
        method: str | None = None,  # noqa: ARG002 - servers take every request by POST
        headers: dict[str, str] | None = None,
        auth: Any = None,
        data: Any = None,
        json: Any = None,
        refresh_token_if_unauthorized: bool = True,  # noqa: FBT001, FBT002 - the SDK's signature
        params: Any = None,
    ) -> Any:
        place = f"v{version}/{service}.{action}" if version else f"{service}.{action}"
        sent = {"X-ClearML-Client": self.client, **(headers or {})}
        request = {"auth": auth, "data": data, "json": json, "params": params}
        try:
            answer = self._get("POST", f"{self.address}/{place}", sent, **request)
            if answer.status_code == 401 and refresh_token_if_unauthorized:
                self.refresh_token()
                sent = self.add_auth_headers(sent)
                answer = self._get("POST", f"{self.address}/{place}", sent, **request)
        except SourceError as error:
            self._fault = error  # the SDK makes a LoginError of whatever happens at the login
            raise
        return answer

    def _get(self, method: str, url: str, headers: dict[str, str], **request: Any) -> _Answer:
        """Tried a few times; what does not pass by is returned or raised."""
        problem = ""
        for attempt in range(_TRIES):
            try:
                answer = self._once(method, url, headers, **request)
            except (requests.RequestException, HTTPError) as error:
                problem, wait = _words(error), _WAITS_SECONDS[min(attempt, 2)]
            else:
                if answer.status_code not in _PASSING:
                    return answer
                problem = f"answers {answer.status_code} {answer.reason}".strip()
                wait = answer.retry_after or _WAITS_SECONDS[min(attempt, 2)]
            if attempt + 1 < _TRIES:
                time.sleep(max(0.0, min(wait, _MAX_WAIT_SECONDS, self._left())))
        raise UnreachableError(
            self.address, problem, place=f"tried {_TRIES} times", remedy="try again later"
        )

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise SourceError(
                self.address,
                f"takes longer than {self._run_seconds:g} s for one run",
                remedy="raise run_minutes",
            )
        return left

    def _once(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        *,
        session: requests.Session | None = None,
        **request: Any,
    ) -> _Answer:
        connect, read = _TIMEOUT_SECONDS
        with (session or self._http).request(
            method,
            url,
            headers=headers,
            timeout=(min(connect, self._left()), min(read, self._left())),
            allow_redirects=False,
            stream=True,
            **request,
        ) as response:
            if 300 <= response.status_code < 400:
                raise UnreachableError(
                    self.address,
                    "answers with a redirect to another address",
                    remedy="give the API's own address",
                )
            return _Answer(
                response.status_code,
                response.reason or "",
                self._body(response),
                _seconds(response.headers.get("Retry-After")),
            )

    def _body(self, response: requests.Response) -> bytes:
        """Piece by piece as it comes: a server that trickles is given up in time as well."""
        read = getattr(response.raw, "read1", response.raw.read)
        pieces, size = [], 0
        while piece := read(_PIECE_BYTES, decode_content=True):
            self._left()
            size += len(piece)
            if size > _BODY_BYTES:
                raise SourceError(self.address, f"an answer has more than {_BODY_BYTES:,} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def call(self, request: Any) -> dict[str, Any]:
        """The `data` of the answer to one of the SDK's requests."""
        request.validate()
        try:
            answer = self.send_request(
                service=request._service,  # noqa: SLF001 - as Session.send does
                action=request._action,  # noqa: SLF001
                version=request._version,  # noqa: SLF001
                json=request.to_dict(),
            )
        except LoginError as error:
            raise self._login_fault(error) from error
        try:
            body = answer.json()
        except ValueError as error:
            raise self._no_api() from error
        body = body if isinstance(body, dict) else {}
        if answer.status_code in {401, 403}:
            raise UnreachableError(
                self.address, "does not let these keys read", remedy=self._said(body)
            )
        if not answer.ok:
            name = f"{request._service}.{request._action}"  # noqa: SLF001
            told = f"{name} is refused ({answer.status_code}): {self._said(body)}"
            raise RefusedError(self.address, told, status=answer.status_code)
        data = body.get("data")
        if not isinstance(data, dict):
            raise self._no_api()
        return data

    def _said(self, body: dict[str, Any]) -> str:
        """A server's reason, without the keys that it was sent."""
        meta = body.get("meta")
        said = str((meta.get("result_msg") if isinstance(meta, dict) else "") or "no reason given")
        keys = [os.environ.get(name, "").strip() for name in (_ACCESS_KEY, _SECRET_KEY, _TOKEN)]
        for key in (*keys, self.token or ""):
            said = said.replace(key, "(key)") if key else said
        return said[:200]

    def pages(self, request: Any, name: str) -> Iterator[list[Any]]:
        """Lists `name` of the answers, until one is not full."""
        request.page = 0
        while True:
            found = self.call(request).get(name)
            if not isinstance(found, list) or not found:
                return
            yield found
            if len(found) < request.page_size:
                return
            request.page += 1

    def fetch(self, url: str, *, max_bytes: int, keyless: bool = False) -> bytes:
        """A file of the files server, or of another. Raises ValueError if it cannot be had."""
        where = urlsplit(url).hostname if keyless else "the files server"
        headers = {} if keyless else self.add_auth_headers({})
        try:
            answer = self._get("GET", url, headers, session=self._keyless if keyless else None)
        except UnreachableError as error:
            raise ValueError(f"{where} {error.problem}") from error
        if answer.status_code != 200:
            raise ValueError(f"{where} answers {answer.status_code}")
        if len(answer.content) > max_bytes:
            raise ValueError(f"{len(answer.content):,} bytes are too many")
        return answer.content


def _words(error: requests.RequestException | HTTPError) -> str:
    """Without the address and its parameters, which requests puts into its messages."""
    if isinstance(error, requests.exceptions.SSLError):
        return "has no certificate that can be verified"
    if isinstance(error, requests.Timeout | TimeoutError_):
        return "does not answer in time"
    if isinstance(error, ProtocolError | DecodeError):
        return "cuts its answers off"
    return "cannot be reached"


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 6 else None


def _neighbour(address: str, names: tuple[str, str], ports: tuple[int, int]) -> str:
    """The address of another of ClearML's servers, by its rule for names and ports."""
    parts = urlsplit(address)
    host, port = parts.hostname or "", parts.port
    if port == ports[0]:
        return f"{parts.scheme}://{host}:{ports[1]}"
    if host.startswith(f"{names[0]}.") and port is None:
        return f"{parts.scheme}://{names[1]}.{host.removeprefix(f'{names[0]}.')}"
    return ""


def files_origin(address: str) -> str:
    """Where the files server is; empty if nobody knows."""
    return os.environ.get(_FILES_HOST, "").rstrip("/") or _neighbour(
        address, ("api", "files"), (8008, 8081)
    )


def web_address(address: str) -> str:
    """Where the web pages are; empty if nobody knows."""
    return _neighbour(address, ("api", "app"), (8008, 8080))
