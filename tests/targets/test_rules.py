"""TargetRules as data: what their files hold, what a condition may be, and that each says what its document says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgeworthy import kits
from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import BadInput, InternalFault
from edgeworthy.formats.tflite import edit
from edgeworthy.formats.tflite.condition import Condition
from edgeworthy.formats.tflite.operations import Operand, Operation, as_int8, read
from edgeworthy.formats.tflite.ops import OPS
from edgeworthy.formats.tflite.summary import OP_NAMES
from edgeworthy.targets.rules import TargetRules, find, names, refused, remedies
from edgeworthy.targets.rules.runtime import model
from edgeworthy.targets.rules.vela import written

ALL = names()
TARGETS = ["ethos-u:55-128", "ethos-u:85-256", "edgetpu", "android-gpu", "nnapi", "tflite-2.14"]


def test_names_and_what_is_like_them() -> None:
    assert ALL[:6] == ["android-gpu", "edgetpu", "ethos-u", "ethos-u85", "nnapi", "tflite-2.7"]
    assert {"tflite-2.14", "litert-1.0"} < set(ALL) and find("litert-1.0").title == "LiteRT 1.0"
    assert find("ethos-u").title == find("ethos-u:65-512").title == "Ethos-U55 and Ethos-U65"
    assert find("ethos-u:85-2048").title == "Ethos-U85"
    with pytest.raises(BadInput, match="nothing is known of a device 'etos-u'") as error:
        find("etos-u")
    assert "did you mean 'ethos-u'" in (error.value.remedy or "")
    for text in ("ethos-u:99-1", "ethos-u:55-999", "ethos-u:55", "ethos-u:85", "nnapi:1", "android-gpu:"):
        with pytest.raises(BadInput, match=f"nothing is known of a device '{text}'"):
            find(text)


@pytest.mark.parametrize("name", ALL)
def test_rules_speak_of_operators_that_there_are(name: str) -> None:
    rules = find(name)
    known = set(OP_NAMES.values())
    assert set(rules.ops) <= known
    assert set(rules.versions) <= set(rules.ops)
    assert len(set(rules.ops)) == len(rules.ops)
    for requirement in rules.requires:
        assert {*requirement.of, *requirement.spares} <= set(rules.ops), requirement.says
        assert Condition.of(requirement.that).names or requirement.that == "False"


def test_every_operator_that_is_refused_somewhere_has_a_remedy() -> None:
    emitted = {row.builtin for row in OPS.values() if row.is_emitted}
    refused_somewhere = {op for name in ALL for op in emitted if op not in find(name).ops}
    assert refused_somewhere <= set(remedies())
    assert set(remedies()) <= set(OP_NAMES.values())


@pytest.mark.parametrize("name", TARGETS)
def test_every_condition_can_be_asked_of_every_operator(name: str, branches: TFLiteModel) -> None:
    """In both forms, so that no rule breaks on an operator that lacks what it asks about."""
    rules = find(name)
    floats = read(branches.path.with_name("model_float32.tflite"))
    for operations in (read(branches.path), floats, [as_int8(o) for o in floats]):
        for operation in operations:
            for requirement in rules.requires:
                assert requirement.holds(operation) in (True, False)


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "x.__class__", "lambda: 1", "[t for t in tensors]", "unknown > 1", "x.nhwc[", "x.value.dump"],
)
def test_a_condition_has_few_forms(text: str) -> None:
    with pytest.raises(InternalFault):
        Condition.of(text)


def test_a_rule_that_cannot_be_asked_is_our_fault() -> None:
    with pytest.raises(InternalFault, match="can't be asked of RELU"):
        Condition.of("inputs[7].dtype == 'int8'").holds(_operation("RELU", (1, 4, 4, 8)))


def _operand(shape: tuple[int | None, ...], dtype: str = "int8", **more: object) -> Operand:
    return Operand("t", dtype, shape, scales=1, **more)  # type: ignore[arg-type]


def _operation(
    op: str, *shapes: tuple[int | None, ...], out: tuple[int | None, ...] | None = None, **attributes: object
):
    inputs = tuple(map(_operand, shapes))
    return Operation(op, "node", inputs, (_operand(out or shapes[0]),), attributes)


def _conv(op: str, image: tuple[int, ...], weights: tuple[int, ...], **attributes: object) -> Operation:
    constants = (_operand(weights, constant=True), Operand("b", "int32", (weights[0],), constant=True, scales=1))
    return Operation(op, "node", (_operand(image), *constants), (_operand(image),), attributes)


def _product(data: str, weights: str, *, scales: int, rows: int = 3) -> Operation:
    x, y = (Operand("t", data, (rows, width), scales=int(data != "float32")) for width in (8, 4))
    return Operation("FULLY_CONNECTED", "node", (x, Operand("w", weights, (4, 8), constant=True, scales=scales)), (y,))


def _constant(values: object, dtype: str = "int32") -> Operand:
    array = np.asarray(values, dtype)
    return Operand("c", dtype, array.shape, constant=True, value=array)


def _with(op: str, image: tuple[int, ...], *operands: Operand, out: tuple[int, ...], **attributes: object) -> Operation:
    return Operation(op, "node", (_operand(image), *operands), (_operand(out),), attributes)


IMAGE, TALL = (1, 16, 16, 8), (1, 300, 9, 8)
LIMITS = [
    # by the document: a window of 8 with SAME, of 256 with VALID
    ("ethos-u", _operation("AVERAGE_POOL_2D", IMAGE, padding="SAME", filter_height=8, filter_width=8), True),
    ("ethos-u", _operation("AVERAGE_POOL_2D", IMAGE, padding="SAME", filter_height=9, filter_width=8), False),
    ("ethos-u", _operation("AVERAGE_POOL_2D", TALL, padding="VALID", filter_height=256, filter_width=9), True),
    ("ethos-u", _operation("AVERAGE_POOL_2D", TALL, padding="VALID", filter_height=257, filter_width=9), False),
    # strides up to 3; of unpadded convolutions, more
    ("ethos-u", _conv("CONV_2D", IMAGE, (4, 5, 5, 8), padding="SAME", stride_h=3, stride_w=3), True),
    ("ethos-u", _conv("CONV_2D", IMAGE, (4, 5, 5, 8), padding="SAME", stride_h=4, stride_w=1), False),
    ("ethos-u", _conv("CONV_2D", IMAGE, (4, 5, 5, 8), padding="VALID", stride_h=4, stride_w=4), True),
    ("ethos-u", _conv("DEPTHWISE_CONV_2D", IMAGE, (1, 3, 3, 8), padding="VALID", stride_h=4, stride_w=1), False),
    ("ethos-u85", _conv("DEPTHWISE_CONV_2D", IMAGE, (1, 3, 3, 8), padding="VALID", stride_h=4, stride_w=1), True),
    # the product of height and width below 65536
    ("ethos-u", _operation("SOFTMAX", (1, 255, 257, 2)), True),
    ("ethos-u", _operation("SOFTMAX", (1, 256, 256, 2)), False),
    # depth of an arg max up to 127, along the depth
    ("ethos-u", _with("ARG_MAX", (1, 4, 4, 127), _constant(3), out=(1, 4, 4)), True),
    ("ethos-u", _with("ARG_MAX", (1, 4, 4, 128), _constant(3), out=(1, 4, 4)), False),
    ("ethos-u", _with("ARG_MAX", (1, 4, 4, 8), _constant(1), out=(1, 4, 8)), False),
    ("ethos-u", _operation("ELU", IMAGE), True),
    ("ethos-u", _operation("SQRT", IMAGE), False),
    ("ethos-u", _operation("RELU", (None, 4, 4, 8)), True),
    ("ethos-u", _operation("RELU", (1, None, 4, 8)), False),
    # Edge TPU
    ("edgetpu", _operation("SOFTMAX", (1, 16000)), True),
    ("edgetpu", _operation("SOFTMAX", (1, 16001)), False),
    ("edgetpu", _operation("SOFTMAX", (2, 10)), False),
    ("edgetpu", _operation("RELU", (2, 4, 4, 8)), False),
    ("edgetpu", _operation("RELU", (1, 1, 4, 4, 8)), True),
    ("edgetpu", _operation("RELU", (None, 4, 4, 8)), False),
    ("edgetpu", _conv("CONV_2D", IMAGE, (4, 3, 3, 8), dilation_h_factor=2, dilation_w_factor=2), True),
    ("edgetpu", _conv("CONV_2D", IMAGE, (4, 3, 3, 8), dilation_h_factor=2, dilation_w_factor=1), False),
    ("edgetpu", _operation("MAX_POOL_2D", IMAGE, fused_activation_function="RELU"), False),
    ("edgetpu", _with("MEAN", IMAGE, _constant([1, 2]), out=(1, 8)), True),
    ("edgetpu", _with("MEAN", IMAGE, _constant([-1]), out=(1, 16, 16)), True),
    ("edgetpu", _with("MEAN", (1, 4, 4, 6), _constant([3]), out=(1, 4, 4)), False),
    ("edgetpu", _with("PAD", IMAGE, _constant([[0, 0], [1, 1], [1, 1], [0, 0]]), out=IMAGE), True),
    ("edgetpu", _with("PAD", IMAGE, _constant([[1, 0], [0, 0], [0, 0], [0, 0]]), out=IMAGE), False),
    ("edgetpu", _with("CONCATENATION", IMAGE, _constant(np.zeros((1, 2)), "int8"), out=IMAGE), True),
    ("edgetpu", _with("CONCATENATION", IMAGE, _constant(np.ones((1, 2)), "int8"), out=IMAGE), False),
    # GPU
    ("android-gpu", _operation("ADD", (1, 4, 4, 8), (4, 4, 8)), True),
    ("android-gpu", _operation("ADD", (2, 4, 4, 8), (4, 4, 8)), False),
    ("android-gpu", _operation("ADD", (2, 4, 4, 8), (2, 8)), True),
    ("android-gpu", _operation("ADD", (2, 4, 4, 8), (1, 8)), False),
    ("android-gpu", _operation("MUL", (1, 256, 1), (1, 1, 256)), False),
    ("android-gpu", _operation("RELU", (1, 2, 4, 4, 8)), False),
    ("android-gpu", _operation("ARG_MAX", IMAGE), False),
    ("android-gpu", _operation("MIRROR_PAD", IMAGE, (4, 2), mode="REFLECT"), True),
    ("android-gpu", _operation("MIRROR_PAD", IMAGE, (4, 2), mode="SYMMETRIC"), False),
    ("android-gpu", _operation("STRIDED_SLICE", IMAGE, shrink_axis_mask=1), False),
    # NNAPI
    ("nnapi", _operation("AVERAGE_POOL_2D", IMAGE, filter_height=16, filter_width=16), True),
    ("nnapi", _operation("AVERAGE_POOL_2D", IMAGE, filter_height=16, filter_width=17), False),
    ("nnapi", _operation("DIV", IMAGE, IMAGE), False),
    ("nnapi", _operation("GELU", IMAGE), False),
    # TFLite's runtimes
    ("tflite-2.14", _operation("EQUAL", (2, 1, 3, 2), (2, 1, 1, 2)), True),
    ("tflite-2.14", _operation("EQUAL", (1, 2, 1, 3, 2), (1, 2, 1, 3, 2)), True),
    ("tflite-2.14", _operation("EQUAL", (1, 2, 1, 3, 2), (1, 2, 1, 1, 2)), False),
    ("litert-2.0", _operation("EQUAL", (1, 2, 1, 3, 2), (1, 2, 1, 1, 2)), False),
    ("litert-2.1", _operation("EQUAL", (1, 2, 1, 3, 2), (1, 2, 1, 1, 2)), True),
    ("litert-2.1", _operation("SLICE", (1, 2, 1, 3, 2, 1)), False),
    ("litert-2.1", _operation("SLICE", (2, 1, 3, 2, 1)), True),
    ("litert-2.2", _operation("SLICE", (1, 2, 1, 3, 2, 1)), True),
    ("tflite-2.14", _product("float32", "int8", scales=4), False),
    ("litert-1.0", _product("float32", "int8", scales=4), True),
    ("tflite-2.14", _product("float32", "int8", scales=1), True),
    ("tflite-2.14", _product("int8", "int8", scales=4), True),
    ("tflite-2.14", _product("int16", "int8", scales=4, rows=1), True),
    ("litert-1.0", _product("int16", "int8", scales=4, rows=2), False),
    ("litert-1.1", _product("int16", "int8", scales=4, rows=2), True),
    ("litert-1.0", _product("int8", "int4", scales=4), False),
    ("litert-1.2", _product("float32", "int4", scales=0), False),
    ("litert-1.3", _product("float32", "int4", scales=0), True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "operation", "taken"), LIMITS)
def test_limits_are_where_the_document_has_them(name: str, operation: Operation, taken: bool) -> None:
    assert (refused(find(name), [operation]) == []) is taken


def test_a_version_above_the_runtimes_is_refused() -> None:
    rules = TargetRules.model_validate({**_SMALL, "versions": {"RELU": 2}})
    for version, taken in ((None, True), (2, True), (3, False)):
        found = refused(rules, [Operation("RELU", "r", (_operand(IMAGE),), (_operand(IMAGE),), version=version)])
        assert (found == []) is taken
    assert "version 3 of it, and Small knows 2 at most" in found[0].reason


_SMALL = {
    "title": "Small",
    "source": {"document": "d", "version": "1", "date": "2026-01", "checked": "here"},
    "ops": ["RELU"],
}


@pytest.mark.parametrize(
    "change", [{"opps": []}, {"source": {"document": "d"}}, {"ops": "RELU"}, {"requires": [{"that": "True"}]}]
)
def test_the_schema_is_strict(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        TargetRules.model_validate({**_SMALL, **change})


def test_a_sentence_that_nobody_has_read_stops_the_generator() -> None:
    report = (
        "Vela version: `9.0.0`\n## Ethos-U85 TFLite Summary Table\n| ABS | |\n## Ethos-U85 TFLite Generic Constraints\n"
        "- Tensors must have constant shape.\n{}\n## End\n"
    )
    assert 'ops = ["ABS"]' in written(report.format(""), "Ethos-U85", "2030-01")
    with pytest.raises(BadInput, match="no condition is known for 'Tensors must be blue"):
        written(report.format("- Tensors must be blue."), "Ethos-U85", "2030-01")
    with pytest.raises(BadInput, match="no report of vela"):
        written("# Something else", "Ethos-U85", "2030-01")


def test_a_model_that_names_an_operator_asks_the_runtime_for_it() -> None:
    """LiteRT refuses a version that it doesn't register, and takes those that it does."""
    code = next(code for code, name in OP_NAMES.items() if name == "FULLY_CONNECTED")
    Interpreter(model_content=model(code, 1)).allocate_tensors()
    with pytest.raises(ValueError, match="version '99'"):
        Interpreter(model_content=model(code, 99))


@pytest.mark.device
def test_an_old_runtime_takes_what_its_rules_take(branches: TFLiteModel, tmp_path: Path) -> None:
    """Every int8 operator that the quantizer makes, by itself, in the runtime of that time."""
    if kits.version("tflite-2.14") is None:
        pytest.skip("its kit isn't there: edgeworthy targets install tflite-2.14")
    python = kits.launch(kits.KITS["tflite-2.14"]).python[0]
    operations = read(branches.path)
    for index in range(len(operations)):
        (tmp_path / f"{index}.tflite").write_bytes(_alone(branches.path, index))
    ran = subprocess.run([python, "-c", _TRY, str(tmp_path)], capture_output=True, text=True, check=True)
    fails = {operations[int(number)].op for number in ran.stdout.split()}
    assert fails == {refusal.operation.op for refusal in refused(find("tflite-2.14"), operations)}
    assert fails == {"DIV", "LOG", "SQRT"}


_TRY = """
import pathlib, sys
from tflite_runtime.interpreter import Interpreter
for path in pathlib.Path(sys.argv[1]).iterdir():
    try:
        interpreter = Interpreter(str(path))
        interpreter.allocate_tensors()
        interpreter.invoke()
    except (RuntimeError, ValueError):
        print(path.stem)
"""


def _alone(path: Path, index: int) -> bytes:
    """An operator as a model of its own: its operands are inputs, but for constants."""
    whole = edit.read(edit.load(path))
    graph = whole.subgraphs[0]
    op = graph.operators[index]
    operands = [int(i) for i in op.inputs if i >= 0 and not edit.is_constant(whole, graph.tensors[i])]
    graph.operators, graph.inputs = [op], list(dict.fromkeys(operands))
    graph.outputs = list(dict.fromkeys(map(int, op.outputs)))
    whole.signatureDefs, whole.metadata, whole.metadataBuffer = None, None, None
    edit.drop_unused_buffers(whole)
    return edit.write(whole)
