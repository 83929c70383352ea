"""Figures that follow from loss, tokens and parameters together."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np

from runpages.model import Goodput, MetricSummary, ModelFigures, Quantity, Run, Timing

from .architecture import read_architecture
from .summary import flatten

__all__ = ["analyze_model"]

_PERPLEXITY = re.compile(r"(.*[_/.])?(ppl|perplexity)", re.IGNORECASE)
_AGREES = 0.005
"""A logged perplexity and the exponential of a loss may differ by so much (rounding)."""
_LEAST_ROWS = 3
_TOKENS_A_PARAMETER = 20.0
"""About the compute-optimal ratio of Hoffmann et al. 2022 (arXiv 2203.15556, table 3)."""
_MOST_NATS = 50.0


def analyze_model(
    run: Run,
    metrics: Mapping[str, MetricSummary],
    primary: str | None,
    *,
    timing: Timing,
    goodput: Goodput,
    parameters: Quantity,
    loss_unit: str = "",
    bytes_per_token: str | float = "",
) -> ModelFigures:
    """`loss_unit` is `nats` or `bits` as the team says; empty = by a perplexity that was logged."""
    nats = _nats(run, metrics, primary, loss_unit)
    size = _trained_parameters(run, parameters)
    return ModelFigures(
        perplexity=_perplexity(nats),
        bits_per_byte=_bits_per_byte(run, nats, bytes_per_token),
        chinchilla_multiple=_chinchilla(timing.tokens, size),
        training_flop=_flop(timing.tokens, size),
        tokens_per_productive_second=_productive_rate(timing, goodput),
    )


def _nats(
    run: Run, metrics: Mapping[str, MetricSummary], primary: str | None, unit: str
) -> Quantity:
    """The final loss in nats, or why it is not known to be one."""
    if primary is None:
        return Quantity.unknown("no loss was logged", "nats")
    final = metrics[primary].final
    if not math.isfinite(final):
        return Quantity.unknown(f"{primary} holds no finite value", "nats")
    if unit == "bits":
        return Quantity(value=final * math.log(2), unit="nats", note=f"{primary}, in bits")
    if unit == "nats":
        return Quantity(value=final, unit="nats", note=f"{primary}, in nats as set")
    proof = _perplexity_beside(run, metrics, primary)
    if proof:
        return Quantity(value=final, unit="nats", note=f"{primary}, in nats as {proof} proves")
    why = f"not known whether {primary} is in nats: set loss_unit under [model]"
    return Quantity.unknown(why, "nats")


def _perplexity_beside(run: Run, metrics: Mapping[str, MetricSummary], loss: str) -> str:
    """A logged perplexity that is the exponential of this loss; empty if there is none."""
    own = run.series[loss]
    for name in metrics:
        if name == loss or not _PERPLEXITY.fullmatch(name):
            continue
        other = run.series[name]
        _, here, there = np.intersect1d(own.step, other.step, return_indices=True)
        nats, told = own.value[here], other.value[there]
        good = np.isfinite(nats) & np.isfinite(told) & (nats < _MOST_NATS) & (told > 0)
        if good.sum() < _LEAST_ROWS:
            continue
        if np.all(np.abs(np.exp(nats[good]) / told[good] - 1) < _AGREES):
            return name
    return ""


def _perplexity(nats: Quantity) -> Quantity:
    if nats.value is None:
        return Quantity.unknown(nats.why)
    if nats.value > _MOST_NATS:
        return Quantity.unknown("the loss is too large for a perplexity")
    return Quantity(value=math.exp(nats.value), note=f"exponential of the final {nats.note}")


def _bits_per_byte(run: Run, nats: Quantity, setting: str | float) -> Quantity:
    """Loss a token over ln 2 and the bytes that a token stands for."""
    unit = "bits/byte"
    if nats.value is None:
        return Quantity.unknown(nats.why, unit)
    if setting == "":
        return Quantity.unknown("bytes a token not known: set bytes_per_token under [model]", unit)
    value: object = setting
    if isinstance(setting, str):
        value = flatten(dict(run.config)).get(setting.removeprefix("config."))
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return Quantity.unknown(f"{setting} holds no number of bytes a token", unit)
    note = f"{nats.note}, {value:g} bytes a token"
    return Quantity(value=nats.value / math.log(2) / value, unit=unit, note=note)


def _trained_parameters(run: Run, parameters: Quantity) -> Quantity:
    """Of a mixture of experts those that a token meets."""
    facts = read_architecture(run)
    if facts.adapters:
        return Quantity.unknown("low-rank fine-tuning: most weights get no gradient")
    if (facts.experts or 1) > 1:
        if facts.active_parameters is None:
            return Quantity.unknown("mixture of experts: active parameters not logged")
        return Quantity(value=facts.active_parameters, note="active parameters")
    return parameters


def _chinchilla(tokens: Quantity, size: Quantity) -> Quantity:
    if not tokens.value or not size.value:
        return Quantity.unknown(tokens.why or size.why or "no tokens")
    note = f"tokens / ({_TOKENS_A_PARAMETER:g} N); 1 is about compute-optimal"
    return Quantity(value=tokens.value / (_TOKENS_A_PARAMETER * size.value), unit="×", note=note)


def _flop(tokens: Quantity, size: Quantity) -> Quantity:
    if not tokens.value or not size.value:
        return Quantity.unknown(tokens.why or size.why or "no tokens", "FLOP")
    note = "6 N D: parameters times tokens, attention left out"
    return Quantity(value=6 * size.value * tokens.value, unit="FLOP", note=note)


def _productive_rate(timing: Timing, goodput: Goodput) -> Quantity:
    """Tokens that count over the time that counted: what goodput leaves out is left out."""
    if timing.tokens.value is None:
        return Quantity.unknown(timing.tokens.why, "tok/s")
    if not goodput.productive_seconds.value:
        return Quantity.unknown(goodput.productive_seconds.why or "no productive time", "tok/s")
    value = timing.tokens.value / goodput.productive_seconds.value
    return Quantity(value=value, unit="tok/s", note="tokens over productive time")
