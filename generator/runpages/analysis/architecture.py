"""The facts of a run's configuration that the arithmetic of a model needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from runpages.model import Run

from .summary import flatten

__all__ = ["Architecture", "read_architecture"]

_LAYERS = ("n_layer", "n_layers", "num_layers", "num_hidden_layers", "num_transformer_layers")
_WIDTH = ("n_embd", "d_model", "hidden_size", "n_embed", "embed_dim", "model_dim", "dim")
_HEADS = ("n_head", "n_heads", "num_heads", "num_attention_heads")
_HEAD_WIDTH = ("head_dim", "kv_channels", "d_head")
_CONTEXT = (
    *("seq_len", "seq_length", "sequence_length", "block_size", "context_length", "train_seq_len"),
    *("max_seq_len", "max_seq_length", "max_sequence_length", "sequence_len"),
)
_EXPERTS = ("num_experts", "n_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_ACTIVE = ("active_parameters", "n_active_params", "num_active_params", "active_params")
_ADAPTERS = ("lora_r", "lora_rank", "lora_alpha", "use_lora", "use_peft", "peft_type", "lora_dim")
_DTYPES = (
    *("dtype", "precision", "mixed_precision", "amp_dtype", "compute_dtype", "torch_dtype"),
    *("mixed_precision_param", "train_dtype", "autocast_dtype", "amp"),
)
_FLAGS = ("bf16", "fp16", "fp8")
_RECOMPUTE = (
    *("gradient_checkpointing", "activation_checkpointing", "checkpoint_activations"),
    *("recompute_granularity", "activations_checkpoint_granularity", "recompute_activations"),
    *("activation_checkpoint.mode", "activation_checkpointing.mode"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What the configuration says of the model; None = it does not say, or says two things."""

    layers: int | None
    attention_width: int | None
    """Heads times width of a head; the model's width where the heads are not given."""
    context: int | None
    """Tokens a sequence in training."""
    experts: int | None
    active_parameters: float | None
    adapters: bool
    """Low-rank fine-tuning: most weights get no gradient."""
    encoder_decoder: bool
    dtype: str
    """`bf16`, `fp16`, `fp8`, `fp32`, or empty."""
    recomputed: str
    """`full`, `none`, `part`, or empty where nothing is said of it."""


def read_architecture(run: Run) -> Architecture:
    """From the run's configuration, by the names that frameworks use; nothing is assumed."""
    flat = {key.casefold(): value for key, value in flatten(dict(run.config)).items()}
    heads, head_width = _whole(flat, _HEADS), _whole(flat, _HEAD_WIDTH)
    width = heads * head_width if heads and head_width else _whole(flat, _WIDTH)
    return Architecture(
        layers=_whole(flat, _LAYERS),
        attention_width=width,
        context=run.model.context or _whole(flat, _CONTEXT),
        experts=_whole(flat, _EXPERTS),
        active_parameters=_one(flat, _ACTIVE, _positive),
        adapters=any(_named(flat, key) for key in _ADAPTERS)
        or any("peft_config" in k for k in flat),
        encoder_decoder=any(value is True for value in _named(flat, "is_encoder_decoder")),
        dtype=_dtype(flat),
        recomputed=_recomputed(flat),
    )


def _named(flat: Mapping[str, object], name: str) -> list[object]:
    """Values of all keys that end in `name`; what is None, false or empty says nothing."""
    found = [v for k, v in flat.items() if k == name or k.endswith((f".{name}", f"/{name}"))]
    return [v for v in found if v not in (None, False, "", 0)]


def _positive(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if value > 0 else None


def _one(
    flat: Mapping[str, object], names: tuple[str, ...], read: Callable[[object], float | None]
) -> float | None:
    """The one value that all keys of these names agree on."""
    values = {read(value) for name in names for value in _named(flat, name)} - {None}
    return values.pop() if len(values) == 1 else None


def _whole(flat: Mapping[str, object], names: tuple[str, ...]) -> int | None:
    """The first of the names that the configuration knows, if its keys agree."""
    for name in names:
        if _named(flat, name):
            value = _one(flat, (name,), _positive)
            return int(value) if value is not None and value == int(value) else None
    return None


def _dtype(flat: Mapping[str, object]) -> str:
    """Flags (`bf16: true`) before data types (`dtype: bfloat16`); fp8 beside another is fp8."""
    flags = {name for name in _FLAGS for v in _named(flat, name) if v is True or v == "true"}
    flags |= {
        name for name in _FLAGS for v in _named(flat, f"{name}.enabled") if v is True or v == "true"
    }
    if any("fp8" in k or "float8" in k for k, v in flat.items() if v is True):
        flags.add("fp8")
    stated = {_kind(v) for name in _DTYPES for v in _named(flat, name)} - {""}
    if "fp8" in flags | stated:
        return "fp8"
    for found in (flags, stated - {"fp32"}, stated):
        if len(found) == 1:
            return next(iter(found))
        if found:
            return ""
    return ""


def _kind(value: object) -> str:
    text = re.sub(r"[^a-z0-9]", "", str(value).casefold())
    for name, signs in (
        ("fp8", ("fp8", "float8")),
        ("bf16", ("bf16", "bfloat16")),
        ("fp16", ("fp16", "float16", "half", "16mixed", "16true")),
        ("fp32", ("fp32", "float32", "32true")),
    ):
        if any(sign in text for sign in signs):
            return name
    return {"16": "fp16", "32": "fp32"}.get(text, "")


def _recomputed(flat: Mapping[str, object]) -> str:
    """What the backward pass computes again: the frameworks' switches for it."""
    found = set()
    for key, value in flat.items():
        if not any(key == n or key.endswith((f".{n}", f"/{n}")) for n in _RECOMPUTE):
            continue
        text = str(value).casefold()
        if text in {"false", "none", "no", "0", ""}:
            found.add("none")
        elif key.endswith("recompute_activations"):
            found.add("part")  # Megatron-LM's switch for the core of attention only
        elif text in {"true", "full", "yes", "1"}:
            found.add("full")
        else:
            found.add("part")
    if "full" in found and _named(flat, "recompute_method") == ["block"]:
        return "part"
    return found.pop() if len(found) == 1 else ("full" if found == {"full", "none"} else "")
