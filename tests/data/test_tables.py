"""Samples of CSV and Parquet: which columns are which input, and cells that hold something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy.artifact import TensorSpec
from edgeworthy.data.forms import Reading, open_samples
from edgeworthy.errors import BadInput, NotAvailable
from edgeworthy.quantize.calibration import load_calibration
from edgeworthy.validate.inputs import load_labelled

X = TensorSpec("x", "float32", (1, 2, 2))
AGE = TensorSpec("age", "int64", ("batch",))


def read(path: Path, *inputs: TensorSpec) -> list[dict[str, Any]]:
    found = open_samples(path, inputs, Reading())
    return [dict(sample.arrays) for sample in found.read(range(len(found)))]


def csv(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_column_for_each_number_or_one_with_lists(tmp_path: Path, delimiter: str) -> None:
    numbers = csv(
        tmp_path / "a.csv",
        "x_2|x_0|x_1|x_3|age|name\n3|1|2|4.5|30|a\n-1e3|0|0|0|7|b\n\n".replace("|", delimiter),
    )
    first, second = read(numbers, X, AGE)
    assert first["x"].tolist() == [[1, 2], [3, 4.5]] and first["x"].dtype == np.float32
    assert second["x"].tolist() == [[0, 0], [-1000, 0]]
    assert (first["age"], second["age"]) == (30, 7)
    lists = csv(tmp_path / "b.csv", 'age,x\n30,"[[1, 2], [3, 4.5]]"\n7,"[0, 0, -1e3, 0]"\n')
    for one, other in zip(read(numbers, X, AGE), read(lists, X, AGE), strict=True):
        np.testing.assert_array_equal(one["x"], other["x"])


def test_all_columns_but_the_label_in_their_order(tmp_path: Path) -> None:
    path = csv(tmp_path / "c.csv", "\ufeffb,label,a,c,d\n1,1,2,3,4\n5,0,6,7,8\n")
    assert [s["x"].ravel().tolist() for s in read(path, X)] == [[1, 2, 3, 4], [5, 6, 7, 8]]
    found = load_labelled(path, (X,))
    assert found.labels.tolist() == [1, 0]
    assert found.inputs["x"].shape == (2, 2, 2)


def test_lists_of_any_length_for_a_dynamic_input(tmp_path: Path) -> None:
    path = csv(tmp_path / "c.csv", 'ids\n"[1,2,3]"\n"[4]"\n')
    rows = read(path, TensorSpec("ids", "int64", (1, "length")))
    assert [row["ids"].tolist() for row in rows] == [[1, 2, 3], [4]]


def test_evenly_spaced_rows_are_calibration(tmp_path: Path) -> None:
    path = csv(tmp_path / "c.csv", "x\n" + "".join(f"{i}\n" for i in range(1000)))
    found = load_calibration(path, (TensorSpec("x", "float32", (1, 1)),), samples=11)
    assert [int(feed["x"][0, 0]) for feed in found] == [0, 100, 200, 300, 400, 500, 599, 699, 799, 899, 999]
    assert "11 of 1000 rows" in found.description
    assert len({float(f["x"][0, 0]) for f in [*found, *found.held_out(8)[0]]}) == 19


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the table is empty"),
        ("1,2,3,4\n5,6,7,8\n", "holds numbers and no names"),
        ("a,b\n1,2\n", "the table's columns are not the model's inputs"),
        ("x_0,x_1,x_2\n1,2,3\n", "the table's columns are not the model's inputs"),
        ("x,x\n1,2\n", "two columns are called 'x'"),
        ("a,b,c,d\n1,2,3\n", "row 0 has 3 cells, and the first line 4"),
        ("a,b,c,d\n1,2,3,4\n1,,3,4\n", "row 1, column 'b' is empty"),
        ("a,b,c,d\n1,2,3,4\n1,2,red,4\n", "row 1, column 'c' holds 'red', which is no number"),
        ('x\n"[1, 2, 3]"\n', r"row 0, column 'x' has shape \[3\]; expected \[2, 2\]"),
        ('x\n"[[1, 2], [3]]"\n', "row 0, column 'x' is no float32 array"),
        ("a,b,c,d\n1,2,3,nan\n", "sample 0 of input 'x' has NaN"),
        ("x\n", "there are no samples"),
    ],
)
def test_tables_that_cant_be_used(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        load_calibration(csv(tmp_path / "c.csv", text), (X,))
    assert caught.value.where == str(tmp_path / "c.csv")


def test_integers_stay_whole(tmp_path: Path) -> None:
    assert [int(r["age"]) for r in read(csv(tmp_path / "c.csv", "age\n3.0\n4\n"), AGE)] == [3, 4]
    with pytest.raises(BadInput, match="it has a fraction"):
        read(csv(tmp_path / "d.csv", "age\n3.5\n"), AGE)


def test_a_table_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_bytes("x,größe\n1,2\n".encode("latin-1"))
    with pytest.raises(BadInput, match="the table can't be read"):
        read(tmp_path / "c.csv", X)


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    x = np.random.default_rng(0).normal(size=(100, 2, 2)).astype(np.float32)
    columns = {"x": x.tolist(), "age": list(range(100)), "label": [i % 3 for i in range(100)], "other": ["a"] * 100}
    parquet.write_table(pyarrow.table(columns), tmp_path / "c.parquet")
    rows = read(tmp_path / "c.parquet", X, AGE)
    np.testing.assert_array_equal(np.stack([row["x"] for row in rows]), x)
    assert [int(row["age"]) for row in rows] == list(range(100))
    assert load_labelled(tmp_path / "c.parquet", (X, AGE)).labels[:4].tolist() == [0, 1, 2, 0]
    found = load_calibration(tmp_path / "c.parquet", (X, AGE), samples=10)
    assert found.classes == frozenset() and found.survey.labels == {0, 1, 2}
    content = (tmp_path / "c.parquet").read_bytes()
    for broken in (content[: len(content) // 2], b"", content.replace(b"PAR1", b"XXXX")):
        (tmp_path / "d.parquet").write_bytes(broken)
        with pytest.raises(BadInput, match="the Parquet file can't be read"):
            read(tmp_path / "d.parquet", X)
    parquet.write_table(pyarrow.table({"x": [x[0].tolist(), None]}), tmp_path / "e.parquet")
    with pytest.raises(BadInput, match="row 1, column 'x' is empty"):
        read(tmp_path / "e.parquet", X)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    (tmp_path / "c.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(NotAvailable) as caught:
        read(tmp_path / "c.parquet", X)
    assert caught.value.remedy == "pip install edgeworthy[parquet]"


def test_cells_hold_whole_images(tmp_path: Path) -> None:
    image = np.arange(3 * 64 * 64, dtype=np.float32).reshape(3, 64, 64) / 7
    path = csv(tmp_path / "c.csv", f'x\n"{json.dumps(image.tolist())}"\n')
    (row,) = read(path, TensorSpec("x", "float32", (1, 3, 64, 64)))
    np.testing.assert_array_equal(row["x"], image)
