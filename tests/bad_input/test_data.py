"""Data that doesn't fit the model, or can't be read: calibration, labels, example inputs."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from . import models
from .sandbox import Sandbox

SAMPLES = np.random.default_rng(0).normal(size=(16, models.ROWS)).astype(np.float32)
GENERATORS = """
import numpy as np

def raising():
    yield {"x": np.ones(40, np.float32)}
    raise RuntimeError("no more images")

def empty():
    return iter(())

def number():
    return 3

def of_wrong_shape():
    yield np.ones(7, np.float32)
"""
QUANTIZE = ("quantize", "model.onnx", "-o", "out", "--to", "tflite", "--scheme", "int8")
VALIDATE = ("validate", "model.onnx", "-o", "out", "--to", "tflite", "--scheme", "float16", "--target", "tflite")


@pytest.fixture
def here(sandbox: Sandbox) -> Sandbox:
    """A sandbox with a good model."""
    models.write(sandbox.folder / "model.onnx")
    return sandbox


def spoiled(value: float) -> np.ndarray:
    samples = SAMPLES.copy()
    samples[3, 7] = value
    return samples


ARRAYS: dict[str, tuple[dict[str, np.ndarray], str]] = {
    "shape": ({"x": SAMPLES[:, :7]}, "has shape [16, 7]; expected [samples,40]"),
    "type": ({"x": SAMPLES.astype(np.int64)}, "is int64, and the input is float32"),
    "name": ({"z": SAMPLES}, "no array for input 'x'"),
    "nan": ({"x": spoiled(np.nan)}, "sample 3 of input 'x' has NaN"),
    "infinite": ({"x": spoiled(np.inf)}, "sample 3 of input 'x' has Inf"),
    "no samples": ({"x": SAMPLES[:0]}, "there are no samples"),
    "pickle": ({"x": np.array([{}], object)}, "pickled Python objects, which could run code"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_calibration_arrays(here: Sandbox, kind: str) -> None:
    arrays, said = ARRAYS[kind]
    np.savez(here.folder / "data.npz", **arrays)  # type: ignore[arg-type]
    error = here.refused(*QUANTIZE, "--calibration", "data.npz")
    assert said in error.what
    assert error.where == "data.npz"


@pytest.mark.parametrize("damage", ["cut off", "text"])
def test_damaged_calibration_files(here: Sandbox, damage: str) -> None:
    path = here.folder / "data.npz"
    np.savez(path, x=SAMPLES)
    path.write_bytes(b"hello" if damage == "text" else path.read_bytes()[:1000])
    error = here.refused(*QUANTIZE, "--calibration", "data.npz")
    assert "can't be read" in error.what
    assert error.where == "data.npz"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (None, "int8 needs calibration data"),
        ("none.npz", "no such calibration data"),
        ("model.onnx", "from a file that ends in '.onnx'"),
        ("folder", "how the images become inputs"),
        ("sample:none", "no sample 'none'"),
        ("data.py:raising", "RuntimeError: no more images"),
        ("data.py:empty", "there are no samples"),
        ("data.py:number", "can't be iterated"),
        ("data.py:of_wrong_shape", "sample 0: the data for input 'x' has shape [7]"),
    ],
)
def test_calibration_specs(here: Sandbox, spec: str | None, said: str) -> None:
    (here.folder / "folder").mkdir()
    (here.folder / "data.py").write_text(GENERATORS)
    error = here.refused(*QUANTIZE, *(("--calibration", spec) if spec else ()))
    assert said in error.what


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": SAMPLES}, "has no labels"),
        ({"x": SAMPLES, "labels": np.zeros(3, int)}, "3 labels for 16 samples"),
        ({"x": SAMPLES, "labels": np.full(16, 0.5)}, "labels must be classes"),
        (
            {"x": SAMPLES, "labels": np.full(16, models.COLUMNS)},
            "a label 30, and the model's output 'y' has 30 classes",
        ),
        ({"x": spoiled(np.nan), "labels": np.zeros(16, int)}, "holds NaN"),
    ],
)
def test_labelled_data(here: Sandbox, arrays: dict[str, np.ndarray], said: str) -> None:
    np.savez(here.folder / "test.npz", **arrays)  # type: ignore[arg-type]
    error = here.refused(*VALIDATE, "--labelled", "test.npz")
    assert said in error.what
    assert error.where == "test.npz"


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (SAMPLES[:, :7], "x:float32[16,7] doesn't fit the input x:float32[n,40]"),
        (SAMPLES.astype(np.int64), "x:int64[16,40] doesn't fit"),
        (spoiled(np.nan), "not all finite"),
    ],
)
def test_example_inputs(here: Sandbox, array: np.ndarray, said: str) -> None:
    np.savez(here.folder / "in.npz", x=array)
    error = here.refused("export", "model.onnx", "-o", "out", "--inputs", "in.npz")
    assert said in error.what
    assert error.where == "in.npz"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("z:float32[1,40]", "no input named 'z'"),
        ("x:int64[1,40]", "contradicts the model, which has x:float32[n,40]"),
        ("x:float32[1,41]", "contradicts the model"),
    ],
)
def test_described_inputs(here: Sandbox, given: str, said: str) -> None:
    assert said in here.refused("export", "model.onnx", "-o", "out", "--input", given).what


@pytest.mark.parametrize(("stated", "said"), [("", "can't read the image"), ("mean = [1.0, 2.0]", "3 channels")])
def test_images(sandbox: Sandbox, stated: str, said: str) -> None:
    models.write_pool(sandbox.folder / "model.onnx")
    images = sandbox.folder / "images"
    images.mkdir()
    Image.new("RGB", (8, 5)).save(images / "good.png")
    (images / "other.png").write_text("no image")
    (sandbox.folder / "edgeworthy.toml").write_text(f"[quantize.preprocess]\n{stated}\n")
    error = sandbox.refused(*QUANTIZE, "--calibration", "images", "--config", "edgeworthy.toml")
    assert said in error.what
