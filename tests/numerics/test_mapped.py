from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from edgeworthy.numerics.mapped import let_go, mapped

MANY = 1 << 25


def resident() -> int:
    """Bytes of files that are in this process's memory."""
    found = re.search(r"RssFile:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found
    return int(found[1]) * 1024


def test_what_is_let_go_of_leaves_memory_and_can_be_read_again(tmp_path: Path) -> None:
    content = np.random.default_rng(0).integers(0, 255, MANY + 3, np.uint8)
    path = tmp_path / "weights"
    path.write_bytes(content)
    array = mapped(path, 3, MANY)
    view = array.view(np.float32).reshape(-1, 1024).T[5:]
    before = resident()
    total = array.sum()
    assert resident() > before + MANY // 2
    let_go(view)
    assert resident() < before + MANY // 8
    assert array.sum() == total == content[3:].sum()
    assert view.tobytes() == content[3:].view(np.float32).reshape(-1, 1024).T[5:].tobytes()


def test_letting_go_of_other_arrays_changes_nothing() -> None:
    array = np.arange(5)
    let_go(array[1:])
    let_go(np.frombuffer(b"abc", np.uint8))
    assert array.tolist() == [0, 1, 2, 3, 4]
