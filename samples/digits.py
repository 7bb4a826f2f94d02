"""scikit-learn's handwritten digits: 1,797 real 8×8 images, split once and for all into training and test.

Source: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI, 1998. scikit-learn has
its test part, so nothing is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TEST_SHARE = 0.2
SPLIT_SEED = 0


@dataclass(frozen=True)
class Split:
    """Images float32 ``[n, 1, 8, 8]`` in 0..1 and their classes int64 ``[n]``."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


@cache
def digits() -> tuple[Split, Split]:
    """(training, test): 1,437 and 360 images, every class in both by the same share."""
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the digits come with scikit-learn: pip install 'edgeworthy[samples]'", name=error.name
        ) from error
    data = load_digits()
    images = (data.images[:, None] / 16).astype(np.float32)
    labels = data.target.astype(np.int64)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=TEST_SHARE, random_state=SPLIT_SEED, stratify=labels
    )
    return Split(images[train], labels[train]), Split(images[test], labels[test])


def enlarge(images: NDArray[np.float32], size: int = 28) -> NDArray[np.float32]:
    """``[n, 1, 8, 8]`` → ``[n, 1, size, size]`` by bilinear interpolation at pixel centres."""
    old = images.shape[-1]
    centres = (np.arange(size) + 0.5) * old / size - 0.5
    weights = np.stack([np.interp(centres, np.arange(old), row) for row in np.eye(old)], axis=1)
    enlarged: NDArray[np.float32] = (weights @ images @ weights.T).astype(np.float32)
    return enlarged


def feeds(images: NDArray[np.float32], form: str) -> dict[str, Array]:
    """Images ``[n, 1, 8, 8]`` as the samples take them.

    Form ``image8``: image ``[n, 1, 8, 8]``; ``image28``: image ``[n, 1, 28, 28]``; ``flat28``: pixels
    ``[n, 784]``.
    """
    if form == "image8":
        return {"image": images}
    if form == "image28":
        return {"image": enlarge(images)}
    return {"pixels": enlarge(images).reshape(len(images), -1)}


def calibration(form: str, n: int, seed: int = 0) -> dict[str, Array]:
    """Up to ``n`` different training images, drawn by ``seed``."""
    train, _ = digits()
    drawn = np.random.default_rng(seed).permutation(len(train.labels))[:n]
    return feeds(train.images[drawn], form)


def labelled(form: str) -> tuple[dict[str, Array], Array]:
    """The test images, which no training and no calibration sees, and their classes."""
    _, test = digits()
    return feeds(test.images, form), test.labels
