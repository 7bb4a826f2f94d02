"""The benefit of the doubt that other converters' files get in ONNX's node tests, and where it ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.convert.routes import get

from .onnx_cases import Case, load_suite
from .routes import judged, layouts, through


def case(**outputs: Any) -> Case:
    return Case("test_it", "It", b"", {}, outputs, rtol=1e-3, atol=1e-7)


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
        ({"y": IMAGE, "n": np.int32(3)}, "wrong-dtype"),
        ({"y": IMAGE}, "wrong-shape"),
    ],
)
def test_outputs_by_name_or_order_in_either_layout(outputs: dict[str, Any], status: str) -> None:
    assert judged(outputs, case(y=IMAGE, n=np.array(3))).status == status


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


def test_our_own_route_through_it() -> None:
    """A process for all cases; one that we refuse is an outcome, and the next goes on."""
    wanted = ("test_add", "test_gather_0", "test_sequence_insert_at_front", "test_softmax_axis_1")
    cases = [one for one in load_suite().cases if one.name in wanted]
    run = through(get("direct", ""), cases, timeout_s=120)
    statuses = {name: outcome.status for name, outcome in run.outcomes.items()}
    assert statuses.pop("test_sequence_insert_at_front", "convert-error") != "pass"
    assert set(statuses.values()) == {"pass"} and len(statuses) == 3
