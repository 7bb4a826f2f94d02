"""A board with an Arm processor: the kit's Python behind a real sshd, run by QEMU as Linux runs any program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeworthy import kits
from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import RuntimeFailure
from edgeworthy.targets.worker import Worker

from .boards import NEEDED, Board, arm_board, arm_python

ARM64 = kits.look(kits.KITS["arm64"])

pytestmark = [
    pytest.mark.device,
    NEEDED,
    pytest.mark.skipif(ARM64.status != "ready", reason="its kit isn't there: edgeworthy targets install arm64"),
]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """Its user has a private table of binary formats (Linux 6.7), so that this machine's stays as it is."""
    made = arm_board(tmp_path_factory.mktemp("arm"))
    if made is None:
        pytest.skip("this kernel gives no user a table of binary formats of his own")
    with made as board:
        yield board


def test_an_arm_board_gets_litert_from_the_kit(
    board: Board, tflite_int8: TFLiteModel, partly_delegated: TFLiteModel
) -> None:
    feeds = {"image": np.random.default_rng(4).normal(size=(2, 8, 8, 3)).astype(np.float32)}
    feeds["image"][0, 0, 0] = 0, 1e30, -1e30
    with Worker(board.target(python=arm_python()), tflite_int8) as there, Worker("tflite", tflite_int8) as here:
        np.testing.assert_array_equal(there.run(feeds)["logits"], here.run(feeds)["logits"])
        receipt = there.receipt
        assert (receipt.ran, receipt.delegated) == ("XNNPACK", here.receipt.delegated)
        assert receipt.measured == "emulated" and "emulated by qemu-aarch64" in receipt.notes
        assert "aarch64" in receipt.notes[0]
        there.load(partly_delegated)
        x = np.array([[0, -1, 2], [3, 1e4, -0.0]], np.float32)
        here.load(partly_delegated)
        np.testing.assert_allclose(there.run({"x": x})["y"], here.run({"x": x})["y"], rtol=1e-6)
        assert [node.split()[0] for node in there.receipt.fallback] == ["CUMSUM"]
    assert any(Path(board.store).glob("*.d/ai_edge_litert"))
    assert board.quiet()


def test_a_run_that_hangs_there_ends_with_its_emulator(board: Board, tflite_int8: TFLiteModel) -> None:
    with Worker(board.target(python=arm_python()), tflite_int8, timeout_s=60) as there:
        there._child._timeout_s = 5  # type: ignore[union-attr]
        with pytest.raises(RuntimeFailure, match=r"hung: time took more than 5 s \(timeout\)"):
            there.time({"image": np.zeros((1, 8, 8, 3), np.int8)}, 100_000_000)
        assert board.quiet()
