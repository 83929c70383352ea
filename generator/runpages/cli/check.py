"""`runpages check`: a gate for CI."""

from __future__ import annotations

import os
from dataclasses import replace

import click

from runpages.config import load_settings
from runpages.errors import UsageError
from runpages.model import Quantity
from runpages.pages.document import plain
from runpages.review import FAIL_ON, Checked, annotation, write_outputs
from runpages.review import check as check_run

from .comment import actions_option, baseline_option
from .shell import FINDINGS, config_option, emit, json_option, print_commands, say
from .sides import reviewed

__all__ = ["check"]


@click.command()
@click.argument("run")
@baseline_option
@click.option(
    "--fail-on",
    type=click.Choice(FAIL_ON),
    help="Least severity of a finding that fails; else [check] fail_on.",
)
@actions_option
@config_option
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    run: str,
    baseline: str,
    fail_on: str | None,
    actions: bool,
    config: str,
    as_json: bool,
) -> None:
    """Hold RUN against the limits under [check]; exit code 4 if it does not keep them."""
    settings = load_settings(config)
    options = settings.check_options()
    if fail_on:
        options = replace(options, fail_on=fail_on)
    found = reviewed(settings, run, baseline=baseline)
    slug = found.report.run.slug
    is_baseline = found.comparison is None and settings.baseline.default == slug
    if options.max_regression and found.comparison is None and not is_baseline:
        raise UsageError("[check] max_regression needs --baseline or [baseline] default")
    rules = check_run(found.report, options, comparison=found.comparison, is_baseline=is_baseline)
    failures = [rule for rule in rules if not rule.passed]
    if as_json:
        base = found.comparison.base if found.comparison else None
        document: dict[str, object] = {"run": slug, "base": base, "passed": not failures}
        document["failures"] = [_failure(rule) for rule in failures]
        document["rules"] = [{**_failure(rule), "passed": rule.passed} for rule in rules]
        emit("check", document)
    else:
        for rule in rules:
            say(f"{'pass' if rule.passed else 'FAIL'}  {rule.rule}: {rule.message}")
    if actions:
        _tell_step(failures)
    if failures:
        ctx.exit(FINDINGS)


def _failure(rule: Checked) -> dict[str, object]:
    value = rule.value
    if isinstance(value, Quantity):
        shown = {"value": None, "why": value.why} if value.value is None else plain(value.value)
    else:
        shown = value
    return {
        "rule": rule.rule,
        "limit": rule.limit,
        "value": shown,
        "event": rule.event or None,
        "message": rule.message,
    }


def _tell_step(failures: list[Checked]) -> None:
    values = {"passed": str(not failures).lower(), "failures": str(len(failures))}
    write_outputs(os.environ, values)
    print_commands([annotation("error", f.rule, f.message) for f in failures[:10]])
