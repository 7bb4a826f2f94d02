"""Calibration data from a generator in a file of the user's."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.errors import BadInput
from edgeworthy.quantize.calibration import load_calibration

from .calibration_files import MASK, X, refused


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "data.py"
    (tmp_path / "generator_helper.py").write_text("VALUE = 2.0\n")
    path.write_text(
        textwrap.dedent(
            """
            import numpy as np
            from generator_helper import VALUE

            def by_name():
                for i in range(1000):
                    yield {"x": np.full((1, 3), i, np.float32), "mask": np.zeros((1, 4), np.int64)}

            def in_order():
                yield np.full((1, 3), VALUE, np.float32), np.zeros((1, 4), np.int64)

            def rows():
                yield np.ones(3, np.float32)
                yield np.ones((2, 3), np.float32)

            LIST = [np.ones((1, 3), np.float32)] * 3

            def raises():
                yield np.ones(3, np.float32)
                raise ArithmeticError("the camera is off")

            def wrong_shape():
                yield np.ones((1, 3), np.float32)
                yield np.ones((1, 4), np.float32)

            def not_a_number():
                yield np.ones(3, np.float32)
                yield np.array([1, np.nan, 1], np.float32)

            def one_array():
                yield np.ones((1, 3), np.float32)

            def other_name():
                yield {"z": np.ones((1, 3), np.float32)}

            def uneven():
                yield np.ones((1, 3), np.float32), np.zeros((2, 4), np.int64)

            def with_argument(count):
                yield count

            def nothing():
                return iter(())

            def none():
                pass

            def leaves():
                raise SystemExit(3)
                yield
            """
        )
    )
    return path


def test_a_generator_is_read_up_to_the_number_of_samples(script: Path) -> None:
    found = load_calibration(f"{script}:by_name", (X, MASK), samples=20)
    assert len(found) == 20
    assert [int(f["x"][0, 0]) for f in found] == list(range(20))


def test_a_generator_may_yield_tuples_rows_or_batches(script: Path) -> None:
    (feed,) = load_calibration(f"{script}:in_order", (X, MASK))
    assert feed["x"].tolist() == [[2, 2, 2]]
    assert [f["x"].shape for f in load_calibration(f"{script}:rows", (X,))] == [(1, 3)] * 3
    assert len(load_calibration(f"{script}:LIST", (X,))) == 3


@pytest.mark.parametrize(
    ("name", "inputs", "problem", "line"),
    [
        ("raises", (X,), "raised: ArithmeticError: the camera is off", "raise Arithmetic"),
        ("leaves", (X,), "raised: SystemExit: 3", "raise SystemExit"),
        ("wrong_shape", (X,), r"sample 1: the data for input 'x' has shape \[1, 4\]", None),
        ("not_a_number", (X,), "sample 1 of input 'x' has NaN", None),
        ("one_array", (X, MASK), "sample 0 has 1 arrays for 2 inputs", None),
        ("other_name", (X,), "sample 0 has no 'x', only 'z'", None),
        ("uneven", (X, MASK), "different batch sizes", None),
        ("with_argument", (X,), "missing a required argument: 'count'", None),
        ("nothing", (X,), "there are no samples", None),
        ("none", (X,), "gives NoneType, which can't be iterated", None),
        ("absent", (X,), "there is no 'absent' in it", None),
    ],
)
def test_generators_that_cant_be_used(
    script: Path, name: str, inputs: tuple[TensorSpec, ...], problem: str, line: str | None
) -> None:
    with pytest.raises(BadInput, match=problem) as caught:
        load_calibration(f"{script}:{name}", inputs)
    if line:
        number = 1 + next(i for i, text in enumerate(script.read_text().splitlines()) if line in text)
        assert caught.value.where is not None
        assert caught.value.where.endswith(f"data.py:{number}")


def test_a_generator_file_that_doesnt_exist(tmp_path: Path) -> None:
    assert "no such Python file" in str(refused(f"{tmp_path}/none.py:f"))


def test_a_generator_file_with_a_syntax_error(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("x = 1\ndef f(:\n")
    error = refused(f"{tmp_path}/bad.py:f")
    assert "SyntaxError" in error.what
    assert error.where is not None
    assert error.where.endswith("bad.py:2")
