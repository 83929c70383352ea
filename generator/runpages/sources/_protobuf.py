"""Protobuf messages declared as tables, so that reading a log needs no tracker's SDK.

Only the fields that are read are declared; the decoder skips the rest. Field numbers of a
published wire format do not change, while the SDKs' Python modules do move.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

__all__ = ["declare"]

_TYPES = {
    name.removeprefix("TYPE_").lower(): number
    for name, number in descriptor_pb2.FieldDescriptorProto.Type.items()
}


def declare(package: str, tables: Mapping[str, Mapping[str, str]]) -> dict[str, type[Message]]:
    """Message classes from `{message: {field: "number type"}}`.

    `type` is a protobuf scalar (`double`, `int64`, `string`, `bytes`...), or the name of another
    message in the tables; a leading `*` makes it repeated (`"2 *string"`).
    """
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    for message_name, fields in tables.items():
        message = file.message_type.add(name=message_name)
        for field_name, declaration in fields.items():
            number, type_name = declaration.split()
            field = message.field.add(name=field_name, number=int(number))
            repeated = type_name.startswith("*")
            type_name = type_name.removeprefix("*")
            field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            if type_name in _TYPES:
                field.type = _TYPES[type_name]
            else:
                field.type = field.TYPE_MESSAGE
                field.type_name = f".{package}.{type_name}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in tables
    }
