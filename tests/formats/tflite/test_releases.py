"""The oldest runtime that runs a file, held against LiteRT itself (``test_tflite_old`` asks TFLite 2.14)."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from ai_edge_litert.interpreter import Interpreter

from edgeworthy.errors import BadInput
from edgeworthy.formats.tflite.condition import Condition
from edgeworthy.formats.tflite.releases import find_release, least_runtime, limits_of, releases, versions_of
from edgeworthy.formats.tflite.summary import OP_NAMES
from edgeworthy.targets.rules import runtime

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


def test_what_a_release_registers_is_what_loads_on_it(tmp_path: Path) -> None:
    known = releases()
    newest = known.index("TFLite 2.14")
    registered = versions_of("TFLite 2.14")
    assert registered["CONV_2D"] == 7 and registered["GATHER_ND"] == 4 and "DILATE" not in registered
    for op, highest in list(registered.items())[::6]:
        assert known.index(least_runtime(asks(tmp_path, op, highest)).release) <= newest, op
        after = least_runtime(asks(tmp_path, op, highest + 1)).release
        assert not after or known.index(after) > newest, op


@pytest.mark.parametrize(
    ("text", "release"),
    [("2.14", "TFLite 2.14"), ("tflite-2.7", "TFLite 2.7"), ("LiteRT 1.0", "LiteRT 1.0"), ("2.0", "LiteRT 2.0")],
)
def test_a_release_has_names(text: str, release: str) -> None:
    assert find_release(text, "--max-runtime") == release


@pytest.mark.parametrize(
    ("text", "fix"), [("tflite-2.15", "did you mean 'tflite-2.1"), ("x", "as in 2.14"), ("", "as")]
)
def test_no_other_has(text: str, fix: str) -> None:
    with pytest.raises(BadInput, match="is known") as error:
        find_release(text, "--max-runtime")
    assert fix in (error.value.remedy or "") and "LiteRT 2.3" in error.value.details[0]


def test_limits_speak_of_operators_and_releases_that_there_are() -> None:
    limits = limits_of(releases()[0])
    assert len(limits) > 10 and {limit.before for limit in limits_of(releases()[-1])} == {""}
    assert {limit.before for limit in limits_of("TFLite 2.14")} <= {*releases()[8:], ""}
    for limit in limits:
        assert set(limit.of) <= set(OP_NAMES.values()) and Condition.of(limit.that).names and limit.form


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
