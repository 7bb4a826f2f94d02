"""TensorFlow.js in the real Chromium, on graph models of its own converter, held against TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

from edgeworthy.artifact import SavedModel, TensorSpec
from edgeworthy.convert.conversion import convert
from edgeworthy.errors import BadInput, CheckFailed, NotAvailable, RuntimeFailure
from edgeworthy.targets import find
from edgeworthy.targets.worker import Worker

from .conftest import NEEDED, picture, tidied

pytestmark = [pytest.mark.device, NEEDED]

Saved = Callable[..., SavedModel]


def reading(tf: Any, model: SavedModel, feeds: dict[str, Any]) -> dict[str, Any]:
    """TensorFlow's own."""
    loaded = tf.saved_model.load(str(model.path))
    return {n: t.numpy() for n, t in loaded.signatures["serving_default"](**feeds).items()}


@pytest.fixture(scope="module")
def classifier(saved: Saved, classify: Callable[[Any], dict[str, Any]]) -> SavedModel:
    return saved(classify, image=TensorSpec("image", "float32", ("batch", 8, 8, 3)))


@pytest.mark.parametrize(("backend", "threads"), [("wasm", 1), ("wasm", 2), ("webgl", 1), ("cpu", 1)])
def test_every_backend_matches_tensorflow(
    classifier: SavedModel, tensorflow: Any, place: Any, backend: str, threads: int
) -> None:
    with Worker(f"tfjs,backend={backend}", classifier, threads=threads) as worker:
        for feeds in (picture(3, edges=False), picture(1, edges=False), {"image": np.zeros((2, 8, 8, 3), np.float32)}):
            found, expected = worker.run(feeds)["logits"], reading(tensorflow, classifier, feeds)["logits"]
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * 256)
        assert len(worker.time(feeds, 3)) == 3
        receipt = worker.receipt
        assert worker.version == "4.22.0" and 0 < worker.load_ms < 60_000
    assert receipt.asked == backend and receipt.ran.startswith(f"TensorFlow.js, {backend}") and receipt.nodes == 3
    assert receipt.delegated == (None if backend == "webgl" else 3)
    assert receipt.measured == ("emulated" if "SwiftShader" in receipt.ran else None)
    ran = 2 if ", 2 threads" in receipt.ran else 1
    assert backend != "wasm" or ran == threads or any("half of the cores" in note for note in receipt.notes)
    assert tidied(place)  # the graph model too


def test_dtypes_several_outputs_and_shapes_that_depend_on_values(saved: Saved, tensorflow: Any) -> None:
    tf = tensorflow

    def several(ids: Any, on: Any, x: Any) -> dict[str, Any]:
        y = tf.nn.relu(x)
        chosen = tf.where(on, y, -y)
        return {"next": ids + 1, "not": tf.logical_not(on), "a": chosen, "b": chosen, "fed": x, "where": tf.where(on)}

    shape = ("rows", 3)
    model = saved(several, ids=TensorSpec("ids", "int64", shape), on=TensorSpec("on", "bool", shape),
                  x=TensorSpec("x", "float32", shape))  # fmt: skip
    feeds = {"ids": np.int64([[0, -1, 2**31 - 2], [3, 2, 1]]), "on": np.bool_([[1, 0, 1], [0, 0, 1]]),
             "x": np.float32([[0, -1, 2], [3, 1e30, -0.0]])}  # fmt: skip
    with Worker("tfjs", model) as worker:
        found, expected = worker.run(feeds), reading(tf, model, feeds)
        assert list(found) == [spec.name for spec in model.outputs]
        for name, array in expected.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)
        with pytest.raises(BadInput, match="'ids' has a value beyond"):
            worker.run(feeds | {"ids": np.full((2, 3), 2**31, np.int64)})


def test_an_output_that_is_a_constant_is_there_the_next_time_too(saved: Saved, tensorflow: Any) -> None:
    tf = tensorflow
    model = saved(lambda x: {"c": tf.constant([0.5, -2.0]), "y": x + 1.0}, x=TensorSpec("x", "float32", (2,)))
    with Worker("tfjs", model) as worker:
        assert len(worker.time({"x": np.array([1, 2], np.float32)}, 3)) == 3
        found = worker.run({"x": np.array([0, -1], np.float32)})
    np.testing.assert_array_equal(found["c"], np.float32([0.5, -2]))
    np.testing.assert_array_equal(found["y"], np.float32([1, 0]))


def test_a_linear_layer_of_ours(tmp_path: Path) -> None:
    """On WebAssembly, TensorFlow.js adds a wrong bias to a product with transposed weights."""
    generator = np.random.default_rng(0)
    weights, bias = generator.normal(size=(5, 64)).astype(np.float32), generator.normal(size=5).astype(np.float32)
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[n, 64] x) => (float[n, 5] y) {y = Gemm<transB=1>(x, w, b)}'
    )
    model.graph.initializer.extend(
        [onnx.numpy_helper.from_array(weights, "w"), onnx.numpy_helper.from_array(bias, "b")]
    )
    onnx.save(model, tmp_path / "m.onnx")
    made = convert(tmp_path / "m.onnx", tmp_path / "out", to=["saved_model"]).saved_model
    assert made is not None
    x = generator.normal(size=(3, 64)).astype(np.float32)
    with Worker("tfjs", made) as worker:
        np.testing.assert_allclose(worker.run({"x": x})["y"], x @ weights.T + bias, rtol=1e-5, atol=1e-5)


def test_a_loop_runs(saved: Saved, tensorflow: Any) -> None:
    tf = tensorflow

    def power(x: Any, times: Any) -> dict[str, Any]:
        _, y = tf.while_loop(lambda i, y: i < times, lambda i, y: (i + 1, y * x), (0, tf.ones_like(x)))
        return {"y": y}

    model = saved(power, x=TensorSpec("x", "float32", (2,)), times=TensorSpec("times", "int32", ()))
    with Worker("tfjs", model) as worker:
        for times in (0, 1, 5):
            feeds = {"x": np.float32([2, -3]), "times": np.array(times, np.int32)}
            np.testing.assert_array_equal(worker.run(feeds)["y"], np.float32([2.0**times, (-3.0) ** times]))


def test_what_tensorflowjs_lacks_is_named(saved: Saved, tensorflow: Any) -> None:
    tf = tensorflow
    x = TensorSpec("x", "float32", (4, 4))
    with pytest.raises(CheckFailed, match=r"TensorFlow\.js has no operator MatrixInverse") as lacking:
        Worker("tfjs", saved(lambda x: {"y": tf.linalg.inv(x)}, x=x)).__enter__()
    assert "browser:wasm" in str(lacking.value.remedy)
    with pytest.raises(CheckFailed, match="no float64 tensors"):
        Worker("tfjs", saved(lambda x: {"y": tf.cast(x, tf.float64)}, x=x)).__enter__()


def test_a_backend_that_lacks_a_kernel_is_a_failed_row(saved: Saved, tensorflow: Any) -> None:
    x = TensorSpec("x", "float32", (3, 4))
    model = saved(lambda x: {"y": tensorflow.einsum("ij,kj->ik", x, x + 1.0)}, x=x)
    feeds = {"x": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)}
    with Worker("tfjs,backend=cpu", model) as worker:
        np.testing.assert_allclose(worker.run(feeds)["y"], reading(tensorflow, model, feeds)["y"], rtol=1e-6, atol=1e-6)
    with Worker("tfjs,backend=wasm", model) as worker, pytest.raises(RuntimeFailure, match=r"Kernel 'Einsum'.*wasm"):
        worker.run(feeds)


def test_names_and_options(classifier: SavedModel) -> None:
    with pytest.raises(BadInput, match="wasm, webgl, cpu"):
        find("tfjs,backend=node")
    with pytest.raises(NotAvailable, match="no Chromium"):
        Worker("tfjs,chromium=/nowhere", classifier).__enter__()
    with (
        pytest.raises(CheckFailed, match="webgl was asked for, and doesn't tell what it took"),
        Worker("tfjs,backend=webgl,require_full_delegation=true", classifier) as worker,
    ):
        worker.run({"image": picture(1)["image"]})
