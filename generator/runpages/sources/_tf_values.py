"""One event, decoded by protobuf: every kind of summary value there is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from ._histogram import summarised
from ._textfiles import MAX_SECONDS
from ._tfevents import Event

__all__ = [
    "GRAPHS",
    "Content",
    "Decoded",
    "Distribution",
    "Pictures",
    "Settings",
    "Text",
    "Unread",
    "decoded",
    "encoded_media",
]

_SESSION_START = 1
_STRING, _HALF = 7, 19
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", _HALF: "<f2"}
_MAX_BUCKETS = 100_000
_UNREAD = {"pr_curves": "PR curves", "mesh": "meshes"}
_LAYOUT = "custom_scalars"
GRAPHS = "graphs"


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """Images or sounds; their bytes are fetched from the file when they are wanted."""

    kind: str
    """`image` or `audio`."""
    captions: tuple[str, ...]
    """One for each."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram as a few numbers."""

    statistics: dict[str, float]


@dataclass(frozen=True, slots=True)
class Settings:
    """A message of the hyper-parameter plugin; it has no step."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that is counted only."""

    what: str
    apart: bool = False
    """Whether it is no row of the run but an arrangement of charts."""


Content = float | Text | Pictures | Distribution | Settings | Unread


@dataclass(slots=True)
class Decoded:
    time: float
    """UTC seconds or NaN."""
    step: int
    session: bool
    """Whether a session begins."""
    graph: bool
    values: list[tuple[str, Content]] = field(default_factory=list)
    """(tag, content)."""


def decoded(payload: bytes, plugins: dict[str, str]) -> Decoded | None:
    """The event; None if these bytes are none.

    `plugins` has the plugin of each tag whose earlier values told it; writers may leave it out
    from the second value on.
    """
    event: Any = Event()
    try:
        event.ParseFromString(payload)
    except DecodeError:
        return None
    seconds = event.wall_time if 0 < event.wall_time < MAX_SECONDS else math.nan
    graph = bool(event.graph_def or event.meta_graph_def or event.tagged_run_metadata)
    session = event.HasField("session_log") and event.session_log.status == _SESSION_START
    out = Decoded(seconds, event.step, session, graph)
    for value in event.summary.value:
        told = value.metadata.plugin_data.plugin_name
        plugin = told or plugins.get(value.tag, "")
        if plugin:
            plugins.setdefault(value.tag, plugin)
        content = _content(value, told, plugin)
        tag = value.tag.removesuffix("/text_summary") if isinstance(content, Text) else value.tag
        out.values.append((tag, content))
    return out


def _content(value: Any, told: str, plugin: str) -> Content:
    """`told`: the plugin by the value itself; `plugin`: by this or an earlier value of its tag."""
    if told == "hparams":
        return Settings(value.metadata.plugin_data.content)
    if told == _LAYOUT:
        return Unread("layouts of custom scalars", apart=True)
    if value.HasField("tensor"):
        return _of_tensor(value.tensor, plugin)
    if value.HasField("image"):
        return Pictures("image", ("",))
    if value.HasField("audio"):
        return Pictures("audio", ("",))
    if value.HasField("histo"):
        return _distribution(_legacy_histogram(value.histo))
    if value.simple_value:
        return float(value.simple_value[-1])
    return Unread("other values")


def _of_tensor(tensor: Any, plugin: str) -> Content:
    if plugin in _UNREAD:
        return Unread(_UNREAD[plugin])
    if plugin.startswith("graph"):
        return Unread(GRAPHS)
    if tensor.dtype == _STRING:
        if plugin in {"images", "image"}:
            # width, height, then the images
            return Pictures("image", ("",) * max(0, len(tensor.string_val) - 2))
        if plugin == "audio":
            return Pictures("audio", tuple(label for _, label in _sounds(tensor)))
        if plugin in {"text", ""}:
            return Text("\n".join(part.decode("utf-8", "replace") for part in tensor.string_val))
        return Unread("tensors")
    if plugin in {"histograms", "distributions"}:
        return _distribution(_tensor_histogram(tensor))
    found = _scalar(tensor)
    return Unread("tensors") if found is None else found


def _distribution(statistics: dict[str, float] | None) -> Distribution | Unread:
    return Unread("malformed histograms") if statistics is None else Distribution(statistics)


def _sounds(tensor: Any) -> list[tuple[bytes, str]]:
    """(bytes, label): a tensor of n x 2, or of n without labels."""
    parts: Sequence[bytes] = tensor.string_val
    dims = [dim.size for dim in tensor.tensor_shape.dim]
    if len(dims) == 2 and dims[1] == 2:
        return [
            (sound, label.decode("utf-8", "replace"))
            for sound, label in zip(parts[::2], parts[1::2], strict=False)
        ]
    return [(sound, "") for sound in parts]


def encoded_media(payload: bytes, kind: str, number: int, element: int) -> bytes:
    """The bytes of an `image` or a sound (`audio`) in an event: value `number`, its `element`.

    Raises ValueError if there is no such thing.
    """
    event: Any = Event()
    try:
        event.ParseFromString(payload)
        value = event.summary.value[number]
        if value.HasField("tensor"):
            if kind == "audio":
                return _sounds(value.tensor)[element][0]
            return bytes(value.tensor.string_val[2 + element])
    except (DecodeError, IndexError) as error:
        raise ValueError("the file has changed since it was read") from error
    return bytes(value.image.encoded_image_string or value.audio.encoded_audio_string)


@np.errstate(invalid="ignore")  # a signalling NaN becomes a quiet one
def _elements(tensor: Any) -> NDArray[np.float64] | None:
    """All numbers of a tensor. Where it lists fewer than its shape has, the last one repeats."""
    count = math.prod(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.dtype not in _DTYPES or not 0 <= count <= 3 * _MAX_BUCKETS:
        return None
    if tensor.tensor_content:
        dtype = np.dtype(_DTYPES[tensor.dtype])
        if len(tensor.tensor_content) != count * dtype.itemsize:
            return None
        return np.frombuffer(tensor.tensor_content, dtype=dtype).astype(np.float64)
    listed: NDArray[np.float64]
    if tensor.dtype == _HALF:
        bits = np.array(tensor.half_val, dtype=np.int64) & 0xFFFF
        listed = bits.astype(np.uint16).view(np.float16).astype(np.float64)
    else:
        lists = (tensor.float_val, tensor.double_val, tensor.int_val, tensor.int64_val)
        listed = np.array(next((v for v in lists if len(v)), ()), dtype=np.float64)
    if len(listed) > count:
        return None
    # protobuf leaves out what is zero all through
    filler = listed[-1] if len(listed) else 0.0
    return np.concatenate([listed, np.full(count - len(listed), filler)])


def _scalar(tensor: Any) -> float | None:
    """The number of a tensor with one element; None for any other."""
    found = _elements(tensor)
    return float(found[0]) if found is not None and len(found) == 1 else None


def _legacy_histogram(histo: Any) -> dict[str, float] | None:
    """Buckets by their upper limits; the outermost ones are +-1.8e308, so min and max count."""
    if not histo.num > 0:
        return {}
    low, high = histo.min, histo.max
    if not low <= high or len(histo.bucket) > _MAX_BUCKETS:
        return None
    edges = np.clip(np.concatenate([[low], np.array(histo.bucket_limit)]), low, high)
    try:
        found = summarised(edges, np.array(histo.bucket))
    except ValueError:
        return None
    return found and found | {"min": low, "max": high, "mean": histo.sum / histo.num}


def _tensor_histogram(tensor: Any) -> dict[str, float] | None:
    """Rows of left edge, right edge, count."""
    dims = [dim.size for dim in tensor.tensor_shape.dim]
    rows = _elements(tensor)
    if rows is None or len(dims) != 2 or dims[1] != 3:
        return None
    left, right, count = rows.reshape(-1, 3).T
    if not len(left):
        return {}
    if not (left[1:] == right[:-1]).all():
        return None
    try:
        return summarised(np.append(left, right[-1]), count)
    except ValueError:
        return None
