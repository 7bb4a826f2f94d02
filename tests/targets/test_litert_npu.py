"""LiteRT's NPU accelerator with Intel's plug-in, on the CPU in place of an NPU, and what is read of its log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec, TFLiteModel
from edgeworthy.errors import CheckFailed, NotAvailable
from edgeworthy.targets import get
from edgeworthy.targets.asked import ask
from edgeworthy.targets.environments import borrow
from edgeworthy.targets.leftover import Delegation
from edgeworthy.targets.litert_npu import LiteRTNpu, place, told
from edgeworthy.targets.openvino import KIT, installed
from edgeworthy.targets.tflite import TFLite
from edgeworthy.targets.worker import Worker

LOG = """\
INFO: [openvino_compiler_plugin.cc:497] op type 59 is not supported
INFO: [openvino_compiler_plugin.cc:497] op type 109 is not supported
INFO: [openvino_compiler_plugin.cc:497] op type 59 is not supported
INFO: [compiler_plugin.cc:742] Partitioned subgraph<0>, selected 4 ops, from a total of 7 ops. resulted in 2 partitions.
INFO: [compiled_model.cc:1397] 1 compiler plugins were applied successfully: IntelOpenVINO compiler plugin (ver 0.1.0)
INFO: [invocation_context.cc:248] Dispatch: using device 'NPU' from bytecode header
""".splitlines()


def test_the_log_is_read() -> None:
    assert told(LOG) == Delegation(4, 3, frozenset({"NEG", "WHERE"}), ("NEG: not supported", "WHERE: not supported"), 2)
    assert place(LOG) == ("OpenVINO NPU", None)
    assert place(["Dispatch: using device 'CPU' from bytecode header"]) == ("OpenVINO CPU", "emulated")
    assert told(["WARNING: Failed to apply compiler plugins: No compiler plugin found"]) is None


def test_a_plugin_that_failed_took_nothing() -> None:
    failed = [*LOG[:4], "ERROR: [openvino_compiler_plugin.cc:714] Exception in compilation: no NPU",
              "INFO: [compiled_model.cc:1397] 0 compiler plugins were applied successfully: "]  # fmt: skip
    read = told(failed)
    assert read is not None and (read.taken, read.left, read.partitions) == (0, 7, 0)
    assert any("no NPU" in reason for reason in read.reasons)


def test_a_folder_without_a_plugin_is_not_available(tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="has no libLiteRtCompilerPlugin") as caught:
        LiteRTNpu(plugin=str(tmp_path / "a plug-in")).version()
    assert "plugin=FOLDER" in (caught.value.remedy or "")


def test_a_process_that_fails_is_an_answer(tmp_path: Path) -> None:
    script = tmp_path / "asked.py"
    script.write_text(
        "import os, sys\nprint('chatter')\nos.environ.get('BAD') and sys.exit('the driver is broken')\n"
        "print('{\"devices\": [1]}')\n"
    )
    assert ask(script, environment={}) == {"devices": [1]}
    assert ask(script, environment={"BAD": "1"}) == {"error": "it ended with 1: the driver is broken"}
    script.write_text("import os\nos.abort()\n")
    assert ask(script, environment={})["error"].startswith("it ended with -6")
    script.write_text("import time\ntime.sleep(60)\n")
    assert ask(script, environment={}, timeout_s=1) == {"error": "it didn't answer within 1 s"}


device = pytest.mark.device


@pytest.fixture
def openvino() -> None:
    if installed() is None:
        pytest.skip("no OpenVINO: edgeworthy targets install openvino, or pip install edgeworthy[openvino]")
    borrow(KIT)


@device
@pytest.mark.usefixtures("openvino")
def test_float_matches_pytorch(tflite_model: TFLiteModel, images: Any, expected: Any) -> None:
    feed = np.ascontiguousarray(images[:1].transpose(0, 2, 3, 1))
    with Worker("litert:npu,device=cpu,precision=float32", tflite_model) as worker:
        np.testing.assert_allclose(worker.run({"image": feed})["logits"], expected[:1], atol=1e-5)
        receipt = worker.receipt
        assert (receipt.ran, receipt.precision, receipt.measured) == ("OpenVINO CPU", "float32", "emulated")
        assert receipt.delegated == receipt.nodes and receipt.fallback == ()
        two = np.concatenate([feed, feed])
        with pytest.raises(CheckFailed, match=r"compiled input 'image' for \[1, 8, 8, 3\], and was given \[2, 8"):
            worker.run({"image": two})  # LiteRT would run it, and give rubbish


@device
@pytest.mark.usefixtures("openvino")
def test_its_own_precision_is_told_by_what_it_computes(tflite_model: TFLiteModel, images: Any, expected: Any) -> None:
    feed = np.ascontiguousarray(images[:1].transpose(0, 2, 3, 1))
    with Worker("litert:npu,device=cpu", tflite_model) as worker:
        error = np.abs(worker.run({"image": feed})["logits"] - expected[:1]).max()
        assert (worker.receipt.precision == "float32") == bool(error < 1e-5)


@device
@pytest.mark.usefixtures("openvino")
def test_int8_is_within_a_quantum_of_tflite(tflite_int8: TFLiteModel) -> None:
    feed = {"image": np.random.default_rng(3).integers(-128, 128, (1, 8, 8, 3)).astype(np.int8)}
    raw = get("litert:npu,device=cpu").load(tflite_int8).run(feed)["logits"]
    known = TFLite(kernels="reference").load(tflite_int8).run(feed)["logits"]
    assert raw.dtype == np.int8 and np.abs(raw.astype(int) - known.astype(int)).max() <= 1


KERNEL = np.random.default_rng(2).normal(size=(3, 3, 3, 4)).astype(np.float32)
IMAGE = TensorSpec("image", "float32", (1, 8, 8, 3))
FEED = {"image": np.random.default_rng(3).normal(size=(1, 8, 8, 3)).astype(np.float32)}


@device
@pytest.mark.usefixtures("openvino")
def test_a_node_that_the_plugin_refuses_is_named_and_fails_where_all_is_required(made: Any, tensorflow: Any) -> None:
    tf = tensorflow
    model = made(lambda image: {"y": -tf.nn.relu(tf.nn.conv2d(image, KERNEL, 1, "SAME"))}, image=IMAGE)
    known = TFLite(kernels="reference").load(model).run(FEED)["y"]
    asked = "litert:npu,device=cpu,precision=float32"
    with Worker(asked, model) as worker:
        np.testing.assert_allclose(worker.run(FEED)["y"], known, atol=1e-5)
        receipt = worker.receipt
    assert (receipt.nodes, receipt.delegated, receipt.partitions) == (2, 1, 1)
    assert len(receipt.fallback) == 1 and receipt.fallback[0].startswith("NEG ")
    with (
        Worker(f"{asked},require_full_delegation=true", model) as worker,
        pytest.raises(CheckFailed, match="took 1 of 2 nodes"),
    ):
        worker.run(FEED)


@device
@pytest.mark.usefixtures("openvino")
def test_a_plugin_that_cant_compile_leaves_everything(made: Any, tensorflow: Any) -> None:
    """Its options are for the first part alone: the second would be for an NPU, which isn't here."""
    tf = tensorflow
    model = made(lambda image: {"y": tf.exp(-tf.nn.relu(tf.nn.conv2d(image, KERNEL, 1, "SAME")))}, image=IMAGE)
    session = get("litert:npu,device=cpu").load(model)
    np.testing.assert_allclose(session.run(FEED)["y"], TFLite().load(model).run(FEED)["y"], atol=1e-5)
    receipt = session.receipt
    if receipt.ran == "XNNPACK":
        assert receipt.delegated == 0 and len(receipt.fallback) == receipt.nodes
        assert receipt.notes[0] == "the plug-in failed to compile its part" and receipt.measured is None
    else:  # an NPU is here
        assert [line.split()[0] for line in receipt.fallback] == ["NEG"]


@device
@pytest.mark.usefixtures("openvino")
def test_a_device_that_isnt_there_is_not_available() -> None:
    import openvino

    if "NPU" in openvino.Core().available_devices:
        pytest.skip("this machine has an NPU")
    with pytest.raises(NotAvailable, match="OpenVINO has no NPU here") as caught:
        get("litert:npu").version()
    assert "device=cpu" in (caught.value.remedy or "")
