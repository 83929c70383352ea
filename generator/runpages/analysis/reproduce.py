"""What is needed to redo a run: each part recorded or missing, and the commands to type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from runpages.model import Dataset, Needed, Reproduction, Run

from .summary import flatten

__all__ = ["SEED_KEYS", "analyze_reproduction"]

SEED_KEYS = ("seed", "random_seed", "rng_seed")
"""Last part of the configuration's keys that hold the seed of a run."""
_COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")
_REMOTE = re.compile(r"(https?|ssh|git)://[^\s]+|[\w.-]+@[\w.-]+:[\w./~-]+")
_LONGEST_COMMENT = 300
_NO_LIBRARIES = frozenset(
    {"python", "wandb", "mlflow", "clearml", "tensorboard", "tensorboardx", "trackio", "dvclive"}
    | {"aim", "comet_ml", "neptune", "runpages", "os", "platform", "system"}
)
"""Names under which an environment holds the interpreter, the system and the tracker."""


def analyze_reproduction(run: Run) -> Reproduction:
    """The eight things, in the order in which one needs them."""
    items = (
        _item("commit", run.code.commit, "which code ran is not known"),
        _clean_tree(run),
        _item("command", run.command, "how it was started is not known"),
        _item("configuration", _settings(run), "its settings are not known"),
        _item("seed", _seed(run), "it cannot be repeated to the digit"),
        _data(run),
        _environment(run),
        _hardware(run),
    )
    return Reproduction(items=items, commands=_commands(run, {i.name: i for i in items}))


def _item(name: str, value: str, why: str) -> Needed:
    return Needed(name=name, value=value, why="" if value else why)


def _clean_tree(run: Run) -> Needed:
    if run.code.dirty:
        return _item("clean tree", "", "the code had changes that are not in the commit")
    known = run.code.commit and run.code.dirty is False
    return _item(
        "clean tree",
        "no changes beside the commit" if known else "",
        "whether the code had changes is not known",
    )


def _settings(run: Run) -> str:
    count = len([key for key in flatten(dict(run.config)) if key])
    return f"{count} setting{'s' if count > 1 else ''}" if count else ""


def _seed(run: Run) -> str:
    if run.seed is not None:
        return str(run.seed)
    found = {
        str(value)
        for key, value in flatten(dict(run.config)).items()
        if key.rpartition(".")[2].casefold() in SEED_KEYS
        and isinstance(value, int)
        and not isinstance(value, bool)
    }
    return f"{found.pop()}, by the configuration" if len(found) == 1 else ""


def _data(run: Run) -> Needed:
    """A name alone does not say which bytes they were."""
    names = ", ".join(_dataset(one) for one in run.datasets)
    if not names:
        return _item("data", "", "name and version of the data are not known")
    exact = all(one.version or one.digest for one in run.datasets)
    why = "" if exact else "neither version nor digest of all of it was recorded"
    return Needed(name="data", value=names, why=why)


def _dataset(one: Dataset) -> str:
    return " ".join(part for part in (one.name, one.version, one.digest[:16], one.split) if part)


def _environment(run: Run) -> Needed:
    """The interpreter and the tracker do not say what computed the gradients."""
    names = {name.casefold() for name in run.environment}
    value = ", ".join(f"{name} {version}" for name, version in run.environment.items())
    why = "library versions are not known"
    if value and names - _NO_LIBRARIES:
        why = ""
    elif value:
        why = "the version of no training library was recorded"
    return Needed(name="environment", value=value, why=why)


def _hardware(run: Run) -> Needed:
    """A host's name, which may be a container's, does not say what machine it is."""
    hosts, machine = run.hardware.hosts, _machine(run)
    more = f" and {len(hosts) - 4} more" if len(hosts) > 4 else ""
    on = f"on {', '.join(hosts[:4])}{more}" if hosts else ""
    why = "what it ran on is not known"
    if machine:
        why = ""
    elif on:
        why = "what machine that is was not recorded"
    value = ", ".join(part for part in (machine, on) if part)
    return Needed(name="hardware", value=value, why=why)


def _machine(run: Run) -> str:
    """Without the names of the hosts, which nobody needs to redo it."""
    made_of = run.hardware
    many = f"{made_of.devices} × " if made_of.device and made_of.devices else ""
    cores = f"{made_of.cpu_count} CPU cores" if made_of.cpu_count else ""
    return ", ".join(part for part in (f"{many}{made_of.device}", made_of.cpu, cores) if part)


def _commands(run: Run, items: dict[str, Needed]) -> str:
    """Nothing in it but the command itself is taken from the log without a check of its form."""
    # what stands before the @ of a web address is somebody's name, or a redacted key
    remote = re.sub(r"^(https?://)[^/@\s]*@", r"\1", run.code.remote.strip())
    commit = run.code.commit.strip()
    known = _COMMIT.fullmatch(commit) is not None
    if not run.command and not known:
        return ""
    lines = []
    if _REMOTE.fullmatch(remote):
        lines += [f"git clone -- {shlex.quote(remote)} run", "cd run"]
    else:
        lines.append("# address of the repository: not logged")
    lines.append(f"git checkout {commit}" if known else "# commit: not logged")
    lines += _comments(run, items)
    if run.command:
        lines.append(run.command.strip())
    else:
        entry = run.code.entry_point
        lines.append(
            _comment(
                f"command: not logged; entry point {entry}" if entry else "command: not logged"
            )
        )
    return "\n".join(lines)


def _comments(run: Run, items: dict[str, Needed]) -> Iterator[str]:
    if items["clean tree"].why:
        yield _comment(items["clean tree"].why)
    told = {name: items[name].value for name in ("environment", "data", "seed")}
    for name, value in (told | {"hardware": _machine(run)}).items():
        yield _comment(f"{name}: {value or 'not logged'}")


def _comment(words: str) -> str:
    """One line whatever the words hold: a line break would end the comment."""
    plain = "".join(c if c.isprintable() else " " for c in words)
    return f"# {plain[:_LONGEST_COMMENT]}"
