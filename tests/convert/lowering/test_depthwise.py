"""Large depthwise kernels as sums: exact, small enough for the fast kernels, and one operator in the SavedModel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from edgeworthy.convert.lowering.depthwise import pieces, weights_of
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.formats.tflite.summary import summarize

from ...conformance.adapters import convert_to, run_saved_model, run_tflite
from ...noops import noops

MOST = 25


@pytest.mark.parametrize(
    "kernel", [(7, 7), (5, 7), (9, 9), (11, 11), (1, 31), (31, 1), (8, 8), (6, 5), (31, 31), (3, 9)]
)
def test_the_pieces_are_the_whole(kernel: tuple[int, int]) -> None:
    weights = np.arange(1, 1 + np.prod(kernel) * 2, dtype=np.float32).reshape(1, *kernel, 2)
    whole = np.zeros_like(weights)
    for rows, columns in pieces(kernel, MOST):
        assert rows.count * columns.count <= MOST
        whole[np.ix_([0], rows.indices, columns.indices)] += weights_of(weights, rows, columns)
    np.testing.assert_array_equal(whole, weights)


@pytest.mark.parametrize(("kernel", "count"), [((7, 7), 3), ((9, 9), 4), ((11, 11), 6), ((1, 31), 2), ((31, 31), 44)])
def test_there_are_few_pieces(kernel: tuple[int, int], count: int) -> None:
    assert len(pieces(kernel, MOST)) == count


MULTIPLIER = 2
"""Outputs of each channel, which come one after the other: the form ``multiplied_apart``."""


def depthwise(kernel: tuple[int, int], size: tuple[int | str, int | str], **attributes: object) -> bytes:
    rng = np.random.default_rng(0)
    weights, bias = (rng.standard_normal(s).astype(np.float32) for s in ((3 * MULTIPLIER, 1, *kernel), 3 * MULTIPLIER))
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], kernel_shape=kernel, group=3, **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, *size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [helper.make_tensor(n, TensorProto.FLOAT, a.shape, a) for n, a in (("w", weights), ("b", bias))],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()


CASES = [
    ((7, 7), (14, 15), {"pads": [3, 3, 3, 3]}),
    ((7, 7), (14, 14), {"pads": [3, 3, 3, 3], "strides": [2, 2]}),
    ((7, 7), (15, 14), {"pads": [3, 2, 1, 4], "strides": [2, 1]}),
    ((7, 7), (14, 14), {}),
    ((7, 7), (14, 14), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ((7, 7), (24, 24), {"pads": [9, 9, 9, 9], "dilations": [3, 3]}),
    ((9, 9), (12, 12), {"pads": [4, 4, 4, 4]}),
    ((9, 9), (12, 12), {"pads": [1, 0, 2, 4], "strides": [1, 3]}),
    ((11, 11), (12, 12), {"pads": [5, 5, 5, 5]}),
    ((8, 8), (12, 13), {"pads": [4, 3, 3, 4]}),
    ((1, 31), (2, 40), {"pads": [0, 15, 0, 15]}),
]


@pytest.mark.parametrize(("kernel", "size", "attributes"), CASES)
def test_a_large_kernel_is_a_sum(
    kernel: tuple[int, int], size: tuple[int, int], attributes: dict[str, object], tmp_path: Path
) -> None:
    model = depthwise(kernel, size, **attributes)
    x = np.random.default_rng(1).standard_normal((1, 3, *size)).astype(np.float32)
    made = convert_to("tflite", model, tmp_path)
    content = fb.load(made)
    found = fb.read(content)
    taps = [
        int(np.prod(graph.tensors[op.inputs[1]].shape[1:3]))
        for _, graph, op in fb.operators(found)
        if fb.op_name(found, op) == "DEPTHWISE_CONV_2D"
    ]
    assert len(taps) == MULTIPLIER * len(pieces(kernel, MOST))
    assert max(taps) <= MOST
    assert noops(made) == []
    (want,) = ort.InferenceSession(model).run(None, {"x": x})
    np.testing.assert_allclose(run_tflite(made, {"x": x})["y"], want, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("size", [(9, 8), (14, 21)])
def test_of_an_image_of_any_size(size: tuple[int, int], tmp_path: Path) -> None:
    model = depthwise((7, 7), ("h", "w"), pads=[3, 3, 3, 3], strides=[2, 2])
    x = np.random.default_rng(1).standard_normal((1, 3, *size)).astype(np.float32)
    (want,) = ort.InferenceSession(model).run(None, {"x": x})
    got = run_tflite(convert_to("tflite", model, tmp_path), {"x": x})["y"]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("kernel", [(3, 3), (4, 2), (7, 7)])
def test_as_many_results_as_values_of_an_image_of_any_size(mode: str, kernel: tuple[int, int], tmp_path: Path) -> None:
    """Without a stride the padding is the same whatever the size."""
    model = depthwise(kernel, ("h", "w"), auto_pad=mode)
    x = np.random.default_rng(2).standard_normal((1, 3, 9, 14)).astype(np.float32)
    (want,) = ort.InferenceSession(model).run(None, {"x": x})
    got = run_tflite(convert_to("tflite", model, tmp_path), {"x": x})["y"]
    assert want.shape == (1, want.shape[1], 9, 14)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=2e-5)


def test_small_kernels_and_the_saved_model_keep_one_operator(tmp_path: Path) -> None:
    small = convert_to("tflite", depthwise((5, 5), (9, 9), pads=[2, 2, 2, 2]), tmp_path)
    assert summarize(small).op_counts["DEPTHWISE_CONV_2D"] == MULTIPLIER
    model = depthwise((7, 7), (9, 9), pads=[3, 3, 3, 3])
    made = convert_to("saved_model", model, tmp_path)
    x = np.random.default_rng(1).standard_normal((1, 3, 9, 9)).astype(np.float32)
    (want,) = ort.InferenceSession(model).run(None, {"x": x})
    np.testing.assert_allclose(run_saved_model(made, {"x": x})["y"], want, rtol=1e-5, atol=2e-5)
    import tensorflow as tf

    graph = tf.saved_model.load(str(made)).signatures["serving_default"].graph.as_graph_def()
    nodes = [node.op for function in graph.library.function for node in function.node_def]
    assert nodes.count("DepthwiseConv2dNative") == 1
