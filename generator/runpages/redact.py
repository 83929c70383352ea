"""Secrets leave a run before it is archived: archives are kept in git, and git forgets nothing.

Rules, in this order: settings by the name of their key; private keys; tokens by their published
shape; credentials in URLs; secret flags of a command line and `KEY=value` texts. What matches is
replaced by `[redacted:<rule>]`, without a prefix to guess from. Harmless neighbours (git and sha256
digests, `max_tokens`, `pad_token`, `num_key_value_heads`, `monitor_key`) stay.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from runpages.model import Run

__all__ = ["RULES_VERSION", "redact", "redact_text"]

RULES_VERSION = "1"

_WORD = (
    r"(?:api[_-]?key|apikey|access[_-]?key(?:[_-]?id)?|secret(?:[_-]?(?:access[_-]?)?key)?|"
    r"client[_-]?secret|private[_-]?key|account[_-]?key|encryption[_-]?key|"
    r"passw(?:or)?d|passphrase|pwd|credentials?|"
    r"(?:auth|access|api|hub|hf|bearer|refresh|session|bot|id|push|deploy|ci|github|gitlab|wandb|slack)"
    r"[_-]?token|webhook(?:[_-]?url)?|connection[_-]?string|dsn)"
)
_SECRET_KEY = re.compile(
    rf"(?:^|.*[_\-. ]){_WORD}$|^(?:token|bearer|authorization)$", re.IGNORECASE
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_TOKENS = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"sk-[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{50,}|"
    r"gl[a-z]{2,4}-[\w-]{20,}|xox[abeoprs]-[\w-]{10,}|xapp-[\w-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}|"
    r"AIza[\w-]{35}|ya29\.[\w-]{20,}|npm_\w{36}|pypi-[\w-]{50,}|nvapi-[\w-]{40,}|"
    r"wandb_v\d_\w{40,}|r8_\w{35,}|dckr_pat_[\w-]{20,}|dop_v1_[a-f0-9]{60,}|SG\.[\w-]{20,}\.[\w-]{20,}|"
    r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}|eyJ[A-Za-z0-9+/=_-]{50,}"
    r")"
)
_PEM = re.compile(
    r"-----BEGIN ([A-Z ]*PRIVATE KEY(?: BLOCK)?)-----.*?(?:-----END \1-----|\Z)", re.DOTALL
)
_HOOK = re.compile(
    r"https://(?:hooks\.slack\.com/(?:services|workflows)|discord(?:app)?\.com/api/webhooks)/[^\s\"'<>]+"
)
_USERINFO = re.compile(r"(?<=://)[^\s/@:\"'<>]*:[^\s/@\"'<>]+(?=@)|(?<=://)[A-Za-z0-9_-]{20,}(?=@)")
_QUERY = re.compile(
    r"(?<=[?&;])((?:x-amz-(?:signature|credential|security-token)|sig|signature|token|"
    r"access_?token|api_?key|key|password|secret)=)[^&\s\"'<>]+",
    re.IGNORECASE,
)
_BEARER = re.compile(
    r"(?i)\b((?:authorization\s*[:=]\s*)?(?:bearer|basic))\s+[A-Za-z0-9._~+/=-]{16,}"
)
_ASSIGNED = re.compile(
    rf"(?i)(?<![A-Za-z0-9])((?:[A-Za-z0-9.]+[_-])*{_WORD}[\"']?\s*[:=]\s*)"
    r"(\"[^\"\n]{4,}\"|'[^'\n]{4,}'|[^\s\"',;&}\]]{4,})"
)
_TOKEN_ASSIGNED = re.compile(
    r"(?i)(?<![A-Za-z0-9_-])(token[\"']?\s*[:=]\s*)[\"']?(?=[^\s\"',}]*\d)[A-Za-z0-9_.~+/=-]{20,}[\"']?"
)
_FLAG = re.compile(
    rf"(?i)(?<!\S)(--?(?:[a-z0-9]+[_-])*(?:{_WORD}|token)\s+)(?!-)(\"[^\"]+\"|'[^']+'|\S+)"
)
_LOGIN = re.compile(r"(?i)\b(wandb\s+login\s+(?:--?\S+\s+)*)[A-Za-z0-9_-]{30,}")
_HINT = re.compile(
    r"(?i)key|token|secret|passw|pwd|cred|bearer|basic|://|sk-|hf_|gh|github|gl|xox|xapp|akia|asia|aiza|ya29|"
    r"npm_|pypi-|nvapi|wandb|r8_|dckr|dop_|sg\.|eyj|begin|webhook|dsn|connection"
)

_RULES: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("private-key", _PEM, ""),
    ("webhook", _HOOK, ""),
    ("token", _TOKENS, ""),
    ("url-credentials", _USERINFO, ""),
    ("url-query", _QUERY, r"\1"),
    ("authorization", _BEARER, r"\1 "),
    ("login", _LOGIN, r"\1"),
    ("flag", _FLAG, r"\1"),
    ("assignment", _ASSIGNED, r"\1"),
    ("assignment", _TOKEN_ASSIGNED, r"\1"),
)
_ENVIRONMENT_KEYS = frozenset({"env", "environ", "environment", "env_vars", "os_environ"})
_ENVIRONMENT_SIGNS = frozenset({"PATH", "HOME", "PWD", "SHELL", "USER"})


def redact_text(text: str) -> tuple[str, Counter[str]]:
    """The text without its secrets, and how many each rule found."""
    counts: Counter[str] = Counter()
    if not _HINT.search(text):
        return text, counts
    for rule, pattern, kept in _RULES:

        def replace(match: re.Match[str], rule: str = rule, kept: str = kept) -> str:
            if "[redacted:" in match.group():
                return match.group()
            counts[rule] += 1
            return f"{match.expand(kept) if kept else ''}[redacted:{rule}]"

        text = pattern.sub(replace, text)
    return text, counts


def redact(run: Run) -> Run:
    """The run with every text of it redacted; counts stand in its provenance.

    Identity (source, project, run id) is left alone: it makes the URL.
    """
    counts: Counter[str] = Counter()
    changed = {
        field.name: _walk(getattr(run, field.name), counts)
        for field in dataclasses.fields(run)
        if field.name not in {"series", "ref"}
    }
    ref = dataclasses.replace(
        run.ref, name=_walk(run.ref.name, counts), location=_walk(run.ref.location, counts)
    )
    provenance = dataclasses.replace(
        changed["provenance"],
        redactions=dict(sorted(counts.items())),
        redaction_rules=RULES_VERSION,
    )
    return dataclasses.replace(run, **{**changed, "ref": ref, "provenance": provenance})


def _walk(value: Any, counts: Counter[str]) -> Any:
    if isinstance(value, str):
        clean, found = redact_text(value)
        counts.update(found)
        return clean
    if isinstance(value, Mapping):
        return _mapping(value, counts)
    if isinstance(value, tuple):
        return tuple(_walk(item, counts) for item in value)
    if isinstance(value, list):
        return [_walk(item, counts) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return dataclasses.replace(
            value, **{f.name: _walk(getattr(value, f.name), counts) for f in fields}
        )
    return value


def _mapping(value: Mapping[Any, Any], counts: Counter[str]) -> dict[Any, Any]:
    out = {}
    for key, item in value.items():
        name = str(key)
        if name.lower() in _ENVIRONMENT_KEYS and _is_environment(item):
            counts["environment"] += 1
            out[key] = "[redacted:environment]"
        elif isinstance(item, str) and item and _is_secret_key(name):
            counts["key-name"] += 1
            out[key] = "[redacted:key-name]"
        else:
            clean, found = redact_text(name)
            counts.update(found)
            out[clean if found else key] = _walk(item, counts)
    return out


def _is_secret_key(name: str) -> bool:
    plain = _CAMEL.sub("_", name)
    return bool(_SECRET_KEY.match(plain))


def _is_environment(value: object) -> bool:
    return isinstance(value, Mapping) and len(_ENVIRONMENT_SIGNS & {str(k) for k in value}) >= 2
