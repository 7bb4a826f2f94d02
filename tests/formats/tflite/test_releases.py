"""The oldest runtime that loads a file, held against what TFLite 2.14 itself registers and LiteRT itself refuses."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from ai_edge_litert.interpreter import Interpreter

from edgeworthy.errors import BadInput
from edgeworthy.formats.tflite.releases import least_runtime, releases
from edgeworthy.formats.tflite.summary import OP_NAMES
from edgeworthy.targets.rules import runtime

ROOT = Path(__file__).parents[3]
CODES = {name: code for code, name in OP_NAMES.items()}


def asks(folder: Path, op: str, version: int) -> Path:
    path = folder / f"{op}_{version}.tflite"
    path.write_bytes(runtime.model(CODES[op], version))
    return path


@pytest.mark.parametrize(
    ("op", "version", "said"),
    [
        ("CONV_2D", 5, "TFLite ≥ 2.7"),
        ("CONV_2D", 7, "TFLite ≥ 2.12 (because of CONV_2D v7)"),
        ("CONV_2D", 8, "LiteRT ≥ 1.0 (because of CONV_2D v8)"),
        ("FULLY_CONNECTED", 11, "LiteRT ≥ 1.0 (because of FULLY_CONNECTED v11)"),
        ("GELU", 1, "TFLite ≥ 2.8 (because of GELU v1)"),
        ("DEQUANTIZE", 99, "a runtime newer than LiteRT 2.3 (because of DEQUANTIZE v99)"),
    ],
)
def test_least_runtime(tmp_path: Path, op: str, version: int, said: str) -> None:
    assert str(least_runtime(asks(tmp_path, op, version))) == said


def test_it_agrees_with_what_tflite_2_14_registers(tmp_path: Path) -> None:
    """Another reading, taken another day: ``tflite-2.14.toml``."""
    registered = tomllib.loads((ROOT / "targets/rules/tflite-2.14.toml").read_text(encoding="utf-8"))["versions"]
    known = releases()
    newest = known.index("TFLite 2.14")
    for op, highest in registered.items():
        assert known.index(least_runtime(asks(tmp_path, op, highest)).release) <= newest, op
        after = least_runtime(asks(tmp_path, op, highest + 1)).release
        assert not after or known.index(after) > newest, op


@pytest.mark.parametrize(("op", "highest"), [("CONV_2D", 8), ("ADD", 6), ("RESHAPE", 1), ("TRANSPOSE", 9)])
def test_the_installed_runtime_says_the_same(tmp_path: Path, op: str, highest: int) -> None:
    Interpreter(str(asks(tmp_path, op, highest))).allocate_tensors()
    assert least_runtime(asks(tmp_path, op, highest)).release
    with pytest.raises(ValueError, match=f"version '{highest + 1}'"):
        Interpreter(str(asks(tmp_path, op, highest + 1)))
    assert not least_runtime(asks(tmp_path, op, highest + 1)).release


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="not a TFLite flatbuffer"):
        least_runtime(tmp_path / "x.tflite")


def test_the_table_is_of_first_releases() -> None:
    found = [
        ("tflite-runtime", "2.7.0", {"ADD": 4, "OLD": 1}),
        ("tflite-runtime", "2.13.0", {"ADD": 5}),
        ("ai-edge-litert", "1.0.1", {"ADD": 5, "NEW": 2, "OLD": 1}),
    ]
    made = tomllib.loads(runtime.releases(found))
    assert made["releases"] == ["TFLite 2.7", "TFLite 2.13", "LiteRT 1.0"]
    assert made["operators"] == {
        "ADD": {"4": "TFLite 2.7", "5": "TFLite 2.13"},
        "OLD": {"1": "TFLite 2.7"},
        "NEW": {"2": "LiteRT 1.0"},
    }
