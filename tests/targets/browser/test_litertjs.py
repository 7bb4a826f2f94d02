"""LiteRT.js in the real Chromium, held against LiteRT's interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec, TFLiteModel
from edgeworthy.errors import BadInput, CheckFailed, OutOfMemory
from edgeworthy.targets import TARGETS, find
from edgeworthy.targets.browser.litertjs import delegated
from edgeworthy.targets.leftover import Delegation
from edgeworthy.targets.worker import Worker

from .conftest import NEEDED, Made, images, litert, picture

Classify = Callable[[Any], dict[str, Any]]
device = [pytest.mark.device, NEEDED]

LOG = """\
I1126 19:41:54.539000  755312 delegate_webgpu.cc:243] Created a WebGPU environment with provided device.
ERROR: Following operations are not supported by GPU delegate:
GATHER: Only support 1D indices
STRIDED_SLICE: Slice does not support shrink_axis_mask parameter.
5 operations will run on the GPU, and the remaining 6 operations will run on the CPU.
I1126 19:41:54.560999  755312 delegate_kernel.cc:855] Initializing WebGPU-based API from graph."""


def test_the_log_is_read() -> None:
    found = delegated(LOG.splitlines(), 11)
    assert (found.taken, found.left, found.operators) == (5, 6, {"GATHER", "STRIDED_SLICE"})
    assert found.reasons[0] == "GATHER: Only support 1D indices"
    none = "No operations will run on the GPU, and all 3 operations will run on the CPU."
    assert delegated([none], 3) == Delegation(0, 3)
    assert delegated(["INFO: anything"], 3) == Delegation(3, 0)


def test_names_and_options() -> None:
    assert find("browser").name == "browser:wasm"
    assert find("browser:webgpu,precision=float32,software=true").options["software"] is True
    assert not TARGETS["browser:wasm"].default
    with pytest.raises(BadInput, match="float16, float32"):
        find("browser:webgpu,precision=int8")
    with pytest.raises(BadInput, match="no option 'software'"):
        find("browser:wasm,software=true")


class TestWasm:
    pytestmark = device

    @pytest.mark.parametrize(("batch", "threads"), [(1, 1), (3, 1), (2, 2)])
    def test_float_is_bit_exact(self, made: Made, classify: Classify, batch: int, threads: int) -> None:
        model = made(classify, **images(batch, 8, 8, 3))
        with Worker("browser:wasm", model, threads=threads) as worker:
            for feeds in (picture(batch), picture(batch, edges=False), {"image": np.zeros((batch, 8, 8, 3), "f")}):
                found = worker.run(feeds)["logits"]
                assert found.dtype == np.float32 and found.shape == (batch, 5)
                np.testing.assert_array_equal(found, litert(model, feeds)["logits"])
            times = worker.time(feeds, 20)
            receipt = worker.receipt
            assert len(times) == 20 and all(isinstance(t, int) and t >= 4_000 for t in times)
            assert 0 < worker.load_ms < 60_000 and worker.first_ms and worker.version == "2.5.3"
            assert 10e6 < worker.peak_rss_bytes < 1e9 and 0 < worker.model_rss_bytes < worker.peak_rss_bytes
        assert receipt.asked == "XNNPACK" and receipt.nodes == receipt.delegated == 3
        assert receipt.ran == f"XNNPACK, WebAssembly with relaxed SIMD, {threads} thread{'s' if threads > 1 else ''}"
        assert receipt.measured is None and any("steps of" in note for note in receipt.notes)

    @pytest.mark.parametrize("io", ["float32", "uint8"])
    def test_int8_is_bit_exact(self, made: Made, classify: Classify, io: str) -> None:
        model = made(classify, io, **images(2, 8, 8, 3))
        raw = {"image": np.random.default_rng(5).integers(0, 256, (2, 8, 8, 3), np.uint8)}
        feeds = picture(2, edges=False) if io == "float32" else raw
        with Worker("browser:wasm", model) as worker, Worker("tflite", model) as here:
            np.testing.assert_array_equal(worker.run(feeds)["logits"], litert(model, feeds)["logits"])
            floats = picture(2)  # of a uint8 file they are quantized, and its outputs are floats again
            np.testing.assert_array_equal(worker.run(floats)["logits"], here.run(floats)["logits"])
            assert worker.receipt.precision.startswith("int8")

    def test_int8_inputs_and_dynamic_sizes_are_refused_with_a_remedy(self, made: Made, classify: Classify) -> None:
        with pytest.raises(CheckFailed, match=r"takes and gives float32, int32, uint8.*image:int8") as refused:
            Worker("browser:wasm", made(classify, "int8", **images(1, 8, 8, 3))).__enter__()
        assert "float32 inputs and outputs (of edgeworthy: --io-dtype float32)" in str(refused.value.remedy)
        loose = made(classify, image=TensorSpec("image", "float32", ("batch", 8, 8, 3)))
        with pytest.raises(CheckFailed, match="no dynamic dimensions") as refused:
            Worker("browser:wasm", loose).__enter__()
        assert "--input" in str(refused.value.remedy)

    def test_another_batch_than_the_files_is_bad_input(self, made: Made, classify: Classify) -> None:
        with Worker("browser:wasm", made(classify, **images(1, 8, 8, 3))) as worker:
            with pytest.raises(BadInput, match="shape"):
                worker.run(picture(2))
            assert worker.run(picture(1))["logits"].shape == (1, 5)

    def test_what_xnnpack_leaves_is_named_and_may_be_a_failure(self, partly_delegated: TFLiteModel) -> None:
        feeds = {"x": np.float32([[0, -1, 2], [3, 1e4, -0.0]])}
        with Worker("browser:wasm", partly_delegated) as worker:
            np.testing.assert_array_equal(worker.run(feeds)["y"], litert(partly_delegated, feeds)["y"])
            assert (worker.receipt.nodes, worker.receipt.delegated) == (3, 2)
            assert [node.split()[0] for node in worker.receipt.fallback] == ["CUMSUM"]
            np.testing.assert_array_equal(worker.run(feeds)["y"], litert(partly_delegated, feeds)["y"])
        required = Worker("browser:wasm,require_full_delegation=true", partly_delegated)
        with required as worker, pytest.raises(CheckFailed, match="took 2 of 3 nodes") as failed:
            worker.run(feeds)
        assert failed.value.details[0].startswith("CUMSUM")

    def test_several_inputs_and_outputs(self, made: Made, tensorflow: Any) -> None:
        tf = tensorflow
        table = tf.constant(np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32))

        def several(ids: Any, x: Any, s: Any) -> dict[str, Any]:
            y = tf.nn.relu(x)
            return {
                "found": tf.gather(table, ids),
                "next": ids + 1,
                "sum": tf.reduce_sum(y),
                "one": y * s,
                "two": y * s,
            }

        model = made(several, ids=TensorSpec("ids", "int32", (2, 3)), x=TensorSpec("x", "float32", (2, 3)),
                     s=TensorSpec("s", "float32", ()))  # fmt: skip
        feeds = {"ids": np.int32([[0, 8, 3], [3, 2, 1]]), "x": np.float32([[0, -1, 2], [3, 1e30, -0.0]]),
                 "s": np.array(-2.5, np.float32)}  # fmt: skip
        with Worker("browser:wasm", model) as worker:
            found = worker.run(feeds)
        expected = litert(model, feeds)
        assert list(found) == [spec.name for spec in model.outputs]
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].shape == np.shape(array)

    def test_outputs_that_are_one_tensor_or_an_input(self, made: Made, tensorflow: Any) -> None:
        x = TensorSpec("x", "float32", (2, 3))
        feeds = {"x": np.float32([[0, -1, 2], [3, 1e30, -0.0]])}

        def twice(x: Any) -> dict[str, Any]:
            y = tensorflow.nn.relu(x)
            return {"a": y, "b": y}

        with Worker("browser:wasm", made(twice, x=x)) as worker:
            found = worker.run(feeds)
        for name in "ab":
            np.testing.assert_array_equal(found[name], np.maximum(feeds["x"], 0))
        with pytest.raises(CheckFailed, match="an output is an input itself: fed"):
            Worker("browser:wasm", made(lambda x: {"y": tensorflow.nn.relu(x), "fed": x}, x=x)).__enter__()

    def test_models_larger_than_a_page_are_said(self, made: Made, classify: Classify, tensorflow: Any) -> None:
        tf = tensorflow
        one = TensorSpec("x", "float32", (1, 1))

        def wide(extent: int) -> Callable[[Any], dict[str, Any]]:
            def function(x: Any) -> dict[str, Any]:
                y = tf.nn.relu(tf.broadcast_to(x, [extent, 16000]))
                return {"y": tf.reduce_max(tf.nn.tanh(y) + y, axis=[0, 1])}

            return function

        file = made(classify, **images(1, 8, 8, 3))
        with file.path.open("r+b") as content:
            content.truncate(1 << 31)
        with pytest.raises(OutOfMemory, match="the file alone is 2"):
            Worker("browser:wasm", file).__enter__()
        file.path.unlink()
        with pytest.raises(OutOfMemory, match=r"has 2 GiB, and .* is 3\.6"):  # it overflows there
            Worker("browser:wasm", made(wide(60000), x=one)).__enter__()
        with Worker("browser:wasm", made(wide(15000), x=one)) as worker:  # LiteRT.js itself gives 0 and no error
            with pytest.raises(OutOfMemory, match="Failed to allocate tensors"):
                worker.run({"x": np.ones((1, 1), np.float32)})
            with pytest.raises(OutOfMemory, match="Failed to allocate tensors"):
                worker.time({"x": np.ones((1, 1), np.float32)}, 2)


class TestWebGpu:
    pytestmark = device

    def test_where_strides_are_lost_the_receipt_says_so(self, made: Made, tensorflow: Any) -> None:
        kernel = np.random.default_rng(0).normal(size=(1, 1, 32, 40)).astype(np.float32)

        def convolve(image: Any) -> dict[str, Any]:
            return {"y": tensorflow.nn.conv2d(image, kernel, 2, "VALID")}

        model = made(convolve, "float32", **images(1, 6, 8, 32))
        feeds = {"image": np.random.default_rng(1).normal(size=(1, 6, 8, 32)).astype(np.float32)}
        scale = np.abs(litert(model, feeds)["y"]).max()
        for target, wrong in (("browser:webgpu,software=true", True), ("browser:wasm", False)):
            with Worker(target, model) as worker:
                error = np.abs(worker.run(feeds)["y"] - litert(model, feeds)["y"]).max()
                assert any("leaves out the strides" in note for note in worker.receipt.notes) == wrong
                assert (error > 0.3 * scale) == wrong

    @pytest.mark.parametrize("batch", [1, 2])
    def test_float_is_within_rounding(self, made: Made, classify: Classify, batch: int) -> None:
        model = made(classify, **images(batch, 8, 8, 3))
        with Worker("browser:webgpu,software=true", model) as worker:
            for feeds in (picture(batch, edges=False), {"image": np.zeros((batch, 8, 8, 3), np.float32)}):
                expected = litert(model, feeds)["logits"]
                np.testing.assert_allclose(worker.run(feeds)["logits"], expected, rtol=1e-6, atol=1e-6 * 256)
            assert len(worker.time(feeds, 3)) == 3
            receipt = worker.receipt
        assert receipt.asked == "WebGPU" and "SwiftShader" in receipt.ran and receipt.measured == "emulated"
        assert receipt.nodes == receipt.delegated == 3

    def test_what_the_gpu_refuses_is_named_though_litertjs_calls_it_full(self, made: Made, tensorflow: Any) -> None:
        """XNNPACK takes what WebGPU refuses here, so LiteRT.js calls all of it accelerated."""
        tf = tensorflow

        def flipped(x: Any) -> dict[str, Any]:
            six = tf.transpose(tf.reshape(tf.nn.tanh(x), [1, 2, 2, 2, 2, 2]), [5, 4, 3, 2, 1, 0])
            return {"y": tf.nn.relu(six)}

        model = made(flipped, x=TensorSpec("x", "float32", (32,)))
        feeds = {"x": np.linspace(-3, 3, 32, dtype=np.float32)}
        with Worker("browser:webgpu,software=true", model) as worker:
            np.testing.assert_allclose(worker.run(feeds)["y"], litert(model, feeds)["y"], rtol=1e-6, atol=1e-6)
            receipt = worker.receipt
        assert receipt.delegated is not None and 0 < receipt.delegated < (receipt.nodes or 0)
        assert "TRANSPOSE" in {node.split()[0] for node in receipt.fallback}
        assert len(receipt.fallback) == (receipt.nodes or 0) - receipt.delegated
        assert any(note.startswith("TRANSPOSE: ") for note in receipt.notes)
        required = Worker("browser:webgpu,software=true,require_full_delegation=true", model)
        with (
            required as worker,
            pytest.raises(CheckFailed, match=rf"took {receipt.delegated} of {receipt.nodes} nodes"),
        ):
            worker.run(feeds)
