"""Models to export: of floats, of steps, of integers and booleans under bad names, of two signatures."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgeworthy.artifact import TFLiteModel
from edgeworthy.quantize.calibration import load_calibration
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe

from ..quantize import tflite_graph
from ..quantize.conftest import normal_feeds

BAD_NAMES = {
    "in": "bool", "a:b c": "int64", 'fun $x*/"': "int32", "1st": "float32", "model": "float32",
    "serving_default_outputs": "int32",
}  # fmt: skip
"""Keywords, separators, what ends a string or a comment, a digit in front, members of the class; of every dtype."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("android")


@pytest.fixture(scope="session")
def float_net(folder: Path) -> TFLiteModel:
    return tflite_graph.conv_net(folder / "my net:v1.tflite")


@pytest.fixture(scope="session")
def steps_nets(float_net: TFLiteModel, folder: Path) -> dict[str, TFLiteModel]:
    """The dtype of inputs and outputs → a quantized file."""
    stored = folder / "calibration.npz"
    feeds = normal_feeds(float_net, 16)
    np.savez(stored, **{n: np.stack([feed[n] for feed in feeds]) for n in feeds[0]})
    data = load_calibration(stored, float_net.inputs)
    return {
        dtype: quantize(
            float_net, folder / f"{dtype}.tflite", Recipe.of("int8", io_dtype=dtype), calibration=data
        ).model
        for dtype in ("int8", "uint8")
    }


@pytest.fixture(scope="session")
def bad_names(folder: Path) -> Path:
    """Every dtype through a reshape, under `BAD_NAMES`."""
    graph = tflite_graph.Graph(**{name: ((1, 4), dtype) for name, dtype in BAD_NAMES.items()})
    shape = tflite_graph.i32(2, 2)
    outputs = {
        name: graph.op("reshape", [value, shape], (2, 2), dtype)
        for (name, dtype), value in zip(BAD_NAMES.items(), graph.inputs, strict=True)
    }
    return graph.save(folder / "bad_names.tflite", **outputs).path


@pytest.fixture(scope="session")
def two_signatures(float_net: TFLiteModel, folder: Path) -> Path:
    """`float_net` whose graph is called ``object`` too, under other names."""

    def change(model: Any) -> None:
        other = copy.deepcopy(model.signatureDefs[0])
        other.signatureKey = b"object"
        other.inputs[0].name = b"x"
        model.signatureDefs.append(other)

    return edited(float_net.path, folder / "two.tflite", change)


@pytest.fixture(scope="session")
def no_signature(float_net: TFLiteModel, folder: Path) -> Path:
    return edited(float_net.path, folder / "none.tflite", lambda model: setattr(model, "signatureDefs", None))


def edited(path: Path, to: Path, change: Any) -> Path:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    change(model)
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    to.write_bytes(bytes(builder.Output()))
    return to
