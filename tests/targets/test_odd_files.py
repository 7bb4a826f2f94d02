"""TFLite files that nobody expects, on every runtime of them: what it gives is right, or its refusal says why.

Tensors of one name, tensors without elements, no inputs, a variable, a loop: each held against numpy. Receipts add up.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils

from edgeworthy import kits
from edgeworthy.artifact import Feeds, TensorSpec, TFLiteModel
from edgeworthy.errors import EdgeworthyError
from edgeworthy.formats.tflite.summary import describe
from edgeworthy.targets.worker import Worker

from .conftest import Made

X = np.array([[0, -0.0, 1.5], [-7, 3e4, 0.25]], np.float32)
SPEC = TensorSpec("x", "float32", (2, 3))
NPU = "litert:npu,device=cpu,precision=float32"
KITS = {"litert:gpu": "gpu", "openvino": "openvino", NPU: "openvino", "browser:wasm": "browser"}
TARGETS = ("tflite", "tflite-2.14", "tflite-micro", "litert:gpu", "openvino", NPU, "arm64", "browser:wasm")


@dataclass(frozen=True)
class Case:
    """A file, what it is fed and what comes of that.

    Attributes:
        refused: Target → what is wrong with it there.
    """

    file: TFLiteModel
    feeds: Feeds
    expected: Feeds
    refused: dict[str, str]


def same_names(file: TFLiteModel, path: Path) -> TFLiteModel:
    model = flatbuffer_utils.read_model(str(file.path))
    for tensor in model.subgraphs[0].tensors:
        tensor.name = b"same"
    flatbuffer_utils.write_model(model, str(path))
    return describe(path)


def with_a_variable(tf: Any, folder: Path) -> TFLiteModel:
    class Sums(tf.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.sum = tf.Variable(tf.zeros([2, 3]))

        @tf.function(input_signature=[tf.TensorSpec([2, 3], tf.float32, "x")])  # type: ignore[untyped-decorator]
        def call(self, x: Any) -> dict[str, Any]:
            self.sum.assign_add(x)
            return {"y": self.sum.read_value() * 2.0}

    module = Sums()
    tf.saved_model.save(module, str(folder / "saved"), signatures={"serving_default": module.call})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
    converter.experimental_enable_resource_variables = True
    (folder / "variable.tflite").write_bytes(converter.convert())
    return describe(folder / "variable.tflite")


@pytest.fixture(scope="module")
def cases(made: Made, tensorflow: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    tf, folder = tensorflow, tmp_path_factory.mktemp("odd")
    two = made(lambda x, a: {"y": x - a * 2.0}, x=SPEC, a=TensorSpec("a", "float32", (2, 3)))
    empty = made(lambda x: {"none": x[:, :0], "y": x + 1.0}, x=SPEC)
    nothing = made(lambda: {"y": tf.constant([0.5, -2.0])})
    loop = made(lambda x: {"y": tf.while_loop(lambda a: tf.reduce_max(a) < 1e6, lambda a: [a * 4.0], [x])[0]}, x=SPEC)
    by_name = "OpenVINO tells tensors apart by their names, and several of this file have one: 'same'"
    dropped = "OpenVINO left .* out of the model"
    elements = "no tensor without elements"
    return {
        "one name": Case(
            same_names(two, folder / "same.tflite"),
            {"x": X, "a": X[::-1].copy()},
            {"y": X - X[::-1] * 2},
            {"openvino": by_name, NPU: by_name},
        ),
        "no elements": Case(
            empty,
            {"x": X},
            {"none": X[:, :0], "y": X + 1},
            {"litert:gpu": elements, NPU: elements, "openvino": dropped, "browser:wasm": elements},
        ),
        "no inputs": Case(nothing, {}, {"y": np.array([0.5, -2], np.float32)}, {"openvino": dropped}),
        "loop": Case(loop, {"x": X}, {"y": X * 4**3}, {}),
        "variable": Case(
            with_a_variable(tf, folder),
            {"x": X},
            {"y": X * 2},
            {"openvino": "OpenVINO can't run this file"},
        ),
    }


@pytest.mark.parametrize(
    "target", ["tflite", *(pytest.param(t, marks=pytest.mark.device) for t in TARGETS if t != "tflite")]
)
def test_it_is_right_or_refused(cases: dict[str, Case], target: str, request: pytest.FixtureRequest) -> None:
    if target != "tflite" and kits.look(kits.KITS[KITS.get(target, target)]).status != "ready":
        pytest.skip(f"its kit isn't there: edgeworthy targets install {KITS.get(target, target)}")
    if target.startswith("browser") and not shutil.which("chromium"):
        pytest.skip("Chromium is missing: apt-get install chromium")
    worker = Worker(target, timeout_s=60)
    with worker:
        for name, case in cases.items():
            if (target, name) == (NPU, "variable"):
                continue  # LiteRT reads a variable that its NPU's part assigns too early: parity's to find
            if said := case.refused.get(target):
                with pytest.raises(EdgeworthyError, match=said) as caught:
                    worker.load(case.file)
                    worker.run(case.feeds)
                assert caught.value.exit_code == 1, name
                continue
            worker.load(case.file)
            found = worker.run(case.feeds)
            assert list(found) == list(case.expected), name
            for output, array in case.expected.items():
                assert (found[output].shape, found[output].dtype) == (array.shape, array.dtype), (name, output)
                np.testing.assert_allclose(found[output], array, rtol=1e-6, err_msg=name)
            receipt = worker.receipt
            if receipt.delegated is not None:
                left = (receipt.nodes or 0) - receipt.delegated
                untold = any("tell which" in note for note in receipt.notes)
                assert len(receipt.fallback) == (0 if untold else left) and left >= 0, (name, receipt)
            assert worker.time(case.feeds, 2), name
