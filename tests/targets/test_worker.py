from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from edgeworthy.artifact import OnnxModel, TFLiteModel
from edgeworthy.errors import BadInput, CheckFailed, OutOfMemory, RuntimeFailure
from edgeworthy.targets.pytorch import PyTorchModel
from edgeworthy.targets.worker import Worker

from .conftest import LOGITS, NCHW


def model(factory_file: Path, factory: str) -> PyTorchModel:
    return PyTorchModel.of(f"{factory_file}:{factory}", NCHW, LOGITS)


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_run_time_receipt_and_memory(onnx_model: OnnxModel, images: Any, expected: Any) -> None:
    with Worker("onnxruntime", onnx_model, threads=2) as worker:
        assert worker.first_ms is None
        np.testing.assert_allclose(worker.run({"image": images})["logits"], expected, atol=1e-5)
        first = worker.first_ms
        times = worker.time({"image": images}, 20)
        assert len(times) == 20 and all(isinstance(t, int) and t > 0 for t in times)
        assert worker.first_ms == first and first and first > 0
        assert worker.load_ms > 0
        assert worker.receipt.ran == "CPUExecutionProvider"
        assert 10e6 < worker.peak_rss_bytes < 500e6
        assert 0 < worker.model_rss_bytes < worker.peak_rss_bytes
        before = worker.receipt
    assert not worker.alive
    assert worker.receipt == before  # still known


def test_peak_memory_is_the_workers_not_ours(onnx_model: OnnxModel) -> None:
    ballast = np.ones(100_000_000)  # 800 MB in this process
    with Worker("onnxruntime", onnx_model) as worker:
        assert worker.peak_rss_bytes < 400e6
    assert ballast[0] == 1


def test_one_worker_serves_one_model_after_another(
    tflite_model: TFLiteModel, tflite_int8: TFLiteModel, images: Any
) -> None:
    feeds = {"image": np.ascontiguousarray(images.transpose(0, 2, 3, 1))}
    with Worker("tflite") as worker:
        results = []
        for artifact in (tflite_model, tflite_int8):
            worker.load(artifact)
            assert worker.first_ms is None
            results.append(worker.run(feeds)["logits"])
    assert 0 < np.abs(results[0] - results[1]).max() < 1


def test_crash_names_the_signal_and_keeps_the_last_words(factory_file: Path) -> None:
    with pytest.raises(RuntimeFailure, match="crashed with SIGABRT in load") as caught:
        Worker("pytorch", model(factory_file, "aborts")).__enter__()
    assert any("last words" in line for line in caught.value.details)
    assert any("in aborts" in line for line in caught.value.details)  # faulthandler's stack
    assert caught.value.exit_code == 1


def test_exit_is_a_failure(factory_file: Path) -> None:
    with pytest.raises(RuntimeFailure, match="ended with exit code 7 in load"):
        Worker("pytorch", model(factory_file, "leaves")).__enter__()


def test_hang_ends_by_timeout_and_says_where(factory_file: Path) -> None:
    begin = time.monotonic()
    worker = Worker("pytorch", model(factory_file, "hangs"), timeout_s=8)
    with pytest.raises(RuntimeFailure, match=r"hung: load took more than 8 s \(timeout\)") as caught:
        worker.__enter__()
    assert time.monotonic() - begin < 60
    assert any("in hangs" in line for line in caught.value.details)
    assert not worker.alive and not children()


def test_raise_is_told_and_the_worker_lives_on(factory_file: Path, images: Any) -> None:
    with Worker("pytorch", model(factory_file, "Raises")) as worker:
        with pytest.raises(RuntimeFailure, match="raised in run: ArithmeticError: boom in forward") as caught:
            worker.run({"image": images})
        assert any("net.py" in line and "in forward" in line for line in caught.value.details)
        with pytest.raises(BadInput, match="takes the inputs"):
            worker.run({"photo": images})
        assert worker.alive
        worker.load(model(factory_file, "make"))
        assert worker.run({"image": images})["logits"].shape == (2, 5)


def test_crash_in_a_run_is_followed_by_a_new_start(factory_file: Path, images: Any) -> None:
    with Worker("pytorch", model(factory_file, "AbortsLater")) as worker:
        assert worker.run({"image": images})["logits"].shape == (2, 5)
        with pytest.raises(RuntimeFailure, match="crashed with SIGABRT in run"):
            worker.run({"image": np.zeros((3, 3, 8, 8), np.float32)})
        assert not worker.alive
        with pytest.raises(RuntimeFailure, match="is gone"):
            worker.run({"image": images})
        assert worker.receipt.ran == "CPU"
        worker.load(model(factory_file, "make"))
        assert worker.run({"image": images})["logits"].shape == (2, 5)


def test_chatter_does_not_disturb_the_talk(factory_file: Path, images: Any, capfd: Any) -> None:
    with Worker("pytorch", model(factory_file, "Chatty")) as worker:
        assert worker.run({"image": images})["logits"].shape == (2, 5)
    assert capfd.readouterr() == ("", "")


def test_a_killed_worker_is_reported(onnx_model: OnnxModel, images: Any) -> None:
    with Worker("onnxruntime", onnx_model) as worker:
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(OutOfMemory, match="killed with SIGKILL in run") as caught:
            worker.run({"image": images})
    assert caught.value.exit_code == 3


def test_broken_file_is_a_failure_not_an_abort(tmp_path: Path, onnx_model: OnnxModel) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(onnx_model.path.read_bytes()[:200])
    with pytest.raises(RuntimeFailure, match="onnxruntime raised in load"):
        Worker("onnxruntime", OnnxModel(broken, NCHW, LOGITS)).__enter__()
    assert not children()


def test_unknown_runtime_is_said_without_a_process() -> None:
    with pytest.raises(BadInput, match="no target 'abacus'"):
        Worker("abacus", OnnxModel(Path("m.onnx"), (), ())).__enter__()


PARENT = """
    import signal, sys, time
    from pathlib import Path
    from edgeworthy.artifact import OnnxModel, TensorSpec
    from edgeworthy.targets.worker import Worker

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
    inputs = (TensorSpec("image", "float32", ("batch", 3, 8, 8)),)
    outputs = (TensorSpec("logits", "float32", ("batch", 5)),)
    with Worker("onnxruntime", OnnxModel(Path(sys.argv[1]), inputs, outputs)) as worker:
        print(worker.pid, flush=True)
        time.sleep(100)
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_die_with_their_parent(onnx_model: OnnxModel, sent: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(onnx_model.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.is_running()
    parent.send_signal(sent)
    parent.wait(20)
    parent.stdout.close()
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_waits_passively(onnx_model: OnnxModel, images: Any) -> None:
    with Worker("onnxruntime", onnx_model, threads=2) as worker:
        worker.time({"image": images}, 50)
        process = psutil.Process(worker.pid)
        before = process.cpu_times()
        time.sleep(1)
        after = process.cpu_times()
    assert after.user + after.system - before.user - before.system < 0.1


def test_a_receipt_names_what_ran_elsewhere(partly_delegated: TFLiteModel) -> None:
    feeds = {"x": np.ones((2, 3), np.float32)}
    with Worker("tflite", partly_delegated) as worker:
        worker.run(feeds)
        receipt = worker.receipt
    assert (receipt.nodes, receipt.delegated, receipt.partitions) == (3, 2, 2)
    assert [node.split()[0] for node in receipt.fallback] == ["CUMSUM"]


def test_full_delegation_can_be_required(partly_delegated: TFLiteModel, tflite_model: TFLiteModel, images: Any) -> None:
    feeds = {"x": np.ones((2, 3), np.float32)}
    with Worker("tflite,require_full_delegation=true", partly_delegated) as worker:
        with pytest.raises(CheckFailed, match="XNNPACK was asked for, and took 2 of 3 nodes") as failed:
            worker.run(feeds)
        assert failed.value.details[0].startswith("CUMSUM")
        assert "CUMSUM: a product with a constant triangle" in (failed.value.remedy or "")
    with Worker("tflite,require_full_delegation=true", tflite_model) as worker:
        worker.run({"image": np.ascontiguousarray(images.transpose(0, 2, 3, 1))})
    builtin = Worker("tflite,kernels=builtin,require_full_delegation=true", partly_delegated)
    with builtin as worker, pytest.raises(CheckFailed, match="took 0 of 3 nodes"):
        worker.time(feeds, 1)
