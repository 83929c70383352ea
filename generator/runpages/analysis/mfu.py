"""Model and hardware FLOPs utilisation, only where everything that they need was recorded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runpages import units
from runpages.model import Accelerator, Quantity, Run, Timing, Utilization

from .architecture import Architecture, read_architecture
from .devices import find_accelerator

__all__ = ["analyze_utilization"]

_MOST_PERCENT = 75.0
"""No dense matrix product measured on NVIDIA devices in bf16 comes near it in training: the best
alone reaches 78-87 % of the peak (ml-engineering, maximum achievable matmul FLOPS)."""


def analyze_utilization(
    run: Run, timing: Timing, parameters: Quantity, accelerators: Sequence[Accelerator] = ()
) -> Utilization:
    """MFU = tokens/s a device x FLOP a token / dense peak; HFU counts recomputed FLOP too.

    FLOP a token = 6 N + 12 L H Q T, N = all parameters, L layers, H Q the width of attention, T the
    context (PaLM, arXiv 2204.02311, appendix B; full attention, not halved for causality). With
    full recomputation of activations the hardware does 4/3 of it (8 N + 16 L H Q T).
    """
    facts = read_architecture(run)
    device = find_accelerator(run.hardware.device, accelerators)
    logged = _logged(run)
    why = _why_not(run, timing, parameters, facts, device)
    if why or device is None:
        absent = Quantity.unknown(why, "%")
        return Utilization(mfu=absent, hfu=absent, logged=logged)
    size = facts.active_parameters if (facts.experts or 1) > 1 else parameters.value
    flop, formula = _flop_a_token(size or 0.0, facts)
    rate = timing.tokens_per_second_per_device.value or 0.0
    peak = device.bf16_tflops
    percent = 100 * rate * flop / (peak * 1e12)
    return Utilization(
        mfu=Quantity(value=percent, unit="%", note=f"of the {facts.dtype} dense peak"),
        hfu=_hardware(percent, facts),
        dtype=facts.dtype,
        formula=formula,
        denominator=_denominator(run, device),
        accelerator=device,
        tokens=timing.tokens_per_second_per_device.note,
        doubt=_doubt(percent),
        logged=logged,
    )


def _why_not(
    run: Run,
    timing: Timing,
    parameters: Quantity,
    facts: Architecture,
    device: Accelerator | None,
) -> str:
    named = run.hardware.device
    checks = (
        (parameters.value is None, parameters.why),
        (
            timing.tokens_per_second_per_device.value is None,
            timing.tokens_per_second_per_device.why,
        ),
        (not named, "accelerator not recorded"),
        (device is None, f"no peak is known of {named}"),
        (not facts.dtype, "data type of the computation not logged"),
        (facts.dtype == "fp8", "computed in fp8 in part: no single peak applies"),
        (facts.dtype == "fp32", "computed in fp32: its peak is not in the table"),
        (facts.adapters, "low-rank fine-tuning: most weights get no gradient, 6 N does not hold"),
        (facts.encoder_decoder, "encoder and decoder see different tokens: 6 N does not hold"),
        (
            (facts.experts or 1) > 1 and facts.active_parameters is None,
            "mixture of experts: active parameters not logged",
        ),
    )
    return next((why for wrong, why in checks if wrong), "")


def _flop_a_token(size: float, facts: Architecture) -> tuple[float, str]:
    number, prefix = units.si(size, 4)
    flop = 6 * size
    what = f"N = {number} {prefix}".rstrip()
    layers, width, context = facts.layers, facts.attention_width, facts.context
    if layers and width and context:
        flop += 12.0 * layers * width * context
        formula = "6 N + 12 L H Q T"
        what += f", L = {layers}, H Q = {units.count(width)}, T = {units.count(context)}"
    else:
        absent = [
            name
            for name, value in (("layers", layers), ("width", width), ("context", context))
            if not value
        ]
        formula = "6 N"
        what += f"; attention is not counted, as {' and '.join(absent)} are not logged"
    return flop, f"{formula} = {units.number(flop / 1e9, 4)} GFLOP a token ({what})"


def _hardware(percent: float, facts: Architecture) -> Quantity:
    if facts.recomputed == "none":
        return Quantity(value=percent, unit="%", note="nothing is recomputed")
    if facts.recomputed == "full":
        note = "4/3 of it: the forward pass is recomputed in full"
        return Quantity(value=percent * 4 / 3, unit="%", note=note)
    if facts.recomputed == "part":
        return Quantity.unknown("activations are recomputed in part: how much is not logged", "%")
    return Quantity.unknown("not logged whether activations are recomputed", "%")


def _denominator(run: Run, device: Accelerator) -> str:
    many = f"{run.hardware.devices} × " if run.hardware.devices else ""
    return f"{many}{device.bf16_tflops:g} TFLOP/s, dense, of {device.name}"


def _doubt(percent: float) -> str:
    if percent <= _MOST_PERCENT:
        return ""
    return (
        f"an MFU of {units.number(percent, 3)} % is more than training reaches: the number of "
        "parameters, the tokens a second, the number of devices or the device is wrong"
    )


def _logged(run: Run) -> Quantity:
    """What the run itself logged, above 1 per cent; values that are no utilisation left out."""
    for name in run.series.with_role("mfu"):
        values = run.series[name].value
        values = values[np.isfinite(values) & (values > 0)]
        if len(values):
            note = f"median of {name}, as the run computed it"
            unit = "%" if name.endswith("(%)") or float(np.median(values)) > 1 else ""
            return Quantity(value=float(np.median(values)), unit=unit, note=note)
    return Quantity.unknown("the run logged none")
