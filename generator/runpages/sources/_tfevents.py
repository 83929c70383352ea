"""The messages of TensorBoard's event files, their checksum, and the account of damage.

Field numbers: tensorflow/core/util/event.proto, framework/summary.proto, framework/tensor.proto;
tensorboard/plugins/hparams/plugin_data.proto.
"""

from __future__ import annotations

from dataclasses import dataclass

from google_crc32c import value as crc32c

from ._protobuf import declare

__all__ = ["Damage", "Event", "HParams", "Metadata", "masked_crc"]

MESSAGES = declare(
    "runpages.tfevents",
    {
        "Event": {
            "wall_time": "1 double",
            "step": "2 int64",
            "file_version": "3 string",
            "graph_def": "4 bytes",
            "summary": "5 Summary",
            "session_log": "7 SessionLog",
            "tagged_run_metadata": "8 bytes",
            "meta_graph_def": "9 bytes",
        },
        "SessionLog": {"status": "1 int32"},
        "Summary": {"value": "1 *Value"},
        "Value": {
            "tag": "1 string",
            # repeated only to tell 0.0 from "no such field": the real one is in a oneof
            "simple_value": "2 *float",
            "image": "4 Image",
            "histo": "5 Histogram",
            "audio": "6 Audio",
            "tensor": "8 Tensor",
            "metadata": "9 Metadata",
        },
        "Image": {"encoded_image_string": "4 bytes"},
        "Audio": {"encoded_audio_string": "4 bytes"},
        "Histogram": {
            "min": "1 double",
            "max": "2 double",
            "num": "3 double",
            "sum": "4 double",
            "bucket_limit": "6 *double",
            "bucket": "7 *double",
        },
        "Metadata": {"plugin_data": "1 Plugin"},
        "Plugin": {"plugin_name": "1 string", "content": "2 bytes"},
        "Tensor": {
            "dtype": "1 int32",
            "tensor_shape": "2 Shape",
            "tensor_content": "4 bytes",
            "float_val": "5 *float",
            "double_val": "6 *double",
            "int_val": "7 *int32",
            "string_val": "8 *bytes",
            "int64_val": "10 *int64",
            "half_val": "13 *int32",
        },
        "Shape": {"dim": "2 *Dim"},
        "Dim": {"size": "1 int64"},
        "HParams": {
            "experiment": "2 Experiment",
            "session_start_info": "3 SessionStart",
            "session_end_info": "4 SessionEnd",
        },
        "Experiment": {"description": "1 string", "user": "2 string"},
        "SessionStart": {
            "hparams": "1 *Setting",
            "group_name": "4 string",
            "start_time_secs": "5 double",
        },
        "SessionEnd": {"status": "1 int32", "end_time_secs": "2 double"},
        # an entry of a map<string, google.protobuf.Value>
        "Setting": {"key": "1 string", "value": "2 Json"},
        "Json": {
            # repeated for the same reason as above
            "number_value": "2 *double",
            "string_value": "3 *string",
            "bool_value": "4 *bool",
            "struct_value": "5 Struct",
            "list_value": "6 List",
        },
        "Struct": {"fields": "1 *Setting"},
        "List": {"values": "1 *Json"},
    },
)
Event = MESSAGES["Event"]
Metadata = MESSAGES["Metadata"]
HParams = MESSAGES["HParams"]


def masked_crc(data: bytes) -> int:
    """CRC-32C, rotated and offset as TensorFlow stores it."""
    crc = int(crc32c(data))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@dataclass(slots=True)
class Damage:
    """What could not be read of one file."""

    records: int = 0
    bytes: int = 0
    truncated: bool = False
    first_at: int | None = None
    oversized: int = 0
    """Records that are whole but larger than anything that is decoded."""

    def note(self, position: int, size: int) -> None:
        self.records += 1
        self.bytes += size
        self.first_at = position if self.first_at is None else min(self.first_at, position)
