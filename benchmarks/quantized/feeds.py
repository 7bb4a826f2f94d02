"""The samples that a model's files are judged and timed on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_feeds(path: Path) -> list[dict[str, NDArray[Any]]]:
    """What an ``.npz`` of stacked samples has, sample by sample."""
    with np.load(path) as archive:
        data = {name: archive[name] for name in archive.files}
    count = len(next(iter(data.values())))
    return [{name: array[index] for name, array in data.items()} for index in range(count)]
