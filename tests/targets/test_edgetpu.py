"""The Edge TPU by rule; and what its compiler prints and writes, read. The compiler itself is in no registry."""

from __future__ import annotations

import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import CheckFailed
from edgeworthy.formats.tflite.operations import Operand, Operation
from edgeworthy.targets import find
from edgeworthy.targets.edgetpu import by_rule, read_log
from edgeworthy.targets.worker import Worker
from edgeworthy.validate import latency
from edgeworthy.validate.runners import Subject

UNMAPPED = "Operation is otherwise supported, but not mapped due to some unspecified limitation"
LOG = f"""Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 1052 ms.

Input model: net.tflite
Input size: 3.89MiB
Output model: net_edgetpu.tflite
Output size: 4.06MiB
On-chip memory used for caching model parameters: 3.75MiB
On-chip memory remaining for caching model parameters: 3.16MiB
Off-chip memory used for streaming uncached model parameters: 0.00B
Number of Edge TPU subgraphs: 1
Total number of operations: 65

Operator                       Count      Status

ADD                            10         Mapped to Edge TPU
SOFTMAX                        1          {UNMAPPED}
RESIZE_BILINEAR                2          Operation version not supported
"""


def test_the_compilers_log() -> None:
    assert read_log(LOG) == (
        "On-chip memory used for caching model parameters: 3.75MiB",
        "On-chip memory remaining for caching model parameters: 3.16MiB",
        "Off-chip memory used for streaming uncached model parameters: 0.00B",
        f"1 SOFTMAX: {UNMAPPED}",
        "2 RESIZE_BILINEAR: Operation version not supported",
    )


def test_what_comes_after_a_refused_node_is_on_the_cpu_too() -> None:
    """But not after the quantization of the input, and not what doesn't need its result."""
    a, b, c, d, e, f = (Operand(name, "float32" if name == "a" else "int8", (1, 8), scales=1) for name in "abcdef")
    operations = [
        Operation("QUANTIZE", "b", (a,), (b,)),
        Operation("RELU", "c", (b,), (c,)),
        Operation("GELU", "d", (c,), (d,)),
        Operation("RELU", "e", (d,), (e,)),
        Operation("TANH", "f", (c,), (f,)),
    ]
    receipt = by_rule(operations)
    assert receipt.fallback == ("QUANTIZE b", "GELU d", "RELU e")
    assert (receipt.nodes, receipt.delegated, receipt.partitions) == (5, 2, 1)
    assert receipt.notes[0] == "not compiled: by rule, Edge TPU runtime 14, compiler 16.0"
    assert [note.partition(":")[0] for note in receipt.notes[1:]] == ["QUANTIZE b", "GELU d"]
    assert by_rule(operations[2:3]).ran == "CPU"


def test_what_the_quantizer_left_in_float_is_told_with_what_to_do() -> None:
    """But not what has no int8 form, nor the conversion of the result."""
    x, y, z, u = (Operand(name, "float32", (1, 4, 4, 8)) for name in "xyzu")
    q = Operand("q", "int8", (1, 4, 4, 8), scales=1)
    inside = [Operation("DEQUANTIZE", "x", (q,), (x,)), Operation("RELU", "y", (x,), (y,))]
    told = by_rule([*inside, Operation("TANH", "z", (y,), (z,))]).notes
    assert told[1].endswith("RELU y and 1 more; quantize for it (of edgeworthy: --for edgetpu)")
    assert not any("--for edgetpu" in note for note in by_rule([inside[0], Operation("FLOOR", "u", (x,), (u,))]).notes)


def test_it_is_for_8_bit_files() -> None:
    target = find("edgetpu")
    assert target.takes_scheme("static_wi8_ai8")
    assert not target.takes_scheme("float16")
    assert target.version == "rules of 2026-11" and target.missing() is None


def test_a_row_with_a_receipt_and_no_time(plain: TFLiteModel) -> None:
    def subject(name: str, model: TFLiteModel, **more: object) -> Subject:
        return Subject(name, name, lambda: Worker(name, model), "tflite", computes=False, measured="estimated", **more)

    result = latency.measure([subject("edgetpu", plain)], {}, seconds=0.1)
    (row,) = result.rows
    assert (row.status, row.p50_ms, row.runs, row.ratio) == ("pass", None, 0, None)
    assert row.notes == ["nothing is known of its time"]
    assert row.receipt is not None
    assert (row.receipt.delegated, row.receipt.fallback) == (row.receipt.nodes, [])


def test_full_delegation_is_held_by_rule_too(branches: TFLiteModel) -> None:
    with (
        Worker("edgetpu,require_full_delegation=true", branches) as worker,
        pytest.raises(CheckFailed, match="Edge TPU was asked for, and took") as failed,
    ):
        worker.time({}, 1)
    assert "GELU serving_default_gelu_output" in failed.value.details
