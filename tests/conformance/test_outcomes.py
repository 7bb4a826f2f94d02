"""The comparison that decides whether a case passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .outcomes import compare

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
