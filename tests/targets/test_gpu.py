"""Every target on CUDA, on a GPU: `make test-gpu`. And what they say where there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import Artifact, OnnxModel, Receipt, SavedModel, TensorSpec
from edgeworthy.benchmarks import gpu
from edgeworthy.errors import CheckFailed, NotAvailable
from edgeworthy.targets import TARGETS, cuda, find, get
from edgeworthy.targets.pytorch import PyTorchModel
from edgeworthy.targets.tensorflow import GpuSession, called
from edgeworthy.targets.worker import Worker

ON_CUDA = [name for name, target in TARGETS.items() if target.device == "cuda"]
FIXTURES = {"pytorch": "pytorch_model", "onnx": "onnx_model", "saved_model": "saved_model"}

Modules = Callable[[str], PyTorchModel]


@pytest.fixture
def modules(pytorch_model: PyTorchModel) -> Modules:
    """Others of the factories in conftest, with the same weights."""
    file = pytorch_model.spec.rpartition(":")[0]
    return lambda name: replace(pytorch_model, spec=f"{file}:{name}", path=Path(f"{file}:{name}"))


def there(name: str) -> None:
    """A GPU in software is none here."""
    if why := cuda.missing() or find(name).missing():
        pytest.skip(why)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ON_CUDA)
def test_parity_receipt_and_latency(
    name: str, request: pytest.FixtureRequest, modules: Modules, images: Any, expected: Any
) -> None:
    there(name)
    model: Artifact = request.getfixturevalue(FIXTURES[TARGETS[name].kind])
    if name.startswith("torchscript"):
        model = modules("Here")  # what a script makes is on the CPU, whatever the default device is
    feeds = {"image": np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if model.kind == "saved_model" else images}
    with Worker(name, model) as worker:
        np.testing.assert_allclose(worker.run(feeds)["logits"], expected, atol=1e-5)  # float32, and not TF32
        times = worker.time(feeds, 20)
        receipt = worker.receipt
    print(f"\n{name}: {np.median(times) / 1e6:.3f} ms with the copies there and back; {receipt}")
    assert "CPU" not in receipt.ran.split(" and ")[0]
    if receipt.delegated is not None and receipt.nodes is not None:
        assert len(receipt.fallback) == receipt.nodes - receipt.delegated


@pytest.mark.gpu
@pytest.mark.parametrize("name", ON_CUDA)
def test_tf32_is_seen_in_the_numbers_and_told(
    name: str, request: pytest.FixtureRequest, modules: Modules, images: Any, expected: Any
) -> None:
    """Where the option does nothing, the promise of float32 would be empty too."""
    there(name)
    model: Artifact = request.getfixturevalue(FIXTURES[TARGETS[name].kind])
    if name.startswith("torchscript"):
        model = modules("Here")
    feeds = {"image": np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if model.kind == "saved_model" else images}
    with Worker(f"{name},tf32=true", model) as worker:
        error = np.abs(worker.run(feeds)["logits"] - expected).max()
        assert worker.receipt.precision == "tf32"
    print(f"\n{name},tf32=true: error {error:.2e}")
    assert error < 5e-3


def on_gpu(name: str, model: Artifact, feeds: Any, *, taken: int, of: int) -> tuple[Any, Receipt]:
    """Outputs and receipt; the same is refused where the GPU has to take everything."""
    with Worker(name, model) as worker:
        out, receipt = worker.run(feeds), worker.receipt
    assert (receipt.delegated, receipt.nodes) == (taken, of), receipt
    with (
        Worker(f"{name},require_full_delegation=true", model) as worker,
        pytest.raises(CheckFailed, match=f"took {taken} of {of} nodes") as caught,
    ):
        worker.run(feeds)
    assert caught.value.details == receipt.fallback
    return out, receipt


@pytest.mark.gpu
def test_an_operator_that_the_cuda_provider_lacks_is_named(tmp_path: Path) -> None:
    """Determinants have a kernel for the CPU alone."""
    import onnx
    from onnx.reference import ReferenceEvaluator

    there("onnxruntime:cuda")
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [4, 3, 3])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4])
    nodes = [
        onnx.helper.make_node("Sin", ["x"], ["a"], name="sine"),
        onnx.helper.make_node("Det", ["a"], ["b"], name="determinant"),
        onnx.helper.make_node("Tanh", ["b"], ["y"], name="tangent"),
    ]
    graph = onnx.helper.make_graph(nodes, "g", [x], [y])
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(made, tmp_path / "det.onnx")
    specs = (TensorSpec("x", "float32", (4, 3, 3)),), (TensorSpec("y", "float32", (4,)),)
    feeds = {"x": np.random.default_rng(2).normal(size=(4, 3, 3)).astype(np.float32)}
    out, receipt = on_gpu("onnxruntime:cuda", OnnxModel(tmp_path / "det.onnx", *specs), feeds, taken=2, of=3)
    (known,) = ReferenceEvaluator(made).run(None, feeds)
    np.testing.assert_allclose(out["y"], known, atol=1e-5)
    assert receipt.fallback == ("Det determinant on CPUExecutionProvider",)
    assert receipt.partitions == 2 and any("copies between host and device" in note for note in receipt.notes)


@pytest.mark.gpu
def test_what_a_module_computes_on_the_cpu_itself_is_named(modules: Modules, images: Any, expected: Any) -> None:
    there("torch-cuda")
    with Worker("torch-cuda", modules("Here")) as worker:
        worker.run({"image": images})
        whole = worker.receipt
    assert whole.nodes == whole.delegated and whole.nodes and whole.fallback == ()
    feeds, count = {"image": images}, whole.nodes
    out, receipt = on_gpu("torch-cuda", modules("Wanders"), feeds, taken=count, of=count + 2)
    np.testing.assert_allclose(out["logits"], np.exp(expected), rtol=1e-4)
    assert receipt.fallback == ("aten.to.dtype_layout on cpu", "aten.exp.default on cpu")
    assert receipt.ran.endswith(" and CPU")


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "limit"), [("float32", 1e-5), ("float16", 1e-2)])
def test_litert_on_a_card(
    precision: str, limit: float, onnx_model: OnnxModel, tmp_path: Path, images: Any, expected: Any
) -> None:
    from edgeworthy.convert import convert

    there("litert:gpu")
    model = convert(onnx_model.path, tmp_path, to=["tflite"]).tflite
    assert model is not None
    feeds = {"image": images if model.inputs[0].shape[1] == 3 else np.ascontiguousarray(images.transpose(0, 2, 3, 1))}
    with Worker(f"litert:gpu,precision={precision}", model) as worker:
        error = np.abs(worker.run(feeds)["logits"] - expected).max()
        times, receipt = worker.time(feeds, 20), worker.receipt
    print(f"\nlitert:gpu,precision={precision}: {np.median(times) / 1e6:.3f} ms, error {error:.2e}; {receipt}")
    assert error < limit and receipt.precision == precision
    assert receipt.measured is None and receipt.delegated == receipt.nodes and receipt.fallback == ()


@pytest.mark.gpu
def test_an_operator_that_litert_leaves_to_the_cpu_is_named(tmp_path: Path) -> None:
    """A look-up by a matrix of indices, and what is behind it."""
    import onnx

    from edgeworthy.convert import convert

    there("litert:gpu")
    table = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    ids = onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT32, [2, 3])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2, 3, 5])
    nodes = [onnx.helper.make_node("Gather", ["t", "ids"], ["g"]), onnx.helper.make_node("Tanh", ["g"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "g", [ids], [y], [onnx.numpy_helper.from_array(table, "t")])
    opset = [onnx.helper.make_opsetid("", 20)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "m.onnx")
    model = convert(tmp_path / "m.onnx", tmp_path, to=["tflite"]).tflite
    assert model is not None
    feeds = {"ids": np.array([[0, 8, 3], [3, 1, 0]], np.int32)}
    out, receipt = on_gpu("litert:gpu,precision=float32", model, feeds, taken=3, of=5)
    np.testing.assert_allclose(out["y"], np.tanh(table[feeds["ids"]]), atol=1e-6)
    assert [line.split()[0] for line in receipt.fallback] == ["GATHER", "TANH"]
    assert receipt.notes == ("GATHER: Only support 1D indices",)


def test_a_receipt_of_eager_pytorch_names_what_ran_elsewhere() -> None:
    from edgeworthy.targets import torch_placement

    ran = [("aten.relu.default", "cuda"), ("aten.exp.default", "cpu"), ("aten.add.Tensor", "cuda")]
    told = torch_placement.receipt(ran, "cuda", place="NVIDIA X", precision="tf32")
    assert told == Receipt("CUDA", "NVIDIA X and CPU", 3, 2, precision="tf32", fallback=("aten.exp.default on cpu",))
    assert torch_placement.receipt(ran[1:2], "cuda", place="NVIDIA X", precision="float32").ran == "CPU"


def test_operators_are_noted_with_their_devices() -> None:
    """``meta`` is a device that every PyTorch has."""
    import torch

    from edgeworthy.targets.torch_placement import DeviceWatch

    with torch.inference_mode(), DeviceWatch() as watch:
        (torch.ones(2, 3).relu() + 1).to("meta").exp()
    assert watch.makes and watch.ran == [
        ("aten.ones.default", "cpu"), ("aten.relu.default", "cpu"), ("aten.add.Tensor", "cpu"),
        ("aten.to.dtype_layout", "meta"), ("aten.exp.default", "meta"),
    ]  # fmt: skip
    x = torch.ones(2, 3)
    for function, makes in ((torch.exp, False), (lambda x: x + torch.tensor([1.0, 2, 3]), True)):
        with torch.inference_mode(), DeviceWatch() as watch:
            function(x)
        assert watch.makes == makes


@pytest.mark.parametrize("name", ["torch-cuda", "torch-compile:cuda", "torchscript:cuda", "tensorflow:gpu"])
def test_a_build_that_finds_no_gpu_says_so(name: str) -> None:
    """What a user sees whose driver is there and whose framework is built for the CPU."""
    if cuda.missing() is None:
        pytest.skip("there is a GPU")
    if find(name).version is None:
        pytest.skip(f"{name} is not installed")
    with pytest.raises(NotAvailable, match="finds no GPU") as absent:
        get(name).version()
    assert absent.value.remedy


def test_what_tensorflow_ran_on_the_cpu_is_not_called_the_gpu(
    saved_model: SavedModel, tensorflow: Any, images: Any, expected: Any
) -> None:
    """Without a GPU, TensorFlow takes the CPU and doesn't say so: the receipt does."""
    if cuda.missing() is None:
        pytest.skip("there is a GPU")
    loaded = tensorflow.saved_model.load(str(saved_model.path))
    session = GpuSession(tensorflow, saved_model, loaded, *called(loaded, saved_model), precision="float32")
    feeds = {"image": np.ascontiguousarray(images.transpose(0, 2, 3, 1))}
    assert session.receipt.ran == "nothing yet"
    np.testing.assert_allclose(session.run(feeds)["logits"], expected, atol=1e-5)
    session.prepare(feeds)()
    receipt = session.receipt
    assert (receipt.asked, receipt.ran, receipt.delegated) == ("GPU", "CPU", 0)
    assert receipt.nodes == len(receipt.fallback) >= 3
    assert any("Conv2D" in node for node in receipt.fallback)


def test_without_a_gpu_the_command_says_so_and_exits_with_3(tmp_path: Path, capsys: Any) -> None:
    why = cuda.missing()
    if why is None:
        pytest.skip("there is a GPU")
    assert gpu.main(["-o", str(tmp_path / "out")]) == 3
    assert why in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
