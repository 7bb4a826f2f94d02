"""TFLite files on a device over the real adb and adbd, against this machine's interpreter."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy import kits
from edgeworthy.artifact import TensorSpec, TFLiteModel
from edgeworthy.errors import CheckFailed, NotAvailable, RuntimeFailure
from edgeworthy.files import sha256
from edgeworthy.formats.tflite.summary import describe
from edgeworthy.targets.android.adb import Adb, program
from edgeworthy.targets.worker import Worker

from ..conftest import Made
from .devices import Device, Network

pytestmark = pytest.mark.device

_KIT = kits.look(kits.KITS["arm64"]).folder


@pytest.fixture(scope="module")
def pictures() -> Any:
    """[3, 8, 8, 3], with zeros, ties and values beyond what the int8 file's input holds."""
    made = np.random.default_rng(11).normal(size=(3, 8, 8, 3)).astype(np.float32)
    made[0, 0, :, 0] = [0, -0.0, 1e-30, 1e30, -1e30, 2.5, -2.5, 0.5]
    made[1] = 0
    return made


def test_its_shell_and_tools_are_androids(device: Device) -> None:
    told = Adb(program() or (), device.serial).shell("echo $KSH_VERSION; readlink -f $(which sha256sum)").decode()
    assert "MIRBSD KSH" in told and "toybox" in told


def test_a_python_there(device: Device, tflite_int8: TFLiteModel, tflite_model: TFLiteModel, pictures: Any) -> None:
    raw = {"image": np.random.default_rng(5).integers(-128, 128, (3, 8, 8, 3), np.int8)}
    target = f"{device.target},python={sys.executable}"
    for artifact in (tflite_int8, tflite_model):
        with Worker(target, artifact) as there, Worker("tflite", artifact) as here:
            for feeds in ({"image": pictures}, {"image": pictures[:1]}, *([raw] if artifact is tflite_int8 else [])):
                np.testing.assert_array_equal(there.run(feeds)["logits"], here.run(feeds)["logits"])
            assert len(there.time({"image": pictures}, 5)) == 5
            receipt = there.receipt
            assert (receipt.ran, receipt.nodes, receipt.delegated) == (
                "XNNPACK",
                here.receipt.nodes,
                here.receipt.nodes,
            )
            assert receipt.measured == "device" and there.peak_rss_bytes > 10e6
            assert {"Debian bookworm, adbd, Android 14, x86_64+arm64-v8a", "42 °C", "plugged in"} < set(receipt.notes)
            assert there.version == "Android 14 on Debian bookworm"
    assert device.left() == {sha256(tflite_int8.path), sha256(tflite_model.path)}


@pytest.mark.skipif(not _KIT.exists(), reason="the kit isn't there: edgeworthy targets install arm64")
def test_the_kit_needs_no_python_there(network: Network, tflite_int8: TFLiteModel, pictures: Any) -> None:
    """An arm64 device: adbd's machine executes Arm's programs by QEMU, in its namespace alone."""
    network.execute_arm64(_KIT / "qemu/usr/bin/qemu-aarch64")
    with network.device(6002, {"ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a"}) as device:
        for _ in range(2):
            with Worker(device.target, tflite_int8) as there, Worker("tflite", tflite_int8) as here:
                for feeds in ({"image": pictures}, {"image": pictures[:1]}):
                    np.testing.assert_array_equal(there.run(feeds)["logits"], here.run(feeds)["logits"])
                receipt = there.receipt
            assert (receipt.ran, receipt.nodes, receipt.delegated) == ("XNNPACK", 3, 3)
            assert receipt.measured == "emulated" and any("aarch64" in note for note in receipt.notes)
            folders = {name for name in device.left() if name.endswith(".d")}
            assert len(folders) == 1 and device.left() - folders == {sha256(tflite_int8.path)}


def test_benchmark_model(
    device: Device, tool: Path, tflite_int8: TFLiteModel, tflite_model: TFLiteModel, pictures: Any
) -> None:
    raw = {"image": np.random.default_rng(5).integers(-128, 128, (3, 8, 8, 3), np.int8)}
    target = f"{device.target},benchmark={tool}"
    for artifact in (tflite_int8, tflite_model):
        with Worker(target, artifact) as there, Worker("tflite", artifact) as here:
            for feeds in ({"image": pictures}, {"image": pictures[:1]}, *([raw] if artifact is tflite_int8 else [])):
                np.testing.assert_array_equal(there.run(feeds)["logits"], here.run(feeds)["logits"])
            times = there.time({"image": pictures}, 20)
            receipt = there.receipt
            assert there.peak_rss_bytes == 3.25 * (1 << 20)
        assert len(times) == 20 and min(times) > 0 and times[1:] == sorted(times[1:])
        assert (receipt.ran, receipt.nodes, receipt.delegated, receipt.partitions) == ("XNNPACK", 3, 3, 1)
        assert receipt.precision == here.receipt.precision and receipt.measured == "device"
    files = {sha256(path) for path in (tool, tflite_int8.path, tflite_model.path)}
    inputs = device.left() - files
    assert len(inputs) == 6 - 1 and all(len(name) == 64 for name in inputs)  # nothing temporary


@pytest.fixture(scope="module")
def partial(tensorflow: Any, tmp_path_factory: pytest.TempPathFactory) -> TFLiteModel:
    """Two inputs and two outputs of other orders, shapes and dtypes, and a node that XNNPACK leaves to TFLite."""
    tf = tensorflow

    class Module(tf.Module):  # type: ignore[name-defined,misc]
        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[tf.TensorSpec([None, 4], tf.float32, "z"), tf.TensorSpec([3, 4], tf.float32, "a")]
        )
        def call(self, z: Any, a: Any) -> dict[str, Any]:
            product = tf.matmul(z, a, transpose_b=True) + 1.0
            return {"which": tf.argmax(product, axis=1, output_type=tf.int32), "product": product * 2.0}

    module = Module()
    folder = tmp_path_factory.mktemp("partial")
    tf.saved_model.save(module, str(folder / "saved"), signatures={"serving_default": module.call})
    path = folder / "partial.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved")).convert())
    return describe(path)


def test_a_node_that_is_left_is_named(device: Device, tool: Path, partial: TFLiteModel) -> None:
    random = np.random.default_rng(2)
    feeds = {name: random.normal(size=(3, 4)).astype(np.float32) for name in ("z", "a")}
    feeds["z"][1] = 0
    expected = feeds["z"].astype(np.float64) @ feeds["a"].T + 1
    with Worker("tflite", partial) as here:
        here.run(feeds)
        local = here.receipt
    assert local.delegated is not None and local.nodes is not None and 0 < local.delegated < local.nodes
    for way in (f"python={sys.executable}", f"benchmark={tool}"):
        with Worker(f"{device.target},{way}", partial) as there:
            found = there.run(feeds)
            receipt = there.receipt
        np.testing.assert_allclose(found["product"], expected * 2, rtol=1e-5)
        np.testing.assert_array_equal(found["which"], expected.argmax(axis=1))
        assert found["which"].dtype == np.int32
        assert (receipt.nodes, receipt.delegated) == (local.nodes, local.delegated)
        assert receipt.fallback == local.fallback and any(name.startswith("ARG_MAX ") for name in receipt.fallback)
        with Worker(f"{device.target},{way},require_full_delegation=true", partial) as strict:
            with pytest.raises(CheckFailed, match="require_full_delegation: XNNPACK was asked for") as failed:
                strict.run(feeds)
            assert failed.value.details == local.fallback


def test_outputs_of_a_size_that_depends_on_values(device: Device, tool: Path, made: Made, tensorflow: Any) -> None:
    """The tool writes one after the other, without sizes: one is told by what the others leave, two are not."""
    tf, target = tensorflow, f"{device.target},benchmark={tool}"
    feeds = [{"x": np.array(rows, np.float32)} for rows in ([[0, 1, -2], [3, 4, 5]], [[0, -1, 2], [-3, -4, -5]])]

    def one(x: Any) -> dict[str, Any]:
        return {"a": x + 1.0, "where": tf.where(x > 0), "z": tf.reduce_sum(x, 1)}

    fixed = made(one, x=TensorSpec("x", "float32", (2, 3)))
    with Worker(target, fixed) as there, Worker("tflite", fixed) as here:
        for feed in feeds:
            found = there.run(feed)
            for name, array in here.run(feed).items():
                np.testing.assert_array_equal(found[name], array)
            np.testing.assert_array_equal(found["where"], np.argwhere(feed["x"] > 0))
    # Here the file has one name for the rows of the input and those that are found.
    loose = made(one, x=TensorSpec("x", "float32", ("batch", 3)))
    with Worker(target, loose) as there, pytest.raises(RuntimeFailure, match="bytes of outputs, which aren't"):
        there.run(feeds[0])
    two = made(lambda x: {"a": tf.where(x > 0), "b": tf.boolean_mask(x, x > 0)}, x=TensorSpec("x", "float32", (2, 3)))
    with Worker(target, two) as there, pytest.raises(NotAvailable, match="those of several depend on values"):
        there.run(feeds[0])


def test_cores_and_threads(device: Device, tool: Path, tflite_model: TFLiteModel) -> None:
    for way in (f"python={sys.executable}", f"benchmark={tool}"):
        with Worker(f"{device.target},{way},cpu_mask=1", tflite_model, threads=2) as there:
            assert len(there.time({"image": np.ones((1, 8, 8, 3), np.float32)}, 7)) == 7
            if way.startswith("python"):
                assert any(", 1 cores, " in note for note in there.receipt.notes)


def test_the_tool_of_litert_tells_times_of_the_cpu_alone(
    device: Device, tool: Path, tmp_path: Path, tflite_model: TFLiteModel
) -> None:
    compiled, text = tmp_path / "compiled", tool.read_text()
    for name in ("input_layer", "input_layer_shape", "input_layer_value_files", "output_filepath"):
        text = text.replace(f'"{name}": "",', "").replace(f'options["{name}"]', '""')
    text = text.replace('zip(inputs, "".split(":"), strict=True)', "()").replace('"".split(","), inter', '"i", inter')
    compiled.write_text(text.replace('"use_xnnpack"', '"use_gpu": False, "use_cpu"'))
    feeds = {"image": np.ones((1, 8, 8, 3), np.float32)}
    with Worker(f"{device.target},benchmark={compiled}", tflite_model) as there:
        assert len(there.time(feeds, 5)) == 5
        assert there.receipt.delegated == 3 and "timed on random inputs" in there.receipt.notes
        with pytest.raises(NotAvailable, match="runs the shapes of the file alone"):
            there.time({"image": np.ones((2, 8, 8, 3), np.float32)}, 5)
        with pytest.raises(NotAvailable, match="has no --output_filepath"):
            there.run(feeds)
    with pytest.raises(NotAvailable, match="whose runs end before a GPU's outputs are there"):
        Worker(f"{device.target},benchmark={compiled},delegate=gpu").load(tflite_model)


def test_a_tool_that_writes_no_outputs_tells_times_alone(
    device: Device, tool: Path, tmp_path: Path, tflite_model: TFLiteModel
) -> None:
    old, text = tmp_path / "old", tool.read_text()
    for name, value in (("output_filepath", '""'), ("print_preinvoke_state", "False")):
        text = text.replace(f'"{name}": {value}, ', "").replace(f'"{name}": {value},', "")
        text = text.replace(f'options["{name}"]', "False")
    old.write_text(text)
    feeds = {"image": np.ones((1, 8, 8, 3), np.float32)}
    with Worker(f"{device.target},benchmark={old}", tflite_model) as there:
        assert len(there.time(feeds, 5)) == 5
        receipt = there.receipt
        assert (receipt.ran, receipt.nodes) == ("unknown", None)
        assert "benchmark_model doesn't tell what --use_xnnpack took" in receipt.notes
        with pytest.raises(NotAvailable, match="has no --output_filepath"):
            there.run(feeds)
    with pytest.raises(NotAvailable, match="this benchmark_model has no --use_gpu"):
        Worker(f"{device.target},benchmark={old},delegate=gpu").load(tflite_model)
