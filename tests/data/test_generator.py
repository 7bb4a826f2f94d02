"""Code that yields samples: what hangs, what raises in a worker, and what is closed."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.data.forms import Reading
from edgeworthy.errors import BadInput
from edgeworthy.quantize.calibration import SPARE, load_calibration
from edgeworthy.validate.inputs import load_labelled

X = TensorSpec("x", "float32", (1, 3))
SCRIPT = """
import threading
import time

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

CLOSED = []


def hangs():
    yield np.ones(3, np.float32)
    time.sleep(3600)


def hangs_at_once():
    threading.Event().wait()


def spins():
    while True:
        pass


def closes():
    try:
        for i in range(1000):
            yield np.full(3, i, np.float32)
    finally:
        CLOSED.append(i)


def in_one_thread():
    owner = threading.get_ident()
    with torch.no_grad():
        for i in range(5):
            assert threading.get_ident() == owner and not torch.is_grad_enabled()
            yield torch.full((1, 3), float(i), requires_grad=True) * 1


class Numbers(Dataset):
    def __init__(self, bad=None):
        self.bad = bad

    def __len__(self):
        return 1000

    def __getitem__(self, index):
        if index == self.bad:
            raise ArithmeticError("the camera is off")
        return torch.full((3,), float(index)), index % 5


def loader(bad=None, **options):
    return DataLoader(Numbers(bad), batch_size=8, num_workers=2, **options)


persistent = loader(persistent_workers=True)


def broken():
    return loader(bad=9)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "data.py"
    path.write_text(textwrap.dedent(SCRIPT))
    return path


@pytest.mark.parametrize("name", ["hangs", "hangs_at_once", "spins"])
def test_what_hangs_is_given_up(script: Path, name: str) -> None:
    begin = time.monotonic()
    with pytest.raises(BadInput, match=r"hangs: .* took more than 0\.5 s") as caught:
        load_calibration(f"{script}:{name}", (X,), how=Reading(timeout_s=0.5))
    assert time.monotonic() - begin < 60
    assert caught.value.where == f"{script}:{name}"
    assert "--data-timeout" in (caught.value.remedy or "") and "[data]" in (caught.value.remedy or "")


def test_a_generator_is_closed_and_read_no_further_than_needed(script: Path) -> None:
    import sys

    load_calibration(f"{script}:closes", (X,), samples=20)
    assert sys.modules["_edgeworthy_calibration_data"].CLOSED == [20 + SPARE - 1]


def test_it_stays_in_one_thread_and_gives_tensors(script: Path) -> None:
    found = load_calibration(f"{script}:in_one_thread", (X,))
    assert [float(f["x"][0, 0]) for f in found] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["loader", "persistent"])
def test_a_dataloader_gives_batches_with_labels_and_its_workers_end(script: Path, name: str) -> None:
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    for _ in range(2):
        found = load_calibration(f"{script}:{name}", (X,), samples=30)
        assert [float(f["x"][0, 0]) for f in found] == list(range(30))
        assert found.survey.labels == {0, 1, 2, 3, 4}
    deadline = time.monotonic() + 20
    while (left := {p.pid for p in psutil.Process().children(recursive=True)} - before) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


def test_what_a_worker_raises_is_told_by_its_last_line_and_place(script: Path) -> None:
    with pytest.raises(BadInput, match="raised: ArithmeticError: the camera is off") as caught:
        load_calibration(f"{script}:broken", (X,))
    line = 1 + script.read_text().splitlines().index('            raise ArithmeticError("the camera is off")')
    assert caught.value.where == f"{script}:{line}"


def test_python_hands_over_what_it_has() -> None:
    def numbers() -> Iterator[dict[str, Any]]:
        for i in range(10):
            yield {"x": np.full(3, i, np.float32), "labels": i % 2}

    found = load_calibration(numbers(), (X,), samples=6)
    assert [float(f["x"][0, 0]) for f in found] == [0, 1, 2, 3, 4, 5]
    assert [float(f["x"][0, 0]) for f in found.held_out(8)[0]] == [6, 7, 8, 9]
    assert found.survey.labels == {0, 1}
    arrays = load_calibration({"x": np.ones((4, 3), np.float32)}, (X,))
    assert arrays.samples == 4
    labelled = load_labelled(numbers(), (X,))
    assert labelled.labels.tolist() == [0, 1] * 5
    with pytest.raises(BadInput, match="gives int, which can't be iterated"):
        load_calibration(7, (X,))


def test_samples_of_other_sizes_dont_go_into_one_feed() -> None:
    spec = TensorSpec("x", "float32", (2, "length"))
    with pytest.raises(BadInput, match="different sizes") as caught:
        load_calibration([np.ones(3, np.float32), np.ones(4, np.float32)], (spec,))
    assert caught.value.details == ("[3]", "[4]")


@pytest.mark.parametrize("item", [[[1.0, 2.0], [3.0]], None, {"x": object()}, np.array([{}])])
def test_what_is_no_array(item: Any) -> None:
    with pytest.raises(BadInput, match=r"is no array|holds object and no numbers|has 2 arrays"):
        load_calibration([item], (X,))
