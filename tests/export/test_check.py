"""The comparison of an exported graph with its module."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgeworthy.errors import CheckFailed, RuntimeFailure
from edgeworthy.export.check import check_export


class TestCheck:
    """The comparison itself, on a graph that multiplies by two."""

    X = np.array([[1.0, -2.0, 3.0]], np.float32)

    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        graph = helper.make_graph(
            [helper.make_node("Add", ["x", "x"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
        )
        path = tmp_path / "m.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
        return path

    def compare(self, model: Path, want: np.ndarray, x: np.ndarray = X, truth: np.ndarray | None = None) -> float:
        found = check_export(model, [{"x": x}], [{"y": want}], floor=lambda _: None if truth is None else {"y": truth})
        return found["y"].max_rel

    def test_agrees(self, model: Path) -> None:
        assert self.compare(model, self.X * 2) == 0
        assert self.compare(model, self.X * np.float32(2.0002)) == pytest.approx(1e-4, rel=0.01)

    @pytest.mark.parametrize(
        ("want", "how"),
        [
            (X * 2.1, "relative"),
            (X.astype(np.float64) * 2, "dtype is float32, and float64 was expected"),
            (X[0] * 2, "shape is [1, 3], and [3] was expected"),
            (np.array([[2, -4, np.nan]], np.float32), "1 of 3 elements should be NaN and are not"),
            (np.array([[2, -4, np.inf]], np.float32), "1 of 3 elements should be +Inf and are not"),
            (X * 0, "inf relative"),
        ],
    )
    def test_differs(self, model: Path, want: np.ndarray, how: str) -> None:
        with pytest.raises(CheckFailed) as caught:
            self.compare(model, want)
        assert how in caught.value.details[0]
        assert "'y'" in str(caught.value.where)

    def test_infinities_of_one_sign_agree(self, model: Path) -> None:
        x = np.array([[np.inf, -np.inf, 1]], np.float32)
        assert self.compare(model, x * 2, x) == 0
        with pytest.raises(CheckFailed):
            self.compare(model, -x * 2, x)

    def test_a_large_error_within_the_modules_own_is_fine(self, model: Path) -> None:
        want = self.X * np.float32(2.01)
        self.compare(model, want, truth=self.X.astype(np.float64) * 2)
        with pytest.raises(CheckFailed, match="another 'y'") as caught:
            self.compare(model, want, truth=want.astype(np.float64) * 1.00001)
        assert "PyTorch's own float32 error" in caught.value.details[0]

    def test_an_overflow_of_the_modules_own_excuses_nothing(self, model: Path) -> None:
        """In float64 nothing overflows: the module's own error there is infinite, and is no measure of the rest."""
        x = np.array([[3e38, 1.0, 1.0]], np.float32)
        want = np.array([[np.inf, 2.0, 2.0]], np.float32)
        truth = x.astype(np.float64) * 2
        self.compare(model, want, x, truth)
        want[0, 2] = truth[0, 2] = 2.5
        with pytest.raises(CheckFailed, match="another 'y'"):
            self.compare(model, want, x, truth)

    def test_what_the_runtime_refuses(self, model: Path) -> None:
        model.write_bytes(b"nothing")
        with pytest.raises(RuntimeFailure, match="ONNX Runtime"):
            self.compare(model, self.X)

    def test_a_runtime_that_dies(self, model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "onnxruntime.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
        with pytest.raises(RuntimeFailure, match="SIGSEGV"):
            self.compare(model, self.X)

    def test_a_file_of_the_users_is_not_taken_for_a_package(
        self, model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "numpy.py").write_text("raise SystemExit('mine')\n")
        monkeypatch.chdir(tmp_path)
        assert self.compare(model, self.X * 2) == 0
