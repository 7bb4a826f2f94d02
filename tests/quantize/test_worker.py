"""The worker's death, in every way, is told; and it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import BadInput, OutOfMemory, RuntimeFailure
from edgeworthy.formats.tflite import edit as fb
from edgeworthy.formats.tflite.summary import describe
from edgeworthy.quantize.calibration import CalibrationSet
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe

Calibrate = Callable[..., CalibrationSet]


def _children() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if "edgeworthy.quantize.worker" in " ".join(p.cmdline())]


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (signal.SIGKILL, OutOfMemory, "killed with SIGKILL in calibrate, as when memory runs out"),
        (signal.SIGABRT, RuntimeFailure, "crashed with SIGABRT in calibrate"),
    ],
)
def test_a_crash_is_told(
    number: signal.Signals,
    error: type[Exception],
    words: str,
    conv_net: TFLiteModel,
    tmp_path: Path,
    calibrate: Calibrate,
) -> None:
    def kill(done: int, total: int) -> None:
        if done == 2:
            (child,) = _children()
            child.send_signal(number)

    with pytest.raises(error, match=words):
        quantize(conv_net, tmp_path / "q.tflite", Recipe.of("int8"), calibration=calibrate(conv_net, 4), progress=kill)
    assert list(tmp_path.iterdir()) == [tmp_path / "calibration.npz"]
    assert not _children()


def test_a_hang_is_told(conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate) -> None:
    def stop(done: int, total: int) -> None:
        (child,) = _children()
        child.suspend()

    with pytest.raises(RuntimeFailure, match="hung: calibrate took more than 5 s"):
        quantize(
            conv_net,
            tmp_path / "q.tflite",
            Recipe.of("int8"),
            calibration=calibrate(conv_net, 4),
            progress=stop,
            timeout_s=5,
        )
    assert list(tmp_path.iterdir()) == [tmp_path / "calibration.npz"]
    assert not _children()


def test_ctrl_c_leaves_nothing_behind(conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    data = calibrate(conv_net, 4)
    with pytest.raises(KeyboardInterrupt):
        quantize(conv_net, tmp_path / "q.tflite", Recipe.of("int8"), calibration=data, progress=interrupt)
    assert list(tmp_path.iterdir()) == [tmp_path / "calibration.npz"]
    assert not _children()


def test_a_file_that_is_no_model_is_told(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"\0\0\0\0TFL3" + bytes(100))
    with pytest.raises(BadInput, match="holds no graph"):
        quantize(TFLiteModel(path, (), ()), tmp_path / "q.tflite", Recipe.of("float16"))


def test_what_the_runtime_refuses_is_told_without_a_traceback(conv_net: TFLiteModel, tmp_path: Path) -> None:
    model = fb.read(conv_net.path.read_bytes())
    model.operatorCodes[0].builtinCode, model.operatorCodes[0].customCode = fb.BuiltinOperator.CUSTOM, b"Mine"
    model.operatorCodes[0].deprecatedBuiltinCode = fb.BuiltinOperator.CUSTOM
    path = tmp_path / "m.tflite"
    path.write_bytes(fb.write(model))
    with pytest.raises(RuntimeFailure, match="Mine") as caught:
        quantize(describe(path), tmp_path / "q.tflite", Recipe.of("float16"))
    assert not any("Traceback" in line for line in caught.value.details)


def test_the_worker_ends_when_its_parent_is_killed(conv_net: TFLiteModel, tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from edgeworthy.formats.tflite.summary import describe\n"
        "from edgeworthy.quantize.calibration import load_calibration\n"
        "from edgeworthy.quantize.post_training import quantize\n"
        "from edgeworthy.quantize.recipe import Recipe\n"
        "model = describe(Path(sys.argv[1]))\n"
        "def wait(done, total): print(done, flush=True); time.sleep(60)\n"
        "data = load_calibration('random', model.inputs, samples=2)\n"
        "quantize(model, Path(sys.argv[2]), Recipe.of('int8'), calibration=data, progress=wait)\n"
    )
    command = [sys.executable, "-c", script, str(conv_net.path), str(tmp_path / "q.tflite")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"1\n"
        (child,) = psutil.Process(parent.pid).children()
        os.kill(parent.pid, signal.SIGKILL)
    child.wait(timeout=10)
    assert not (tmp_path / "q.tflite").exists()


@pytest.fixture(autouse=True)
def no_workers_left() -> Iterator[None]:
    yield
    assert not _children()
