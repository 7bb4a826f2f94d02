"""Small models of static shapes, and LiteRT's own reading of them."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from edgeworthy import kits
from edgeworthy.artifact import SavedModel, TensorSpec, TFLiteModel
from edgeworthy.formats import saved_model
from edgeworthy.formats.tflite.summary import describe

NEEDED = pytest.mark.skipif(
    kits.look(kits.KITS["browser"]).status != "ready" or shutil.which("chromium") is None,
    reason="its kit or Chromium isn't there: edgeworthy targets install browser; apt-get install chromium",
)

Made = Callable[..., TFLiteModel]
EDGES = np.float32([0, -0.0, 1e-30, 1e30, -1e30, 2.5, -2.5, 0.5])


@pytest.fixture(scope="session")
def saved(tensorflow: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SavedModel]:
    """A SavedModel of a function of tensors: ``saved(lambda x: {"y": x}, x=TensorSpec("x", "float32", (2, 3)))``."""
    tf = tensorflow

    def save(function: Callable[..., dict[str, Any]], **inputs: TensorSpec) -> SavedModel:
        specs = {n: tf.TensorSpec([d if isinstance(d, int) else None for d in s.shape], s.dtype, name=n)
                 for n, s in inputs.items()}  # fmt: skip
        concrete = tf.function(function).get_concrete_function(**specs)
        module = tf.Module()
        module.function = concrete
        path = tmp_path_factory.mktemp("saved") / "saved model"
        tf.saved_model.save(module, str(path), signatures={"serving_default": concrete})
        return saved_model.describe(path, saved_model.load(path))

    return save


@pytest.fixture(scope="session")
def made(tensorflow: Any, saved: Callable[..., SavedModel]) -> Made:
    """A TFLite file of a function of tensors; quantized to int8 with inputs of ``io`` where one is given."""
    tf = tensorflow

    def make(function: Callable[..., dict[str, Any]], io: Any = None, **inputs: TensorSpec) -> TFLiteModel:
        model = saved(function, **inputs)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(model.path))
        if io is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: calibration(inputs)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.as_dtype(io)
        path = model.path.parent / "a model.tflite"
        path.write_bytes(converter.convert())
        return describe(path, "float32" if io is None else "static_wi8_ai8")

    return make


def calibration(inputs: Mapping[str, TensorSpec]) -> Iterator[dict[str, Any]]:
    random = np.random.default_rng(1)
    for _ in range(8):
        yield {n: random.normal(size=s.concrete_shape()).astype(np.float32) for n, s in inputs.items()}


def images(*shape: int) -> dict[str, TensorSpec]:
    return {"image": TensorSpec("image", "float32", shape)}


@pytest.fixture(scope="session")
def classify(tensorflow: Any) -> Callable[[Any], dict[str, Any]]:
    """conv → relu → dense, of images [N, 8, 8, 3]."""
    tf, random = tensorflow, np.random.default_rng(0)
    kernel, bias, head = (random.normal(size=s).astype(np.float32) for s in ((3, 3, 3, 4), (4,), (256, 5)))

    def function(image: Any) -> dict[str, Any]:
        x = tf.nn.relu(tf.nn.conv2d(image, kernel, 1, "SAME") + bias)
        return {"logits": tf.matmul(tf.reshape(x, [-1, 256]), head)}

    return function


def picture(batch: int, *, edges: bool = True) -> dict[str, Any]:
    """Images with zeros and extremes; the last is zero altogether."""
    image = np.random.default_rng(11).normal(size=(batch, 8, 8, 3)).astype(np.float32)
    if edges:
        image[0, 0, :, 0] = EDGES
    if batch > 1:
        image[-1] = 0
    return {"image": image}


def litert(model: TFLiteModel, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """What LiteRT's interpreter gives."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(model.path), num_threads=1)
    found: dict[str, Any] = interpreter.get_signature_runner("serving_default")(**feeds)
    return found


def browsers() -> list[psutil.Process]:
    """Every Chromium that edgeworthy has started and that runs, and every guard."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if process.info["status"] != psutil.STATUS_ZOMBIE and "/edgeworthy-browser-" in " ".join(
            process.info["cmdline"] or ()
        ):
            found.append(process)
    return found


def folders(place: Path) -> list[Path]:
    return [*place.glob("edgeworthy-browser-*"), *place.glob("playwright*")]


def tidied(place: Path, patience: float = 15) -> bool:
    """Whether nothing of a browser with its files in ``place`` is left, within so many seconds."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        left = [p for p in browsers() if p.is_running() and str(place) in " ".join(p.info["cmdline"])]
        if not folders(place) and not left:
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that browsers of this test, and only they, write to; its name is short."""
    with tempfile.TemporaryDirectory(prefix="ew") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)  # a worker's own is made in it
        yield Path(folder)
