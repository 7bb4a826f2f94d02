from __future__ import annotations

import itertools
from typing import Any

import pytest


def model(body: str, dims: str = "2,3,4,5") -> str:
    return f'<ir_version: 8, opset_import: ["" : 13]> g (float[{dims}] x) => (float[a,b,c,d] y) {{ {body} }}'


@pytest.mark.parametrize("perms", list(itertools.product([(0, 2, 3, 1), (3, 1, 0, 2)], [(0, 3, 1, 2), (1, 0, 3, 2)])))
def test_two_become_one_or_none(apply: Any, perms: tuple[tuple[int, ...], ...]) -> None:
    first, second = perms
    body = f"a = Transpose <perm = {list(first)}> (x) b = Transpose <perm = {list(second)}> (a) y = Relu (b)"
    result = apply(model(body), "merge_transposes")
    together = [first[p] for p in second]
    assert result.ops == (["Relu"] if together == [0, 1, 2, 3] else ["Transpose", "Relu"])
    if together != [0, 1, 2, 3]:
        assert list(result.node("Transpose").attributes["perm"].as_ints()) == together


def test_a_chain(apply: Any) -> None:
    body = " ".join(f"{b} = Transpose <perm = [1, 2, 3, 0]> ({a})" for a, b in itertools.pairwise("xpqrs"))
    assert apply(model(f"{body} y = Relu (s)"), "merge_transposes").ops == ["Relu"]


def test_one_that_others_use_as_well_stays_for_them(apply: Any) -> None:
    body = "a = Transpose <perm = [0,2,3,1]> (x) b = Transpose <perm = [0,3,1,2]> (a) s = Sigmoid (b) y = Relu (a)"
    result = apply(model(body).replace("y)", "y, float[a,b,c,d] s)"), "merge_transposes")
    assert result.ops == ["Transpose", "Sigmoid", "Relu"]


def test_the_default_permutation_reverses(apply: Any) -> None:
    assert apply(model("a = Transpose (x) b = Transpose (a) y = Relu (b)"), "merge_transposes").ops == ["Relu"]


def test_outputs_keep_their_names(apply: Any) -> None:
    body = "a = Transpose <perm = [0,2,3,1]> (x) y = Transpose <perm = [0,3,1,2]> (a)"
    assert apply(model(body), "merge_transposes").ops == ["Transpose"], "x and y are both the model's"


def test_with_something_between_they_are_left_alone(apply: Any) -> None:
    body = "a = Transpose <perm = [0,2,3,1]> (x) b = Relu (a) y = Transpose <perm = [0,3,1,2]> (b)"
    assert apply(model(body), "merge_transposes").ops == ["Transpose", "Relu", "Transpose"]
