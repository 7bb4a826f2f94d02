"""Bad model files through the command line: an error that names the trouble, exit code 2, nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from . import models
from .models import node
from .sandbox import Refusal, Sandbox

CONVERT = ("convert", "model.onnx", "-o", "out", "--to", "tflite")
PRODUCT = node("MatMul", "x", "weight", "h")


def text(refusal: Refusal) -> str:
    return "\n".join([refusal.what, refusal.where or "", refusal.remedy, *refusal.details])


def static(path: Path) -> Path:
    """A model with a batch of 1, as int8 wants it."""
    proto = onnx.load(models.write(path))
    for value in (proto.graph.input[0], proto.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(proto, path)
    return path


def truncated(path: Path) -> None:
    data = models.write(path).read_bytes()
    path.write_bytes(data[: len(data) // 2])


def not_a_number(path: Path) -> None:
    weight = np.ones((models.ROWS, models.COLUMNS), np.float32)
    weight[3, 4] = np.nan
    models.write(path, weight=weight)


def unknown_domain(path: Path) -> None:
    foreign = helper.make_node("Frobnicate", ["h"], ["y"], "foreign", domain="com.acme")
    models.write(path, PRODUCT, foreign, **{"com.acme": 1})


def external_short(path: Path) -> None:
    models.write_external(path, "w.bin")
    (path.parent / "w.bin").write_bytes(b"123")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(lambda path: None, "model.onnx", id="missing"),
        pytest.param(lambda path: path.touch(), "empty", id="empty"),
        pytest.param(lambda path: path.mkdir(), "folder", id="folder"),
        pytest.param(lambda path: path.write_text("this is no model\n" * 20), "ONNX", id="text"),
        pytest.param(truncated, "model.onnx", id="truncated"),
        pytest.param(not_a_number, "weight", id="nan-weights"),
        pytest.param(lambda path: models.write(path, opset=99), "99", id="opset-too-new"),
        pytest.param(unknown_domain, "Frobnicate", id="unknown-domain"),
        pytest.param(lambda path: models.write_external(path, "w.bin"), "w.bin", id="external-missing"),
        pytest.param(lambda path: models.write_external(path, "../w.bin"), "w.bin", id="external-outside"),
        pytest.param(lambda path: models.write_external(path, "/etc/passwd"), "/etc/passwd", id="external-absolute"),
        pytest.param(external_short, "w.bin", id="external-short"),
    ],
)
def test_a_bad_file_is_refused(sandbox: Sandbox, make: Callable[[Path], object], said: str) -> None:
    make(sandbox.folder / "model.onnx")
    assert said in text(sandbox.refused(*CONVERT))


def test_all_unsupported_nodes_are_in_one_table(sandbox: Sandbox) -> None:
    nodes = [
        PRODUCT,
        helper.make_node("Frobnicate", ["h"], ["f"], "first", domain="com.acme"),
        helper.make_node("Mystify", ["f"], ["m"], "second", domain="com.acme"),
        helper.make_node("Relu", ["m"], ["y"], "third"),
    ]
    models.write(sandbox.folder / "model.onnx", *nodes, **{"com.acme": 1})
    refusal = sandbox.refused(*CONVERT)
    assert [(node["op"], node["node"]) for node in refusal.nodes] == [("Frobnicate", "first"), ("Mystify", "second")]
    assert all(node["reason"] and node["remedy"] for node in refusal.nodes)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--scheme", "int7"), "int7"),
        (("--calibration", "nowhere.npz", "--scheme", "int8"), "nowhere.npz"),
        (("--scheme", "int8"), "calibration"),
    ],
)
def test_bad_choices_of_quantize(sandbox: Sandbox, arguments: tuple[str, ...], said: str) -> None:
    models.write(sandbox.folder / "model.onnx")
    assert said in text(sandbox.refused("quantize", "model.onnx", "-o", "out", "--to", "tflite", *arguments))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        pytest.param(np.zeros((4, 7), np.float32), "7", id="shape"),
        pytest.param(np.full((4, 40), np.nan, np.float32), "NaN", id="nan"),
        pytest.param(np.zeros((0, 40), np.float32), "sample", id="no-samples"),
    ],
)
def test_bad_calibration_data(sandbox: Sandbox, array: np.ndarray, said: str) -> None:
    static(sandbox.folder / "model.onnx")
    np.savez(sandbox.folder / "data.npz", x=array)
    arguments = ("-o", "out", "--to", "tflite", "--scheme", "int8", "--calibration", "data.npz")
    assert said in text(sandbox.refused("quantize", "model.onnx", *arguments))


def test_a_truncated_archive_of_calibration_data(sandbox: Sandbox) -> None:
    static(sandbox.folder / "model.onnx")
    path = sandbox.folder / "data.npz"
    np.savez(path, x=np.zeros((4, 40), np.float32))
    path.write_bytes(path.read_bytes()[:100])
    arguments = ("-o", "out", "--to", "tflite", "--scheme", "int8", "--calibration", "data.npz")
    assert "data.npz" in text(sandbox.refused("quantize", "model.onnx", *arguments))


def test_an_output_below_a_file(sandbox: Sandbox) -> None:
    models.write(sandbox.folder / "model.onnx")
    (sandbox.folder / "file").write_text("not a folder")
    assert "file" in text(sandbox.refused("convert", "model.onnx", "-o", "file/out", "--to", "tflite"))


FACTORIES = """
import torch

def raises():
    raise ValueError("the checkpoint is gone")

def gives_nothing():
    return 7

def fine():
    return torch.nn.Linear(4, 2)

def nan():
    model = torch.nn.Linear(4, 2)
    torch.nn.init.constant_(model.weight, float("nan"))
    return model
"""


@pytest.mark.parametrize(
    ("factory", "arguments", "said"),
    [
        ("raises", (), "net.py:5"),
        ("gives_nothing", (), "int"),
        ("absent", (), "absent"),
        ("nan", ("--input", "input:float32[1,4]"), "weight"),
        ("fine", (), "--input"),
        ("fine", ("--input", "input:float32[1,5]"), "4"),
        ("fine", ("--input", "wrong:float32[1,4]"), "wrong"),
        ("fine", ("--input", "input:float99[1,4]"), "float99"),
        ("fine", ("--input", "input:float32[1,4]", "--weights", "evil.pt"), "evil.pt"),
    ],
)
def test_bad_factories_and_inputs(sandbox: Sandbox, factory: str, arguments: tuple[str, ...], said: str) -> None:
    import pickle

    (sandbox.folder / "net.py").write_text(FACTORIES)
    (sandbox.folder / "evil.pt").write_bytes(pickle.dumps({"weight": Evil()}))
    assert said in text(sandbox.refused("export", f"net.py:{factory}", "-o", "out", *arguments))
    assert not (sandbox.folder / "pwned").exists()


class Evil:
    """Unpickling this touches a file."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch pwned",)


def test_unknown_and_wrong_keys_of_a_configuration(sandbox: Sandbox) -> None:
    (sandbox.folder / "edgeworthy.toml").write_text('[gate]\nsize_ration = 1\n[bench]\nseconds = "long"\n')
    said = text(sandbox.refused("run", "edgeworthy.toml"))
    assert "size_ratio" in said
    assert "seconds" in said
