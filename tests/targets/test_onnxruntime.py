from __future__ import annotations

import importlib.util
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgeworthy.artifact import OnnxModel, TensorSpec
from edgeworthy.errors import BadInput, CheckFailed, NotAvailable, RuntimeFailure
from edgeworthy.targets import cuda, get
from edgeworthy.targets.onnxruntime import OnnxRuntime
from edgeworthy.targets.onnxruntime_providers import CPU, CUDA, PROVIDERS
from edgeworthy.targets.onnxruntime_receipt import ran, receipt
from edgeworthy.targets.worker import Worker


def test_matches_pytorch_optimised_or_not(onnx_model: OnnxModel, images: Any, expected: Any) -> None:
    for optimize in (True, False):
        session = OnnxRuntime(optimize=optimize).load(onnx_model, threads=2)
        out = session.run({"image": images})
        assert list(out) == ["logits"]
        np.testing.assert_allclose(out["logits"], expected, atol=1e-5)
        assert session.receipt.ran == "CPUExecutionProvider"
        assert ("graph optimisations off" in session.receipt.notes) is not optimize


def test_outputs_come_in_the_artifacts_order(tmp_path: Any) -> None:
    import onnx
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["x"], ["b"])]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ("x", "a", "b")]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "m.onnx")
    specs = {n: TensorSpec(n, "float32", (2,)) for n in ("x", "a", "b")}
    artifact = OnnxModel(tmp_path / "m.onnx", (specs["x"],), (specs["b"], specs["a"]))
    out = get("onnxruntime").load(artifact).run({"x": np.array([1, -2], np.float32)})
    assert list(out) == ["b", "a"]
    np.testing.assert_array_equal(out["b"], [-1, 2])


def test_shape_of_one_name_must_be_one_extent(onnx_model: OnnxModel, images: Any) -> None:
    square = replace(onnx_model, inputs=(TensorSpec("image", "float32", ("n", "n", 8, 8)),))
    with pytest.raises(BadInput, match="has shape"):
        OnnxRuntime().load(square).run({"image": images})


@pytest.mark.parametrize("external", [False, True])
def test_a_newer_stamp_of_the_format_is_no_reason_to_refuse_a_graph_that_has_nothing_of_it(
    tmp_path: Path, external: bool
) -> None:
    """``onnx.helper.make_model`` writes the newest version that onnx knows."""
    artifact = chain(tmp_path, "Det")
    model = onnx.load(artifact.path)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([[[1, 2, 3]]]), "w"))
    model.graph.node[0].input[0] = "s"
    model.graph.node.insert(0, onnx.helper.make_node("Mul", ["x", "w"], ["s"]))
    model.ir_version = 14
    onnx.save(model, artifact.path, save_as_external_data=external, location="w.data", size_threshold=0)
    before = artifact.path.read_bytes()
    session = OnnxRuntime().load(artifact)
    x = np.random.default_rng(3).normal(size=(2, 3, 3)).astype(np.float32)
    want = 1 / (1 + np.exp(-np.linalg.det(np.maximum(x * [1, 2, 3], 0).astype(float))))
    np.testing.assert_allclose(session.run({"x": x})["y"], want, atol=1e-6)
    assert any("IR version" in note for note in session.receipt.notes) and artifact.path.read_bytes() == before


def test_a_graph_that_has_something_of_a_newer_format_is_refused_in_plain_text(tmp_path: Path) -> None:
    artifact = chain(tmp_path, "Cast", to=onnx.TensorProto.FLOAT6E2M3)
    model = onnx.load(artifact.path)
    model.ir_version = 14
    onnx.save(model, artifact.path)
    with pytest.raises(RuntimeFailure) as caught, Worker("onnxruntime", artifact):
        pass
    assert "IR version: 14" in str(caught.value) and "\x1b" not in str(caught.value)


def test_a_provider_that_is_not_in_this_build_is_not_available_and_says_how_to_get_it() -> None:
    import onnxruntime

    have = [device.ep_name for device in onnxruntime.get_ep_devices()]
    have += onnxruntime.get_available_providers()
    for name, provider in PROVIDERS.items():
        if provider.provider in have or (provider.plugin and importlib.util.find_spec(provider.plugin)):
            continue
        with pytest.raises(NotAvailable, match=f"has no {provider.provider}; it has .*CPUExecutionProvider") as error:
            get(f"onnxruntime:{name}").version()
        assert error.value.remedy == provider.install and error.value.exit_code == 3


def test_a_provider_that_does_not_start_is_not_available_and_no_row_of_the_cpu(onnx_model: OnnxModel) -> None:
    if cuda.missing() is None:
        pytest.skip("there is a GPU")
    with pytest.raises(NotAvailable, match="CUDAExecutionProvider; it did not start, and CPUExecutionProvider did"):
        OnnxRuntime(provider=CUDA).load(onnx_model)


def chain(folder: Path, op: str, **attributes: Any) -> OnnxModel:
    """Relu → op → Sigmoid on float32[n,3,3], the nodes called first, middle and last."""
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3, 3])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    nodes = [
        onnx.helper.make_node("Relu", ["x"], ["a"], name="first"),
        onnx.helper.make_node(op, ["a"], ["b"], name="middle", **attributes),
        onnx.helper.make_node("Sigmoid", ["b"], ["y"], name="last"),
    ]
    graph = onnx.helper.make_graph(nodes, "g", [x], [y])
    opset = [onnx.helper.make_opsetid("", 20)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), folder / f"{op}.onnx")
    inputs = (TensorSpec("x", "float32", ("n", 3, 3)),)
    return OnnxModel(folder / f"{op}.onnx", inputs, (TensorSpec("y", "float32", ("n",)),))


def test_the_receipt_is_what_the_profiler_saw_of_the_first_inference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    session = OnnxRuntime().load(chain(tmp_path, "Det"))
    assert session.receipt.nodes is None  # nothing ran yet
    assert list((tmp_path / "temporary").iterdir()) == []  # a crash would leave nothing behind
    for n in (1, 4):
        session.run({"x": np.ones((n, 3, 3), np.float32)})
        receipt = session.receipt
        assert (receipt.nodes, receipt.delegated, receipt.partitions, receipt.fallback) == (3, 3, None, ())
        assert receipt.ran == CPU


def test_fusions_are_told(tmp_path: Path) -> None:
    """Three convolutions, each with its Relu: three kernels, and one that reorders channels at the end."""
    weights = onnx.numpy_helper.from_array(np.ones((16, 16, 1, 1), np.float32), "w")
    nodes, last = [], "x"
    for k in range(3):
        nodes += [
            onnx.helper.make_node("Conv", [last, "w"], [f"c{k}"]),
            onnx.helper.make_node("Relu", [f"c{k}"], [f"r{k}"]),
        ]
        last = f"r{k}"
    x, y = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 16, 4, 4]) for n in ("x", last))
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], [weights])
    opset = [onnx.helper.make_opsetid("", 20)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "m.onnx")
    specs = [TensorSpec(name, "float32", (1, 16, 4, 4)) for name in ("x", last)]
    session = OnnxRuntime().load(OnnxModel(tmp_path / "m.onnx", (specs[0],), (specs[1],)))
    out = session.run({"x": np.ones((1, 16, 4, 4), np.float32)})[last]
    np.testing.assert_array_equal(out, np.full((1, 16, 4, 4), 16.0**3))
    assert session.receipt.notes and re.fullmatch(r"6 nodes fused into [345] kernels", session.receipt.notes[0])


def event(name: str, op: str, provider: str, index: int) -> dict[str, Any]:
    """As ONNX Runtime 1.31 writes them."""
    about = {"op_name": op, "provider": provider, "node_index": str(index)}
    return {"cat": "Node", "name": f"{name}_kernel_time", "args": about, "ph": "X", "dur": 3}


def test_what_ran_elsewhere_is_named_and_copies_are_no_nodes() -> None:
    events = [
        {"cat": "Session", "name": "model_run", "args": {}},
        event("Memcpy", "MemcpyFromHost", CUDA, 9),
        event("/conv/Conv", "Conv", CUDA, 0),
        event("/Shape", "Shape", CPU, 1),
        event("/loop/Add", "Add", CUDA, 0),
        event("/loop/Add", "Add", CUDA, 0),  # the loop's body runs twice
        event("Memcpy_1", "MemcpyToHost", CUDA, 10),
    ]
    found = receipt(CUDA, ran(events), {CUDA: [1, 1], CPU: [1]}, precision="tf32", notes=["n"])
    assert (found.nodes, found.delegated, found.partitions, found.precision) == (3, 2, 2, "tf32")
    assert found.fallback == ("Shape /Shape on CPUExecutionProvider",)
    assert found.ran == "CUDAExecutionProvider and CPUExecutionProvider"
    assert found.notes == ("n", "2 copies between host and device inside the graph")


def test_a_compiled_partition_stands_for_all_its_nodes() -> None:
    tensorrt = PROVIDERS["tensorrt"].provider
    events = [event("TRT_1", "TRTKernel_graph_1", tensorrt, 0), event("/Det", "Det", CUDA, 1)]
    events += [event("TRT_2", "TRTKernel_graph_2", tensorrt, 2)]
    found = receipt(tensorrt, ran(events), {tensorrt: [5, 1], CUDA: [1]}, precision="float16", notes=[])
    assert (found.nodes, found.delegated, found.partitions) == (7, 6, 2)
    assert found.fallback == ("Det /Det on CUDAExecutionProvider",)
    untold = receipt(tensorrt, ran(events), {}, precision="float16", notes=[])
    assert (untold.nodes, untold.delegated) == (3, 2) and "each counts as one" in untold.notes[0]
    nothing = receipt(CUDA, [], {}, precision="float32", notes=[])
    assert (nothing.nodes, nothing.delegated, nothing.ran) == (0, 0, "nothing")


openvino = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime_ep_openvino") is None, reason="pip install onnxruntime-ep-openvino"
)


@pytest.mark.device
@openvino
def test_openvino_leaves_a_node_that_it_lacks_and_the_receipt_names_it(tmp_path: Path) -> None:
    model = chain(tmp_path, "Det")
    x = np.random.default_rng(3).normal(size=(5, 3, 3)).astype(np.float32)
    with Worker("onnxruntime:openvino", model) as worker:
        y = worker.run({"x": x})["y"]
        found = worker.receipt
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-np.linalg.det(np.maximum(x, 0.0).astype(float)))), atol=1e-6)
    assert (found.nodes, found.delegated, found.partitions) == (3, 2, 2)
    assert found.fallback == ("Det middle on CPUExecutionProvider",)
    with (
        Worker("onnxruntime:openvino,require_full_delegation=true", model) as worker,
        pytest.raises(CheckFailed, match="took 2 of 3 nodes"),
    ):
        worker.run({"x": x})


@pytest.mark.device
@openvino
def test_openvino_computes_in_float32_unless_told_otherwise(onnx_model: OnnxModel, images: Any, expected: Any) -> None:
    errors = {}
    for options in ("", ",precision=bfloat16"):
        with Worker(f"onnxruntime:openvino{options}", onnx_model) as worker:
            errors[options] = np.abs(worker.run({"image": images})["logits"] - expected).max()
            found = worker.receipt
            assert found.nodes == found.delegated and found.partitions == 1
            assert found.precision == ("bfloat16" if options else "float32")
    assert errors[""] < 1e-5
