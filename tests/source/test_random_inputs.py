from __future__ import annotations

import numpy as np

from edgeworthy.source.variations import random_samples


def test_random_samples() -> None:
    examples = {
        "image": np.full((1, 3), 7.0, np.float32),
        "ids": np.array([[2, 30, 5]]),
        "mask": np.ones((1, 3), np.int64),
        "flag": np.array([True]),
        "scaled": np.random.default_rng(0).normal(100, 5, 1000),
    }
    samples = random_samples(examples, 5, seed=1)
    assert len(samples) == 5
    for name, array in examples.items():
        np.testing.assert_array_equal(samples[0][name], array)
        assert all(s[name].shape == array.shape and s[name].dtype == array.dtype for s in samples)
    later = samples[1:]
    assert all(np.abs(s["image"]).max() < 6 and np.ptp(s["image"]) > 0 for s in later)
    assert all(((s["ids"] >= 2) & (s["ids"] <= 30)).all() for s in later)
    assert all((s["mask"] == 1).all() and s["flag"].all() for s in later)
    for sample in later:
        assert abs(sample["scaled"].mean() - 100) < 1 and 2 < sample["scaled"].std() < 8
        assert np.corrcoef(sample["scaled"], examples["scaled"])[0, 1] > 0.8
    again = random_samples(examples, 5, seed=1)
    assert all(np.array_equal(a[n], b[n]) for a, b in zip(samples, again, strict=True) for n in a)
    assert not np.array_equal(samples[1]["image"], random_samples(examples, 2, seed=2)[1]["image"])
