"""One small network as PyTorch factory, ONNX file, SavedModel and TFLite files, each made without edgeworthy."""

from __future__ import annotations

import contextlib
import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import OnnxModel, SavedModel, TensorSpec, TFLiteModel
from edgeworthy.errors import NotAvailable
from edgeworthy.formats.tflite.summary import describe
from edgeworthy.targets import get
from edgeworthy.targets.pytorch import PyTorchModel

from . import chips

NCHW = (TensorSpec("image", "float32", ("batch", 3, 8, 8)),)
NHWC = (TensorSpec("image", "float32", ("batch", 8, 8, 3)),)
LOGITS = (TensorSpec("logits", "float32", ("batch", 5)),)

FACTORIES = """
    import os, sys, time
    import torch
    from torch import nn


    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.head = nn.Linear(256, 5)
            self.example_inputs = {"image": torch.ones(1, 3, 8, 8)}

        def forward(self, image):
            x = torch.relu(self.conv(image)) + torch.zeros(1)
            return self.head(x.flatten(1))


    def make():
        return Net()


    class Here(Net):
        def forward(self, image):
            x = torch.relu(self.conv(image)) + torch.zeros(1, device=image.device)
            return self.head(x.flatten(1))


    class Wanders(Here):
        def forward(self, image):
            return super().forward(image).cpu().exp()


    def aborts():
        print("last words", file=sys.stderr, flush=True)
        os.abort()


    def leaves():
        os._exit(7)


    def hangs():
        time.sleep(1000)


    class Raises(Net):
        def forward(self, image):
            raise ArithmeticError("boom in forward")


    class AbortsLater(Net):
        def forward(self, image):
            if image.shape[0] == 3:
                os.abort()
            return super().forward(image)


    class Chatty(Net):
        def forward(self, image):
            print("chatter on stdout")
            os.write(2, b"chatter on stderr\\n")
            return super().forward(image)
"""


@pytest.fixture(scope="session")
def factory_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("factory") / "net.py"
    path.write_text(textwrap.dedent(FACTORIES))
    return path


@pytest.fixture(scope="session")
def net(factory_file: Path) -> Any:
    import importlib.util

    import torch

    spec = importlib.util.spec_from_file_location("edgeworthy_test_net", factory_file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    return module.make().eval()


@pytest.fixture(scope="session")
def pytorch_model(factory_file: Path, net: Any, tmp_path_factory: pytest.TempPathFactory) -> PyTorchModel:
    from edgeworthy.targets.pytorch import snapshot

    weights = snapshot(net, tmp_path_factory.mktemp("weights") / "net.pt")
    return PyTorchModel.of(f"{factory_file}:make", NCHW, LOGITS, weights=weights)


@pytest.fixture(scope="session")
def onnx_model(net: Any, tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    import torch

    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    torch.onnx.export(
        net,
        (torch.ones(1, 3, 8, 8),),
        str(path),
        dynamo=False,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
    )
    return OnnxModel(path, NCHW, LOGITS)


@pytest.fixture(scope="session")
def tensorflow() -> Iterator[Any]:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    yield pytest.importorskip("tensorflow")


@pytest.fixture(scope="session")
def saved_model(net: Any, tensorflow: Any, tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """The network in channels-last: the image is NHWC here."""
    tf = tensorflow
    state = {name: value.detach().numpy() for name, value in net.state_dict().items()}

    class Module(tf.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.kernel = tf.Variable(state["conv.weight"].transpose(2, 3, 1, 0))
            self.bias = tf.Variable(state["conv.bias"])
            # PyTorch flattens CHW, here HWC is flattened.
            self.head = tf.Variable(state["head.weight"].reshape(5, 4, 8, 8).transpose(2, 3, 1, 0).reshape(256, 5))
            self.head_bias = tf.Variable(state["head.bias"])

        def call(self, image: Any) -> dict[str, Any]:
            x = tf.nn.relu(tf.nn.conv2d(image, self.kernel, 1, "SAME") + self.bias)
            return {"logits": tf.matmul(tf.reshape(x, [-1, 256]), self.head) + self.head_bias}

    module = Module()
    signature = tf.function(module.call).get_concrete_function(
        image=tf.TensorSpec([None, 8, 8, 3], tf.float32, name="image")
    )
    path = tmp_path_factory.mktemp("tensorflow") / "saved_model"
    tf.saved_model.save(module, str(path), signatures={"serving_default": signature})
    return SavedModel(path, NHWC, LOGITS)


def _tflite(tf: Any, saved: SavedModel, path: Path, **options: Any) -> Path:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved.path))
    for name, value in options.items():
        setattr(converter, name, value)
    if "representative_dataset" in options:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    path.write_bytes(converter.convert())
    return path


def _calibration() -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(1)
    for _ in range(16):
        yield {"image": random.normal(size=(1, 8, 8, 3)).astype(np.float32)}


@pytest.fixture(scope="session")
def tflite_model(saved_model: SavedModel, tensorflow: Any) -> TFLiteModel:
    path = _tflite(tensorflow, saved_model, saved_model.path.parent / "float.tflite")
    return TFLiteModel(path, NHWC, LOGITS)


@pytest.fixture(scope="session")
def tflite_int8(saved_model: SavedModel, tensorflow: Any) -> TFLiteModel:
    """Quantized, with int8 input and output."""
    tf = tensorflow
    path = _tflite(
        tf,
        saved_model,
        saved_model.path.parent / "int8.tflite",
        optimizations=[tf.lite.Optimize.DEFAULT],
        representative_dataset=_calibration,
        inference_input_type=tf.int8,
        inference_output_type=tf.int8,
    )
    inputs = (TensorSpec("image", "int8", NHWC[0].shape),)
    outputs = (TensorSpec("logits", "int8", LOGITS[0].shape),)
    return TFLiteModel(path, inputs, outputs, scheme="static_wi8_ai8")


@pytest.fixture(scope="session")
def images() -> Any:
    """Float images, NCHW."""
    return np.random.default_rng(7).normal(size=(2, 3, 8, 8)).astype(np.float32)


@pytest.fixture(scope="session")
def expected(net: Any, images: Any) -> Any:
    """What the network gives for ``images``, in float64."""
    import copy

    import torch

    torch.set_default_dtype(torch.float32)
    with torch.no_grad():
        return copy.deepcopy(net).double()(torch.from_numpy(images).double()).numpy()


@pytest.fixture(scope="session")
def partly_delegated(tmp_path_factory: pytest.TempPathFactory) -> TFLiteModel:
    """Relu → CumSum → Sigmoid: XNNPACK has no CUMSUM."""
    import onnx

    from edgeworthy.convert import convert

    folder = tmp_path_factory.mktemp("partly")
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 3]) for name in "xy")
    nodes = [
        onnx.helper.make_node("Relu", ["x"], ["a"]),
        onnx.helper.make_node("CumSum", ["a", "axis"], ["b"]),
        onnx.helper.make_node("Sigmoid", ["b"], ["y"]),
    ]
    axis = onnx.helper.make_tensor("axis", onnx.TensorProto.INT64, [], [1])
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], [axis])
    opset = [onnx.helper.make_opsetid("", 20)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), folder / "m.onnx")
    made = convert(folder / "m.onnx", folder, to=["tflite"]).tflite
    assert made is not None
    return made


Made = Callable[..., TFLiteModel]
"""Makes a TFLite file of a function and its inputs' specs, by name; options are the converter's."""


@pytest.fixture(scope="session")
def made(tensorflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Made:
    tf = tensorflow

    def make(function: Callable[..., Any], options: dict[str, Any] | None = None, **inputs: TensorSpec) -> TFLiteModel:
        dims = {n: [d if isinstance(d, int) else None for d in spec.shape] for n, spec in inputs.items()}
        specs = [tf.TensorSpec(dims[n], spec.dtype, name=n) for n, spec in inputs.items()]
        module = tf.Module()
        module.call = tf.function(function, input_signature=specs)
        folder = tmp_path_factory.mktemp("made")
        tf.saved_model.save(module, str(folder / "saved"), signatures={"serving_default": module.call})
        path = _tflite(tf, SavedModel(folder / "saved", (), ()), folder / "made.tflite", **(options or {}))
        return describe(path)

    return make


_CHROMIUMS = "litert:gpu,driver=/usr/lib/chromium/vk_swiftshader_icd.json"


@pytest.fixture(scope="session")
def gpu() -> str:
    """``litert:gpu`` as it finds a device here: the machine's own, the kit's, or the one in Debian's Chromium."""
    for text in ("litert:gpu", _CHROMIUMS):
        with contextlib.suppress(NotAvailable):
            get(text).version()
            return text
    pytest.skip("no GPU, and none in software: edgeworthy targets install gpu")


@pytest.fixture(scope="session")
def branches(tmp_path_factory: pytest.TempPathFactory) -> TFLiteModel:
    """An operator a branch, in int8; ``model.onnx`` and the float file are beside it."""
    return chips.int8(tmp_path_factory.mktemp("branches"), "Branches")


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> TFLiteModel:
    """What every chip takes, in int8."""
    return chips.int8(tmp_path_factory.mktemp("plain"), "Plain")
