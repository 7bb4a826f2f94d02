"""What is said about Reshapes, tried on arrays."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeworthy.convert.layout.layouts import Dims, permute, reshape_target
from edgeworthy.convert.layout.reshapes import Groups, is_direct, refine, split


@pytest.mark.parametrize(
    ("source", "target", "groups"),
    [
        ((2, 3, 4, 5), (2, 3, 20), [((0,), (0,)), ((1,), (1,)), ((2, 3), (2,))]),
        ((2, 12, 5), (2, 3, 4, 5), [((0,), (0,)), ((1,), (1, 2)), ((2,), (3,))]),
        ((4, 6), (6, 4), [((0, 1), (0, 1))]),
        ((1, 3, 1, 1), (1, 3), [((1,), (1,))]),
        (("N", 3, "H", 4), ("N", 3, "H", 4), [((0,), (0,)), ((1,), (1,)), ((2,), (2,)), ((3,), (3,))]),
        (("N", 8, 5), (8, "N", 5), [((0, 1), (0, 1)), ((2,), (2,))]),
        ((2, None), (2, None), None),
        (("N", 4), ("M",), None),
        ((2, 3), (2, 4), None),
    ],
)
def test_refine(source: Dims, target: Dims, groups: Groups | None) -> None:
    assert refine(source, target) == groups


@pytest.mark.parametrize(
    ("source", "target", "parts"),
    [
        ((2, 12, 5), (2, 3, 4, 5), [(0,), (1, 2), (3,)]),
        ((1, 12, 1), (1, 3, 4, 1), [(0,), (1, 2), (3,)]),
        ((6, 5), (1, 6, 1, 5, 1), [(0, 1), (2, 3, 4)]),
        ((1, 1, 4), (4,), [(), (), (0,)]),
        ((2, 3, 4), (6, 4), None),
    ],
)
def test_split(source: Dims, target: Dims, parts: list[tuple[int, ...]] | None) -> None:
    found = split(source, target)
    assert found is None or sorted(axis for part in found for axis in part) == list(range(len(target)))
    if parts is None:
        assert found is None
    else:
        assert found is not None
        assert [[a for a in part if target[a] != 1] for part in found] == [
            [a for a in part if target[a] != 1] for part in parts
        ]


shapes = st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=4).map(tuple)


@settings(max_examples=200, deadline=None)
@given(shapes, st.data())
def test_direct_means_what_an_array_does(source: tuple[int, ...], data: st.DataObject) -> None:
    """Over all layouts of both sides: ``is_direct`` says yes only where the elements come out right."""
    total = math.prod(source)
    same_size = shapes.filter(lambda t: math.prod(t) == total) if total < 5 else st.permutations(source).map(tuple)
    target: tuple[int, ...] = data.draw(same_size)
    groups = refine(source, target)
    assert groups is not None
    array = np.arange(total).reshape(source)
    for a in permutations(range(len(source))):
        for b in permutations(range(len(target))):
            wanted = array.reshape(target).transpose(b)
            if is_direct(groups, a, b):
                np.testing.assert_array_equal(array.transpose(a).reshape(permute(target, b)), wanted)


@pytest.mark.parametrize(
    ("source", "target", "operand"),
    [
        ((2, 3), (3, 2), [3, 2]),
        (("N", 4, 5), ("N", 20), [0, 20]),
        (("N", 4, 5), (4, "N", 5), [4, -1, 5]),
        (("N", "H", 5), ("N", 5, "H"), [0, 5, -1]),
        (("N", "H"), ("H", "N"), None),
        (("N", 4), ("N", None), [0, -1]),
        ((0, 4), (4, 0), None),
    ],
)
def test_reshape_target(source: Dims, target: Dims, operand: list[int] | None) -> None:
    assert reshape_target(source, target) == operand
