"""``targets`` and ``routes doctor``: what works passes; what is wrong, stays idle, crashes or is missing doesn't."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeworthy.convert.routes import CONVERTERS, ConverterInfo
from edgeworthy.errors import NotAvailable
from edgeworthy.pipeline import trial
from edgeworthy.pipeline.progress import Silent
from edgeworthy.schemes import FLOAT32

PLUGIN = """
import os
from dataclasses import replace
from edgeworthy.targets.info import TargetInfo
from edgeworthy.targets.session import LoadedModel
from edgeworthy.targets.tflite import TFLite

class Session(LoadedModel):
    def __init__(self, inner, how):
        self.inner, self.how = inner, how

    @property
    def receipt(self):
        idle = dict(asked="NPU", delegated=0, fallback=("FULLY_CONNECTED y",)) if self.how == "idle" else {}
        return replace(self.inner.receipt, **idle)

    def run(self, feeds):
        if self.how == "crashes":
            os.abort()
        change = {"biased": lambda y: y + 0.5, "nan": lambda y: y * float("nan")}.get(self.how, lambda y: y)
        return {name: change(y) for name, y in self.inner.run(feeds).items()}

    def prepare(self, feeds):
        return self.inner.prepare(feeds)

class Runtime(TFLite):
    def __init__(self, how):
        super().__init__()
        self.how = how

    def load(self, artifact, *, threads=1):
        return Session(super().load(artifact, threads=threads), self.how)

def info(how, **more):
    return TargetInfo(how, title=how, summary=how, kind="tflite", module="ai_edge_litert", install="pip",
                      distributions=("ai-edge-litert",), make=Runtime, options={"how": how}, **more)

BIASED, NAN, IDLE, CRASHES = info("biased"), info("nan"), info("idle"), info("crashes")
INTEGER = info("integer", schemes=("static_wi8_ai8",))
ESTIMATES = info("estimates", computes=False, measured="estimate")
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process with a package of targets that fail, each in its own way."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "edge_ill.py").write_text(PLUGIN)
    info = folder / "edge_ill-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: edge-ill\nVersion: 1.0\n")
    names = ("biased", "nan", "idle", "crashes", "integer", "estimates")
    lines = "\n".join(f"{name} = edge_ill:{name.upper()}" for name in names)
    (info / "entry_points.txt").write_text(f"[edgeworthy.targets]\n{lines}\n")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


ROUTES = """
import onnx
from onnx import numpy_helper
from edgeworthy.convert import convert
from edgeworthy.convert.routes.own import direct

def halves(model, folder):
    proto = onnx.load(model)
    weight = proto.graph.initializer[0]
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) / 2, weight.name))
    onnx.save(proto, model)
    return direct(model, folder)

def widens(model, folder):
    proto = onnx.load(model)
    for value in (proto.graph.input[0], proto.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 3
    onnx.save(proto, model)
    return direct(model, folder)

def raises(model, folder):
    raise ValueError("no rule for Gemm")

def saved(model, folder):
    return convert(model, folder, to=["saved_model"]).saved_model.path

def program(model, folder):
    import torch
    torch.onnx.export(torch.export.load(model), f="again.onnx", dynamo=True, external_data=False)
    return direct(folder / "again.onnx", folder)
"""


def doctor(
    *arguments: str, env: dict[str, str] | None = None, group: str = "targets"
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgeworthy", group, "doctor", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_tflite() -> None:
    ran = doctor("tflite", "--json")
    assert ran.returncode == 0
    found = json.loads(ran.stdout)
    float32, int8 = found["rows"]
    assert (float32["scheme"], int8["scheme"]) == ("float32", "static_wi8_ai8")
    assert float32["error"] < 1e-6
    assert 1e-6 < int8["error"] < int8["limit"]
    assert float32["receipt"]["ran"] == "XNNPACK"
    assert (float32["receipt"]["nodes"], float32["receipt"]["delegated"]) == (1, 1)
    assert found["kit"] is None


@pytest.mark.parametrize(
    "target",
    ["onnxruntime", "onnx-reference", "tensorflow", "keras", "pytorch", "torchscript", "torchscript,method=trace",
     "tflite,kernels=reference"],
)  # fmt: skip
def test_other_kinds_of_model(target: str) -> None:
    ran = trial.try_target(target, Silent())
    assert ran.passes
    assert ran.rows[0].scheme == FLOAT32.name
    assert ran.rows[0].error is not None
    assert ran.rows[0].error < 1e-6
    assert ran.version


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("biased", "off what numpy computes"),
        ("nan", "nan off what numpy computes"),
        ("idle", "NPU was asked for, and XNNPACK ran"),
        ("crashes", "SIGABRT"),
    ],
)
def test_what_is_wrong_is_exit_1(plugin: dict[str, str], name: str, why: str) -> None:
    ran = doctor(name, env=plugin)
    assert ran.returncode == 1, ran.stderr
    assert why in " ".join(ran.stdout.split())
    if name == "idle":
        assert "float32: FULLY_CONNECTED y ran elsewhere" in ran.stdout


def test_a_target_of_int8_alone_and_one_that_estimates(plugin: dict[str, str]) -> None:
    integer = json.loads(doctor("integer", "--json", env=plugin).stdout)
    assert [row["scheme"] for row in integer["rows"]] == ["static_wi8_ai8"]
    estimates = doctor("estimates", "--json", env=plugin)
    assert estimates.returncode == 0
    assert [row["error"] for row in json.loads(estimates.stdout)["rows"]] == [None, None]


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("nonsense", 2, "there is no target 'nonsense'"),
        ("tflite,kernels=x", 2, "it is one of"),
        ("ssh", 3, "ssh can't run here: it needs an address: ssh:USER@HOST\n"),
        ("onnxruntime:cuda", 3, "onnxruntime:cuda can't run here"),
    ],
)
def test_what_is_not_there(name: str, code: int, said: str) -> None:
    ran = doctor(name)
    assert ran.returncode == code
    assert said in ran.stderr


def test_a_kit_that_is_missing_or_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWORTHY_HOME", str(tmp_path))
    with pytest.raises(NotAvailable, match="kit arm64 is not installed") as caught:
        trial.check_kit("arm64")
    assert caught.value.remedy == "edgeworthy targets install arm64"
    (tmp_path / "kits/arm64").mkdir(parents=True)
    with pytest.raises(NotAvailable, match="kit arm64 is damaged"):
        trial.check_kit("arm64,threads=1")
    assert trial.check_kit("tflite") is None


def test_the_limit_of_int8_is_what_rounding_can_do() -> None:
    """x, weights and y rounded to a step of their range, in every way there is: never beyond the limit."""
    layer, random = trial._Layer.make(), np.random.default_rng(1)
    limit = layer.limit("static_wi8_ai8", "int8")
    step = np.abs(layer.weight).max() / 127
    worst = 0.0
    for _ in range(2000):
        x = layer.x + random.choice([-1, 1], layer.x.shape) / 255
        weight = layer.weight + random.choice([-0.5, 0.5], layer.weight.shape) * step
        worst = max(worst, float(np.abs(x @ weight.T + layer.bias - layer.y).max()))
    assert worst < limit
    assert limit < 0.1 * np.abs(layer.y).max(), "else it would pass anything"


def test_a_float16_gpu_has_more_room_than_float32() -> None:
    layer = trial._Layer.make()
    assert layer.limit(FLOAT32.name, "float16") == 1000 * layer.limit(FLOAT32.name, "float32")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("halves", "off what numpy computes"),
        ("widens", "what it made takes x:float32[3,16]"),
        ("raises", "no rule for Gemm"),
        ("saved", ""),
        ("program", ""),
    ],
)
def test_a_converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str) -> None:
    (tmp_path / "there.py").write_text(ROUTES)
    info = ConverterInfo(
        name, "for tests", "saved_model" if name == "saved" else "tflite", "edgeworthy", ("edgeworthy",), "pip",
        f"{tmp_path / 'there.py'}:{name}", takes="pt2" if name == "program" else "onnx",
    )  # fmt: skip
    monkeypatch.setitem(CONVERTERS._found.table, name, info)
    found = trial.try_route(name, Silent())
    (row,) = found.rows
    assert (found.passes, found.target, found.version) == (not why, name, info.version)
    assert why in row.why
    if not why:
        assert row.error is not None and row.error < 1e-6


def test_the_doctor_of_routes() -> None:
    ran = doctor("direct", "--json", group="routes")
    assert ran.returncode == 0
    found = json.loads(ran.stdout)
    assert (found["target"], found["kit"], [row["status"] for row in found["rows"]]) == ("direct", None, ["pass"])
    unknown = doctor("onnx3tf", group="routes")
    assert unknown.returncode == 2
    assert "onnx2tf" in unknown.stderr
