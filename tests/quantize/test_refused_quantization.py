"""What can't be quantized is refused with its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import edgeworthy
from edgeworthy.artifact import TensorSpec, TFLiteModel
from edgeworthy.errors import BadInput
from edgeworthy.formats.tflite import edit
from edgeworthy.formats.tflite.edit import TensorType
from edgeworthy.formats.tflite.releases import least_runtime
from edgeworthy.formats.tflite.summary import describe
from edgeworthy.quantize.calibration import FORMS, CalibrationSet, load_calibration
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe, Rule

from .tflite_graph import NO_ACTIVATION, Array, Graph

Calibrate = Callable[..., CalibrationSet]


def refused(
    model: TFLiteModel, output: Path, scheme: str, calibration: CalibrationSet | None = None, **more: object
) -> BadInput:
    with pytest.raises(BadInput) as caught:
        quantize(model, output, Recipe.of(scheme, **more), calibration=calibration)  # type: ignore[arg-type]
    assert not list(output.parent.glob("*.part"))
    assert not output.exists()
    return caught.value


def test_a_static_scheme_without_data_says_what_to_give(conv_net: TFLiteModel, tmp_path: Path) -> None:
    error = refused(conv_net, tmp_path / "q.tflite", "int8")
    assert "static_wi8_ai8 needs calibration data" in error.what
    assert error.details == FORMS


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"scheme": "int7"}, "no quantization scheme 'int7'"),
        ({"scheme": "float16", "io_dtype": "int8"}, "can't be int8"),
        ({"scheme": "int8", "io_dtype": "int16"}, "io_dtype: Input should be 'float32', 'int8' or 'uint8'"),
        ({"scheme": "float16", "exclude": ["("]}, "no regular expression"),
        ({"scheme": "float16", "rules": (Rule(pattern="ADD", compute="int8"),)}, "computes in float, and a rule wants"),
        ({"scheme": "float16", "rules": (Rule(pattern="CONV_2D", compute="weights"),)}, "float16 has no int8 weights"),
        ({"scheme": "float16", "rules": (Rule(pattern="CONV_2D", compute="dynamic"),)}, "float16 has no int8 weights"),
    ],
)
def test_options_that_dont_exist(
    conv_net: TFLiteModel, tmp_path: Path, options: dict[str, object], problem: str
) -> None:
    assert problem in str(refused(conv_net, tmp_path / "q.tflite", **options))  # type: ignore[arg-type]


def test_a_quantized_model_is_not_quantized_again(conv_net: TFLiteModel, tmp_path: Path) -> None:
    half = quantize(conv_net, tmp_path / "h.tflite", Recipe.of("float16")).model
    assert "quantized already (float16)" in refused(half, tmp_path / "q.tflite", "dynamic_wi8_afp32").what


def test_float16_activations(conv_net: TFLiteModel, tmp_path: Path) -> None:
    """onnx2tf 2.6 writes such a file beside the float32 one; LiteRT's own kernels take it for none of theirs."""
    parsed = edit.read(conv_net.path.read_bytes())
    for tensor in parsed.subgraphs[0].tensors:
        if tensor.type == TensorType.FLOAT32:
            constant = edit.values(parsed, tensor) if edit.is_constant(parsed, tensor) else None
            tensor.type = TensorType.FLOAT16
            if constant is not None:
                tensor.buffer = edit.add_buffer(parsed, constant.astype(np.float16))
    path = tmp_path / "half.tflite"
    path.write_bytes(edit.write(parsed))
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with pytest.raises(RuntimeError, match="input_type == kTfLiteFloat32"):
        Interpreter(str(path), experimental_op_resolver_type=plain).allocate_tensors()
    forms = "CONV_2D of float16 data, FULLY_CONNECTED of float16 data"
    assert str(least_runtime(path)) == f"a runtime newer than LiteRT 2.3 (because of {forms})"
    for scheme in ("float16", "dynamic_wi8_afp32", "int8"):
        assert "no TFLite runtime takes CONV_2D of float16 data" in refused(describe(path), tmp_path / "q", scheme).what
    with pytest.raises(BadInput, match="takes CONV_2D of float16 data") as caught:
        edgeworthy.quantize(path, tmp_path / "out", quantize={"schemes": ["float16", "dynamic"]})
    assert caught.value.where == str(path) and "float32 data" in (caught.value.remedy or "")
    assert not (tmp_path / "out/report.json").exists()


def test_nan_weights(tmp_path: Path) -> None:
    g = Graph(x=(1, 8))
    y = g.op("mul", [g.inputs[0], np.array([1, 2, np.nan, 4, 5, 6, 7, 8], np.float32)], (1, 8), **NO_ACTIVATION)
    model = g.save(tmp_path / "m.tflite", y=y)
    for scheme in ("float16", "dynamic_wi8_afp32"):
        assert "NaN in its weights" in refused(model, tmp_path / "q.tflite", scheme).what


def test_data_of_another_model(conv_net: TFLiteModel, tmp_path: Path) -> None:
    other = load_calibration("random", (TensorSpec("other", "float32", (1, 3)),), samples=2)
    error = refused(conv_net, tmp_path / "q.tflite", "int8", calibration=other)
    assert "nothing for input 'image'" in error.what


def test_data_that_goes_bad_midway(conv_net: TFLiteModel, tmp_path: Path, calibrate: Calibrate) -> None:
    data = calibrate(conv_net, 4)

    def load(index: int) -> dict[str, Array]:
        if index == 2:
            raise BadInput("can't read the image", where="2.png")
        return data.load(index)

    broken = CalibrationSet("broken", 4, 4, load)
    assert refused(conv_net, tmp_path / "q.tflite", "int8", calibration=broken).where == "2.png"


def test_an_output_that_cant_be_written(conv_net: TFLiteModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="can't write here"):
        quantize(conv_net, tmp_path / "file" / "q.tflite", Recipe.of("float16"))
