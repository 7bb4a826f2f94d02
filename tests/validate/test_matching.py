"""Which tensor of a file stands for which of the model, and the layouts that its shape leaves open."""

from __future__ import annotations

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.errors import BadInput
from edgeworthy.validate.made import TensorMatch
from edgeworthy.validate.matching import Arrangement, arrangements, as_file, as_model, choices, layouts, pairs, plain
from edgeworthy.validate.runners import Subject


def specs(*texts: str) -> list[TensorSpec]:
    return [TensorSpec.parse(text) for text in texts]


def found(ours: list[TensorSpec], theirs: list[TensorSpec]) -> list[tuple[str, str, str]]:
    return [(p.model.name, p.file.name, p.by) for p in pairs(ours, theirs, where="f", what="input")]


@pytest.mark.parametrize(
    ("name", "bare"),
    [("serving_default_x:0", "x"), ("input.1", "input_1"), ("/a/B:12", "a_b"), ("StatefulPartitionedCall:0",
     "statefulpartitionedcall")],
)  # fmt: skip
def test_plain_names(name: str, bare: str) -> None:
    assert plain(name) == bare


def test_names_come_before_shapes_and_shapes_before_order() -> None:
    ours = specs("a:float32[1,4]", "b:float32[1,4]", "c:int64[1,7]", "d:float32[1,3,8,8]", "e:bool[2]", "f:bool[2]")
    theirs = specs("q:bool[2]", "serving_default_b:0:float32[1,4]", "a:float32[1,4]", "y:float32[1,8,8,3]",
                   "r:bool[2]", "z:int32[1,7]")  # fmt: skip
    assert found(ours, theirs) == [
        ("a", "a", "name"), ("b", "serving_default_b:0", "name"), ("c", "z", "shape"), ("d", "y", "shape"),
        ("e", "q", "order"), ("f", "r", "order"),
    ]  # fmt: skip


def test_a_shape_that_two_have_says_nothing() -> None:
    assert [by for *_, by in found(specs("a:float32[2]", "b:float32[2]"), specs("x:float32[2]", "y:float32[2]"))] == [
        "order", "order",
    ]  # fmt: skip
    with pytest.raises(BadInput, match="the model has 1 inputs and the file 2"):
        found(specs("a:float32[2]"), specs("x:float32[2]", "y:float32[2]"))


def test_outputs_besides_are_left_out_where_names_or_shapes_tell() -> None:
    ours, theirs = specs("a:float32[2]", "b:bool[3]"), specs("x:float32[5]", "q:uint8[3]", "a:float32[2]")
    assert [(p.model.name, p.file.name) for p in pairs(ours, theirs, where="f", what="output")] == [
        ("a", "a"), ("b", "q"),
    ]  # fmt: skip
    for what, more in (("input", theirs), ("output", specs("x:float32[2]", "y:float32[2]", "z:bool[3]"))):
        with pytest.raises(BadInput, match=rf"the model has 2 {what}s and the file 3"):
            pairs(ours, more, where="f", what=what)


def test_truth_values_go_with_integers_where_nothing_is_nearer() -> None:
    ours = specs("a:bool[2]", "b:int64[2]")
    assert [(one, other) for one, other, _ in found(ours, specs("x:int32[2]", "y:bool[2]"))] == [("a", "y"), ("b", "x")]
    assert [one for _, one, by in found(ours[:1], specs("x:uint8[2]"))] == ["x"]
    with pytest.raises(BadInput, match="in any layout"):
        choices(pairs(ours[:1], specs("x:float32[2]"), where="f", what="input"), None, "f")


@pytest.mark.parametrize(
    ("ours", "theirs", "axes"),
    [
        ((1, 3, 8, 6), (1, 8, 6, 3), [(0, 2, 3, 1)]),
        ((1, 8, 6, 3), (1, 3, 8, 6), [(0, 3, 1, 2)]),
        ((1, 3, 8, 6), ("batch", "dim1", "dim2", 3), [(0, 2, 3, 1)]),
        ((1, 3, 8, 6), (1, 3, 8, 6), [(0, 1, 2, 3)]),
        ((1, 3, 3, 3), (1, 3, 3, 3), [(0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2)]),
        ((1, 1, 28, 28), (1, 28, 28, 1), [(0, 2, 3, 1)]),
        ((1, 5, 1, 1), (1, 1, 1, 5), [(0, 2, 3, 1)]),
        ((1, 1, 1, 1), (1, 1, 1, 1), [(0, 1, 2, 3)]),
        ((2, 4, 9), (2, 9, 4), [(0, 2, 1)]),
        ((1, 2, 3, 4, 5), (1, 3, 4, 5, 2), [(0, 2, 3, 4, 1)]),
        ((4, 4), (4, 4), [(0, 1)]),
        ((), (), [()]),
        ((1, 3, 8, 6), (1, 6, 8, 3), []),
        ((1, 3), (1, 3, 1), []),
    ],
)
def test_layouts_that_fit(ours: tuple[int, ...], theirs: tuple[int | str, ...], axes: list[tuple[int, ...]]) -> None:
    assert layouts(ours, theirs) == axes


def test_the_user_decides_only_what_shapes_leave_open() -> None:
    ours, theirs = specs("a:float32[1,3,3,3]", "b:float32[1,3,8,6]"), specs("a:float32[1,3,3,3]", "b:float32[1,8,6,3]")
    matched = pairs(ours, theirs, where="f", what="input")
    assert len(choices(matched, None, "f")) == 3
    assert choices(matched, "keep", "f") == [[Arrangement((0, 1, 2, 3)), Arrangement((0, 2, 3, 1))]]


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        ((3, 8, 6), (1, 3, 8, 6), [((0, 1, 2, 3), 0, None)]),
        ((3, 8, 6), (1, 8, 6, 3), [((0, 2, 3, 1), 0, None)]),
        ((3, 8, 6), ("batch", 8, 6, 3), [((0, 2, 3, 1), 0, None)]),
        ((1, 3, 8, 6), (8, 6, 3), [((0, 2, 3, 1), None, 0)]),
        ((1, 3, 8, 6), (3, 8, 6), [((0, 1, 2, 3), None, 0)]),
        ((3, 3, 3), (1, 3, 3, 3), [((0, 1, 2, 3), 0, None), ((0, 2, 3, 1), 0, None), ((0, 3, 1, 2), 0, None)]),
        ((5, 1), (5,), [((0, 1), None, 1)]),
        ((5,), (5, 1), [((0, 1), 1, None)]),
        ((4, 6), (4, 1, 6), [((0, 1, 2), 1, None)]),
        ((), (1,), [((0,), 0, None)]),
        ((1,), (), [((0,), None, 0)]),
        ((3, 8, 6), (2, 3, 8, 6), []),
        ((3, 8, 6), (1, 3, 8, 7), []),
        ((2, 3, 8, 6), (3, 8, 6), []),
        ((5,), (1, 1, 5), []),
        ((1, 3), (1, 3), [((0, 1), None, None)]),
    ],
)
def test_an_axis_of_one_more_or_less(
    ours: tuple[int, ...], theirs: tuple[int | str, ...], found: list[tuple[tuple[int, ...], int | None, int | None]]
) -> None:
    """And elements come where the file has them, and back."""
    assert arrangements(ours, theirs) == [Arrangement(*one) for one in found]
    array = np.arange(np.prod(ours, dtype=int)).reshape(ours)
    for one in arrangements(ours, theirs):
        (pair,) = pairs([TensorSpec("a", "int64", ours)], [TensorSpec("a", "int64", theirs)], where="f", what="input")
        match = pair.record("input", one, "int64")
        there = as_file(match, array)
        assert all(isinstance(t, str) or t == s for t, s in zip(theirs, there.shape, strict=True))
        assert np.array_equal(as_model(match, there), array)


def test_equal_ranks_come_before_an_axis_more() -> None:
    ours, theirs = specs("a:float32[3]", "b:float32[1,3]"), specs("x:float32[1,3]", "y:float32[3]")
    assert found(ours, theirs) == [("a", "y", "shape"), ("b", "x", "shape")]
    assert found(specs("a:float32[3]", "b:float32[4]"), specs("x:float32[1,4]", "y:float32[1,3]")) == [
        ("a", "y", "shape"), ("b", "x", "shape"),
    ]  # fmt: skip


def test_an_axis_that_is_longer_when_it_runs_is_no_axis_to_drop() -> None:
    match = TensorMatch(side="output", model="y", file="z", by="name", added=0, model_dtype="float32")
    subject = Subject("s", "r", lambda: None, matches=(match,))  # type: ignore[arg-type, return-value]
    assert subject.outputs({"z": np.ones((1, 3), np.float32)})["y"].shape == (3,)
    with pytest.raises(BadInput, match=r"axis 0 of 'y' should be of extent 1: its shape is \[2, 3\]"):
        subject.outputs({"z": np.ones((2, 3), np.float32)})


@pytest.mark.parametrize("theirs", ["a:float32[1,3,9,6]", "a:int32[1,3,8,6]", "a:float32[1,8,6,4]", "a:float32[1,3,8]"])
def test_an_input_that_does_not_fit(theirs: str) -> None:
    matched = pairs(specs("a:float32[1,3,8,6]"), specs(theirs), where="f", what="input")
    with pytest.raises(BadInput, match="in any layout"):
        choices(matched, None, "f")


def test_another_batch_is_told_as_the_flag_to_give() -> None:
    matched = pairs(specs("image:float32[2,3,8,6]"), specs("x:float32[1,8,6,3]"), where="f", what="input")
    with pytest.raises(BadInput) as raised:
        choices(matched, None, "f")
    assert "--input 'image:float32[1,3,8,6]'" in raised.value.remedy


def test_names_that_cross_over_and_other_dtypes() -> None:
    """The file calls ``a`` what the model calls ``b``; its output is int32 where the model's is int64."""

    def match(side: str, model: str, file: str, dtypes: tuple[str, str], axes: tuple[int, ...] = ()) -> TensorMatch:
        return TensorMatch.model_validate(
            {"side": side, "model": model, "file": file, "by": "shape", "axes": list(axes),
             "model_dtype": dtypes[0], "file_dtype": dtypes[1]}
        )  # fmt: skip

    matches = (
        match("input", "a", "b", ("float16", "float32"), (0, 2, 1)),
        match("input", "b", "a", ("int64", "int32")),
        match("output", "y", "out", ("int64", "int32")),
        match("output", "z", "wide", ("int8", "int64")),
    )
    subject = Subject("s", "r", lambda: None, matches=matches)  # type: ignore[arg-type, return-value]
    a, b = np.arange(6, dtype=np.float16).reshape(1, 2, 3), np.array([7], np.int64)
    feeds = subject.feeds({"a": a, "b": b})
    assert feeds["b"].dtype == np.float32 and np.array_equal(feeds["b"], a.transpose(0, 2, 1))
    assert np.array_equal(feeds["a"], b)
    outputs = subject.outputs({"out": np.array([2**31 - 1, -1], np.int32), "wide": np.array([300], np.int64)})
    assert outputs["y"].dtype == np.int64 and outputs["y"].tolist() == [2**31 - 1, -1]
    assert outputs["z"].dtype == np.int64, "a value that doesn't fit is not cut off"
