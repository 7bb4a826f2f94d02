"""TFLite Micro by its real interpreter: outputs against LiteRT's reference kernels, arena, and operators it lacks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edgeworthy.artifact import TFLiteModel
from edgeworthy.convert import convert
from edgeworthy.errors import BadInput, RuntimeFailure
from edgeworthy.export.onnx_export import export_onnx
from edgeworthy.formats.tflite.summary import describe
from edgeworthy.source.load import load_source
from edgeworthy.targets import environments, find
from edgeworthy.targets.worker import Worker

from . import chips

micro = pytest.mark.skipif(
    environments.version("tflite-micro", "tflite-micro") is None, reason="tflite-micro is not installed"
)


def test_its_times_are_those_of_no_device() -> None:
    assert find("tflite-micro").measured == "emulated"
    with pytest.raises(BadInput, match="takes no address"):
        find("tflite-micro:m4")


@micro
@pytest.mark.device
def test_int8_is_the_reference_kernels_bit_by_bit(plain: TFLiteModel) -> None:
    """On noise, zeros and extremes."""
    random = np.random.default_rng(5)
    shape = plain.inputs[0].concrete_shape()
    images = [random.integers(-128, 128, shape), np.zeros(shape), np.full(shape, 127), np.full(shape, -128)]
    reference = Interpreter(str(plain.path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    reference.allocate_tensors()
    begin, end = reference.get_input_details()[0]["index"], reference.get_output_details()[0]["index"]
    with Worker("tflite-micro", plain) as worker:
        for image in (i.astype(np.int8) for i in images):
            reference.set_tensor(begin, image)
            reference.invoke()
            found = worker.run({"image": image})["output"]
            assert found.dtype == np.int8
            np.testing.assert_array_equal(found, reference.get_tensor(end))
        arena = worker.model_rss_bytes
        receipt = worker.receipt
        assert worker.peak_rss_bytes == arena
        assert len(worker.time({"image": images[0].astype(np.int8)}, 3)) == 3
    assert (receipt.asked, receipt.delegated, receipt.precision) == ("none", None, "int8")
    assert receipt.notes == (f"arena: {arena} bytes",)
    # at least what is there at once: the two largest results, one computed of the other
    assert 2 * 16 * 16 * 8 < arena < 64_000


@micro
@pytest.mark.device
def test_floats_are_quantized_and_back_as_everywhere(plain: TFLiteModel) -> None:
    image = np.random.default_rng(6).normal(size=plain.inputs[0].concrete_shape()).astype(np.float32)
    found = []
    for target in ("tflite-micro", "tflite,kernels=reference"):
        with Worker(target, plain) as worker:
            found.append(worker.run({"image": image})["output"])
    assert found[0].dtype == np.float32
    np.testing.assert_array_equal(*found)


@micro
@pytest.mark.device
def test_a_float_file_agrees_up_to_rounding(plain: TFLiteModel) -> None:
    floating = describe(plain.path.with_name("model_float32.tflite"))
    image = np.random.default_rng(7).normal(size=floating.inputs[0].concrete_shape()).astype(np.float32)
    found = []
    for target in ("tflite-micro", "tflite"):
        with Worker(target, floating) as worker:
            found.append(worker.run({"image": image})["output"])
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


@micro
@pytest.mark.device
def test_an_operator_that_it_lacks_is_named_with_its_nodes(branches: TFLiteModel) -> None:
    with (
        pytest.raises(RuntimeFailure, match="TFLite Micro has no operator GELU") as error,
        Worker("tflite-micro", branches),
    ):
        pass
    assert error.value.details == ("GELU serving_default_gelu_output", "GELU serving_default_gelu_tanh_output")
    assert "torch.nn.ReLU" in (error.value.remedy or "")


@micro
@pytest.mark.device
def test_a_dynamic_size_is_what_the_file_begins_with(tmp_path: Path) -> None:
    """And an operand of another size is named, and not written past the arena."""
    net = tmp_path / "net.py"
    net.write_text("import torch\nmake = lambda: torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU()).eval()\n")
    source = load_source(f"{net}:make", inputs=["input:float32[batch,4]"])
    model = convert(export_onnx(source, tmp_path / "model.onnx").model, tmp_path, to=["tflite"]).tflite
    assert model is not None and not model.inputs[0].is_static
    one, two = (np.linspace(-1, 1, 4 * n, dtype=np.float32).reshape(n, 4) for n in (1, 2))
    with Worker("tflite-micro", model) as worker, Worker("tflite", model) as other:
        np.testing.assert_allclose(worker.run({"input": one})["output"], other.run({"input": one})["output"], atol=1e-6)
        with pytest.raises(BadInput, match=r"'input' is \[1, 4\] in the file, and was given \[2, 4\]"):
            worker.run({"input": two})


@micro
@pytest.mark.device
def test_floats_at_the_ends_of_an_int8_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    model = chips.int8(tmp_path_factory.mktemp("ends"), "Plain", io_dtype="float32")
    image = np.zeros(model.inputs[0].concrete_shape(), np.float32)
    found = []
    for target in ("tflite-micro", "tflite,kernels=reference"):
        with Worker(target, model) as worker:
            found.append(worker.run({"image": image})["output"])
    np.testing.assert_array_equal(*found)
