"""The comparison that decides whether a node test passes, and where the benefit of the doubt ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.formats.onnx.node_tests import NodeTest
from edgeworthy.validate.node_tests import NodeTestOutcome, NodeTestTable, RouteTests, compare, judged, layouts

WANT = np.array([1.0, 2.0, np.nan, np.inf], np.float32)


@pytest.mark.parametrize(
    ("got", "status"),
    [
        (WANT, "pass"),
        (WANT * np.float32(1.0005), "pass"),
        (WANT * np.float32(1.002), "wrong-value"),
        (WANT.astype(np.float64), "wrong-dtype"),
        (WANT[None], "wrong-shape"),
        (WANT[:1], "wrong-shape"),
        (np.nan_to_num(WANT), "wrong-value"),
        (-WANT, "wrong-value"),
    ],
)
def test_shape_then_dtype_then_numbers(got: np.ndarray[Any, Any], status: str) -> None:
    assert compare({"y": got}, {"y": WANT}, rtol=1e-3, atol=1e-7).status == status


def test_a_scalar_is_not_a_vector() -> None:
    scalar = np.array(3, np.int64)
    assert compare({"y": scalar}, {"y": scalar}, rtol=0, atol=0).status == "pass"
    assert compare({"y": scalar[None]}, {"y": scalar}, rtol=0, atol=0).status == "wrong-shape"


def test_the_second_output_counts() -> None:
    want = {"a": np.zeros(2, bool), "b": np.zeros(2, bool)}
    outcome = compare(want | {"b": np.ones(2, bool)}, want, rtol=1e-3, atol=1e-7)
    assert outcome.status == "wrong-value"
    assert outcome.detail == "b: 2 of 2 numbers differ, first True instead of False at [0]"
    assert compare({"a": want["a"]}, want, rtol=0, atol=0).status == "runtime-error"


def test_a_sequence_is_as_many_tensors() -> None:
    def status(*names: str) -> str:
        return compare(dict.fromkeys(names, WANT), {"y": [WANT, WANT]}, rtol=0, atol=0).status

    assert status("y_0", "y_1") == "pass"
    assert status("y") == status("y_0") == "runtime-error"
    assert status("y_0", "y_1", "y_2") == "wrong-shape"


def test_a_scalar_that_differs_has_a_message() -> None:
    detail = compare({"y": np.float32(1)}, {"y": np.array(2, np.float32)}, rtol=0, atol=0).detail
    assert detail == "y: 1 of 1 numbers differ, first 1.0 instead of 2.0 at []"


IMAGE = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)


@pytest.mark.parametrize(
    ("outputs", "status"),
    [
        ({"y": IMAGE, "n": np.int64(3)}, "pass"),
        ({"a": IMAGE, "b": np.int64(3)}, "pass"),
        ({"y": np.moveaxis(IMAGE, 1, -1), "n": np.array([3])}, "pass"),
        ({"n": np.int64(3), "y": IMAGE}, "pass"),
        ({"b": np.int64(3), "a": IMAGE}, "wrong-shape"),
        ({"y": np.moveaxis(IMAGE, 1, 2), "n": np.int64(3)}, "wrong-shape"),
        ({"y": IMAGE + 1, "n": np.int64(3)}, "wrong-value"),
        ({"y": np.moveaxis(IMAGE, 1, -1) + 1, "n": np.int64(3)}, "wrong-value"),
        ({"y": np.moveaxis(IMAGE, 1, -1).astype(int), "n": np.int64(3)}, "wrong-dtype"),
        ({"y": IMAGE, "n": np.int32(3)}, "wrong-dtype"),
        ({"y": IMAGE}, "wrong-shape"),
    ],
)
def test_outputs_by_name_or_order_in_either_layout(outputs: dict[str, Any], status: str) -> None:
    test = NodeTest("test_it", "It", b"", {}, {"y": IMAGE, "n": np.array(3)}, rtol=1e-3, atol=1e-7)
    assert judged(outputs, test).status == status


def test_inputs_in_the_layouts_that_the_file_takes() -> None:
    scalar = np.array(2, np.float32)
    first, last = TensorSpec("x", "float32", (1, 2, 3, 4)), TensorSpec("other", "float32", ("n", 3, 4, 2))
    (kept,) = layouts([first], {"x": IMAGE})
    np.testing.assert_array_equal(kept["x"], IMAGE)
    one, (moved,) = TensorSpec("s", "float32", (1,)), layouts([last], {"x": IMAGE})
    np.testing.assert_array_equal(moved["other"], IMAGE.transpose(0, 2, 3, 1))
    for feeds in layouts([one], {"s": scalar}):
        assert feeds["s"].shape == (1,)
    assert not list(layouts([first, one], {"x": IMAGE}))
    assert not list(layouts([first], {"x": [IMAGE]}))


def test_the_table_has_what_there_is() -> None:
    def row(route: str, *statuses: Any, cause: str = "") -> RouteTests:
        return RouteTests(
            route=route, cause=cause, outcomes={str(i): NodeTestOutcome(s) for i, s in enumerate(statuses)}
        )

    rows = [row("a", "pass", "pass", "crash"), row("b", "wrong-value", "pass", "timeout"), row("c", cause="gone")]
    table = NodeTestTable(
        edgeworthy="1",
        created="2026-01-01",
        onnx="1",
        total=9,
        chosen=3,
        routes=rows,  # type: ignore[arg-type]
    )
    assert table.heads == ("route", "passes", "share", "crash", "timeout", "wrong-value")
    assert table.rows == [("a", "2 of 3", "67%", "1", "0", "0"), ("b", "1 of 3", "33%", "0", "1", "1")]
    assert table.exit_code == 0 and table.model_copy(update={"routes": rows[2:]}).exit_code == 1
    assert NodeTestTable.model_validate_json(table.model_dump_json()) == table
