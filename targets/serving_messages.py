"""TensorFlow Serving's messages, as far as a client needs them.

Made at run time from their field numbers, which are all that is on the wire: the package that has them generated,
tensorflow-serving-api, asks for another TensorFlow. Source: ``tensorflow_serving/apis`` (``model.proto``,
``predict.proto``, ``get_model_status.proto``), version 2.21.
"""

from __future__ import annotations

from functools import cache
from typing import Any

PREDICT = "/tensorflow.serving.PredictionService/Predict"
MODEL_STATUS = "/tensorflow.serving.ModelService/GetModelStatus"

AVAILABLE, END = 30, 50
"""States of a model's version: it serves; it is gone, for the reason in its status."""

_STRING, _INT32, _INT64, _MESSAGE = 9, 5, 3, 11
_PACKAGE = "edgeworthy.serving"
_TENSOR = ".tensorflow.TensorProto"

_FIELDS: dict[str, tuple[tuple[int, str, int | str, bool], ...]] = {
    "ModelSpec": ((1, "name", _STRING, False), (3, "signature_name", _STRING, False)),
    "PredictRequest": ((1, "model_spec", "ModelSpec", False), (2, "inputs", _TENSOR, True)),
    "PredictResponse": ((1, "outputs", _TENSOR, True),),
    "GetModelStatusRequest": ((1, "model_spec", "ModelSpec", False),),
    "StatusProto": ((1, "error_code", _INT32, False), (2, "error_message", _STRING, False)),
    "ModelVersionStatus": (
        (1, "version", _INT64, False),
        (2, "state", _INT32, False),
        (3, "status", "StatusProto", False),
    ),
    "GetModelStatusResponse": ((1, "model_version_status", "ModelVersionStatus", True),),
}
"""Message → (number, name, type, whether it repeats); tensors that repeat are a map by name."""


@cache
def message(name: str) -> Any:
    """The class of a message."""
    from google.protobuf import descriptor_pool, message_factory  # type: ignore[import-untyped]
    from tensorflow.core.framework import tensor_pb2

    pool = descriptor_pool.Default()  # where tensor.proto is
    try:
        found = pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
    except KeyError:
        pool.Add(_file(tensor_pb2.DESCRIPTOR.name))
        found = pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
    return message_factory.GetMessageClass(found)


def _file(tensors: str) -> Any:
    from google.protobuf import descriptor_pb2

    file = descriptor_pb2.FileDescriptorProto(
        name="edgeworthy/serving.proto", package=_PACKAGE, syntax="proto3", dependency=[tensors]
    )
    for name, fields in _FIELDS.items():
        made = file.message_type.add(name=name)
        for number, field, kind, repeats in fields:
            added = made.field.add(name=field, number=number, label=3 if repeats else 1)
            if isinstance(kind, int):
                added.type = kind
                continue
            added.type = _MESSAGE
            added.type_name = kind if kind.startswith(".") else f".{_PACKAGE}.{kind}"
            if kind == _TENSOR:
                entry = made.nested_type.add(name=f"{field.title()}Entry")
                entry.options.map_entry = True
                entry.field.add(name="key", number=1, label=1, type=_STRING)
                entry.field.add(name="value", number=2, label=1, type=_MESSAGE, type_name=_TENSOR)
                added.type_name = f".{_PACKAGE}.{name}.{entry.name}"
    return file
