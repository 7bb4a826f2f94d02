from __future__ import annotations

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.errors import BadInput
from edgeworthy.targets.session import checked, named

IDS = TensorSpec("ids", "int32", ("n",))


def test_integers_narrow_only_when_they_fit() -> None:
    fed = checked({"ids": np.array([1, -2], np.int64)}, [IDS], where="m")
    assert fed["ids"].dtype == np.int32
    with pytest.raises(BadInput, match="is int32, and was given int64"):
        checked({"ids": np.array([1 << 40], np.int64)}, [IDS], where="m")
    with pytest.raises(BadInput, match="is int32, and was given float32"):
        checked({"ids": np.array([1.0], np.float32)}, [IDS], where="m")


def test_order_is_the_models() -> None:
    specs = [TensorSpec("b", "bool", ()), TensorSpec("a", "float32", (1,))]
    assert list(checked({"a": np.zeros(1, np.float32), "b": np.array(True)}, specs, where="m")) == ["b", "a"]


def test_outputs_must_match_their_names() -> None:
    with pytest.raises(BadInput, match="gave 1 outputs, and 2"):
        named([np.zeros(1)], ["a", "b"], where="m")
