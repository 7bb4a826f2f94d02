"""The whole chain on real runtimes in workers: parity, latency and accuracy of one network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgeworthy.artifact import Artifact, OnnxModel, SavedModel, TFLiteModel
from edgeworthy.formats.tflite.summary import summarize
from edgeworthy.pipeline.subjects import Cast
from edgeworthy.source.variations import random_samples
from edgeworthy.targets import find
from edgeworthy.targets.pytorch import PyTorchModel
from edgeworthy.targets.worker import Worker
from edgeworthy.validate import accuracy, latency, parity
from edgeworthy.validate.inputs import labelled
from edgeworthy.validate.runners import Subject

from .conftest import LOGITS, NCHW


def subject(name: str, runtime: str, artifact: Artifact, *, threads: int = 1, **options: Any) -> Subject:
    channels_last = artifact.kind in ("saved_model", "tflite")
    return Subject(
        name,
        runtime,
        lambda: Worker(runtime, artifact, threads=threads, timeout_s=60, **options),
        artifact=None if runtime == "pytorch" else artifact.kind,
        scheme="float64" if "float64" in options else getattr(artifact, "scheme", "float32"),
        threads=threads,
        size_bytes=artifact.size,
        baseline_rank=find(runtime).baseline_rank,
        permute_inputs={"image": (0, 2, 3, 1)} if channels_last else {},
    )


def test_chain(
    pytorch_model: PyTorchModel,
    onnx_model: OnnxModel,
    saved_model: SavedModel,
    tflite_model: TFLiteModel,
    tflite_int8: TFLiteModel,
    factory_file: Path,
    images: Any,
    expected: Any,
) -> None:
    truth = subject("PyTorch float64", "pytorch", pytorch_model, float64=True)
    single = subject("PyTorch", "pytorch", pytorch_model)
    crash = subject("crash", "pytorch", PyTorchModel.of(f"{factory_file}:aborts", NCHW, LOGITS))
    hops = [
        single,
        subject("ONNX Runtime", "onnxruntime", onnx_model),
        subject("SavedModel", "tensorflow", saved_model),
        subject("TFLite float32", "tflite", tflite_model),
        subject("TFLite int8", "tflite", tflite_int8),
        crash,
    ]
    samples = random_samples({"image": images}, 3)
    result = parity.measure(hops, samples, plans=[parity.Plan(truth, single, truth, parity.PYTORCH)])

    assert [h.status for h in result.hops] == ["reference"] * 2 + ["pass"] * 4 + ["error"]
    assert "SIGABRT" in (result.hops[-1].failure or "")
    int8 = result.hops[5]
    assert int8.previous == "TFLite float32" and int8.receipt and int8.receipt.precision == "int8"
    assert int8.outputs[0].vs_truth and 20 < (int8.outputs[0].vs_truth.sqnr_db or 0) < 60

    threaded = subject("TFLite float32", "tflite", tflite_model, threads=2)
    times = latency.measure([single, hops[1], *hops[3:5], threaded], samples[0], seconds=0.2)
    assert [r.status for r in times.rows] == ["pass"] * 5
    assert times.baseline == "TFLite float32"
    assert all(r.p50_ms and r.first_ms and r.load_ms and r.peak_rss_bytes for r in times.rows)
    assert times.rows[0].verdict == "slower"  # eager PyTorch on a network of microseconds

    labels = np.argmax(expected, axis=1)
    data = labelled({"image": images}, labels, NCHW)
    right = accuracy.measure(hops[3:], data, NCHW)
    assert [r.accuracy for r in right.rows] == [1.0, 1.0, None]


def test_other_kernels_are_counted_in_steps_from_the_usual_ones(
    onnx_model: OnnxModel, tflite_int8: TFLiteModel
) -> None:
    names = ["tflite,kernels=builtin", "tflite", "tflite,kernels=reference"]
    cast = Cast(None, {"onnx": onnx_model, "tflite_int8": tflite_int8}, {"image": (0, 2, 3, 1)}, names)
    image = np.random.default_rng(3).normal(size=(4, 3, 8, 8)).astype(np.float32)
    result = parity.measure(cast.subjects(), [{"image": image}], plans=cast.plans())
    steps = {}
    for name in names:  # raw, by LiteRT's interpreter alone
        with Worker(name, tflite_int8) as worker:
            values = worker.run({"image": image.transpose(0, 2, 3, 1)})["logits"]
            steps[name] = values / summarize(tflite_int8.path).output_steps["logits"]
    for name in names:
        hop = next(h for h in result.hops if h.runtime == name)
        apart = float(np.rint(np.abs(steps[name] - steps["tflite"]).max()))
        assert hop.status == "pass" and hop.receipt
        assert hop.outputs[0].quanta == (None if name == "tflite" else apart)
        assert hop.counted_from == (None if name == "tflite" else "TFLite int8")
        assert apart <= 1
