"""Model files that are missing, damaged, no models, or models that can't be converted."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from . import models
from .models import node
from .sandbox import Sandbox

CONVERT = ("convert", "model.onnx", "-o", "out", "--to", "tflite")
PRODUCT = node("MatMul", "x", "weight", "h")


def missing(path: Path) -> None:
    pass


def empty(path: Path) -> None:
    path.touch()


def text(path: Path) -> None:
    path.write_text("404: not found\n" * 9)


def garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def truncated(path: Path) -> None:
    whole = models.write(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def opset_too_new(path: Path) -> None:
    models.write(path, opset=99)


def nan_weights(path: Path) -> None:
    models.write(path, weight=np.where(models.WEIGHT > 0, np.nan, 0).astype(np.float32))


def wrong_shapes(path: Path) -> None:
    models.write(path, weight=models.WEIGHT[:7])


def of_strings(path: Path) -> None:
    models.write(path, dtype="STRING")


def external_data_missing(path: Path) -> None:
    models.write_external(path, "weights.bin")


def external_data_cut_off(path: Path) -> None:
    models.write_external(path, "weights.bin").with_name("weights.bin").write_bytes(bytes(100))


def external_data_elsewhere(path: Path) -> None:
    models.write_external(path, "../weights.bin")
    (path.parent.parent / "weights.bin").write_bytes(models.WEIGHT.tobytes())


def external_data_behind_a_link(path: Path) -> None:
    models.write_external(path, "weights.bin").with_name("weights.bin").symlink_to("/etc/passwd")


ONNX: list[tuple[Callable[[Path], None], str]] = [
    (missing, "no such file"),
    (empty, "is empty"),
    (text, "a text file"),
    (garbage, "not an ONNX model"),
    (truncated, "cut off"),
    (opset_too_new, "opset 99 .* knows opset \\d+"),
    (nan_weights, "1 weight has NaN"),
    (wrong_shapes, "not valid"),
    (of_strings, "a type that isn't supported"),
    (external_data_missing, "'weight' is missing: 'weights.bin'"),
    (external_data_cut_off, "'weight' ends at byte 4800, but the file has 100"),
    (external_data_elsewhere, "points outside the model's folder: '../weights.bin'"),
    (external_data_behind_a_link, "points outside the model's folder"),
]


@pytest.mark.parametrize(("make", "said"), ONNX, ids=[make.__name__ for make, _ in ONNX])
def test_onnx(sandbox: Sandbox, make: Callable[[Path], None], said: str) -> None:
    make(sandbox.folder / "model.onnx")
    error = sandbox.refused(*CONVERT)
    assert re.search(said, error.what)
    assert error.where in ("model.onnx", "weights.bin")


@pytest.mark.parametrize("command", ["convert", "bench"])
def test_all_unsupported_nodes_come_in_one_table(sandbox: Sandbox, command: str) -> None:
    nodes = (
        PRODUCT,
        node("Magic", "h", "a", domain="com.acme"),
        node("RandomNormalLike", "a", "b"),
        node("Nonsense", "b", "y"),
    )
    models.write(sandbox.folder / "model.onnx", *nodes, **{"com.acme": 1})
    error = sandbox.refused(command, *CONVERT[1:])
    assert error.what == "3 nodes of the model can't be converted"
    assert error.where == "model.onnx"
    assert [n["op"] for n in error.nodes] == ["Magic", "RandomNormalLike", "Nonsense"]
    assert [n["node"] for n in error.nodes] == ["magic", "randomnormallike", "nonsense"]
    assert "ONNX doesn't know" in error.details[0]
    assert "no lowering for RandomNormalLike" in error.details[1]
    assert "ONNX has no operator Nonsense" in error.details[2]


def test_without_json_an_error_is_for_people(sandbox: Sandbox) -> None:
    (sandbox.folder / "model.onnx").touch()
    done = sandbox.run(*CONVERT)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the file is empty\n  at: model.onnx\n  fix: copy or export it again\n"


def test_a_pipe_is_no_model_and_nobody_waits_for_it(sandbox: Sandbox) -> None:
    os.mkfifo(sandbox.folder / "model.onnx")
    assert sandbox.refused(*CONVERT).what == "this is no regular file"


def test_an_earlier_result_survives_a_bad_model(sandbox: Sandbox) -> None:
    models.write(sandbox.folder / "good.onnx")
    assert sandbox.run("convert", "good.onnx", *CONVERT[2:]).returncode == 0
    models.write(sandbox.folder / "model.onnx", PRODUCT, node("Magic", "h", "y"))
    sandbox.refused("bench", *CONVERT[1:])  # which had copied the model to OUT already


@pytest.mark.parametrize("content", [b"", b"hello", b"\x1c\x00\x00\x00TFL3" + bytes(40)])
def test_inspecting_what_is_no_tflite(sandbox: Sandbox, content: bytes) -> None:
    (sandbox.folder / "model.tflite").write_bytes(content)
    assert sandbox.refused("inspect", "model.tflite").where == "model.tflite"


def test_inspecting_what_is_no_saved_model(sandbox: Sandbox) -> None:
    assert "no saved_model.pb" in sandbox.refused("inspect", ".").what
