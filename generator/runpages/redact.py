"""Secrets leave a run before it is archived: archives are kept in git, and git forgets nothing.

Rules, in this order: settings by the name of their key; private keys; tokens by their published
shape; credentials in URLs; headers, logins, secret flags of a command line and `KEY=value` texts.
What matches is replaced by `[redacted:<rule>]`, without a prefix to guess from. Harmless neighbours
(git and sha256 digests, `max_tokens`, `pad_token`, `num_key_value_heads`, `monitor_key`) and
placeholders (`None`, `<HUB_TOKEN>`, `$API_KEY`) stay.

Every pattern takes time linear in its text, whatever the text: logs are hostile input here too.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from runpages.model import Run

__all__ = ["RULES_VERSION", "redact", "redact_text"]

RULES_VERSION = "2"

_DEPTH_MAX = 100
_IDENTITY = "left-in-identity"
_METRIC = "left-in-metric-name"
_LEFT = {
    _IDENTITY: "the project or id of the run looks like a secret; it makes the URL and was left",
    _METRIC: "the name of a metric looks like a secret; it was left",
}

_NOUN = (
    r"(?:api[_-]?keys?|access[_-]?keys?(?:[_-]?id)?|secrets?(?:[_-]?(?:access[_-]?)?keys?)?|"
    r"(?:private|account|encryption|signing|master|subscription|license|ssh|wandb|openai|anthropic|"
    r"comet|neptune|hf|huggingface|aws|azure|cohere|mistral|groq)[_-]?key|"
    r"(?:pg|db|my|ssh|root|user|admin)?passw(?:or)?ds?|passphrase|pwd|credentials?|"
    r"(?:db|smtp|ftp|ssh|pg|user|admin|root)[_-]?pass|"
    r"(?:auth|access|api|hub|hf|bearer|refresh|session|bot|id|push|deploy|ci|github|gitlab|wandb|"
    r"slack|openai|replicate|neptune|comet|mlflow|databricks|jupyter|npm|pypi|docker|vault|sas|jwt|"
    r"security|registry)[_-]?token|webhook(?:[_-]?url)?|connection[_-]?string|dsn)(?:[_-]?\d+)?"
)
# a word begins after anything but a letter or digit, or where camelCase turns
_BEGIN = r"(?:(?<![A-Za-z0-9])|(?<=[a-z0-9])(?=[A-Z]))"
_PLACEHOLDER = (
    r"(?:(?i:none|null|nil|true|false|undefined|n/a)|\*+|\.{3}|<[A-Za-z_ -]+>|\{\{?[\w. ]*\}?\}|"
    r"\$\{?[A-Z_][A-Z0-9_]*\}?|\[redacted:[a-z-]+\])"
)
_NOT_PLACEHOLDER = (
    rf"(?!\\*[\"']?(?:{_PLACEHOLDER}\\*[\"']?(?:[\s,;&}}\])]|$)|os\.(?:environ|getenv)\b))"
)
_FRESH = r"(?!\[redacted:)"
# a comma or bracket inside an unquoted value ends it only where something else begins
_BARE = r"(?:[^\s\"',;&}\])\\]|[,;&}\])\\](?![\s\"',;&}\])\\]|$|[\w.-]{1,64}[^\S\n]*[:=]))"
_VALUE = (
    r"(?:\\+\"[^\"\n]{4,}?\\+\"|\\+'[^'\n]{4,}?\\+'|"
    r"\"(?:[^\"\\\n]|\\.){4,}\"|'(?:[^'\\\n]|\\.){4,}'|"
    rf"[\"']?{_BARE}{{4,}})"
)

_SECRET_KEY = re.compile(
    rf"(?:.*{_BEGIN})?(?i:{_NOUN})|(?:.*[/.:])?(?i:token|bearer|authorization)", re.DOTALL
)
_TOKEN_KEY = re.compile(r".*token", re.IGNORECASE | re.DOTALL)
_RANDOM = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w.~+/=-]{20,}")
_HARMLESS = re.compile(_PLACEHOLDER)
_FLAG_ALONE = re.compile(rf"--?[\w.-]{{0,60}}?{_BEGIN}(?i:{_NOUN})|--?(?i:token)")


class _Rule(NamedTuple):
    name: str
    hints: tuple[str, ...]
    """Lower-case pieces; a text without any of them cannot match."""
    pattern: re.Pattern[str]
    """Group 1, if there is one, is kept."""


_RULES = (
    _Rule("private-key", ("private key",), re.compile(
        r"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?)-----(?:(?!-----).)*(?:-----END \1-----)?",
        re.DOTALL)),
    _Rule("webhook", ("hooks.slack", "webhook"), re.compile(
        r"https://(?:hooks\.slack\.com/(?:services|workflows|triggers)|[\w.-]{1,80}\.webhook\."
        r"office\.com|(?:\w{1,20}\.)?discord(?:app)?\.com/api/webhooks)/[^\s\"'<>]+")),
    _Rule("token", (
        "sk-", "sk_", "rk_", "hf_", "api_org_", "gh", "github", "gl", "xox", "xapp", "xai-", "gsk_",
        "pplx-", "akia", "asia", "aiza", "ya29", "gocspx", "npm_", "pypi-", "nvapi", "wandb_v",
        "local-", "r8_", "rpa_", "tgp_", "dckr", "dop_", "sg.", "eyj", "lsv2", "hvs.", "dapi",
        ":aa",
    ), re.compile(
        # also after an escaped line break, the end of a terminal colour, a percent escape
        r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=\dm)|(?<=%[0-9A-Fa-f]{2}))(?:"
        r"sk-(?:ant|proj|or|svcacct|admin|lf)-[\w-]{20,}|sk-[A-Za-z0-9]{20,}|"
        r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|(?:hf|api_org)_[A-Za-z0-9]{30,}|"
        r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{50,}|"
        r"gl(?:pat|dt|rt|ptt|cbt|ft|soat|imt|agent|ffct)-[\w.-]{20,}|"
        r"xox[abeoprs]-[\w-]{10,}|xapp-[\w-]{10,}|xai-[A-Za-z0-9]{40,}|gsk_[A-Za-z0-9]{40,}|"
        r"pplx-[A-Za-z0-9]{40,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{35}|ya29\.[\w-]{20,}|"
        r"GOCSPX-[\w-]{20,}|npm_[A-Za-z0-9]{36}|pypi-[\w-]{50,}|nvapi-[\w-]{40,}|"
        r"wandb_v\d_\w{40,}|local-[0-9a-f]{40}|r8_[A-Za-z0-9]{35,}|rpa_[A-Za-z0-9]{40,}|"
        r"tgp_v\d_[\w-]{40,}|dckr_pat_[\w-]{20,}|dop_v1_[a-f0-9]{60,}|"
        r"SG\.[\w-]{20,}\.[\w-]{20,}|lsv2_(?:pt|sk)_\w{30,}|hvs\.[\w-]{24,}|dapi[0-9a-f]{32}|"
        r"\d{8,10}:AA[\w-]{33}|eyJ[\w-]{10,}\.[\w-]*\.[\w-]{10,}|eyJh(?:cGlfYWRk|dXRocyI6)[\w+/=-]{30,})")),
    _Rule("url-credentials", ("://",), re.compile(
        rf"(?<=://){_FRESH}(?![^\s/@:]*:(?:\*+|\$\{{?[A-Z_]+\}}?)@)"
        r"(?:[^\s/@:\"'<>]*:[^\s/\"'<>]*|[\w-]{20,})(?=@)")),
    _Rule("url-query", ("?", "&", ";"), re.compile(
        r"(?<=[?&;])((?i:x-(?:amz|goog)-(?:signature|credential|security-token)|sig|signature|"
        r"(?:access_?|auth_?|id_?|refresh_?|private_?)?token|awsaccesskeyid|"
        rf"api_?key|password|(?:client_?)?secret)=){_FRESH}[^&\s\"'<>#]+")),
    _Rule("url-query", ("key=",), re.compile(rf"(?<=[?&])((?i:key)=){_FRESH}[\w.~%-]{{16,}}")),
    _Rule("authorization", ("authorization",), re.compile(
        r"((?i:authorization\\*[\"']?[^\S\n]*[:=][^\S\n]*\\*[\"']?"
        r"(?:(?:bearer|basic|token|digest|apikey)[^\S\n]+)?+))"
        rf"{_NOT_PLACEHOLDER}[^\s\"'\\]{{6,}}")),
    _Rule("authorization", ("bearer",), re.compile(
        r"\b((?i:bearer)[^\S\n]+)(?=\S{0,64}\d)[A-Za-z0-9._~+/=-]{16,}")),
    _Rule("cookie", ("cookie",), re.compile(
        r"\b((?i:cookie)\\*[\"']?[^\S\n]*:[^\S\n]*\\*[\"']?)[\w.-]{1,64}=[^\n\"']{8,}")),
    _Rule("login", ("login",), re.compile(
        r"\b((?i:wandb[^\S\n]+login)[^\S\n]+(?:-\S+[^\S\n]+)*)[\w-]{30,}")),
    _Rule("login", ("login(",), re.compile(
        rf"\b(login\([^\S\n]*(?:(?:key|token)[^\S\n]*=[^\S\n]*)?[\"']){_FRESH}[^\"'\n]{{16,}}")),
    _Rule("login", ("machine",), re.compile(
        r"\b((?i:machine)\s+\S{1,200}\s+(?i:login)\s+\S{1,200}\s+(?i:password)\s+)"
        rf"{_FRESH}\S+")),
    _Rule("flag", ("-",), re.compile(
        rf"(?<![^\s\"'\[(,])((?:--?[\w.-]{{0,60}}?{_BEGIN}(?i:{_NOUN})|--?(?i:token))"
        r"(?:[\"']?[^\S\n]*,?[^\S\n]+|[\"'],))"
        rf"(?!-){_NOT_PLACEHOLDER}(?:\"[^\"\n]+\"|'[^'\n]+'|[\"']?[^\s\"']+)")),
    _Rule("assignment", (
        "key", "secret", "pass", "pwd", "cred", "token", "webhook", "string", "dsn",
    ), re.compile(
        rf"({_BEGIN}(?i:{_NOUN})\\*[\"']?[^\S\n]*"
        r"(?::[^\S\n]*(?:Optional\[)?str\]?[^\S\n]*=|:=|[:=]>?)[^\S\n]*)"
        rf"{_NOT_PLACEHOLDER}{_VALUE}")),
    _Rule("assignment", ("token",), re.compile(
        r"((?i:token)\\*[\"']?[^\S\n]*[:=][^\S\n]*\\*[\"']?)"
        r"(?=[^\s\"',}]{0,64}\d)(?=[^\s\"',}]{0,64}[A-Za-z])[A-Za-z0-9_.~+/=-]{20,}")),
)  # fmt: skip
_ENVIRONMENT_KEYS = frozenset({"env", "environ", "environment", "env_vars", "os_environ"})
_ENVIRONMENT_SIGNS = frozenset({"PATH", "HOME", "PWD", "SHELL", "USER"})
_ENVIRONMENT_SIGN = re.compile(r"\b(PATH|HOME|PWD|SHELL|USER)[\"']?\s*[:=]")


def redact_text(text: str) -> tuple[str, Counter[str]]:
    """The text without its secrets, and how many each rule found."""
    counts: Counter[str] = Counter()
    lower = text.lower()
    for rule in _RULES:
        if not any(hint in lower for hint in rule.hints):
            continue
        kept = r"\1" if rule.pattern.groups and rule.name != "private-key" else ""
        text, found = rule.pattern.subn(f"{kept}[redacted:{rule.name}]", text)
        if found:
            counts[rule.name] += found
    return text, counts


def redact(run: Run) -> Run:
    """The run with every text of it redacted; counts stand in its provenance.

    Identity (source, project, run id) and names of metrics are left alone: they make addresses. One
    that looks like a secret is counted as `left-in-...` and said in the warnings. Redacting again
    adds nothing.
    """
    walk = _Walk()
    before = Counter(run.provenance.redactions)
    changed = {
        field.name: walk.value(getattr(run, field.name))
        for field in dataclasses.fields(run)
        if field.name not in {"series", "ref", "provenance", "environment"}
    }
    changed["environment"] = {} if walk.dropped(run.environment) else walk.value(run.environment)
    ref = dataclasses.replace(
        run.ref,
        name=walk.value(run.ref.name),
        location=walk.value(run.ref.location),
        parts=walk.value(run.ref.parts),
    )
    provenance = walk.value(dataclasses.replace(run.provenance, redactions={}))
    left = {
        _IDENTITY: _secrets((run.ref.source, run.ref.project, run.ref.run_id)),
        _METRIC: _secrets(tuple(run.series)),
    }
    counts = before + walk.counts
    counts.update({rule: found - counts[rule] for rule, found in left.items()})
    warnings = [_LEFT[rule] for rule, found in left.items() if found]
    provenance = dataclasses.replace(
        provenance,
        warnings=tuple(dict.fromkeys((*provenance.warnings, *warnings))),
        redactions={rule: found for rule, found in sorted(counts.items()) if found},
        redaction_rules=RULES_VERSION,
    )
    return dataclasses.replace(run, **{**changed, "ref": ref, "provenance": provenance})


def _secrets(names: Sequence[str]) -> int:
    return sum(redact_text(name)[1].total() for name in names)


class _Walk:
    """Goes through nested values and counts what it replaces."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def value(self, value: Any, depth: int = 0) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if depth > _DEPTH_MAX and isinstance(value, Mapping | list | tuple):
            return self._replaced("too-deep")
        if isinstance(value, Mapping):
            return self._mapping(value, depth + 1)
        if isinstance(value, list | tuple):
            return type(value)(self._sequence(value, depth + 1))
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [field.name for field in dataclasses.fields(value)]
            walked = {name: self.value(getattr(value, name), depth + 1) for name in names}
            return dataclasses.replace(value, **walked)
        return value

    def dropped(self, value: object) -> bool:
        """Whether it is a dump of environment variables; counted if so."""
        found = _is_environment(value)
        self.counts["environment"] += found
        return found

    def _replaced(self, rule: str) -> str:
        self.counts[rule] += 1
        return f"[redacted:{rule}]"

    def _text(self, text: str) -> str:
        clean, found = redact_text(text)
        self.counts.update(found)
        return clean

    def _sequence(self, values: Sequence[Any], depth: int) -> list[Any]:
        out: list[Any] = []
        after_flag = False
        for item in values:
            text = item if isinstance(item, str) else ""
            secret = after_flag and not text.startswith("-") and _tells(item)
            out.append(self._replaced("flag") if secret else self.value(item, depth))
            after_flag = bool(_FLAG_ALONE.fullmatch(text))
        return out

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
        # {"name": "API_KEY", "value": "..."}, as container specifications list their environment
        named = value.get("name", value.get("key"))
        named_secret = isinstance(named, str) and _is_secret(named, value.get("value"))
        out = {}
        for key, item in value.items():
            name = str(key)
            if name.lower() in _ENVIRONMENT_KEYS and self.dropped(item):
                out[key] = "[redacted:environment]"
            elif _is_secret(name, item) or (named_secret and name == "value"):
                out[key] = self._replaced("key-name")
            else:
                clean = self._text(name)
                out[key if clean == name else clean] = self.value(item, depth)
        return out


def _is_secret(name: str, value: object) -> bool:
    if not _tells(value):
        return False
    if isinstance(value, str) and _TOKEN_KEY.fullmatch(name) and _RANDOM.fullmatch(value):
        return True
    if isinstance(value, int) and name.lower() == "token":
        return False
    return bool(_SECRET_KEY.fullmatch(name))


def _tells(value: object, depth: int = 0) -> bool:
    """Whether it holds a text or whole number that could be a secret: no placeholder, no flag."""
    if isinstance(value, str):
        return bool(value) and not _HARMLESS.fullmatch(value)
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return depth > _DEPTH_MAX or any(_tells(item, depth + 1) for item in value)
    return isinstance(value, int) and not isinstance(value, bool)


def _is_environment(value: object) -> bool:
    if isinstance(value, str):
        return len(set(_ENVIRONMENT_SIGN.findall(value))) >= 2
    if isinstance(value, list | tuple):
        return len(_ENVIRONMENT_SIGNS & {str(item).partition("=")[0] for item in value}) >= 2
    return isinstance(value, Mapping) and len(_ENVIRONMENT_SIGNS & {str(key) for key in value}) >= 2
