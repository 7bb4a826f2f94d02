"""IF and WHILE of both builders, against Python's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeworthy.convert.builders.builder import DryBuilder
from edgeworthy.convert.builders.tensor import Spec, Tensor, Unsupported

from .test_builders import BUILDERS

X = np.array([1, -2, 3], np.float32)
STATE = [("x", Spec("float32", (3,))), ("n", Spec("int32", ()))]


def counted(b, n, *start, shapes=None, step):
    """``step`` n times."""
    one = b.const(np.int32(1))
    _, *state = b.while_loop(
        [b.const(np.int32(0)), *start],
        [(), *(shapes or [t.shape for t in start])],
        lambda s: [b.compare("less", s[0], n)],
        lambda s: [b.add(s[0], one), *step(s[0], *s[1:])],
    )
    return state


@pytest.mark.parametrize("run", BUILDERS)
@pytest.mark.parametrize("times", [0, 1, 4])
def test_a_loop_with_outer_values_weights_and_a_swap(run: Any, times: int, tmp_path: Any) -> None:
    weights = np.random.default_rng(0).normal(size=(200, 200)).astype("f") / 14

    def lower(b, inputs):
        x, n = inputs
        outer, big, small = b.unary("exp", x), b.const(weights), b.const(np.float32([2, 3, 4]))
        wide = b.tile(b.reshape(x, (1, 3)), b.int32s([1, 67]), (1, 201))
        wide = b.slice(wide, [0, 0], [1, 200])
        none = b.const(np.zeros(200, np.float32))
        before = b.fully_connected(wide, big, none)

        def step(i, a, c, w):
            return [c, b.add(b.mul(a, small), outer), b.fully_connected(w, big, none)]

        a, c, w = counted(b, n, x, b.unary("neg", x), before, step=step)
        return [("a", a), ("c", c), ("w", w)]

    got = run(STATE, lower, {"x": X, "n": np.int32(times)}, tmp_path / "m")
    size = sum(f.stat().st_size for f in [tmp_path / "m", *(tmp_path / "m").rglob("*")] if f.is_file())
    assert weights.nbytes < size < 1.7 * weights.nbytes, "weights used inside and outside are stored once"
    a, c, w = X, -X, np.tile(X, 67)[None, :200] @ weights.T
    for _ in range(times):
        a, c, w = c, a * np.float32([2, 3, 4]) + np.exp(X), w @ weights.T
    for name, want in (("a", a), ("c", c), ("w", w)):
        assert np.allclose(got[name], want, rtol=1e-4, atol=1e-4), name


@pytest.mark.parametrize("run", BUILDERS)
def test_two_states_change_places(run: Any, tmp_path: Any) -> None:
    def lower(b, inputs):
        x, n = inputs
        a, c = counted(b, n, x, b.unary("neg", x), step=lambda i, a, c: [b.add(a, c), a])
        p, q = counted(b, n, x, b.unary("neg", x), step=lambda i, a, c: [c, a])
        return [("a", a), ("c", c), ("p", p), ("q", q)]

    got = run(STATE, lower, {"x": X, "n": np.int32(5)}, tmp_path / "m")
    a, c = X, -X
    for _ in range(5):
        a, c = a + c, a
    assert np.array_equal(got["a"], a) and np.array_equal(got["c"], c)
    assert np.array_equal(got["p"], -X) and np.array_equal(got["q"], X)


@pytest.mark.parametrize("run", BUILDERS)
@pytest.mark.parametrize("times", [0, 3])
def test_a_state_may_grow(run: Any, times: int, tmp_path: Any) -> None:
    def lower(b, inputs):
        x, n = inputs
        step = lambda i, a: [b.concat([a, b.reshape(b.cast(i, "float32"), (1,))], 0)]  # noqa: E731
        return [("a", *counted(b, n, x, shapes=[(None,)], step=step))]

    got = run(STATE, lower, {"x": X, "n": np.int32(times)}, tmp_path / "m")
    assert got["a"].tolist() == [*X, *range(times)]


@pytest.mark.parametrize("run", BUILDERS)
@pytest.mark.parametrize("times", [0, 2, 3])
def test_a_branch_in_a_loop_in_a_branch(run: Any, times: int, tmp_path: Any) -> None:
    def lower(b, inputs):
        x, n = inputs
        two = b.const(np.int32(2))
        outer = b.add(x, x)

        def step(i, a):
            even = b.compare("equal", b.binary("floor_mod", i, two), b.const(np.int32(0)))
            return b.cond(even, lambda: [b.add(a, outer)], lambda: [b.mul(a, outer)])

        looped = b.cond(b.compare("greater", n, two), lambda: counted(b, n, x, step=step), lambda: [x])
        constant = b.cond(b.compare("greater", n, two), lambda: [b.const(X)], lambda: [b.const(X[:1])])
        return [("y", *looped), ("z", *constant)]

    got = run(STATE, lower, {"x": X, "n": np.int32(times)}, tmp_path / "m")
    want = X if times < 3 else ((X + 2 * X) * 2 * X) + 2 * X
    assert np.allclose(got["y"], want)
    assert got["z"].tolist() == (X if times > 2 else X[:1]).tolist()


def test_what_the_branches_or_the_steps_disagree_in_is_said() -> None:
    b = DryBuilder()
    x, flag = Tensor(None, "float32", (3,)), Tensor(None, "bool", ())
    (y,) = b.cond(flag, lambda: [x], lambda: [Tensor(None, "float32", (4,))])
    assert y.shape == (None,)
    with pytest.raises(Unsupported, match=r"float32\[3\] and int32\[3\]"):
        b.cond(flag, lambda: [x], lambda: [Tensor(None, "int32", (3,))])
    with pytest.raises(Unsupported, match=r"carries float32\[3\], and a step makes float32\[1,3\]"):
        b.while_loop([x], [(3,)], lambda s: [flag], lambda s: [b.expand_dims(s[0], [0])])
    assert b.cond(b.const(np.array(False)), lambda: [x], lambda: [flag]) == (flag,)
