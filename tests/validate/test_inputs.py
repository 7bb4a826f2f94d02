from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.errors import BadInput
from edgeworthy.validate.inputs import labelled, load_labelled

SPECS = (TensorSpec("x", "float32", ("batch", 2)),)
X, Y = np.arange(8, dtype=np.float32).reshape(4, 2), np.array([0, 1, 2, 1])


@pytest.mark.parametrize("key", ["labels", "label"])
def test_npz(tmp_path: Path, key: str) -> None:
    np.savez(tmp_path / "d.npz", photo=X.astype(np.float64), **{key: Y[:, None]})
    data = load_labelled(tmp_path / "d.npz", SPECS)  # one input: its name doesn't matter
    assert data.inputs["x"].dtype == np.float32
    np.testing.assert_array_equal(data.labels, Y)


def test_sample() -> None:
    specs = (TensorSpec("image", "float32", ("batch", 1, 8, 8)),)
    data = load_labelled("sample:digits_cnn", specs)
    assert len(data.labels) > 100 and data.labels.max() == 9
    with pytest.raises(BadInput, match="there is no 'sample:x'"):
        load_labelled("sample:x", specs)
    with pytest.raises(BadInput, match="has no classes"):
        load_labelled("sample:linear_regression", specs)


@pytest.mark.parametrize(
    ("arrays", "labels", "message"),
    [
        ({"y": X}, Y, "not the model's inputs"),
        ({"x": X[:, :1]}, Y, "shape"),
        ({"x": X[:3]}, Y, "4 labels for 3 samples"),
        ({"x": X.astype(np.int32)}, Y, "is int32"),
        ({"x": np.where(X == 3, np.nan, X)}, Y, "NaN"),
        ({"x": X}, Y.astype(np.float32), "must be classes"),
        ({"x": X}, Y - 1, "must be classes"),
        ({"x": X}, np.eye(4, dtype=int), "must be classes"),
        ({"x": X[:0]}, Y[:0], "must be classes"),
    ],
)
def test_bad_data(arrays: Any, labels: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        labelled(arrays, labels, SPECS)


def test_bad_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "n.npz", x=X)
    with pytest.raises(BadInput, match="no labels"):
        load_labelled(tmp_path / "n.npz", SPECS)
    with pytest.raises(BadInput):
        load_labelled(tmp_path / "missing.npz", SPECS)
    whole = (tmp_path / "n.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput):
        load_labelled(tmp_path / "cut.npz", SPECS)
