from __future__ import annotations

import base64
import io
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgeworthy.validate import drawing
from edgeworthy.validate.pictures import picture


def decoded(uri: str) -> Any:
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.mark.parametrize("shape", [(3, 8, 16), (8, 16, 3)])
def test_layouts_and_range(shape: tuple[int, ...]) -> None:
    image = np.zeros(shape, np.float32)
    axis = shape.index(3)
    np.moveaxis(image, axis, -1)[:4, :, 0] = 7.5
    np.moveaxis(image, axis, -1)[4:, :, 2] = -2.5
    drawn = decoded(picture(image))
    assert drawn.shape == (64, 128, 3)
    np.testing.assert_array_equal(drawn[0, 0], [255, 64, 64])
    np.testing.assert_array_equal(drawn[-1, 0], [64, 64, 0])


def test_grey_constant_and_large() -> None:
    assert decoded(picture(np.full((1, 8, 8), 3, np.uint8))).max() == 0
    assert decoded(picture(np.eye(300, dtype=np.float32))).shape == (128, 128)
    assert decoded(picture(np.where(np.eye(9) > 0, np.nan, 1.0))).shape == (128, 128)


@pytest.mark.parametrize("shape", [(10,), (1, 16000), (77, 4), (12, 8, 8), (2, 3, 8, 8), (3, 2, 2), (0, 8)])
def test_what_is_no_image(shape: tuple[int, ...]) -> None:
    assert picture(np.zeros(shape, np.float32)) == ""


@pytest.mark.parametrize("width", drawing.WIDTHS.values())
def test_long_names_leave_room_for_the_rows(width: float) -> None:
    names = [
        "TFLite int8",
        "TFLite over SSH (somebody@board.somewhere.example) int16 activations (model.tflite)",
    ]
    with warnings.catch_warnings(), drawing.styled():
        warnings.simplefilter("error")  # "constrained_layout not applied because axes sizes collapsed to zero"
        figure, (axes,) = drawing.canvas(width, 1.6)
        drawing.label_rows(axes, names)
        drawn = drawing.svg(figure, "long")
    shown = [text.get_text() for text in axes.get_yticklabels()]
    assert shown[0] == names[0] and "…" in shown[1] and shown[1].endswith(".tflite)")
    assert axes.get_position().width > 0.3 and "<svg" in drawn
