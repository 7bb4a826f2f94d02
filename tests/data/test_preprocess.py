from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgeworthy.artifact import TensorSpec
from edgeworthy.data.preprocess import ImageReader, Preprocess, image_files
from edgeworthy.errors import BadInput

NCHW = TensorSpec("image", "float32", (1, 3, 4, 6))
NHWC = TensorSpec("image", "float32", (1, 4, 6, 3))


def save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """4 × 6, red 255, green 51, blue 0."""
    return save(tmp_path / "photo.png", np.full((4, 6, 3), (255, 51, 0), np.uint8))


def test_pixels_are_scaled_then_normalized_per_channel(photo: Path) -> None:
    steps = Preprocess(mean=(0.5, 0.1, 0.25), std=(0.5, 0.1, 0.5))
    sample = ImageReader(NCHW, steps)(photo)
    assert sample.shape == (3, 4, 6)
    assert sample.dtype == np.float32
    np.testing.assert_allclose(sample[:, 0, 0], [1.0, 1.0, -0.5], atol=1e-6)


def test_the_layout_follows_the_input(photo: Path) -> None:
    steps = Preprocess(mean=(0.1,), std=(0.2,))
    first, last = ImageReader(NCHW, steps)(photo), ImageReader(NHWC, steps)(photo)
    np.testing.assert_array_equal(first, last.transpose(2, 0, 1))


def test_bgr_turns_the_channels_round_and_mean_follows_the_new_order(photo: Path) -> None:
    steps = Preprocess(colour="bgr", mean=(0.0, 0.0, 1.0))
    sample = ImageReader(NHWC, steps)(photo)
    np.testing.assert_allclose(sample[0, 0], [0.0, 0.2, 0.0], atol=1e-6)


def test_grey_is_one_channel(photo: Path) -> None:
    sample = ImageReader(TensorSpec("x", "float32", (1, 1, 4, 6)), Preprocess(colour="grey"))(photo)
    assert sample.shape == (1, 4, 6)
    np.testing.assert_allclose(sample, (0.299 * 255 + 0.587 * 51) / 255, atol=0.01)


def test_uint8_inputs_get_raw_pixels(photo: Path) -> None:
    sample = ImageReader(TensorSpec("x", "uint8", (1, 4, 6, 3)), Preprocess())(photo)
    assert sample.dtype == np.uint8
    assert sample[0, 0].tolist() == [255, 51, 0]


def wide(path: Path) -> Path:
    """40 × 120: a black third, a white one, a black one."""
    pixels = np.zeros((40, 120, 3), np.uint8)
    pixels[:, 40:80] = 255
    return save(path, pixels)


def test_crop_keeps_the_aspect_ratio_and_takes_the_centre(tmp_path: Path) -> None:
    spec = TensorSpec("x", "float32", (1, 3, 20, 20))
    sample = ImageReader(spec, Preprocess(fit="crop"))(wide(tmp_path / "wide.png"))
    assert sample[:, :, 2:18].min() == 1.0


def test_resize_leaves_a_margin_around_the_crop(tmp_path: Path) -> None:
    pixels = np.full((40, 40, 3), 255, np.uint8)
    pixels[10:30, 10:30] = 0
    path = save(tmp_path / "framed.png", pixels)
    spec = TensorSpec("x", "float32", (1, 3, 20, 20))
    assert ImageReader(spec, Preprocess(resize=40))(path).max() == 0.0
    assert ImageReader(spec, Preprocess())(path).max() == 1.0


def test_stretch_uses_the_whole_image(tmp_path: Path) -> None:
    spec = TensorSpec("x", "float32", (1, 3, 20, 30))
    sample = ImageReader(spec, Preprocess(fit="stretch"))(wide(tmp_path / "wide.png"))
    assert sample[:, :, :8].max() == sample[:, :, 22:].max() == 0.0
    assert sample[:, :, 12:18].min() == 1.0


def test_pad_adds_bars(tmp_path: Path) -> None:
    spec = TensorSpec("x", "float32", (1, 3, 30, 30))
    sample = ImageReader(spec, Preprocess(fit="pad"))(wide(tmp_path / "wide.png"))
    assert sample[:, :9].max() == sample[:, 21:].max() == 0.0
    assert sample[:, 12:18, 13:17].min() == 1.0


def test_the_camera_orientation_is_undone(tmp_path: Path) -> None:
    pixels = np.zeros((6, 4, 3), np.uint8)
    pixels[0] = 255
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6  # turn by 90° clockwise to show
    image.save(tmp_path / "turned.png", exif=exif)
    sample = ImageReader(NHWC, Preprocess())(tmp_path / "turned.png")
    assert sample[:, -1].min() == 1.0
    assert sample[:, 0].max() == 0.0


def test_size_comes_from_the_steps_when_the_model_leaves_it_open(photo: Path) -> None:
    spec = TensorSpec("x", "float32", ("batch", 3, "height", "width"))
    assert ImageReader(spec, Preprocess(size=(8, 12)))(photo).shape == (3, 8, 12)
    with pytest.raises(BadInput, match="how large"):
        ImageReader(spec, Preprocess())


@pytest.mark.parametrize(
    ("shape", "steps", "problem"),
    [
        ((1, 3, 4, 6), Preprocess(mean=(0.1, 0.2)), "mean has 2 numbers, and the input has 3 channels"),
        ((1, 3, 4, 6), Preprocess(std=(0.0,)), "std is zero"),
        ((1, 3, 4, 6), Preprocess(colour="grey"), "colour is 'grey'"),
        ((1, 1, 4, 6), Preprocess(), "colour is 'rgb'"),
        ((1, 3, 4, 6), Preprocess(size=(8, 8)), "8×8 don't fit the model's 4×6"),
        ((1, 3, 4, 3), Preprocess(), "both axis 1 and axis 3"),
        ((1, 5, 4, 6), Preprocess(), "neither axis 1 nor axis 3"),
        ((1, 3, 4, 6), Preprocess(layout="NHWC"), "axis 3 can't be the channels"),
        ((1, 10), Preprocess(), "no batch of images"),
    ],
)
def test_steps_that_dont_fit_the_input(shape: tuple[int, ...], steps: Preprocess, problem: str) -> None:
    with pytest.raises(BadInput, match=problem):
        ImageReader(TensorSpec("image", "float32", shape), steps)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_the_layout_can_be_said_where_both_fit(layout: Any, tmp_path: Path) -> None:
    pixels = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    sample = ImageReader(TensorSpec("x", "float32", (1, 3, 3, 3)), Preprocess(layout=layout))(
        save(tmp_path / "small.png", pixels)
    )
    wanted = pixels.transpose(2, 0, 1) if layout == "NCHW" else pixels
    np.testing.assert_allclose(sample * 255, wanted, rtol=1e-6)


def test_pixels_are_found_as_said(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = save(tmp_path / "noise.png", noise)
    spec = TensorSpec("x", "uint8", (1, 20, 20, 3))
    with Image.open(path) as image:
        for name in ("nearest", "bilinear", "bicubic", "lanczos"):
            steps: Any = Preprocess(interpolation=name)  # type: ignore[arg-type]
            wanted = np.asarray(image.resize((20, 20), Image.Resampling[name.upper()]))
            np.testing.assert_array_equal(ImageReader(spec, steps)(path), wanted)


def test_normalizing_raw_pixels_is_refused() -> None:
    with pytest.raises(BadInput, match="nothing to normalize"):
        ImageReader(TensorSpec("x", "uint8", (1, 4, 6, 3)), Preprocess(mean=(0.5,)))


def test_a_cut_off_image_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    whole = save(tmp_path / "whole.png", noise).read_bytes()
    broken = tmp_path / "broken.png"
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="can't read the image") as caught:
        ImageReader(NCHW, Preprocess())(broken)
    assert caught.value.where == str(broken)


def test_images_are_found_below_the_folder_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/1.png", "a.JPG", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [p.relative_to(tmp_path).as_posix() for p in image_files(tmp_path)] == ["a.JPG", "b/1.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no images"):
        image_files(tmp_path / "empty")


def test_the_steps_are_stated_in_words() -> None:
    steps = Preprocess(size=(224, 224), mean=(0.485, 0.456, 0.406), std=(0.229,), resize=256)
    assert str(steps) == "RGB, shorter side 256, crop to 224×224 (bilinear), mean 0.485,0.456,0.406, std 0.229 of 0…1"
