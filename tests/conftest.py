"""A report as a real run makes it, for the tests of the gate, the reports and the CLI."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import onnx
import onnx.parser
import pytest

from edgeworthy.artifact import FloatOp
from edgeworthy.numerics.comparison import Errors
from edgeworthy.validate.host import Host
from edgeworthy.validate.made import (
    ArtifactResult,
    CalibrationResult,
    ConversionResult,
    ExportResult,
    LayoutResult,
    ModelInfo,
    OutputCheck,
    PassResult,
    QuantizationResult,
    TensorInfo,
)
from edgeworthy.validate.record import Status
from edgeworthy.validate.results import (
    AccuracyResult,
    AccuracyRow,
    Hop,
    LatencyResult,
    LatencyRow,
    NoiseFloor,
    OutputParity,
    ParityResult,
    ReceiptResult,
    Report,
)

INT8 = "tflite_static_wi8_ai8"
ROWS = [
    # name, runtime, artifact, scheme, size, rms error, correct of 360, median ms
    ("PyTorch float64", "pytorch", None, "float64", None, 0.0, None, None),
    ("PyTorch", "pytorch", None, "float32", None, 3.1e-7, 355, 0.412),
    ("ONNX Runtime", "onnxruntime", "onnx", "float32", 152_874, 4.0e-7, 355, 0.0312),
    ("SavedModel", "tensorflow", "saved_model", "float32", 187_211, 5.2e-7, 355, 0.631),
    ("TFLite float32", "tflite", "tflite_float32", "float32", 150_120, 4.4e-7, 355, 0.0287),
    ("TFLite float16", "tflite", "tflite_float16", "float16", 77_008, 1.9e-3, 355, 0.0291),
    (
        "TFLite dynamic",
        "tflite",
        "tflite_dynamic_wi8_afp32",
        "dynamic_wi8_afp32",
        41_752,
        4.3e-2,
        355,
        0.0234,
    ),
    ("TFLite int8", "tflite", INT8, "static_wi8_ai8", 42_608, 9.7e-2, 354, 0.0121),
]

# Other packages install a folder `tests` too (xdsl, which litert-converter needs), and a namespace looks for its
# folders anew whenever sys.path changes.
sys.modules[__name__.partition(".")[0]].__path__ = [str(Path(__file__).parent)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An ONNX file of one operator."""
    text = '<ir_version: 10, opset_import: ["": 18]> g (float[2,3] x) => (float[2,3] y) { y = Sign (x) }'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def _errors(rms: float) -> Errors:
    return Errors(
        max_abs=rms * 4.2,
        mean_abs=rms * 0.8,
        max_rel=rms / 5,
        p99_rel=rms / 3,
        rms=rms,
        cosine=1.0 - rms * rms / 20,
        sqnr_db=None if rms == 0 else 20 - 20 * _log10(rms),
        exact=rms == 0,
        top1_agreement=1.0 if rms < 0.09 else 0.9972,
    )


def _log10(x: float) -> float:
    import math

    return math.log10(x)


def _hop(at: int) -> Hop:
    name, runtime, artifact, scheme, _, rms, _, _ = ROWS[at]
    status: Status = "reference" if runtime == "pytorch" else "pass"
    before = ROWS[at - 1][5] if at else 0.0
    return Hop(
        name=name,
        runtime=runtime,
        artifact=artifact,
        scheme=scheme,
        previous=ROWS[at - 1][0] if at else None,
        status=status,
        reason="" if status == "reference" else "within its limit",
        outputs=[
            OutputParity(
                name="logits",
                dtype="float32",
                shapes=[[1, 10]],
                vs_truth=_errors(rms),
                vs_previous=_errors(abs(rms - before)) if at else None,
                noise_ratio=rms / 3.1e-7 if scheme == "float32" else None,
                noise_floor=3.1e-7,
                limit="at most 10× the noise floor" if scheme == "float32" else "SQNR at least 20 dB",
                bound=None if status == "reference" else 10 if scheme == "float32" else 20,
                passed=None if status == "reference" else True,
            )
        ],
    )


def _latency(at: int) -> LatencyRow:
    name, runtime, artifact, scheme, size, _, _, p50 = ROWS[at]
    assert p50 is not None
    spread = [p50 * (0.93 + 0.007 * i + (0.4 * (i / 20) ** 8)) for i in range(21)]
    ratio = p50 / 0.0287
    return LatencyRow(
        name=name,
        runtime=runtime,
        artifact=artifact,
        scheme=scheme,
        threads=1,
        status="pass",
        receipt=ReceiptResult(asked="XNNPACK", ran="XNNPACK", nodes=9, delegated=9, partitions=1)
        if runtime == "tflite"
        else ReceiptResult(asked="none", ran="CPU"),
        size_bytes=size,
        load_ms=3.2,
        first_ms=p50 * 6,
        runs=2000,
        rounds=10,
        warmup_runs=50,
        steady=True,
        min_ms=spread[0],
        mean_ms=p50 * 1.02,
        p50_ms=spread[10],
        p90_ms=spread[18],
        p99_ms=spread[20],
        p50_low_ms=spread[10] * 0.99,
        p50_high_ms=spread[10] * 1.01,
        quantiles_ms=spread,
        peak_rss_bytes=181_000_000,
        model_rss_bytes=3_100_000,
        ratio=ratio,
        ratio_low=ratio * 0.97,
        ratio_high=ratio * 1.03,
        verdict="baseline"
        if artifact == "tflite_float32"
        else "faster"
        if ratio < 0.97
        else "slower"
        if ratio > 1.03
        else "inconclusive",
    )


def _accuracy(at: int) -> AccuracyRow:
    name, runtime, artifact, scheme, _, _, correct, _ = ROWS[at]
    assert correct is not None
    drop = (355 - correct) / 360
    return AccuracyRow(
        name=name,
        runtime=runtime,
        artifact=artifact,
        scheme=scheme,
        status="reference" if runtime == "pytorch" else "pass",
        correct=correct,
        total=360,
        accuracy=correct / 360,
        low=correct / 360 - 0.018,
        high=correct / 360 + 0.008,
        drop=None if runtime == "pytorch" else drop,
        drop_low=None if runtime == "pytorch" else drop - 0.006,
        drop_high=None if runtime == "pytorch" else drop + 0.008,
        changed=None if runtime == "pytorch" else 355 - correct,
    )


def build_report() -> Report:
    """digits_cnn after `edgeworthy run`: eight rows, one of them int8."""
    tensor = TensorInfo(name="image", dtype="float32", shape=["batch", 1, 8, 8])
    logits = TensorInfo(name="logits", dtype="float32", shape=["batch", 10])
    artifacts = [
        ArtifactResult(
            name=artifact,
            kind="tflite" if runtime == "tflite" else "onnx" if runtime == "onnxruntime" else "saved_model",
            scheme=scheme,
            path={"onnx": "model.onnx", "saved_model": "saved_model"}.get(
                artifact, artifact.replace("tflite", "model") + ".tflite"
            ),
            size_bytes=size,
            sha256=f"{at:064x}",
            inputs=[tensor],
            outputs=[logits],
            ops={"CONV_2D": 3, "FULLY_CONNECTED": 2, "MAX_POOL_2D": 1, "RESHAPE": 1},
            transposes=0,
            seconds=0.4,
        )
        for at, (_, runtime, artifact, scheme, size, *_) in enumerate(ROWS)
        if artifact is not None and size is not None
    ]
    return Report(
        edgeworthy="0.1.0",
        created=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
        command="edgeworthy run sample:digits_cnn -o out/digits_cnn",
        options={"seed": 0, "quantize.schemes": ["float16", "dynamic_wi8_afp32", "int8"]},
        host=Host(
            system="Linux 6.8.0",
            machine="x86_64",
            cpu="Intel(R) Xeon(R) Processor @ 2.60GHz",
            logical_cores=2,
            memory_bytes=25_000_000_000,
            load_average=0.31,
            python="3.11.7",
            packages={"torch": "2.13.0", "onnxruntime": "1.31.1", "ai-edge-litert": "2.3.0"},
        ),
        model=ModelInfo(spec="sample:digits_cnn", kind="module", inputs=[tensor], outputs=[logits], parameters=37_514),
        artifacts=artifacts,
        export=ExportResult(
            exporter="dynamo",
            opset=20,
            seconds=2.9,
            check=[OutputCheck(output="logits", max_abs=9.5e-7, max_rel=6e-8)],
        ),
        conversion=ConversionResult(
            status="pass",
            targets=["tflite", "saved_model"],
            passes=[
                PassResult(name="fold_constants", changes=3),
                PassResult(name="fuse_batchnorm", changes=2),
            ],
            layout=LayoutResult(transposes=0, transposed_bytes=0),
            nodes_before=14,
            nodes_after=9,
            seconds=0.9,
        ),
        quantization=[
            QuantizationResult(
                status="pass",
                scheme="float16",
                engine="ai-edge-quantizer",
                artifact="tflite_float16",
                seconds=0.1,
            ),
            QuantizationResult(
                status="pass",
                scheme="dynamic_wi8_afp32",
                engine="ai-edge-quantizer",
                artifact="tflite_dynamic_wi8_afp32",
                float_ops=[FloatOp(op="MAX_POOL_2D", name="pool", reason="the scheme has no form of it")],
                seconds=0.1,
            ),
            QuantizationResult(
                status="pass",
                scheme="static_wi8_ai8",
                engine="ai-edge-quantizer",
                artifact=INT8,
                calibration=CalibrationResult(
                    description="digits of scikit-learn, training split", samples=128, fit_for_deployment=True
                ),
                seconds=1.4,
            ),
        ],
        parity=ParityResult(
            status="pass",
            samples=8,
            seed=0,
            truth="PyTorch float64",
            floor_method="error of PyTorch float32 against PyTorch float64",
            multiple=10,
            floor=[NoiseFloor(output="logits", rms=3.1e-7, max_abs=1.3e-6, least=False)],
            hops=[_hop(at) for at in range(len(ROWS))],
        ),
        latency=LatencyResult(
            status="pass",
            rows=[_latency(at) for at in range(1, len(ROWS))],
            baseline="TFLite float32",
            baseline_threads=1,
            seconds_per_row=2.0,
            total_seconds=16.0,
        ),
        accuracy=AccuracyResult(
            status="pass",
            data="digits of scikit-learn, test split",
            output="logits",
            samples=360,
            reference="PyTorch",
            rows=[_accuracy(at) for at in range(1, len(ROWS))],
        ),
        stage_seconds={"export": 2.9, "convert": 0.9, "quantize": 1.6, "validate": 9.8, "bench": 16.0},
    )


@pytest.fixture
def report() -> Report:
    return build_report()
