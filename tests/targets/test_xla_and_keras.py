"""TensorFlow compiled by XLA, Keras' TFSMLayer, and what their receipts are read from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import SavedModel, TensorSpec
from edgeworthy.errors import RuntimeFailure
from edgeworthy.targets.tensorflow_receipt import Placed, Program, placed, placement, program, read_hlo, recorded
from edgeworthy.targets.worker import Worker

PAIR = (TensorSpec("a", "float32", ("n", 4)), TensorSpec("b", "int64", ("n", 4)))
RESULTS = (TensorSpec("y", "float32", ("n", 4)), TensorSpec("z", "int64", ("n", 4)))


@pytest.fixture(scope="session")
def pair_model(tensorflow: Any, tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """y = relu(a·w) + b with w of ones, z = 2·b."""
    tf = tensorflow

    class Pair(tf.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable(np.ones((4, 4), np.float32))

        def call(self, a: Any, b: Any) -> dict[str, Any]:
            return {"y": tf.nn.relu(a @ self.w) + tf.cast(b, tf.float32), "z": b * 2}

    return saved(tf, Pair(), tmp_path_factory.mktemp("pair") / "saved_model", PAIR, RESULTS)


@pytest.fixture(scope="session")
def texts_model(tensorflow: Any, tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """Strings, which XLA has none of."""
    tf = tensorflow

    class Texts(tf.Module):  # type: ignore[name-defined,misc]
        def call(self, a: Any, b: Any) -> dict[str, Any]:
            return {"y": a, "z": tf.strings.to_number(tf.strings.as_string(b), tf.int64)}

    return saved(tf, Texts(), tmp_path_factory.mktemp("texts") / "saved_model", PAIR, RESULTS)


def saved(tf: Any, module: Any, path: Path, inputs: Any, outputs: Any) -> SavedModel:
    specs = {s.name: tf.TensorSpec([None, *s.shape[1:]], s.dtype, name=s.name) for s in inputs}
    signature = tf.function(module.call).get_concrete_function(**specs)
    tf.saved_model.save(module, str(path), signatures={"serving_default": signature})
    return SavedModel(path, inputs, outputs)


def feeds(n: int) -> dict[str, Any]:
    a = np.linspace(-2, 2, n * 4, dtype=np.float32).reshape(n, 4)
    return {"a": a, "b": np.arange(n * 4).reshape(n, 4) - 3}


def check(outputs: dict[str, Any], fed: dict[str, Any]) -> None:
    y = np.maximum(fed["a"].astype(float) @ np.ones((4, 4)), 0) + fed["b"]
    np.testing.assert_allclose(outputs["y"], y, atol=1e-5)
    np.testing.assert_array_equal(outputs["z"], 2 * fed["b"])
    assert outputs["z"].dtype == np.int64


@pytest.mark.parametrize("target", ["tensorflow:xla", "keras"])
def test_several_inputs_and_outputs_of_several_types_and_any_batch(pair_model: SavedModel, target: str) -> None:
    with Worker(target, pair_model) as worker:
        for n in (2, 5, 1):
            check(worker.run(feeds(n)), feeds(n))
        assert len(worker.time(feeds(5), 3)) == 3
        receipt = worker.receipt
    if target == "keras":
        assert receipt.ran == "TFSMLayer" and "several inputs" in receipt.notes[0]
        return
    assert (receipt.ran, receipt.nodes, receipt.delegated, receipt.partitions) == ("XLA", 5, 5, 1)
    assert "compiled for 3 shapes" in receipt.notes[0]
    assert "instructions are fusions" in receipt.notes[1]


@pytest.mark.parametrize("target", ["tensorflow:xla", "keras"])
def test_matches_pytorch(target: str, saved_model: SavedModel, images: Any, expected: Any) -> None:
    fed = {"image": np.ascontiguousarray(images.transpose(0, 2, 3, 1))}
    with Worker(target, saved_model) as worker:
        np.testing.assert_allclose(worker.run(fed)["logits"], expected, atol=1e-5)
        receipt = worker.receipt
    assert receipt.nodes and not receipt.fallback
    assert "several inputs" not in " ".join(receipt.notes)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_keras_leaves_floats_as_they_are(tensorflow: Any, tmp_path: Path, dtype: str) -> None:
    """A layer casts what it is called with to float32 unless it is told not to."""
    tf = tensorflow

    class Third(tf.Module):  # type: ignore[name-defined,misc]
        def call(self, x: Any) -> dict[str, Any]:
            return {"y": x / 3.0}

    x, y = (TensorSpec(name, dtype, ("n", 2)) for name in "xy")
    with Worker("keras", saved(tf, Third(), tmp_path / "saved_model", (x,), (y,))) as worker:
        array = np.array([[0, 1], [-2, 1e4]], dtype)
        found = worker.run({"x": array})["y"]
    assert found.dtype == dtype
    np.testing.assert_allclose(found, array / 3, rtol=2 * float(np.finfo(dtype).eps))


def test_what_xla_cant_compile_is_a_failure_with_the_operation(texts_model: SavedModel) -> None:
    with Worker("tensorflow", texts_model) as worker:
        np.testing.assert_array_equal(worker.run(feeds(2))["z"], feeds(2)["b"])
    with (
        Worker("tensorflow:xla", texts_model) as worker,
        pytest.raises(RuntimeFailure, match=r"(?s)tensorflow:xla raised in run: .*AsString") as failed,
    ):
        worker.run(feeds(2))
    assert failed.value.exit_code == 1


def test_the_program_is_xlas_own(tensorflow: Any) -> None:
    """A chain of elementwise operations is one fusion; a product of matrices is none."""
    tf = tensorflow
    chain = tf.function(lambda x: tf.exp(x) * 2 + 1, jit_compile=True)
    assert program(chain, {"x": tf.TensorSpec([4, 4], tf.float32)}) == Program(1, 1)
    product = tf.function(lambda x: tf.matmul(x, x), jit_compile=True)
    assert program(product, {"x": tf.TensorSpec([4, 4], tf.float32)}) == Program(1, 0)


def test_hlo_is_read_by_its_entry_alone() -> None:
    text = """HloModule m, is_scheduled=true

%fused (p: f32[2]) -> f32[2] {
  %p = f32[2]{0} parameter(0)
  ROOT %a = f32[2]{0} add(%p, %p)
}

ENTRY %main (x: f32[2]) -> (f32[2], (s64[])) {
  %x = f32[2]{0} parameter(0), metadata={op_name="XLA_Args"}
  %c = s64[] constant(3)
  %f.1 = f32[2]{0} fusion(%x), kind=kLoop, calls=%fused
  %call = (f32[2]{0}, u8[16]{0}) custom-call(%f.1), custom_call_target="x"
  ROOT %t = (f32[2]{0}, (s64[])) tuple(%f.1, %c)
}
"""
    assert read_hlo(text) == Program(2, 1)


def test_nodes_are_told_with_the_device_that_they_ran_on(tensorflow: Any) -> None:
    tf = tensorflow
    function = tf.function(lambda x: tf.nn.relu(tf.matmul(x, x))).get_concrete_function(tf.TensorSpec([2, 2]))
    with recorded() as graphs:
        function(tf.ones((2, 2)))
    nodes = placed(graphs)
    assert {node.device for node in nodes} == {"CPU"}
    assert any("MatMul" in node.op for node in nodes)
    receipt = placement([*nodes, Placed("Conv2D", "net/conv", "GPU")], "GPU", "float32")
    assert receipt.delegated == 1 and receipt.nodes == len(nodes) + 1
    assert len(receipt.fallback) == len(nodes) and all(line.endswith(" on CPU") for line in receipt.fallback)
