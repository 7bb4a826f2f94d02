"""What isn't there, isn't ready or is of another kind: told before anything is pushed, with exit code 3."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeworthy import targets
from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import BadInput, NotAvailable
from edgeworthy.targets.android import adb
from edgeworthy.targets.worker import Worker

from .devices import KIT, Device, Network

pytestmark = pytest.mark.device

FEEDS = {"image": np.zeros((1, 8, 8, 3), np.float32)}


def python(device: Device) -> str:
    return f"{device.target},python={sys.executable}"


def refused(target: str) -> NotAvailable:
    """The error of a target that can't run here, which is also what `targets` lists of it."""
    with pytest.raises(NotAvailable) as failed:
        targets.get(target).version()
    assert failed.value.exit_code == 3 and failed.value.remedy
    assert failed.value.what in (targets.find(target).missing() or "")
    return failed.value


def test_no_adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    if KIT.status == "ready":
        assert (adb.program() or ("",))[-1].startswith(str(KIT.folder)) and adb.version() == "34.0.5-debian"
    monkeypatch.setenv("EDGEWORTHY_HOME", str(tmp_path))
    assert "edgeworthy targets install adb" in (targets.find("android").missing() or "")
    with pytest.raises(NotAvailable, match="what android needs is not installed"):
        targets.get("android")


def test_an_adb_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "adb").write_bytes(b"\x7fELF")
    (tmp_path / "adb").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotAvailable, match="adb can't be started: Exec format error"):
        adb.devices()


def test_no_device(network: Network) -> None:
    assert refused("android").what == "no device is connected"


def test_an_unknown_serial(device: Device) -> None:
    error = refused("android:localhost:7000")
    assert error.what == "there is no device 'localhost:7000'" and f"{device.serial}: device" in error.details
    assert "adb connect localhost:7000" in (error.remedy or "")


def test_two_devices_and_no_serial(network: Network, device: Device, tflite_model: TFLiteModel) -> None:
    with network.device(6002) as other:
        error = refused("android")
        assert error.what == "2 devices are connected" and set(error.details) == {
            f"{device.serial}: device", f"{other.serial}: device",
        }  # fmt: skip
        for one in (device, other):
            with Worker(python(one), tflite_model) as there:
                assert there.run(FEEDS)["logits"].shape == (1, 5)
        other.stop()
        assert python(device)  # and with one that is ready, no serial is needed
        only = python(device).replace(f":{device.serial}", "")
        assert targets.get(only).version().startswith("Android 14")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("R58M\tunauthorized", "device R58M has not authorized this machine"),
        ("R58M\tauthorizing usb:1-1", "device R58M has not authorized this machine yet"),
        ("R58M\toffline", "device R58M is offline"),
        ("????\tno permissions (user in plugdev group; are your udev rules wrong?); see [http://d.android.com/t]",
         "device ???? can't be opened by this user"),
        ("R58M\tsideload", "device R58M is in sideload"),
        ("R58M\tsleepwalking", "device R58M is not ready: sleepwalking"),
    ],
)  # fmt: skip
def test_a_device_that_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, said: str) -> None:
    """States that adb tells of phones alone, in its words."""
    listed = f"* daemon not running; starting now at tcp:5037\nList of devices attached\n{line}\n\n"
    (tmp_path / "list").write_text(listed)
    (tmp_path / "adb").write_text(f'#!/bin/sh\necho Version 34.0.5-debian\ncat "{tmp_path}/list"\n')
    (tmp_path / "adb").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert refused("android").what == said
    assert refused(f"android:{line.split()[0]}").what == said


def test_an_offline_device(network: Network, device: Device) -> None:
    assert device.process is not None
    device.process.send_signal(signal.SIGSTOP)
    network.call("disconnect", device.serial)
    network.call("connect", device.serial)
    try:
        assert refused(python(device)).what == f"device {device.serial} is offline"
    finally:
        device.process.send_signal(signal.SIGCONT)


def test_a_server_that_does_not_answer(network: Network, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adb, "ANSWER_S", 1.0)
    (server,) = network.processes("fork-server")
    server.suspend()
    try:
        assert refused(python(device)).what == "adb's server doesn't answer"
    finally:
        server.resume()


def test_a_server_of_another_version_is_replaced_by_adb_or_told(network: Network) -> None:
    """Whoever holds the port: adb asks it for its version, asks it to go, and can't start its own."""
    network.call("kill-server")
    code = (
        "import socket\ns = socket.create_server(('localhost', 5037))\nprint('up', flush=True)\n"
        "while True:\n    c, _ = s.accept(); c.recv(99); c.sendall(b'OKAY00040020'); c.close()\n"
    )
    with subprocess.Popen([*network.inside, sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"up\n"
        try:
            error = refused("android")
        finally:
            other.kill()
    assert error.what == "adb can't reach its server" and any("version (32)" in line for line in error.details)
    assert "adb kill-server" in (error.remedy or "")


def test_a_program_of_another_machine(device: Device, tmp_path: Path) -> None:
    arm = tmp_path / "benchmark_model"
    head = bytearray(Path(sys.executable).resolve().read_bytes()[:64])
    head[18:20] = (40).to_bytes(2, "little")  # EM_ARM
    head[4] = 1  # 32 bits
    arm.write_bytes(head)
    error = refused(f"{device.target},benchmark={arm}")
    assert error.what == "this program is for armeabi-v7a, and the device runs x86_64, arm64-v8a"
    assert error.where == f"benchmark={arm}" and device.left() == set()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x7fELF"])
def test_what_is_no_program(device: Device, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tool").write_bytes(content)
    with pytest.raises(BadInput, match="this is no program"):
        targets.get(f"{device.target},benchmark={tmp_path / 'tool'}").version()


def test_a_program_that_is_another(device: Device, tmp_path: Path, tflite_model: TFLiteModel) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\necho usage: something else\nexit 1\n")
    with pytest.raises(NotAvailable, match="lists none of benchmark_model's flags"):
        Worker(f"{device.target},benchmark={tmp_path / 'tool'}").load(tflite_model)


@pytest.mark.parametrize(
    ("python", "said"), [("/no/such/python", "there is no Python there"), ("/etc/passwd", "can't be executed")]
)
def test_a_python_that_is_none(device: Device, tflite_model: TFLiteModel, python: str, said: str) -> None:
    with pytest.raises(NotAvailable, match=said):
        Worker(f"{device.target},python={python}").load(tflite_model)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("delegate=gpu", "delegate=gpu is benchmark_model's"),
        ("benchmark=/no/such", "benchmark=/no/such: there is no such file on this machine"),
        ("python=bin/python", "python=bin/python: it is an absolute path on the device"),
        ("cpu_mask=0x3", "cpu_mask=0x3: it is a mask"),
        ("cpu_mask=0", "cpu_mask=0: it is a mask"),
        (f"python=/x,benchmark={__file__}", "two ways to run a model"),
        (f"kernels=reference,benchmark={__file__}", "kernels are those of a Python there"),
        ("serial=1", "has no option 'serial'"),
    ],
)
def test_options_that_do_not_go(options: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match=said.replace("(", r"\(")):
        target = targets.find(f"android,{options}")
        target.make(**target.options)
