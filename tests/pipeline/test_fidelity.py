"""``quantize`` by itself: what the files compute against the float32 file, and the exit code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import edgeworthy
from edgeworthy.errors import BadInput
from edgeworthy.validate.results import Report

WIDE = os.environ | {"COLUMNS": "400"}

NETS = """
import torch
from torch import nn


class Detector(nn.Module):
    '''Boxes in pixels and scores, [batch, 7, anchors]; apart until the end, or out of one layer.'''

    def __init__(self, apart):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 16, 3, stride=4)
        self.heads = nn.ModuleList([nn.Conv2d(16, 4, 1), nn.Conv2d(16, 3, 1)] if apart else [nn.Conv2d(16, 7, 1)])
        with torch.no_grad():
            self.heads[0].weight[:4] *= 300
            self.heads[0].bias[:4] += 200
            self.heads[-1].weight[-3:] *= 0.3
            self.heads[-1].bias[-3:] *= 0.3
        self.example_inputs = {"image": torch.randn(1, 3, 32, 32)}

    def forward(self, image):
        x = torch.relu(self.stem(image))
        return torch.cat([head(x).flatten(2) for head in self.heads], 1).transpose(1, 2)


def apart():
    return Detector(True)


def together():
    return Detector(False)
"""


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    images = np.random.default_rng(0).normal(size=(40, 3, 32, 32)).astype(np.float32)
    np.savez(tmp_path / "c.npz", image=images)
    return tmp_path


def quantized(folder: Path, factory: str, **quantize: Any) -> Report:
    return edgeworthy.run(
        f"{folder}/nets.py:{factory}",
        folder / "out",
        stages=("quantize",),
        convert={"to": ["tflite"]},
        quantize={"calibration": str(folder / "c.npz"), "samples": 32} | quantize,
    )


def test_boxes_and_scores_that_meet_in_one_tensor_keep_their_own_scales(nets: Path) -> None:
    report = quantized(nets, "apart")
    assert report.fidelity and report.fidelity.status == "pass"
    assert [h.status for h in report.fidelity.hops] == ["reference", "pass", "pass", "pass"]
    for hop in report.fidelity.hops[1:]:
        (output,) = hop.outputs
        assert [g.channels for g in output.groups] == ["0–3", "4–6"]
        assert all((g.errors.sqnr_db or 0) > 25 for g in output.groups)
    assert "samples held out from calibration" in report.fidelity.inputs
    int8 = next(q for q in report.quantization if q.scheme == "static_wi8_ai8")
    assert {op.op for op in int8.float_ops} >= {"CONCATENATION"}
    assert all("joined" in op.reason for op in int8.float_ops)


def test_lost_scores_fail_and_are_named(nets: Path) -> None:
    """One layer makes boxes and scores, so that they share a scale."""
    report = quantized(nets, "together", schemes=["int8", "float16"])
    assert report.fidelity and report.fidelity.status == "fail"
    float16, int8 = (report.fidelity.hop(f"tflite_{name}") for name in ("float16", "static_wi8_ai8"))
    assert float16 and float16.status == "pass"
    assert int8 and int8.status == "fail" and "in channels 4–6" in int8.reason
    (output,) = int8.outputs
    assert output.vs_truth and (output.vs_truth.sqnr_db or 0) > 30, "all channels together hide it"


def test_the_command_says_it_and_exits_1(nets: Path) -> None:
    for scheme, code in (("int8", 1), ("float16", 0)):
        command = [sys.executable, "-m", "edgeworthy", "quantize", "nets.py:together", "-o", scheme, "--to", "tflite"]
        command += ["--calibration", "c.npz", "--samples", "32", "--scheme", scheme]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=nets, env=WIDE, check=False)
        assert ran.returncode == code, ran.stderr
        assert "SQNR at least" in ran.stdout and "channels 4–6" in ran.stdout
        assert "held out" in ran.stdout, "float16 takes no ranges, and is judged by what was given all the same"


def test_what_takes_no_ranges_is_judged_by_the_data_given(nets: Path) -> None:
    """Noise like the example says little of a model whose inputs aren't noise; all of the data is of others then."""
    report = quantized(nets, "apart", schemes=["float16"], samples=None)
    assert report.fidelity and report.fidelity.samples_are == "held out"
    assert "40" in report.fidelity.inputs and "calibration samples" not in report.fidelity.inputs
    assert not report.quantization[0].calibration
    images = np.load(nets / "c.npz")["image"]
    np.savez(nets / "wrong.npz", picture=images)
    with pytest.raises(BadInput, match="picture"):
        quantized(nets, "apart", schemes=["float16"], calibration=str(nets / "wrong.npz"))


@pytest.mark.parametrize(("samples", "are"), [((), "calibration"), (("--samples", "32"), "held out")])
def test_each_line_says_which_samples_its_figure_is_of(nets: Path, samples: tuple[str, ...], are: str) -> None:
    """Those that ranges were taken from flatter: that is a warning, with what holds others out."""
    command = [sys.executable, "-m", "edgeworthy", "quantize", "nets.py:apart", "-o", "out", "--to", "tflite"]
    command += ["--calibration", "c.npz", "--scheme", "int8", *samples]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=nets, env=WIDE, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (line,) = [line for line in ran.stdout.splitlines() if line.startswith("TFLite int8")]
    groups = [line for line in ran.stdout.splitlines() if line.lstrip().startswith("channels")]
    assert all(re.search(rf"  {are} +[\d.]+ dB", line) for line in (line, *groups)) and len(groups) == 2
    warned = [line for line in ran.stdout.splitlines() if "very samples that its ranges were taken from" in line]
    assert len(warned) == (are == "calibration")
    assert all("--samples 30 holds 10 of the 40 out" in line for line in warned)
    report = Report.model_validate_json((nets / "out/report.json").read_text())
    assert report.fidelity and report.fidelity.samples_are == are
    (made,) = report.quantization
    assert made.tradeoff and made.tradeoff.samples_are == are
    assert ("on calibration samples" in made.tradeoff.said) == (are == "calibration")


def test_it_ends_with_what_was_lost_and_gained(nets: Path) -> None:
    report = quantized(nets, "together", schemes=["int8", "float16"])
    assert report.speed and report.fidelity and report.speed.baseline == "TFLite float32"
    assert {row.name for row in report.speed.rows} == {"TFLite float32", "TFLite float16", "TFLite int8"}
    sizes = {a.name: (nets / "out" / a.path).stat().st_size for a in report.artifacts}
    for q in report.quantization:
        assert q.artifact and q.tradeoff and q.tradeoff.latency_ratio and q.tradeoff.latency_low
        assert q.tradeoff.latency_low <= q.tradeoff.latency_ratio <= (q.tradeoff.latency_high or 0)
        assert q.tradeoff.size_ratio == pytest.approx(sizes[q.artifact] / sizes["tflite_float32"])
        artifact = report.artifact(q.artifact)
        assert artifact and artifact.loads_on == "TFLite ≥ 2.7"
    int8 = next(q for q in report.quantization if q.scheme == "static_wi8_ai8")
    assert int8.tradeoff and (int8.tradeoff.channels, int8.tradeoff.output) == ("4–6", "output")
    assert int8.tradeoff.sqnr_db == pytest.approx(0, abs=0.5)
    (output,) = next(h for h in report.fidelity.hops if h.artifact == int8.artifact).outputs
    assert output.dead == pytest.approx(3 / 7)


@pytest.mark.parametrize(
    ("flags", "code"), [((), 1), (("--accept",), 0), (("--floor-db", "-1"), 0), (("--set", "quantize.accept=true"), 0)]
)
def test_the_floor_and_who_accepts_less(nets: Path, flags: tuple[str, ...], code: int) -> None:
    command = [sys.executable, "-m", "edgeworthy", "quantize", "nets.py:together", "-o", "out", "--to", "tflite"]
    command += ["--calibration", "c.npz", "--samples", "32", "--scheme", "int8", *flags]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=nets, env=WIDE, check=False)
    assert ran.returncode == code, ran.stdout + ran.stderr
    assert ("accepted as asked" in ran.stdout) == bool({"--accept", "--set"} & set(flags))
    assert "model_int8.tflite: runs on TFLite ≥ 2.7" in ran.stdout


def test_a_floor_of_the_users_own_is_held(nets: Path) -> None:
    report = quantized(nets, "apart", schemes=["dynamic_wi8_afp32"], floor_db=200.0)
    assert report.fidelity and report.fidelity.status == "fail"
    assert "SQNR at least 200 dB" in report.fidelity.hops[1].reason


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8"])
def test_a_file_for_a_phone_has_its_signature_names_and_scales(nets: Path, dtype: str) -> None:
    report = quantized(nets, "apart", schemes=["int8"], io_dtype=dtype)
    for resolver in (OpResolverType.BUILTIN, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
        loaded = Interpreter(str(nets / "out/model_int8.tflite"), experimental_op_resolver_type=resolver)
        loaded.allocate_tensors()
        (signature,) = loaded.get_signature_list().values()
        assert signature == {"inputs": ["image"], "outputs": ["output"]}
        for detail in (*loaded.get_input_details(), *loaded.get_output_details()):
            assert (len(detail["quantization_parameters"]["scales"]) == 1) == (detail["dtype"] != np.float32)
        assert loaded.get_input_details()[0]["dtype"] == np.dtype(dtype)
        loaded.invoke()
    artifact = report.artifact("tflite_static_wi8_ai8")
    assert artifact and artifact.inputs[0].dtype == dtype


def test_neither_torch_nor_tensorflow_is_needed(nets: Path) -> None:
    edgeworthy.run(f"{nets}/nets.py:apart", nets / "onnx", stages=("export",))
    code = f"""if True:
        import sys
        sys.modules |= {{"torch": None, "tensorflow": None}}
        import edgeworthy
        report = edgeworthy.run({str(nets / "onnx/model.onnx")!r}, {str(nets / "out")!r}, stages=("quantize",),
            convert={{"to": ["tflite"]}}, quantize={{"calibration": {str(nets / "c.npz")!r}}})
        print(report.fidelity.status, len(report.fidelity.hops))
    """
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout == "pass 4\n", ran.stderr


def test_a_whole_run_leaves_it_to_parity(nets: Path) -> None:
    report = edgeworthy.run(
        f"{nets}/nets.py:apart", nets / "out", stages=("quantize", "validate"), convert={"to": ["tflite"]},
        quantize={"schemes": ["float16"]}, targets=["pytorch", "tflite"],
    )  # fmt: skip
    assert report.fidelity is None
    assert report.parity and report.parity.status == "pass"


def test_debug_shows_where_the_quantizer_raised(tmp_path: Path) -> None:
    """A calibration sample that the model can't run on, as the child that tried says it."""
    (tmp_path / "net.py").write_text(
        "import torch\n\n\nclass Six(torch.nn.Module):\n    example_inputs = (torch.ones(2, 3),)\n\n"
        "    def forward(self, x):\n        return torch.relu(x.reshape(2, 3))\n\n\ndef make():\n    return Six()\n"
    )
    np.savez(tmp_path / "c.npz", x=np.ones((4, 5), np.float32))
    command = [sys.executable, "-m", "edgeworthy", "quantize", "net.py:make", "-o", "out", "--to", "tflite"]
    command += ["--input", "x:float32[a,b]", "--scheme", "int8", "--calibration", "c.npz"]
    for flags in ((), ("--debug",)):
        ran = subprocess.run([*command, *flags], capture_output=True, text=True, cwd=tmp_path, env=WIDE, check=False)
        assert ran.returncode == 1, ran.stderr
        assert "✗ static_wi8_ai8: quantizing to static_wi8_ai8 raised in calibrate: RuntimeError" in ran.stdout
        assert "keep the operator in question in float with --exclude" in ran.stdout
        assert ("Traceback (most recent call last)" in ran.stdout) == bool(flags)
        assert ("quantize/worker.py" in ran.stdout) == bool(flags)
