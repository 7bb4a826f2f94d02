"""Names, order, dtypes and layout that a converter's file may have: it is judged right, or its row says why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx.parser
import pytest

from edgeworthy.convert.routes import CONVERTERS
from edgeworthy.validate.results import Report

from .test_routes import hop, measured

MODEL = """<ir_version: 10, opset_import: ["": 18]>
    g (float[1,3,4,5] x, int64[2,3] i, int64[3,2] j, bool[1,3,4,5] m, double[3] d)
    => (float[1,3,4,5] y, int64[2,2] k, bool[1,3,4,5] n, double[3] e)
    { a = Relu(x) b = Where(m, a, x) c = Abs(b) y = Add(b, c)
      f = Cast<to = 1>(i) h = Cast<to = 1>(j) o = MatMul(f, h) k = Cast<to = 7>(o) n = Not(m) e = Neg(d) }"""

_INFO = """
from edgeworthy.convert.routes import ConverterInfo

def __getattr__(name):
    return ConverterInfo(name, "for tests", "tflite", "edge_forms", (), "no", f"edge_forms:{name}")
"""
_CODE = '''
import onnx
from onnx import helper
from edgeworthy.convert import convert

TO = {onnx.TensorProto.INT64: onnx.TensorProto.INT32, onnx.TensorProto.BOOL: onnx.TensorProto.UINT8,
      onnx.TensorProto.DOUBLE: onnx.TensorProto.FLOAT}

def made(model, folder, edit):
    proto = onnx.load(model)
    edit(proto.graph)
    onnx.save(proto, model)
    return convert(model, folder, to=["tflite"]).tflite.path

def rename(graph, inputs, outputs):
    names = dict(zip([v.name for v in graph.input], inputs)) | dict(zip([v.name for v in graph.output], outputs))
    for value in [*graph.input, *graph.output]:
        value.name = names[value.name]
    for node in graph.node:
        node.input[:] = [names.get(n, n) for n in node.input]
        node.output[:] = [names.get(n, n) for n in node.output]

def named(model, folder):
    return made(model, folder, lambda g: rename(g, "pqrst", "uvwz"))

def turned(model, folder):
    def edit(graph):
        rename(graph, "pqrst", "uvwz")
        for values in (graph.input, graph.output):
            turned = list(values)[::-1]
            del values[:]
            values.extend(turned)
    return made(model, folder, edit)

def through(graph, operator, moved):
    """Each of these inputs and outputs as another tensor, with an operator in between."""
    before, after = [], []
    for values, nodes in ((graph.input, before), (graph.output, after)):
        for value in [v for v in values if moved(v.type.tensor_type)]:
            inner, value.name = value.name, value.name + "_outside"
            ends = [value.name, inner]
            nodes.append(operator(*(ends if nodes is before else ends[::-1]), value.type.tensor_type, nodes is before))
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)

def narrowed(model, folder):
    def cast(source, target, kind, inwards):
        wide, kind.elem_type = kind.elem_type, TO[kind.elem_type]
        return helper.make_node("Cast", [source], [target], to=wide if inwards else kind.elem_type)
    return made(model, folder, lambda g: through(g, cast, lambda kind: kind.elem_type in TO))

def last(model, folder):
    def transpose(source, target, kind, inwards):
        extents = [d.dim_value for d in kind.shape.dim]
        for dim, extent in zip(kind.shape.dim, [extents[i] for i in (0, 2, 3, 1)]):
            dim.dim_value = extent
        return helper.make_node("Transpose", [source], [target], perm=[0, 3, 1, 2] if inwards else [0, 2, 3, 1])
    return made(model, folder, lambda g: through(g, transpose, lambda kind: len(kind.shape.dim) == 4))

def more(model, folder):
    def edit(graph):
        graph.output.insert(0, helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, [1, 3, 4, 5]))
        graph.output.append(helper.make_tensor_value_info("o", onnx.TensorProto.FLOAT, [2, 2]))
    return made(model, folder, edit)

def nameless(model, folder):
    def edit(graph):
        rename(graph, "pqrst", "uvwz")
        graph.output.insert(0, helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, [1, 3, 4, 5]))
    return made(model, folder, edit)

def fewer(model, folder):
    return made(model, folder, lambda g: g.output.pop())

def batched(model, folder):
    def edit(graph):
        graph.input[4].type.tensor_type.shape.dim.insert(0, onnx.TensorShapeProto.Dimension(dim_value=1))
        graph.input[4].name = "wide"
        graph.node.insert(0, helper.make_node("Reshape", ["wide", "three"], ["d"]))
        graph.initializer.append(helper.make_tensor("three", onnx.TensorProto.INT64, [1], [3]))
    return made(model, folder, edit)

def spread(model, folder):
    def edit(graph):
        graph.output[3].type.tensor_type.shape.dim.insert(0, onnx.TensorShapeProto.Dimension(dim_value=1))
        graph.output[3].name = "wide"
        graph.node.append(helper.make_node("Reshape", ["e", "three"], ["wide"]))
        graph.initializer.append(helper.make_tensor("three", onnx.TensorProto.INT64, [2], [1, 3]))
    return made(model, folder, edit)

def negated(model, folder):
    def edit(graph):
        graph.node[-2].op_type = "Identity"
    return made(model, folder, edit)
'''


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A package with converters, installed as pip would."""
    folder = tmp_path_factory.mktemp("forms")
    (folder / "edge_forms_info.py").write_text(_INFO)
    (folder / "edge_forms.py").write_text(_CODE)
    info = folder / "edge_forms.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: edge-forms\nVersion: 1.0\n")
    lines = "\n".join(f"{name} = edge_forms_info:{name}" for name in (*RIGHT, *WRONG))
    (info / "entry_points.txt").write_text(f"[edgeworthy.converters]\n{lines}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        vars(CONVERTERS).pop("_found", None)
        yield folder
    vars(CONVERTERS).pop("_found", None)


RIGHT = ("named", "turned", "narrowed", "last", "more", "batched", "spread")
WRONG = {
    "nameless": "the model has 4 outputs and the file 5: they can't be matched",
    "fewer": "the model has 4 outputs and the file 3: they can't be matched",
    "negated": "n",
}
"""Converter → what its row says."""


@pytest.fixture(scope="module")
def report(forms: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    folder = tmp_path_factory.mktemp("run")
    onnx.save(onnx.parser.parse_model(MODEL), folder / "m.onnx")
    return measured(folder / "m.onnx", folder / "out", *RIGHT, *WRONG), folder / "out"


@pytest.mark.parametrize("name", RIGHT)
def test_what_computes_the_same_passes(report: tuple[Report, Path], name: str) -> None:
    assert hop(report[0], f"route:{name}").status == "pass"


def test_how_they_were_matched(report: tuple[Report, Path]) -> None:
    """By hand: ``turned`` has all in reverse and by other names, ``narrowed`` has other dtypes."""

    def matches(name: str) -> dict[str, tuple[str, str, list[int]]]:
        artifact = report[0].artifact(f"route:{name}")
        assert artifact
        return {match.model: (match.file, match.file_dtype, match.axes) for match in artifact.matches}

    turned = dict(zip("xijmdykne", [(name, "", []) for name in "pqrstuvwz"], strict=True))
    assert matches("turned") == matches("named") == turned
    assert {n: dtype for n, (_, dtype, _) in matches("narrowed").items()} == {
        "x": "", "i": "int32", "j": "int32", "m": "uint8", "d": "float32",
        "y": "", "k": "int32", "n": "uint8", "e": "float32",
    }  # fmt: skip
    assert {n: axes for n, (_, _, axes) in matches("last").items() if axes} == {n: [0, 2, 3, 1] for n in "xmyn"}
    more = report[0].artifact("route:more")
    assert more and more.notes == ["its outputs a, o are none of the model's, and are left out"]


@pytest.mark.parametrize("name", WRONG)
def test_what_doesnt_is_a_row_with_its_cause(report: tuple[Report, Path], name: str) -> None:
    found = hop(report[0], f"route:{name}")
    assert found.status in ("fail", "error") and WRONG[name] in (found.failure or found.reason)
