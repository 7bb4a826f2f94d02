from __future__ import annotations

from typing import Any

import numpy as np
import pytest

Index = np.ndarray


def places(*rows: Any) -> Index:
    return np.array(rows, np.int64)


def graph(inputs: str, body: str, output: str) -> str:
    return f'<ir_version: 9, opset_import: ["" : 18]> g ({inputs}) => ({output}) {{ {body} }}'


PATCHES = places([0, 2, 4], [1, 3, 5])
"""What unfold takes of six rows: patches of two that touch."""


@pytest.mark.parametrize(
    ("x", "axis", "at", "y", "ops"),
    [
        ("2,6,3", 1, PATCHES, "2,2,3,3", ["Reshape", "Transpose"]),
        ("n,6,w", 1, PATCHES, "n,2,3,w", ["Reshape", "Transpose"]),
        ("n,m,6", -1, PATCHES, "n,m,2,3", ["Reshape", "Transpose"]),
        # As as_strided counts them, with axes of 1 anywhere.
        ("8", 0, np.arange(8).reshape(1, 4, 1, 2), "1,4,1,2", ["Reshape"]),
        ("8", 0, np.arange(8).reshape(2, 2, 2).transpose(2, 0, 1)[:, None], "2,1,2,2", ["Reshape", "Transpose"]),
        # A part, counted from the end.
        ("2,9", 1, PATCHES - 7, "2,2,3", ["Slice", "Reshape", "Transpose"]),
        ("2,9", 1, places([3, 4], [5, 6]), "2,2,2", ["Slice", "Reshape"]),
        ("4", 0, places([2]).reshape(1, 1), "1,1", ["Slice", "Reshape"]),
    ],
)
def test_places_that_lie_evenly(apply: Any, x: str, axis: int, at: Index, y: str, ops: list[str]) -> None:
    text = graph(f"float[{x}] x", f"y = Gather <axis = {axis}> (x, at)", f"float[{y}] y")
    assert apply(text, "straighten_gathers", weights={"at": at}).ops == ops


@pytest.mark.parametrize(
    ("x", "at"),
    [
        ("2,6", places([0, 1], [1, 2])),  # patches that overlap
        ("2,6", places([0, 2], [3, 5])),  # a gap
        ("2,6", places([5, 4], [3, 2])),  # backwards
        ("2,6", places([0, 1], [3, 2])),
        ("2,6", places([1, 1])[None]),  # twice
        ("2,6", places([0, 1, 2])[0]),  # of one axis: the lowering slices
        ("2,n", places([0, 1])),  # how far the axis goes isn't known
    ],
)
def test_what_lies_otherwise_stays(apply: Any, x: str, at: Index) -> None:
    shape = f"2,{','.join(map(str, at.shape))}"
    text = graph(f"float[{x}] x", "y = Gather <axis = 1> (x, at)", f"float[{shape}] y")
    assert apply(text, "straighten_gathers", weights={"at": at}).ops == ["Gather"]


def test_no_places(apply: Any) -> None:
    text = graph("float[2,6] x", "y = Gather <axis = 1> (x, at)", "float[2,0,2] y")
    assert apply(text, "straighten_gathers", weights={"at": np.zeros((0, 2), np.int64)}).ops == ["Gather"]


def grid(*extents: int) -> Index:
    return np.moveaxis(np.indices(extents), 0, -1)


@pytest.mark.parametrize(
    ("at", "y", "ops"),
    [
        (grid(2, 6)[None, None], "1,1,2,6,3", ["Reshape"]),
        (grid(2, 6) - np.array([0, 6]), "2,6,3", ["Reshape"]),
        (grid(2, 6).transpose(1, 0, 2), "6,2,3", ["Reshape", "Transpose"]),
        (grid(2, 6)[:1], "1,6,3", ["GatherND"]),
        (grid(2, 6)[::-1], "2,6,3", ["GatherND"]),
    ],
)
def test_places_in_several_axes(apply: Any, at: Index, y: str, ops: list[str]) -> None:
    text = graph("float[2,6,3] x", "y = GatherND (x, at)", f"float[{y}] y")
    assert apply(text, "straighten_gathers", weights={"at": np.ascontiguousarray(at)}).ops == ops


def test_places_within_a_batch_stay(apply: Any) -> None:
    text = graph("float[2,2] x", "y = GatherND <batch_dims = 1> (x, at)", "float[2,2] y")
    assert apply(text, "straighten_gathers", weights={"at": np.array([[[0], [1]]] * 2)}).ops == ["GatherND"]


@pytest.mark.parametrize(
    ("x", "image", "block", "y"),
    [
        ("2,18,6", [6, 6], [2, 3], "2,3,6,6"),
        ("n,8,6", [4, 6], [2, 2], "n,2,4,6"),
    ],
)
def test_patches_that_touch_become_an_image(apply: Any, x: str, image: list[int], block: list[int], y: str) -> None:
    text = graph(f"float[{x}] x", f"y = Col2Im <strides = {block}> (x, image, block)", f"float[{y}] y")
    weights = {"image": np.array(image), "block": np.array(block)}
    assert apply(text, "straighten_gathers", weights=weights).ops == ["Reshape", "Transpose", "Reshape"]


@pytest.mark.parametrize(
    ("x", "image", "attributes"),
    [
        ("1,8,15", [4, 6], ""),  # patches that overlap
        ("1,8,6", [5, 7], "<strides = [2, 2]>"),  # a border that none has
        ("1,8,12", [4, 6], "<strides = [2, 2], pads = [1, 1, 1, 1]>"),
        ("1,8,2", [4, 4], "<strides = [2, 2], dilations = [1, 2]>"),
    ],
)
def test_other_patches_stay(apply: Any, x: str, image: list[int], attributes: str) -> None:
    extents = ",".join(map(str, image))
    text = graph(f"float[{x}] x", f"y = Col2Im {attributes} (x, image, block)", f"float[1,2,{extents}] y")
    weights = {"image": np.array(image), "block": np.array([2, 2])}
    assert apply(text, "straighten_gathers", weights=weights).ops == ["Col2Im"]
