"""Flags, configuration files, samples and reports that don't exist or can't be."""

from __future__ import annotations

import re

import pytest

from . import models
from .sandbox import Sandbox

COMMON = ("model.onnx", "-o", "out", "--to", "tflite")


@pytest.fixture
def here(sandbox: Sandbox) -> Sandbox:
    """A sandbox with a good model."""
    models.write(sandbox.folder / "model.onnx")
    return sandbox


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("convert", "model.onnx"), "no output folder"),
        (("convert", "-o", "out"), "no model was given"),
        (("convert", *COMMON, "--to", "tflight"), "--to = 'tflight': .*did you mean 'tflite'"),
        (("convert", *COMMON, "--io-layout", "nchw"), "--io-layout = 'nchw': should be 'keep' or 'nhwc'"),
        (("convert", *COMMON, "--weights", "w.pt"), "this file has its own weights"),
        (("convert", *COMMON, "--seed", "-1"), "--seed = -1: should be greater than"),
        (("quantize", *COMMON, "--scheme", "int9"), "no quantization scheme 'int9'.*int8"),
        (("quantize", *COMMON, "--scheme", "int8", "--io-dtype", "int4"), "--io-dtype = 'int4': should be"),
        (("quantize", *COMMON[:-1], "saved_model", "--scheme", "float16"), "starts from TFLite"),
        (("validate", *COMMON, "--target", "tpu"), "no target 'tpu'.*onnxruntime"),
        (("validate", *COMMON, "--target", "tensorflow"), "nothing to run: no saved_model is made"),
        (("validate", *COMMON, "--target", "pytorch"), "nothing to run: model.onnx holds no PyTorch module"),
        (("validate", *COMMON, "--atol", "logits:1e-3"), "no output named 'logits'.*it has y"),
        (("bench", *COMMON, "--threads", "two"), "--threads = 'two': should be a valid integer"),
        (("bench", *COMMON, "--timeout", "nan"), "--timeout = nan: should be a finite number"),
        (("samples", "none"), "no sample 'none'.*digits_cnn"),
        (("gate", "."), "no report here"),
        (("report", "nowhere"), "no report here"),
        (("inspect", "nowhere"), "no such file"),
    ],
)
def test_flags(here: Sandbox, arguments: tuple[str, ...], said: str) -> None:
    error = here.refused(*arguments)
    assert re.search(said, " ".join((error.what, *error.details)))


def test_a_target_that_is_not_here(here: Sandbox) -> None:
    error = here.refused("bench", *COMMON, "--target", "onnxruntime-cuda", code=3)
    assert "onnxruntime-gpu" in error.what


@pytest.mark.parametrize("arguments", [("convrt",), ("convert", *COMMON, "--opst", "20"), ("convert", "--opset", "x")])
def test_what_the_parser_refuses(here: Sandbox, arguments: tuple[str, ...]) -> None:
    before = here.listing()
    done = here.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "help" in done.stderr
    assert arguments[-1] in done.stderr or arguments[-2] in done.stderr
    assert here.listing() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[quantise]\nsamples = 8", "unknown key 'quantise'; did you mean 'quantize'"),
        ("[quantize]\nscheme = ['int8']", "unknown key 'quantize.scheme'; did you mean 'schemes'"),
        ("[convert]\nto = 'tflite'", "convert.to = 'tflite': should be a list"),
        ("[bench]\nseconds = -1", "bench.seconds = -1: should be greater than 0"),
        ("[gate]\nsqnr_db = 'high'", "gate.sqnr_db = 'high': should be a number, or a table"),
        ("sed = 1\nmodel = 'x'\n[bench]\nthreads = 0", "has 3 errors"),
        ("this is [not", "not TOML"),
        ("seed = 1\nseed = 2", "not TOML"),
    ],
)
def test_configuration_files(here: Sandbox, text: str, said: str) -> None:
    (here.folder / "edgeworthy.toml").write_text(f"{text}\n")
    error = here.refused("run", "edgeworthy.toml", "-o", "out")
    assert said in " ".join((error.what, *error.details))
    assert error.where == "edgeworthy.toml"


@pytest.mark.parametrize("content", [b"{}", b"no json", b"\xff\xfe"])
@pytest.mark.parametrize("command", ["gate", "report"])
def test_reports_that_are_none(sandbox: Sandbox, command: str, content: bytes) -> None:
    (sandbox.folder / "report.json").write_bytes(content)
    error = sandbox.refused(command, ".")
    assert "this is no report" in error.what
    assert error.where == "report.json"
