"""Runs that are refused, before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import edgeworthy
from edgeworthy.errors import BadInput, NotAvailable, UnsupportedNodes

from .quick_runs import run


def nan_data(net: Path) -> dict[str, Any]:
    images = np.load(net / "calibration.npz")["image"]
    images[3, 0, 1, 1] = np.nan
    np.savez(net / "calibration.npz", image=images)
    return {}


def wrong_shape(net: Path) -> dict[str, Any]:
    np.savez(net / "calibration.npz", image=np.zeros((4, 3, 4, 4), np.float32))
    return {}


def bad_labels(net: Path) -> dict[str, Any]:
    np.savez(net / "labelled.npz", image=np.zeros((4, 1, 4, 4), np.float32), labels=np.zeros(3, int))
    return {"validate": {"labelled": str(net / "labelled.npz")}}


@pytest.mark.parametrize("spoil", [nan_data, wrong_shape, bad_labels])
def test_bad_data_is_refused_before_anything_is_written(net: Path, tmp_path: Path, spoil: Any) -> None:
    tables = spoil(net)
    with pytest.raises(BadInput):
        run(net, tmp_path / "out", **tables)
    assert not (tmp_path / "out").exists()


def test_unknown_names_are_refused_before_anything_is_written(net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(BadInput, match="no target 'tfltie'"):
        run(net, out, targets=["tfltie"])
    with pytest.raises(BadInput, match="no quantization scheme"):
        run(net, out, quantize={"schemes": ["int9"]})
    with pytest.raises(NotAvailable, match="onnxruntime:cuda"):
        run(net, out, targets=["onnxruntime:cuda"])
    with pytest.raises(BadInput, match="no output folder"):
        edgeworthy.run_config(edgeworthy.load_config(None, {"model": {"source": f"{net}/net.py:make"}}))
    with pytest.raises(BadInput, match="no model"):
        edgeworthy.run_config(edgeworthy.load_config(None, {"output": out}))
    assert not out.exists()


def unsupported(path: Path) -> Path:
    value = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [2, 2]) for n in ("x", "y")]
    nodes = [onnx.helper.make_node("Relu", ["x"], ["h"]), onnx.helper.make_node("Magic", ["h"], ["y"], domain="my.own")]
    graph = onnx.helper.make_graph(nodes, "g", value[:1], value[1:])
    opsets = [onnx.helper.make_opsetid("", 20), onnx.helper.make_opsetid("my.own", 1)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


@pytest.mark.parametrize("stages", [("convert",), ("export", "convert")])
def test_unsupported_nodes_leave_nothing_behind(tmp_path: Path, stages: tuple[str, ...]) -> None:
    path = unsupported(tmp_path / "model.onnx")
    with pytest.raises(UnsupportedNodes) as caught:
        edgeworthy.run(str(path), tmp_path / "out", stages=stages, convert={"to": ["tflite"]})
    assert [n.op for n in caught.value.nodes] == ["Magic"]
    assert caught.value.where == str(path)
    assert not (tmp_path / "out").exists()
