"""Inputs like an example: what its values mean is kept, and edges are among them."""

from __future__ import annotations

import numpy as np

from edgeworthy.artifact import TensorSpec
from edgeworthy.source.example_inputs import resized
from edgeworthy.source.variations import edges, nudged, random_feeds

RNG = np.random.default_rng(0)
DATA = RNG.normal(3, 2, (4, 6)).astype(np.float32)
EXAMPLES = {
    "data": DATA,
    "positions": np.array([[4, 0, 2], [1, 3, 0]]),
    "ids": np.array([2, 30, 5, 2]),
    "flags": np.array([[True, True, False, False], [True, True, True, False]]),
    "mask": np.array([[1, 1, 0], [1, 0, 0]]),
    "soft": np.array([[1, 0, 0], [0, 1, 0]], np.float32),
    "added": np.array([[0, -1e30], [0, 0]], np.float32),
    "holes": np.where(DATA > 3, DATA, np.float32(-1e30)),
    "rate": np.array(16000.0, np.float32),
    "wide": RNG.uniform(0, 65535, (3, 3)).astype(np.float32),
}


def test_random_inputs_are_valid_ones() -> None:
    random = np.random.default_rng(1)
    drawn = [random_feeds(EXAMPLES, random) for _ in range(20)]
    for feeds in drawn:
        assert all(feeds[n].dtype == a.dtype and feeds[n].shape == a.shape for n, a in EXAMPLES.items())
        for line in feeds["positions"]:
            assert len(set(line)) == 3 and set(line) <= {0, 1, 2, 3, 4}
        assert feeds["ids"].min() >= 2 and feeds["ids"].max() <= 30
        for name in ("flags", "mask", "soft"):
            np.testing.assert_array_equal(feeds[name].sum(-1), EXAMPLES[name].sum(-1), err_msg=name)
        np.testing.assert_array_equal(feeds["added"], EXAMPLES["added"])
        np.testing.assert_array_equal(feeds["holes"] == -1e30, EXAMPLES["holes"] == -1e30)
        assert np.abs(feeds["holes"][EXAMPLES["holes"] != -1e30]).max() < 30
        assert feeds["rate"] == 16000
        assert np.ptp(feeds["wide"]) > 1e4
    for name in ("data", "positions", "ids", "flags", "holes", "wide"):
        assert len({feeds[name].tobytes() for feeds in drawn}) > 1, name


def test_edges_change_the_data_alone() -> None:
    made = edges(EXAMPLES)
    for name, feeds in made.items():
        for kept in ("positions", "ids", "flags", "mask", "soft", "added", "rate"):
            np.testing.assert_array_equal(feeds[kept], EXAMPLES[kept], err_msg=name)
        np.testing.assert_array_equal(feeds["holes"] == -1e30, EXAMPLES["holes"] == -1e30)
        assert np.isfinite(feeds["data"]).all() and feeds["data"].dtype == np.float32
    assert not made["zeros"]["data"].any() and (made["zeros"]["holes"] <= 0).all()
    assert np.ptp(made["equal rows"]["data"]) == 0 and made["equal rows"]["data"].any()
    assert len(np.unique(made["ties"]["data"])) == 3
    assert np.abs(made["large values"]["data"]).max() > 100
    assert 0 < np.abs(made["small values"]["data"]).max() < 1e-2
    assert edges({"ids": EXAMPLES["ids"], "flags": EXAMPLES["flags"]}) == {}
    half = edges({"x": np.array([[60000, 50000, -40000]], np.float16)})
    assert np.isfinite(half["large values"]["x"]).all()


def test_what_is_tied_comes_first_one_way_and_last_the_other() -> None:
    feeds = edges(EXAMPLES)["zeros"]
    moved = nudged(feeds, EXAMPLES)
    assert len(moved) == 4
    for up, down in (moved[:2], moved[2:]):
        assert np.abs(up["data"]).max() < 1e-3
        assert (np.argmax(up["data"], -1) == np.argmin(down["data"], -1)).all()
        np.testing.assert_array_equal(up["positions"], feeds["positions"])
    assert 63 < np.abs(moved[0]["data"]).max() / np.abs(moved[2]["data"]).max() < 65


def test_longer_inputs_hold_no_ties_that_the_example_has_not() -> None:
    specs = [
        TensorSpec("x", "float32", ("n", 3)),
        TensorSpec("m", "float32", ("n", 3)),
        TensorSpec("i", "int64", ("n",)),
    ]
    x = np.array([[1, 2, 3], [4, -5, 6]], np.float32)
    made = resized(specs, {"x": x, "m": (x > 2).astype(np.float32), "i": np.array([0, 7])}, {"n": 5})
    np.testing.assert_array_equal(made["x"][:2], x)
    assert len(np.unique(made["x"][:, 0])) == 5
    assert set(np.unique(made["m"])) == {0, 1}
    assert made["i"].tolist() == [0, 7, 0, 7, 0]
    shorter = resized(specs, made, {"n": 1})
    np.testing.assert_array_equal(shorter["x"], x[:1])
