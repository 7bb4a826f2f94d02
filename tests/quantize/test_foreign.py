"""Files as other converters write them: biases of several axes, names of tensors in place of a signature."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import BadInput
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.formats.tflite.summary import describe, summarize
from edgeworthy.quantize.analysis.analyze import analyze
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.loading import flat_biases
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe
from edgeworthy.quantize.running import Model

from .conftest import normal_feeds
from .tflite_graph import CONV, FC, NO_ACTIVATION, Array, Graph, Weights, i32, run, sqnr

Calibrate = Callable[..., CalibrationSet]
BIASED = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}


def layers(path: Path) -> TFLiteModel:
    """One layer of each kind that has a bias; that of the convolution is a summand too."""
    w = Weights(3)
    g = Graph(x=(1, 8, 8, 4))
    bias = g.const(w(8, fan_in=8))
    x = g.op("conv_2d", [g.inputs[0], w(8, 3, 3, 4, fan_in=36), bias], (1, 8, 8, 8), **CONV)
    x = g.op("add", [x, bias], (1, 8, 8, 8), **NO_ACTIVATION)
    deep = CONV | {"depth_multiplier": 1}
    x = g.op("depthwise_conv_2d", [x, w(1, 3, 3, 8, fan_in=9), w(8, fan_in=8)], (1, 8, 8, 8), **deep)
    larger = {"padding": "SAME", "stride_h": 2, "stride_w": 2, "fused_activation_function": "NONE"}
    x = g.op(
        "transpose_conv",
        [i32(1, 16, 16, 8), w(8, 3, 3, 8, fan_in=18), x, w(8, fan_in=8)],
        (1, 16, 16, 8),
        **larger,
    )
    x = g.op("mean", [x, i32(1, 2)], (1, 8), keep_dims=False)
    return g.save(path, y=g.op("fully_connected", [x, w(16, 8, fan_in=8), w(16, fan_in=8)], (1, 16), **FC))


def edited(model: TFLiteModel, path: Path, edit: Callable[[Any], None]) -> TFLiteModel:
    objects = fb.read(model.path.read_bytes())
    edit(objects)
    path.write_bytes(fb.write(objects))
    return describe(path)


def in_a_row(objects: Any) -> None:
    """Every bias as [1, N]."""
    for _, graph, op in fb.operators(objects):
        if (kind := fb.op_name(objects, op)) in BIASED:
            bias = graph.tensors[op.inputs[BIASED[kind]]]
            bias.shape = [1, int(np.prod(bias.shape))]


@pytest.mark.parametrize("scheme", ["int8", "static_wi8_ai16", "dynamic", "float16"])
def test_a_bias_in_a_row_is_one(scheme: str, tmp_path: Path, calibrate: Calibrate) -> None:
    """Depthwise kernels refuse such a bias, and the quantizer raises on that of any layer."""
    plain = layers(tmp_path / "plain.tflite")
    rows = edited(plain, tmp_path / "rows.tflite", in_a_row)
    recipe = Recipe.of(scheme)
    made = [
        quantize(model, tmp_path / f"{model.path.stem}_q.tflite", recipe, calibration=calibrate(plain))
        for model in (plain, rows)
    ]
    feeds = normal_feeds(plain, 8)
    wanted = np.concatenate([run(plain.path, feed)["y"] for feed in feeds])
    got = [np.concatenate([run(each.model.path, feed)["y"] for feed in feeds]) for each in made]
    assert np.array_equal(*got)
    assert sqnr(wanted, got[1]) > 25
    assert [op.op for op in made[0].float_ops] == [op.op for op in made[1].float_ops]


def test_who_else_reads_a_bias_keeps_its_shape(tmp_path: Path) -> None:
    rows = edited(layers(tmp_path / "plain.tflite"), tmp_path / "rows.tflite", in_a_row)
    model = fb.read(flat_biases(rows.path.read_bytes()))
    (graph,) = model.subgraphs
    shapes = {
        kind: list(graph.tensors[op.inputs[BIASED.get(kind, 1)]].shape)
        for op in graph.operators
        if (kind := fb.op_name(model, op)) in (*BIASED, "ADD")
    }
    assert shapes == {
        "CONV_2D": [8], "ADD": [1, 8], "DEPTHWISE_CONV_2D": [8], "TRANSPOSE_CONV": [8], "FULLY_CONNECTED": [16],
    }  # fmt: skip
    assert len({fb.name(tensor) for tensor in graph.tensors}) == len(graph.tensors)


def test_a_file_without_such_biases_is_left_alone(conv_net: TFLiteModel) -> None:
    content = conv_net.path.read_bytes()
    assert flat_biases(content) is content


def unsigned(objects: Any) -> None:
    """No signature, and tensors called as TensorFlow 1 calls them."""
    objects.signatureDefs = None
    graph = objects.subgraphs[0]
    for index, name in zip((*graph.inputs, *graph.outputs), ("x:0", "Identity", "call/Softmax:0"), strict=True):
        graph.tensors[index].name = name.encode()


def signed_twice(objects: Any) -> None:
    """A signature before TensorFlow's usual one, with names of its own."""
    (usual,) = objects.signatureDefs
    first = copy.deepcopy(usual)
    first.signatureKey = b"first"
    for entry in (*first.inputs, *first.outputs):
        entry.name = b"first_" + entry.name
    objects.signatureDefs = [first, usual]


def signed_by_another(objects: Any) -> None:
    """The one signature is of another graph, whose tensors have the same indices."""
    unsigned(objects)
    body = copy.deepcopy(objects.subgraphs[0])
    for tensor in body.tensors:
        tensor.name = b"other_" + tensor.name
    objects.subgraphs.append(body)
    objects.signatureDefs = [_of(body, 1)]


def _of(graph: Any, number: int) -> Any:
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"serving_default", number
    for side in ("inputs", "outputs"):
        entries = []
        for index in getattr(graph, side):
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = graph.tensors[index].name, int(index)
            entries.append(entry)
        setattr(signature, side, entries)
    return signature


@pytest.mark.parametrize("scheme", ["int8", "dynamic"])
@pytest.mark.parametrize("edit", [unsigned, signed_twice, signed_by_another])
def test_inputs_and_outputs_keep_their_names(
    edit: Callable[[Any], None], scheme: str, conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate
) -> None:
    """Casts take the place of inputs and outputs, and the quantizer calls them otherwise."""
    model = edited(conv_net, tmp_path / "model.tflite", edit)
    feeds = normal_feeds(model, 16)
    made = quantize(model, tmp_path / "q.tflite", Recipe.of(scheme), calibration=calibrate(model, feeds=feeds))
    names = [[spec.name for spec in (*each.inputs, *each.outputs)] for each in (model, made.model)]
    assert names[0] == names[1]
    ours, theirs = (Model(path.read_bytes()) for path in (conv_net.path, made.model.path))
    renamed = dict(zip(names[1], [spec.name for spec in (*conv_net.inputs, *conv_net.outputs)], strict=True))
    got = [theirs.run(feed) for feed in feeds]
    wanted = [ours.run({renamed[name]: array for name, array in feed.items()}) for feed in feeds]
    for spec in made.model.outputs:
        assert _db([each[renamed[spec.name]] for each in wanted], [each[spec.name] for each in got]) > 25
    told = analyze(model, made.model, feeds=feeds, recipe=made.recipe)
    assert told.samples == len(feeds)
    assert told.layer_count > 5


def _db(wanted: list[Array], got: list[Array]) -> float:
    return sqnr(np.concatenate(wanted), np.concatenate(got))


def test_the_signature_of_another_graph_stays(conv_net: TFLiteModel, tmp_path: Path) -> None:
    model = edited(conv_net, tmp_path / "model.tflite", signed_by_another)
    quantize(model, tmp_path / "q.tflite", Recipe.of("dynamic"))
    found = summarize(tmp_path / "q.tflite")
    assert found.signatures == ("serving_default_main", "serving_default")
    assert found.signature == "serving_default_main"


def test_a_pattern_goes_by_the_main_graphs_outputs(conv_net: TFLiteModel, tmp_path: Path) -> None:
    """An index of another graph's tensor names nothing here."""

    def edit(objects: Any) -> None:
        signed_by_another(objects)
        objects.signatureDefs[0].outputs[0].name = b"head"
        objects.signatureDefs[0].outputs[0].tensorIndex = int(objects.subgraphs[0].operators[0].outputs[0])

    model = edited(conv_net, tmp_path / "model.tflite", edit)
    recipe = Recipe.of("dynamic", exclude=["the.head"])
    with pytest.raises(BadInput, match="matches no operator"):
        quantize(model, tmp_path / "q.tflite", recipe, modules={"head": "the.head"})


def test_outputs_of_one_name_are_refused(conv_net: TFLiteModel, tmp_path: Path) -> None:
    def edit(objects: Any) -> None:
        objects.signatureDefs = None
        for index in objects.subgraphs[0].outputs:
            objects.subgraphs[0].tensors[index].name = b"Identity"

    model = edited(conv_net, tmp_path / "model.tflite", edit)
    with pytest.raises(BadInput, match="several inputs or outputs have one name: 'Identity'"):
        quantize(model, tmp_path / "q.tflite", Recipe.of("float16"))
