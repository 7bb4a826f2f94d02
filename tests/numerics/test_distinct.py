from __future__ import annotations

import numpy as np
import pytest

from edgeworthy.numerics import distinct
from edgeworthy.numerics.distinct import DistinctArrays, blocks


def array(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_equal_arrays_are_one_however_they_lie() -> None:
    found = DistinctArrays()
    one = array(0, 30, 40)
    assert {found.index(a) for a in (one, one.copy(), np.asfortranarray(one), one.T.copy().T, one[:])} == {0}
    assert found[0] is one


def test_arrays_of_another_type_or_shape_are_others() -> None:
    found = DistinctArrays()
    zeros = np.zeros((30, 40), np.float32)
    others = [zeros, zeros.astype(np.int32), zeros.reshape(40, 30), zeros.reshape(1, 30, 40), zeros.astype(">f4")]
    assert [found.index(a) for a in [*others, *[a.copy() for a in others]]] == [0, 1, 2, 3, 4] * 2
    assert len(found) == 5


def test_what_differs_in_one_element_is_another() -> None:
    found = DistinctArrays()
    base = np.zeros(100_000, np.float32)
    indices = {found.index(base)}
    for position in (0, 1, 49_999, 99_999):
        changed = base.copy()
        changed[position] = 1
        indices.add(found.index(changed))
    assert found.index(-base) not in indices  # -0 == 0, but not by its bytes
    assert len(found) == 6
    assert found.index(base[:-1]) == 6
    assert found.index(array(1, 30, 40).T) == 7
    assert found.index(array(1, 30, 40)) == 8


def test_nothing_is_read_of_a_view_that_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    found, base = DistinctArrays(), array(0, 6, 50, 20)
    index = found.index(base[2:4].transpose(0, 2, 1))

    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(distinct, "_sample", refuse)
    assert found.index(base[2:4].transpose(0, 2, 1)) == index
    with pytest.raises(AssertionError):
        found.index(base[3:5].transpose(0, 2, 1))


def test_an_array_that_is_gone_lends_its_place_to_no_other() -> None:
    found = DistinctArrays()
    found.index(array(0, 1000))
    for seed in range(1, 50):
        twin = array(0, 1000)
        assert found.index(twin) == 0
        del twin
        assert found.index(array(seed, 1000)) == seed


@pytest.mark.parametrize("size", [100, 1 << 24])
def test_blocks_are_the_bytes_in_order(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct, "_BLOCK", size)
    base = array(0, 7, 5, 6)
    unaligned = np.frombuffer(b"x" + base.tobytes(), np.float32, offset=1).reshape(base.shape)
    for view in (
        base,
        base.T,
        base[1:, ::2],
        base[:, :, 3],
        unaligned.T,
        np.broadcast_to(base[0], (4, 5, 6)),
        base[:0],
    ):
        assert b"".join(block.tobytes() for block in blocks(view)) == view.tobytes()
        assert view.flags.c_contiguous or all(block.nbytes <= max(size, 120) for block in blocks(view))
    assert b"".join(b.tobytes() for b in blocks(np.float64(3).reshape(()))) == np.float64(3).tobytes()
