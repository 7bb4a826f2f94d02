"""What can't be quantized is refused with its reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec, TFLiteModel
from edgeworthy.errors import BadInput
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
