"""LiteRT's Arm kernels under the real QEMU, against this machine's."""

from __future__ import annotations

import os
import subprocess
import time
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest

from edgeworthy import kits
from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import CheckFailed, RuntimeFailure
from edgeworthy.targets.arm64 import Arm64
from edgeworthy.targets.remote.process import Process
from edgeworthy.targets.remote.runner import RemoteRunner
from edgeworthy.targets.remote.there import litert
from edgeworthy.targets.worker import Worker

pytestmark = [
    pytest.mark.device,
    pytest.mark.skipif(
        kits.look(kits.KITS["arm64"]).status != "ready", reason="its kit isn't there: edgeworthy targets install arm64"
    ),
]

_EDGES = np.float32([0, -0.0, 1e-30, 1e30, -1e30, 2.5, -2.5, 0.5])


@pytest.fixture(scope="module")
def pictures() -> Any:
    """[3, 8, 8, 3], with zeros, ties and values beyond what the int8 file's input holds."""
    made = np.random.default_rng(11).normal(size=(3, 8, 8, 3)).astype(np.float32)
    made[0, 0, :, 0] = _EDGES
    made[1] = 0
    return made


@pytest.mark.parametrize("kernels", ["xnnpack", "builtin", "reference"])
def test_int8_is_bit_exact_on_xnnpack_and_the_reference(tflite_int8: TFLiteModel, pictures: Any, kernels: str) -> None:
    scale = litert.load(str(tflite_int8.path), 1).outputs["logits"]["scales"][0]
    raw = {"image": np.random.default_rng(5).integers(-128, 128, (3, 8, 8, 3), np.int8)}
    arm, here = (Worker(f"{name},kernels={kernels}", tflite_int8) for name in ("arm64", "tflite"))
    with arm, here:
        for feeds in ({"image": pictures}, {"image": pictures[:1]}, raw):
            found, expected = arm.run(feeds)["logits"], here.run(feeds)["logits"]
            assert found.dtype == expected.dtype
            if kernels == "builtin":  # TFLite's own round a product twice on Arm, as its instructions do
                assert np.abs(found.astype(np.float64) - expected).max() <= (1 if feeds is raw else 1.01 * scale)
            else:
                np.testing.assert_array_equal(found, expected)
        receipt = arm.receipt
    assert receipt.ran == ("XNNPACK" if kernels == "xnnpack" else f"TFLite {kernels}")
    assert receipt.measured == "emulated" and "emulated by qemu-aarch64" in receipt.notes
    assert (receipt.nodes, receipt.delegated) == (here.receipt.nodes, here.receipt.delegated)
    assert (receipt.kernels == here.receipt.kernels) == (kernels != "builtin")


def test_float32_is_within_rounding(tflite_model: TFLiteModel, images: Any, pictures: Any, expected: Any) -> None:
    feeds = {"image": images.transpose(0, 2, 3, 1)}
    with Worker("arm64", tflite_model) as arm, Worker("tflite", tflite_model) as here:
        np.testing.assert_allclose(arm.run(feeds)["logits"], expected, atol=1e-5)  # PyTorch's, in float64
        for some in (feeds, {"image": pictures[1:]}):
            np.testing.assert_allclose(arm.run(some)["logits"], here.run(some)["logits"], rtol=1e-6, atol=1e-6)
        assert arm.receipt.delegated == here.receipt.delegated and arm.receipt.precision == "float32"
        assert len(arm.time(feeds, 3)) == 3
        assert 0 < arm.load_ms < 60_000 and arm.first_ms
        assert arm.peak_rss_bytes > 20e6


def test_what_xnnpack_leaves_is_named_and_may_be_a_failure(partly_delegated: TFLiteModel) -> None:
    feeds = {"x": np.float32([[0, -1, 2], [3, 1e4, -0.0]])}
    with Worker("arm64", partly_delegated) as arm, Worker("tflite", partly_delegated) as here:
        np.testing.assert_allclose(arm.run(feeds)["y"], here.run(feeds)["y"], rtol=1e-6)
        assert (arm.receipt.nodes, arm.receipt.delegated, arm.receipt.partitions) == (3, 2, 2)
        assert arm.receipt.fallback == here.receipt.fallback
    required = Worker("arm64,require_full_delegation=true", partly_delegated)
    with required as arm, pytest.raises(CheckFailed, match="took 2 of 3 nodes") as failed:
        arm.run(feeds)
    assert failed.value.details[0].startswith("CUMSUM")


def test_a_run_that_takes_too_long_ends_with_its_emulator(tflite_model: TFLiteModel, pictures: Any) -> None:
    with Worker("arm64", tflite_model, timeout_s=20) as arm:
        arm.run({"image": pictures})
        emulators = [p for p in psutil.Process().children(recursive=True) if p.name() == "qemu-aarch64"]
        assert len(emulators) == 2
        begin = time.monotonic()
        with pytest.raises(RuntimeFailure, match=r"arm64 hung: time took more than 20 s \(timeout\)"):
            arm.time({"image": np.tile(pictures, (500, 1, 1, 1))}, 100_000)
    assert time.monotonic() - begin < 60
    assert not psutil.wait_procs(emulators, timeout=10)[1]


def test_a_file_that_is_no_model_is_told_and_the_next_one_loads(tflite_int8: TFLiteModel, tmp_path: Any) -> None:
    broken = tmp_path / "broken 'model'.tflite"
    broken.write_bytes(tflite_int8.path.read_bytes()[:100])
    with Worker("arm64") as arm:
        with pytest.raises(RuntimeFailure, match="arm64 raised in load: ValueError"):
            arm.load(TFLiteModel(broken, tflite_int8.inputs, tflite_int8.outputs))
        arm.load(tflite_int8)
        assert arm.run({"image": np.zeros((1, 8, 8, 3), np.int8)})["logits"].dtype == np.int8


class WithoutSys(Arm64):
    """In a mount namespace where /sys tells of no processor."""

    hides = ("unshare", "-r", "-m", "sh", "-c", 'mount -t tmpfs none /sys/devices/system/cpu && exec "$@"', "sh")

    def start(self) -> RemoteRunner:
        kit = kits.launch(kits.KITS["arm64"])
        pipe = Process((*self.hides, *kit.python), os.environ | kit.environment)
        return RemoteRunner(pipe, self.backend, name=self.name, where=str(kit.folder))


def test_xnnpack_that_stays_off_without_a_word_is_told(tflite_model: TFLiteModel, pictures: Any) -> None:
    if subprocess.run([*WithoutSys.hides, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody hide /sys")
    target = WithoutSys()
    loaded = target.load(tflite_model)
    found = loaded.run({"image": pictures[1:]})["logits"]
    with Worker("tflite,kernels=builtin", tflite_model) as here:
        np.testing.assert_allclose(found, here.run({"image": pictures[1:]})["logits"], rtol=1e-5, atol=1e-5)
    receipt = loaded.receipt
    target.runner.close()
    assert (receipt.asked, receipt.ran, receipt.delegated) == ("XNNPACK", "TFLite builtin", 0)
    assert len(receipt.fallback) == receipt.nodes
    assert "XNNPACK didn't come on: it may not know this processor" in receipt.notes
