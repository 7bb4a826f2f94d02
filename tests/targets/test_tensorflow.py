from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import SavedModel, TensorSpec
from edgeworthy.errors import RuntimeFailure
from edgeworthy.targets.worker import Worker


def test_matches_pytorch(saved_model: SavedModel, images: Any, expected: Any) -> None:
    # In a worker: TensorFlow's thread counts can't be set once this process has used it.
    feeds = {"image": np.ascontiguousarray(images.transpose(0, 2, 3, 1))}
    with Worker("tensorflow", saved_model) as worker:
        np.testing.assert_allclose(worker.run(feeds)["logits"], expected, atol=1e-5)
        assert len(worker.time(feeds, 3)) == 3
        assert worker.receipt.ran == "CPU"
        assert worker.version[0].isdigit()
        missing = replace(saved_model, outputs=(TensorSpec("scores", "float32", (1, 5)),))
        with pytest.raises(Exception, match="lacks"):
            worker.load(missing)
        with pytest.raises(RuntimeFailure, match="raised in load"):
            worker.load(replace(saved_model, path=saved_model.path / "nothing"))
