"""run.json: the run's record as JSON, without loss and back again.

A dataclass becomes an object of its fields, in their order, those at their default left out;
tuples become arrays. A float that JSON has no word for is `{"$float": "nan" | "inf" | "-inf"}`; a
run's own object that looks like that gets one more `$`, as does one that looks like this.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

__all__ = ["decode", "dump", "encode"]

_FLOAT = "$float"
_LOOKS_LIKE_FLOAT = re.compile(r"\$+float")


def encode(value: object) -> Any:
    """Plain JSON values of `value`; raises TypeError for what has no form in JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: encode(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not _at_default(field, getattr(value, field.name))
        }
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: repr(value)}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        items = {str(key): encode(item) for key, item in value.items()}
        mark = "$" if _looks_like_float(items) else ""
        return {f"{mark}{key}": item for key, item in items.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _looks_like_float(items: Mapping[str, Any]) -> bool:
    return len(items) == 1 and _LOOKS_LIKE_FLOAT.fullmatch(next(iter(items))) is not None


def _at_default(field: dataclasses.Field[Any], value: object) -> bool:
    if field.default is not dataclasses.MISSING:
        return bool(value == field.default)
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    return False


def dump(value: object) -> bytes:
    """Encoded, one line, stable bytes; everything outside ASCII is escaped."""
    return json.dumps(
        encode(value), ensure_ascii=True, allow_nan=False, separators=(",", ":")
    ).encode("ascii")


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def decode(hint: Any, data: Any) -> Any:
    """The value of type `hint` that `encode` made `data` of. Unknown keys are passed over."""
    if isinstance(data, dict) and _looks_like_float(data):
        if _FLOAT in data:
            return float(data[_FLOAT])
        data = {key[1:]: item for key, item in data.items()}
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        inner = [arg for arg in get_args(hint) if arg is not type(None)]
        return None if data is None else decode(inner[0], data)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        hints = _hints(hint)
        return hint(**{k: decode(hints[k], v) for k, v in data.items() if k in hints})
    if origin is tuple:
        args = get_args(hint)
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(decode(args[0], item) for item in data)
        return tuple(decode(arg, item) for arg, item in zip(args, data, strict=True))
    if isinstance(data, dict):
        value_hint = get_args(hint)[1] if get_args(hint) else Any
        return {key: decode(value_hint, item) for key, item in data.items()}
    if isinstance(data, list):
        return [decode(Any, item) for item in data]
    if hint is float and isinstance(data, int):
        return float(data)
    return data
