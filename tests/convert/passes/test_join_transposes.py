from __future__ import annotations

from typing import Any

import pytest


def model(shape: str, body: str, output: str, **sizes: str) -> str:
    """``body`` on x, which a Gather makes."""
    constants = "q = Constant <value_int = 0> () " + " ".join(
        f"{name} = Constant <value_ints = [{dims}]> ()" for name, dims in sizes.items()
    )
    head = f'<ir_version: 9, opset_import: ["" : 18]> g (float[1,{shape}] z) => ({output})'
    return f"{head} {{ {constants} x = Gather (z, q) {body} }}"


WINDOWS = """a = Transpose <perm = [2,3,0,1,4]> (x) b = Reshape (a, s) c = Transpose <perm = [0,2,1]> (b)
             d = Reshape (c, t) y = Relu (d)"""


def test_windows_are_transposed_once(apply: Any) -> None:
    text = model("9,16,1,24,1", WINDOWS, "float[32,12,9] y", s="1,216,16", t="32,12,9")
    result = apply(text, "join_transposes")
    assert result.ops == ["Gather", "Reshape", "Transpose", "Reshape", "Relu"]
    assert list(result.node("Transpose").attributes["perm"].as_ints()) == [1, 0]


@pytest.mark.parametrize(
    ("shape", "body", "output", "sizes", "ops"),
    [
        # They are none: a head is split off and put back.
        ("2,6,4", "a = Transpose <perm = [0,2,1]> (x) b = Reshape (a, s) c = Transpose <perm = [0,2,3,1]> (b) "
         "d = Reshape (c, t) y = Relu (d)", "float[2,6,4] y", {"s": "2,2,2,6", "t": "2,4,6"}, None),
        ("2,6,4", "a = Transpose <perm = [0,2,1]> (x) b = Reshape (a, s) c = Transpose <perm = [2,0,1]> (b) "
         "d = Reshape (c, t) y = Relu (d)", "float[12,4] y", {"s": "2,4,6", "t": "12,4"}, None),
        # One that moves, and one that doesn't: as it was.
        ("1,6,4", "a = Transpose <perm = [1,0,2]> (x) b = Reshape (a, s) y = Transpose <perm = [1,0]> (b)",
         "float[4,6] y", {"s": "6,4"}, ["Gather", "Transpose", "Reshape", "Transpose"]),
        # It divides an axis unevenly.
        ("4,6", "a = Transpose <perm = [1,0]> (x) b = Reshape (a, s) y = Transpose <perm = [1,0]> (b)",
         "float[3,8] y", {"s": "8,3"}, ["Gather", "Transpose", "Reshape", "Transpose"]),
        # The first axes as they are, without a Reshape.
        ("1,6,4", "a = Transpose <perm = [0,2,1]> (x) b = Reshape (a, s) c = Transpose <perm = [2,0,1]> (b) "
         "y = Transpose <perm = [0,2,1]> (c)", "float[6,2,2] y", {"s": "2,2,6"}, None),
    ],
)  # fmt: skip
def test_chains(apply: Any, shape: str, body: str, output: str, sizes: dict[str, str], ops: list[str] | None) -> None:
    result = apply(model(shape, body, output, **sizes), "join_transposes")
    if ops is None:
        assert sum(op == "Transpose" for op in result.ops) < body.count("Transpose <")
    else:
        assert result.ops == ops


@pytest.mark.parametrize(("used", "transposes"), [("b", 2), ("c", 1)])
def test_what_is_used_in_between_stays(apply: Any, used: str, transposes: int) -> None:
    body = WINDOWS + f" n = Flatten <axis = 0> ({used}) w = Relu (n)"
    text = model("9,16,1,24,1", body, "float[32,12,9] y, float[1,3456] w", s="1,216,16", t="32,12,9")
    assert apply(text, "join_transposes").ops.count("Transpose") == transposes


def test_varying_extents_stay(apply: Any) -> None:
    body = "a = Transpose <perm = [1,0,2]> (x) b = Reshape (a, s) y = Transpose <perm = [1,0]> (b)"
    text = model("n,6,4", body, "float[m,k] y", s="6,-1")
    assert apply(text, "join_transposes").ops.count("Transpose") == 2


def test_chains_behind_others_are_the_layouts(apply: Any) -> None:
    text = model("9,16,1,24,1", WINDOWS, "float[32,12,9] y", s="1,216,16", t="32,12,9")
    text = text.replace("value_int = 0", "value_ints = [0]").replace("Gather (z, q)", "ReduceSum <keepdims = 0> (z, q)")
    assert apply(text, "join_transposes").ops.count("Transpose") == 2
