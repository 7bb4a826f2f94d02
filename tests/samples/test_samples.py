"""The small samples: what they learnt, their data, and the cache that hands the weights on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgeworthy.samples import SAMPLES, training
from edgeworthy.samples.digits import digits
from edgeworthy.samples.networks import DigitsCNN


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty cache for this file, so that each sample is trained here once."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        for name in SAMPLES:
            SAMPLES[name].factory()
    return folder


@pytest.fixture(autouse=True)
def _use_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


def _outputs(model: nn.Module, inputs: dict[str, np.ndarray]) -> np.ndarray:
    with torch.no_grad():
        result: np.ndarray = model(**{k: torch.from_numpy(v) for k, v in inputs.items()}).numpy()
    return result


def _weights(model: nn.Module) -> bytes:
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())


@pytest.mark.parametrize(("name", "least"), [("digits_cnn", 0.98), ("simple_net", 0.95), ("simple_cnn", 0.95)])
def test_samples_know_the_digits_they_never_saw(name: str, least: float) -> None:
    labelled = SAMPLES[name].labelled()
    assert labelled is not None
    inputs, labels = labelled
    scores = _outputs(SAMPLES[name].factory(), inputs)
    assert len(labels) == 360
    assert (scores.argmax(-1) == labels).mean() >= least


def test_linear_regression_is_exactly_the_line() -> None:
    model = SAMPLES["linear_regression"].factory()
    assert [p.item() for p in model.parameters()] == [3.0, 1.0]
    assert SAMPLES["linear_regression"].labelled() is None


@pytest.mark.parametrize("name", SAMPLES)
def test_example_and_calibration_have_the_same_inputs(name: str) -> None:
    sample = SAMPLES[name]
    model = sample.factory()
    assert isinstance(model.example_inputs, dict)
    drawn = sample.calibration(5, 1)
    for key, example in model.example_inputs.items():
        assert drawn[key].shape == (5, *example.shape[1:])
        assert drawn[key].dtype == np.float32
        assert example.dtype == torch.float32 and example.shape[0] == 1
    assert not model.training
    np.testing.assert_array_equal(drawn[key], sample.calibration(5, 1)[key])
    assert not np.array_equal(drawn[key], sample.calibration(5, 2)[key])


def test_calibration_is_training_data_and_training_is_not_test_data() -> None:
    train, test = digits()
    seen = {image.tobytes() for image in train.images}
    assert all(image.tobytes() in seen for image in SAMPLES["digits_cnn"].calibration(50, 3)["image"])
    assert not any(image.tobytes() in seen for image in test.images)
    assert len(seen) == 1437
    assert set(np.bincount(test.labels)) <= {35, 36, 37}


def test_digits_cnn_is_large_enough_for_its_size_to_be_that_of_its_weights() -> None:
    assert sum(p.numel() for p in DigitsCNN().parameters()) >= 150_000


def test_a_second_load_neither_trains_nor_touches_the_random_state(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    first = _weights(SAMPLES["digits_cnn"].factory())
    monkeypatch.setattr(training, "fit", refuse)
    state = torch.get_rng_state()
    threads = torch.get_num_threads()
    assert _weights(SAMPLES["digits_cnn"].factory()) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("damage", [b"", b"not safetensors", None])
def test_a_damaged_cache_is_replaced_by_the_same_weights(cache: Path, damage: bytes | None) -> None:
    (path,) = cache.rglob("simple_net-*.safetensors")
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2] if damage is None else damage)
    weights = _weights(SAMPLES["simple_net"].factory())
    assert path.read_bytes() == good
    assert weights == _weights(SAMPLES["simple_net"].factory())


def test_without_a_writable_cache_the_sample_is_trained_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _weights(SAMPLES["simple_net"].factory())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert _weights(SAMPLES["simple_net"].factory()) == expected


_LOAD = """
import hashlib
from edgeworthy.samples import SAMPLES, training
fit = training.fit
training.fit = lambda *a, **k: (print("trained"), fit(*a, **k))
model = SAMPLES["simple_net"].factory()
print(hashlib.sha256(b"".join(v.numpy().tobytes() for v in model.state_dict().values())).hexdigest())
"""


def test_processes_that_load_at_a_time_train_once_and_agree(tmp_path: Path) -> None:
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    loads = [
        subprocess.Popen([sys.executable, "-c", _LOAD], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    lines = "".join(load.communicate(timeout=120)[0] for load in loads).split()
    assert lines.count("trained") == 1
    assert len(set(lines) - {"trained"}) == 1
    assert [path.suffix for path in sorted(tmp_path.rglob("*.*"))] == [".lock", ".safetensors"]


def test_a_cached_sample_loads_without_scikit_learn() -> None:
    code = (
        "import sys; from edgeworthy.samples import SAMPLES; assert 'torch' not in sys.modules; "
        "SAMPLES['digits_cnn'].factory(); print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
