"""What a product tells of the floats that it was computed in."""

from __future__ import annotations

from typing import Any

import ml_dtypes  # type: ignore[import-untyped]
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgeworthy.targets import rounding


@pytest.mark.parametrize(
    ("dtype", "name"), [(np.float32, "float32"), (np.float16, "float16"), (ml_dtypes.bfloat16, "bfloat16")]
)
def test_a_dtype_is_told_by_what_it_rounds_to(dtype: Any, name: str) -> None:
    assert rounding.judge((rounding.FEED.astype(dtype) * dtype(0.5)).astype(np.float32)) == name


def test_what_is_no_float_is_unknown() -> None:
    assert rounding.judge(np.zeros_like(rounding.FEED)) == "unknown"
    assert rounding.judge(rounding.FEED * np.float32(0.3)) == "unknown"


def test_the_probe_is_a_file_that_litert_runs() -> None:
    interpreter = Interpreter(model_content=rounding.model())
    interpreter.allocate_tensors()
    (feed,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (feed["name"], result["name"]) == (rounding.INPUT, rounding.OUTPUT)
    interpreter.set_tensor(feed["index"], rounding.FEED)
    interpreter.invoke()
    np.testing.assert_array_equal(interpreter.get_tensor(result["index"]), rounding.FEED * np.float32(0.5))
