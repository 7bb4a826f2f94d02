"""Rows of .npy and .npz files, which are read where they lie: against numpy's own reading."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.data import arrays
from edgeworthy.errors import BadInput

X = TensorSpec("x", "float32", (1, 3, 5))
DATA = np.random.default_rng(0).normal(size=(40, 3, 5)).astype(np.float32)


def old_npy(path: Path, x: Any) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array(file, x, version=(2, 0))


def stored(path: Path, x: Any) -> None:
    np.savez(path, first=np.arange(7), x=x, labels=np.arange(len(x)) % 4)


def deflated(path: Path, x: Any) -> None:
    np.savez_compressed(path, x=x)


def bzipped(path: Path, x: Any) -> None:
    content = io.BytesIO()
    np.save(content, x)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("x.npy", content.getvalue())


WRITERS: list[tuple[str, Callable[[Path, Any], None]]] = [
    ("a.npy", lambda path, x: np.save(path, x)),
    ("b.npy", old_npy),
    ("c.npz", stored),
    ("d.npz", deflated),
    ("e.npz", bzipped),
]


def opened(path: Path, spec: TensorSpec = X) -> arrays.ArraySamples:
    return (arrays.npy if path.suffix == ".npy" else arrays.npz)(path, (spec,))


@pytest.mark.parametrize(("name", "write"), WRITERS)
@pytest.mark.parametrize("form", ["C", "F", "big-endian", "feeds"])
def test_any_rows_are_those_that_numpy_reads(tmp_path: Path, name: str, write: Any, form: str) -> None:
    path = tmp_path / name
    x = {
        "C": DATA,
        "F": np.asfortranarray(DATA),
        "big-endian": DATA.astype(">f4"),
        "feeds": DATA.reshape(20, 2, 3, 5),
    }[form]
    write(path, x)
    found = opened(path, TensorSpec("x", "float32", (2, 3, 5)) if form == "feeds" else X)
    assert len(found) == 40
    for indices in ([0, 1, 2], [3, 17, 39], [39], range(40), []):
        read = list(found.read(list(indices)))
        assert [sample.arrays["x"].dtype for sample in read] == [np.float32] * len(read)
        for index, sample in zip(indices, read, strict=True):
            np.testing.assert_array_equal(sample.arrays["x"], DATA[index])


def test_labels_beside_the_inputs_are_classes(tmp_path: Path) -> None:
    stored(tmp_path / "c.npz", DATA)
    found = opened(tmp_path / "c.npz")
    assert found.classes == {0, 1, 2, 3}
    assert [sample.label for sample in found.read([0, 5, 39])] == [0, 1, 3]


@pytest.mark.parametrize("compress", [False, True])
def test_a_large_member_isnt_loaded(tmp_path: Path, compress: bool) -> None:
    spec = TensorSpec("x", "float32", (1, 1000, 100))
    x = np.zeros((100, 1000, 100), np.float32)  # 40 MB
    x[:, 0, 0] = np.arange(100)
    (np.savez_compressed if compress else np.savez)(tmp_path / "c.npz", x=x)
    tracemalloc.start()
    try:
        found = [float(s.arrays["x"][0, 0]) for s in opened(tmp_path / "c.npz", spec).read([0, 50, 99])]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == [0, 50, 99]
    assert peak < 6e6


@pytest.mark.parametrize(("name", "write"), WRITERS)
def test_files_that_are_cut_off_or_changed(tmp_path: Path, name: str, write: Any) -> None:
    path = tmp_path / name
    write(path, DATA)
    content = path.read_bytes()
    for share in (0.0, 0.5, 0.98):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(BadInput, match="can't be read") as caught:
            list(opened(path).read(range(40)))
        assert caught.value.where == str(path)
    if path.suffix == ".npz":
        middle = bytearray(content)
        begin = content.index(b"x.npy") + 200
        middle[begin : begin + 40] = bytes(40)
        path.write_bytes(middle)
        with pytest.raises(BadInput, match="can't be read"):
            list(opened(path).read(range(40)))


def test_a_file_that_vanishes_or_shrinks_while_it_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", DATA)
    found = opened(tmp_path / "a.npy")
    (tmp_path / "a.npy").unlink()
    np.testing.assert_array_equal(next(found.read([39])).arrays["x"], DATA[39])
    np.save(tmp_path / "b.npy", np.repeat(DATA, 500, 0))  # more than a file's buffer
    shrinks = opened(tmp_path / "b.npy")
    with (tmp_path / "b.npy").open("r+b") as file:
        file.truncate(300)
    with pytest.raises(BadInput, match="can't be read"):
        list(shrinks.read([19_999]))
    deflated(tmp_path / "d.npz", DATA)
    gone = opened(tmp_path / "d.npz")
    (tmp_path / "d.npz").unlink()
    with pytest.raises(BadInput, match="no such file"):
        list(gone.read([0]))


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.float32(1), r"has shape \[\]; expected \[samples,3,5\]"),
        (np.array([{"a": 1}], dtype=object), "pickled Python objects"),
        (np.array(["a"]), "holds texts and no numbers"),
        (np.zeros(3, [("a", "f4"), ("b", "f4")]), "and no numbers"),
        (DATA.transpose(0, 2, 1), r"has shape \[40, 5, 3\]"),
    ],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_that_are_no_samples(tmp_path: Path, x: Any, said: str, suffix: str) -> None:
    path = tmp_path / f"c{suffix}"
    np.save(path, x) if suffix == ".npy" else np.savez(path, x=x)
    with pytest.raises(BadInput, match=said):
        opened(path)


def test_channels_that_lie_last_are_told_how_to_move(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.zeros((4, 8, 9, 3), np.float32))
    with pytest.raises(BadInput) as caught:
        arrays.npy(tmp_path / "c.npy", (TensorSpec("x", "float32", ("n", 3, "h", "w")),))
    assert "array.transpose(0, 3, 1, 2)" in (caught.value.remedy or "")
