import pytest

from edgeworthy.convert.builders.tensor import Unsupported, broadcast, normalize_axis, window_output


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        (((2, 3), (3,)), (2, 3)),
        (((None, 3), (1, 1)), (None, 3)),
        (((None,), (5,)), (5,)),
        (((), (4, 1)), (4, 1)),
        (((2, 1, 4), (3, 1)), (2, 3, 4)),
    ],
)
def test_broadcast_is_numpys(shapes, expected):
    assert broadcast(*shapes) == expected


def test_broadcast_refuses_extents_that_differ():
    with pytest.raises(Unsupported, match=r"\[2\], \[3\]"):
        broadcast((2,), (3,))


def test_axis_outside_the_tensor():
    assert normalize_axis(-1, 3) == 2
    with pytest.raises(Unsupported, match="axis 3"):
        normalize_axis(3, 3)


@pytest.mark.parametrize(
    ("extent", "window", "stride", "dilation", "padding", "expected"),
    [
        (7, 3, 2, 1, "SAME", 4),
        (7, 3, 2, 1, "VALID", 3),
        (9, 3, 1, 2, "VALID", 5),
        (None, 3, 2, 1, "SAME", None),
    ],
)
def test_window_output(extent, window, stride, dilation, padding, expected):
    assert window_output(extent, window, stride, dilation, padding) == expected
