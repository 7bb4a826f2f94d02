from __future__ import annotations

import subprocess
import sys

import pytest

from edgeworthy.errors import BadInput, NotAvailable
from edgeworthy.targets import TARGETS, TargetInfo, get
from edgeworthy.targets.tflite import TFLite


def test_every_target_tells_its_state() -> None:
    for name, target in TARGETS.items():
        assert target.name == name
        missing = target.missing()
        if target.version is None:
            assert missing and target.install in missing
        assert get(name).kind == target.kind
    assert TARGETS["tflite"].missing() is None
    assert TARGETS["onnxruntime"].version


def test_get_passes_options() -> None:
    runtime = get("pytorch", float64=True)
    assert getattr(runtime, "float64", False) is True
    assert isinstance(get("tflite", kernels="reference"), TFLite)


def test_unknown_and_missing() -> None:
    with pytest.raises(BadInput, match="no target 'gpu'"):
        get("gpu")
    absent = TargetInfo("x", "", "onnx", "no_such_package", ("no-such",), "pip install no-such", TFLite)
    assert absent.version is None
    assert absent.missing() == "no_such_package is not installed; pip install no-such"
    TARGETS["x"] = absent
    try:
        with pytest.raises(NotAvailable, match="no_such_package"):
            get("x")
    finally:
        del TARGETS["x"]


def test_importing_targets_imports_no_runtime() -> None:
    code = (
        "import sys, edgeworthy.targets.worker as w, edgeworthy.targets as t; "
        "[i.version for i in t.TARGETS.values()]; "
        "print([m for m in ('torch', 'tensorflow', 'onnxruntime', 'ai_edge_litert.interpreter') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
