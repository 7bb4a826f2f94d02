"""What goes wrong on the command line: said in a line, with the exit code of its kind."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from .conftest import edgeworthy


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Usage"),
        (("run", "x", "--exportr", "y"), "--exporter"),
        (("nonsense",), "error: there is no command 'nonsense'"),
        (("rnu",), "fix: did you mean 'run'?"),
        (("run", "--outptu", "x"), "error: there is no option --outptu\n"),
        (("run", "x", "-o"), "error: option '-o' requires an argument"),
        (("gate",), "error: missing argument 'OUT'\n"),
        (("gate", "a", "b"), "error: got unexpected extra argument"),
        (("convert", "sample:digits_cnn", "-o", "out", "--to", "onnx"), "`edgeworthy export` makes ONNX"),
        (("convert", "sample:simple_net", "-o", "/proc/foo"), "nothing can be made in /proc\n"),
        (("run",), "no model was given"),
        (("run", "sample:digits_cnn"), "no output folder was given"),
        (("run", "none.py:make", "-o", "out"), "no such file"),
        (("run", "none.onnx", "-o", "out"), "error:"),
        (("run", "none.toml"), "doesn't exist"),
        (("run", "sample:none", "-o", "out"), "none"),
        (("run", "sample:digits_cnn", "-o", "out", "--scheme", "int9"), "there is no quantization scheme"),
        (("run", "sample:digits_cnn", "-o", "out", "--target", "tpu"), "there is no target 'tpu'"),
        (("run", "sample:digits_cnn", "-o", "out", "--target", ""), "it has no value\n  at: --target\n"),
        (("run", "sample:digits_cnn", "-o", "out", "--exporter", "onnx"), "'dynamo' or 'torchscript'"),
        (("run", "sample:digits_cnn", "-o", "out", "--threads", "two"), "--threads = 'two'"),
        (("run", "sample:digits_cnn", "-o", "out", "--atol", "x:y"), "holds no number"),
        (("run", "sample:digits_cnn", "-o", "out", "--set", "seed=x"), "seed = 'x'"),
        (("run", "sample:digits_cnn", "-o", "out", "--threads", "1,100000"), "100000 threads"),
        (("run", "sample:digits_cnn", "-o", "out", "--baseline", "TFLite int9"), "- TFLite int8"),
        (("bench", "sample:digits_cnn", "-o", "out", "--to", "tflite", "--baseline", "SavedModel"), "no row"),
        (("init",), "no model was given"),
        (("init", "none.py:make"), "no such file"),
        (("gate", "nowhere"), "no report here"),
        (("report",), "no folder was given"),
        (("inspect", "none.tflite"), "no such"),
        (("samples", "none"), "there is no sample"),
    ],
)
def test_wrong_usage_says_what_and_exits_with_2(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    ran = edgeworthy(*arguments, cwd=tmp_path)
    assert ran.returncode == 2, ran.stderr
    assert said in ran.stderr + ran.stdout or said in " ".join(ran.stderr.split())  # which is wrapped
    assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_target_exits_with_3(tmp_path: Path) -> None:
    for name, said in (("onnxruntime:cuda", "pip install"), ("litert:gpu,driver=nowhere.json", "targets install gpu")):
        ran = edgeworthy("run", "sample:simple_net", "-o", tmp_path / "out", "--target", name)
        assert ran.returncode == 3
        assert said in ran.stderr


def test_a_board_that_is_not_there_exits_with_3(tmp_path: Path) -> None:
    """Which only a connection tells: its rows are skipped, and those of others stay."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        board = f"ssh:pi@127.0.0.1,port={free.getsockname()[1]}"
    ran = edgeworthy("targets", "doctor", board)
    assert ran.returncode == 3 and "has no sshd on this port" in ran.stderr
    edgeworthy("convert", "sample:simple_net", "-o", tmp_path / "made", "--to", "tflite")
    file = tmp_path / "made" / "model_float32.tflite"
    ran = edgeworthy("bench", file, "-o", tmp_path / "out", "--target", "tflite", "--target", board, "--seconds", 0.1)
    assert (ran.returncode, ran.stderr) == (3, "")
    assert "has no sshd on this port" in " ".join(ran.stdout.split()) and "pass" in ran.stdout


def test_an_input_that_no_memory_could_hold_exits_with_3(tmp_path: Path) -> None:
    largest = 2**31 - 1
    value = onnx.helper.make_tensor_value_info
    shapes = [value(name, onnx.TensorProto.FLOAT, [largest] * 4) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", shapes[:1], shapes[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "large.onnx")
    ran = edgeworthy("validate", "large.onnx", "-o", "out", cwd=tmp_path)
    assert (ran.returncode, "memory ran out" in ran.stderr) == (3, True), ran.stderr


def test_errors_are_json_under_json(tmp_path: Path) -> None:
    ran = edgeworthy("run", "none.py:make", "-o", "out", "--json", cwd=tmp_path)
    error = json.loads(ran.stdout)
    assert (error["error"], error["exit_code"], ran.returncode) == ("BadInput", 2, 2)
    assert error["remedy"]
    for arguments, what in ((("rnu", "--json"), "no command 'rnu'"), (("gate", "--json"), "missing argument 'OUT'")):
        ran = edgeworthy(*arguments, cwd=tmp_path)
        error = json.loads(ran.stdout)
        assert (error["error"], error["exit_code"], ran.returncode, ran.stderr) == ("BadInput", 2, 2, "")
        assert what in error["what"] and error["remedy"]


NETS = """
import torch
from torch import nn


class Random(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


class Branch(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x * 3
"""


def test_exit_codes_tell_a_bad_model_from_an_answer_of_no(tmp_path: Path) -> None:
    """2: it can't be used as it is. 1: the answer is no. As README's table has it."""
    (tmp_path / "nets.py").write_text(NETS)
    for factory, flags, code, said in (
        ("Random", (), 2, "is random"),
        ("Branch", (), 2, "can't be exported"),
        ("Branch", ("--exporter", "torchscript"), 1, "computes another"),
    ):
        ran = edgeworthy("export", f"nets.py:{factory}", "-o", "out", "--input", "x:float32[2,3]", *flags, cwd=tmp_path)
        assert (ran.returncode, said in ran.stderr) == (code, True), ran.stderr
        assert "fix: " in ran.stderr
    nodes = [onnx.helper.make_node("MaxRoiPool", ["x", "r"], ["y"], pooled_shape=[2, 2])]
    shapes = {"x": [1, 1, 4, 4], "r": [1, 5], "y": [1, 1, 2, 2]}
    x, r, y = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in shapes.items())
    opset = [onnx.helper.make_opsetid("", 20)]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [x, r], [y]), opset_imports=opset, ir_version=10)
    onnx.save(model, tmp_path / "roi.onnx")
    for shown in ([], ["--json"]):
        ran = edgeworthy("inspect", "roi.onnx", *shown, cwd=tmp_path)
        assert ran.returncode == 1 and "MaxRoiPool" in ran.stdout and ran.stderr == ""
    assert edgeworthy("convert", "roi.onnx", "-o", "out", "--to", "tflite", cwd=tmp_path).returncode == 2


def test_a_fault_of_ours_is_one_line_and_70(out: Path) -> None:
    """A report whose folder is no folder any more: an error that nobody foresaw."""
    broken = "import sys, edgeworthy.validate.gate as g\ng.evaluate = lambda *a, **k: 1 / 0\n"
    broken += "from edgeworthy.cli import main\nsys.argv = ['edgeworthy', 'gate', sys.argv[1], *sys.argv[2:]]\nmain()"
    for flags, traceback in (((), False), (("--debug",), True)):
        ran = subprocess.run([sys.executable, "-c", broken, out, *flags], capture_output=True, text=True, check=False)
        assert ran.returncode == 70
        assert "a fault of edgeworthy: ZeroDivisionError: division by zero" in ran.stderr
        assert "--debug" in ran.stderr
        assert ("Traceback" in ran.stderr) == traceback


def test_a_reader_that_goes_away_is_no_error(out: Path) -> None:
    ran = subprocess.run(
        f"'{sys.executable}' -m edgeworthy report '{out}' --json | head -c 10",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""


def test_quiet_prints_nothing(out: Path) -> None:
    ran = edgeworthy("gate", out, "--quiet")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("", "", 0)


def test_the_users_files_are_named_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model_float32.tflite").write_text("mine")
    ran = edgeworthy("convert", "sample:linear_regression", "-o", "out", "--to", "tflite", cwd=tmp_path)
    assert ran.returncode == 2
    assert "- out/model_float32.tflite" in ran.stderr
    assert (tmp_path / "out" / "model_float32.tflite").read_text() == "mine"
    assert len(list((tmp_path / "out").iterdir())) == 1
    ran = edgeworthy("convert", "sample:linear_regression", "-o", "out", "--to", "tflite", "--force", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    (tmp_path / "out" / "report.json").write_text((tmp_path / "out" / "report.json").read_text() + "\n")
    ran = edgeworthy("report", "out", cwd=tmp_path)
    assert (ran.returncode, "- out/report.json" in ran.stderr) == (2, True)
    assert edgeworthy("report", "out", "--force", cwd=tmp_path).returncode == 0
    assert edgeworthy("report", "out", cwd=tmp_path).returncode == 0, "what it wrote is ours"


@pytest.mark.parametrize(
    "arguments",
    [
        ("gate", "new"),
        ("report", "new"),
        ("report", "new", "--json"),
        ("summary", "new"),
        ("summary", "out", "--baseline", "new/report.json"),
        ("gate", "out", "-c", "ci.toml", "--baseline", "new"),
        ("run", "sample:linear_regression", "-o", "made", "-c", "ci.toml", "--set", "gate.baseline=new/report.json"),
    ],
    ids=" ".join,
)
def test_a_report_of_another_schema_version_is_refused(out: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    newer = json.loads((out / "report.json").read_text()) | {"schema_version": 2, "edgeworthy": "9.8.7"}
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "report.json").write_text(json.dumps(newer))
    (tmp_path / "ci.toml").write_text("[gate.regression]\nsize_bytes = { int8 = 1.0 }\n")
    ran = edgeworthy(*arguments, cwd=tmp_path)
    assert ran.returncode == 2, ran.stderr
    said = ran.stdout if "--json" in arguments else ran.stderr
    for words in ("version 2 of the schema", "new/report.json", "edgeworthy 9.8.7", "update edgeworthy"):
        assert words in said
    assert not (tmp_path / "made").exists()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["report.json"]
