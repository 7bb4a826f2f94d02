"""What is written: held against LiteRT's interpreter, asked here by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import edgeworthy
from edgeworthy.android.export import AndroidExport, export_android
from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import BadInput, CheckFailed

from ..cli.conftest import edgeworthy as command
from ..quantize import tflite_graph
from .conftest import BAD_NAMES

REFERENCE, BUILTIN = OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def read(made: AndroidExport) -> tuple[Path, dict[str, Any]]:
    path = next(Path(p) for p in made.files if p.endswith("index.json"))
    return path.parent, json.loads(path.read_text(encoding="utf-8"))


def recorded(folder: Path, index: dict[str, Any]) -> list[dict[str, dict[str, Any]]]:
    """Samples of the index: side → name → array."""
    data = (folder / index["vectors"]).read_bytes()
    found = []
    for sample in index["samples"]:
        sides: dict[str, dict[str, Any]] = {}
        for side in ("inputs", "outputs"):
            sides[side] = {}
            for tensor in index[side]:
                place = sample[side][tensor["name"]]
                raw = data[place["offset"] : place["offset"] + place["bytes"]]
                array = np.frombuffer(raw, np.dtype(tensor["dtype"]).newbyteorder("<"))
                sides[side][tensor["name"]] = array.reshape(tensor["shape"])
        found.append(sides)
    return found


def interpreted(path: Path, inputs: dict[str, Any], resolver: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    interpreter = Interpreter(str(path), experimental_op_resolver_type=resolver)
    runner = interpreter.get_signature_runner("serving_default")
    return runner(**inputs), runner.get_input_details() | runner.get_output_details()


def test_vectors_of_floats(float_net: TFLiteModel, tmp_path: Path) -> None:
    folder, index = read(export_android(float_net.path, tmp_path / "assets", samples=4))
    assert (folder / index["model"]).read_bytes() == float_net.path.read_bytes()
    assert (index["scheme"], index["signature"], index["labels"]) == ("float32", "serving_default", None)
    samples = recorded(folder, index)
    assert len(samples) == 4
    truth, other = [], []
    for sample in samples:
        expected, _ = interpreted(float_net.path, sample["inputs"], REFERENCE)
        truth.append(expected)
        other.append(interpreted(float_net.path, sample["inputs"], BUILTIN)[0])
        for name, array in expected.items():
            np.testing.assert_array_equal(sample["outputs"][name], array)
    assert not np.array_equal(samples[0]["inputs"]["image"], samples[1]["inputs"]["image"])
    for output in index["outputs"]:
        name = output["name"]
        a = np.stack([run[name] for run in other]).astype(np.float64)
        b = np.stack([run[name] for run in truth]).astype(np.float64)
        least = 4 * 2.0**-23 * np.abs(b).max()
        assert output["tolerance"] == {
            "rule": "floor",
            "rms": pytest.approx(10 * max(np.sqrt(np.mean((a - b) ** 2)), least)),
            "max_abs": pytest.approx(10 * max(np.abs(a - b).max(), least)),
        }
        assert output["tolerance_float16"] == {"rule": "sqnr", "least_db": 40.0}


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_vectors_of_steps(dtype: str, steps_nets: dict[str, TFLiteModel], tmp_path: Path) -> None:
    path = steps_nets[dtype].path
    made = export_android(path, tmp_path / "assets")
    folder, index = read(made)
    assert index["scheme"] == "static_wi8_ai8"
    for sample in recorded(folder, index):
        expected, details = interpreted(path, sample["inputs"], REFERENCE)
        assert len(np.unique(sample["inputs"]["image"])) > 50, "values went through the scale"
        for name, array in expected.items():
            np.testing.assert_array_equal(sample["outputs"][name], array)
        for tensor in (*index["inputs"], *index["outputs"]):
            assert tensor["dtype"] == dtype
            assert (tensor["scale"], tensor["zero_point"]) == details[tensor["name"]]["quantization"]
    for output in index["outputs"]:
        name, runs = output["name"], [sample["inputs"] for sample in recorded(folder, index)]
        truth, *others = (
            [interpreted(path, feeds, kernels)[0][name].astype(int) for feeds in runs]
            for kernels in (REFERENCE, OpResolverType.BUILTIN, BUILTIN)
        )
        apart = max(np.abs(a - b).max() for other in others for a, b in zip(other, truth, strict=True))
        rule = {"rule": "quanta", "step": output["scale"], "most": max(1, 2 * apart), "least_db": 15.0}
        assert output["tolerance"] == rule
    source = Path(made.files[-1]).read_text(encoding="utf-8")
    scale, zero = details["image"]["quantization"]
    assert f"const val IMAGE_SCALE = {np.float32(scale)!s}f\n        const val IMAGE_ZERO_POINT = {zero}\n" in source
    assert "fun servingDefault(image: ByteArray): ServingDefaultOutputs {" in source


def test_given_inputs_come_first(float_net: TFLiteModel, tmp_path: Path) -> None:
    image = np.linspace(-3, 3, 3 * 32 * 32, dtype=np.float32).reshape(1, 3, 32, 32)
    np.savez(tmp_path / "inputs.npz", image=image)
    folder, index = read(export_android(float_net.path, tmp_path / "assets", inputs=tmp_path / "inputs.npz"))
    np.testing.assert_array_equal(recorded(folder, index)[0]["inputs"]["image"], image)


def test_every_dtype_and_any_name(bad_names: Path, tmp_path: Path) -> None:
    made = export_android(bad_names, tmp_path / "assets")
    folder, index = read(made)
    assert {t["name"]: t["dtype"] for t in index["inputs"]} == BAD_NAMES
    for sample in recorded(folder, index):
        for name, array in sample["inputs"].items():
            np.testing.assert_array_equal(sample["outputs"][name], array.reshape(2, 2))
    rules = {o["name"]: o["tolerance"]["rule"] for o in index["outputs"]}
    assert rules == {name: "floor" if dtype == "float32" else "equal" for name, dtype in BAD_NAMES.items()}
    source = Path(made.files[-1]).read_text(encoding="utf-8")
    for line in ("valueIn: BooleanArray,", "aBC: LongArray,", "funX: IntArray,", "value1st: FloatArray,"):
        assert f"        {line}\n" in source
    assert '"fun \\$x*/\\"" to model.createInputBuffer("fun \\$x*/\\"", "serving_default"),' in source


def test_a_function_for_each_signature(two_signatures: Path, no_signature: Path, tmp_path: Path) -> None:
    assert export_android(two_signatures, tmp_path / "a").functions == ["servingDefault", "valueObject"]
    made = export_android(no_signature, tmp_path / "b")
    assert made.functions == ["invoke"]
    assert read(made)[1]["signature"] is None
    source = Path(made.files[-1]).read_text(encoding="utf-8")
    assert '"serving_default"' not in source
    assert 'model.createInputBuffer("serving_default_image"),' in source, "the name of the tensor"


def test_labels(float_net: TFLiteModel, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\ufeff" + "\r\n".join(f"Größe {i}" for i in range(10)) + "\r\n\r\n", "utf-8")
    made = export_android(float_net.path, tmp_path / "assets", labels=tmp_path / "labels.txt")
    folder, index = read(made)
    assert (folder / "labels.txt").read_text("utf-8").splitlines() == [f"Größe {i}" for i in range(10)]
    assert index["labels"] == {"file": "labels.txt", "output": "logits"}
    assert made.labels_of == "logits"


@pytest.mark.parametrize("text", [b"a\nb\n", b"", b"a\n\nc\nd\ne\nf\ng\nh\ni\nj\n", b"\xff\xfe\x00"])
def test_labels_that_are_none(text: bytes, float_net: TFLiteModel, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(text)
    with pytest.raises(BadInput, match="label"):
        export_android(float_net.path, tmp_path / "assets", labels=tmp_path / "labels.txt")
    assert not (tmp_path / "assets").exists()


def test_what_kotlin_cannot_take_is_refused(tmp_path: Path) -> None:
    graph = tflite_graph.Graph(x=(None, 4))
    path = graph.save(tmp_path / "dynamic.tflite", y=graph.op("relu", [graph.inputs[0]], (None, 4))).path
    with pytest.raises(BadInput) as error:
        export_android(path, tmp_path / "assets")
    assert [line.partition(":")[0] for line in error.value.details] == ["x", "y"]
    assert all("dynamic" in line for line in error.value.details)
    assert not (tmp_path / "assets").exists()


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"package": "com.example.in.app"}, "--package"),
        ({"package": "Com.Example"}, "--package"),
        ({"package": "a..b"}, "--package"),
        ({"samples": 0}, "--samples"),
        ({"labels": "nowhere.txt"}, "nowhere.txt"),
    ],
)
def test_bad_options(options: dict[str, Any], where: str, float_net: TFLiteModel, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as error:
        export_android(float_net.path, tmp_path / "assets", **options)
    assert error.value.where == where
    assert not (tmp_path / "assets").exists()


@pytest.mark.parametrize("name", ["none.tflite", "text.tflite", "model.onnx", "empty.tflite"])
def test_no_tflite_file(name: str, tmp_path: Path) -> None:
    if name != "none.tflite":
        (tmp_path / name).write_bytes(b"" if name == "empty.tflite" else b"some text that is long enough")
    with pytest.raises(BadInput):
        export_android(tmp_path / name, tmp_path / "assets")
    assert not (tmp_path / "assets").exists()


def test_a_model_that_is_off_here_already_is_not_written(tmp_path: Path) -> None:
    """Its outputs are random: no two kernels agree."""
    graph = tflite_graph.Graph(x=(2, 4))
    noise = graph.op("random_uniform", [tflite_graph.i32(2, 4)], (2, 4))
    y = graph.op("add", [graph.inputs[0], noise], (2, 4), **tflite_graph.NO_ACTIVATION)
    path = graph.save(tmp_path / "random.tflite", y=y).path
    with pytest.raises(CheckFailed, match="output 'y' on XNNPACK"):
        export_android(path, tmp_path / "assets")
    assert not (tmp_path / "assets").exists()


def test_names_and_places(float_net: TFLiteModel, tmp_path: Path) -> None:
    made = edgeworthy.export_android(float_net.path, tmp_path / "main/assets", package="org.x")
    assert (made.name, made.class_name) == ("my_net_v1", "org.x.MyNetV1")
    assert made.files[-1] == str(tmp_path / "main/kotlin/org/x/MyNetV1.kt")
    (tmp_path / "old/java").mkdir(parents=True)
    made = export_android(float_net.path, tmp_path / "old/assets", name="Über: val")
    assert made.files[-1] == str(tmp_path / "old/java/com/example/model/BerVal.kt")
    made = export_android(float_net.path, tmp_path / "old/assets", name="class", kotlin=tmp_path / "src")
    assert made.files[-1] == str(tmp_path / "src/com/example/model/ValueClass.kt")


def test_the_same_again_is_the_same(float_net: TFLiteModel, tmp_path: Path) -> None:
    export_android(float_net.path, tmp_path / "assets")
    first = contents(tmp_path)
    export_android(float_net.path, tmp_path / "assets")
    assert contents(tmp_path) == first
    assert not [name for name in first if ".part" in name]


@pytest.mark.parametrize("changed", ["index.json", "model.tflite", "vectors.bin", "MyNetV1.kt"])
def test_what_was_changed_is_the_users(changed: str, float_net: TFLiteModel, tmp_path: Path) -> None:
    made = export_android(float_net.path, tmp_path / "assets")
    good = contents(tmp_path)
    path = next(Path(p) for p in made.files if p.endswith(changed))
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    before = contents(tmp_path)
    assert before != good
    with pytest.raises(BadInput, match="not made by edgeworthy or changed since") as error:
        export_android(float_net.path, tmp_path / "assets")
    assert str(path) in error.value.details
    assert contents(tmp_path) == before
    export_android(float_net.path, tmp_path / "assets", force=True)
    assert contents(tmp_path) == good


def test_other_files_in_the_folder_stay(float_net: TFLiteModel, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\n".join("abcdefghij"))
    export_android(float_net.path, tmp_path / "assets", labels=tmp_path / "labels.txt")
    own = tmp_path / "assets/my_net_v1"
    (own / "notes.md").write_text("mine")
    (own / "more").mkdir()
    (own / "more/x").write_text("mine too")
    for force in (False, True):
        export_android(float_net.path, tmp_path / "assets", force=force)
        assert (own / "notes.md").read_text() == "mine"
        assert (own / "more/x").read_text() == "mine too"
        assert not (own / "labels.txt").exists(), "an earlier export's, of labels that are no longer asked for"


def test_nothing_of_others_is_overwritten(float_net: TFLiteModel, tmp_path: Path) -> None:
    (tmp_path / "assets/my_net_v1").mkdir(parents=True)
    (tmp_path / "assets/my_net_v1/model.tflite").write_text("mine")
    source = tmp_path / "kotlin/com/example/model/MyNetV1.kt"
    source.parent.mkdir(parents=True)
    source.symlink_to(tmp_path / "elsewhere.kt")
    before = contents(tmp_path)
    with pytest.raises(BadInput) as error:
        export_android(float_net.path, tmp_path / "assets")
    assert list(error.value.details) == [str(tmp_path / "assets/my_net_v1/model.tflite"), str(source)]
    assert contents(tmp_path) == before
    assert not (tmp_path / "elsewhere.kt").exists()


def test_nothing_half_written_where_there_is_no_place(float_net: TFLiteModel, tmp_path: Path) -> None:
    (tmp_path / "kotlin").write_text("a file")
    with pytest.raises(BadInput, match="can't write here"):
        export_android(float_net.path, tmp_path / "assets")
    assert contents(tmp_path) == {"kotlin": b"a file"}
    (tmp_path / "assets").write_text("a file")
    with pytest.raises(BadInput, match="can't write here"):
        export_android(float_net.path, tmp_path / "assets", kotlin=tmp_path / "src")
    assert sorted(contents(tmp_path)) == ["assets", "kotlin"]
    assert not list(tmp_path.glob(".*.part"))


def test_the_command(float_net: TFLiteModel, tmp_path: Path) -> None:
    (tmp_path / "my app").mkdir()
    ran = command("export-android", float_net.path, "-o", "my app/assets", "--name", "digits", "--json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    made = AndroidExport.model_validate_json(ran.stdout)
    assert made.class_name == "com.example.model.Digits"
    assert made.files[-1] == "my app/kotlin/com/example/model/Digits.kt"
    assert all((tmp_path / path).is_file() for path in made.files)
    (tmp_path / made.files[-1]).write_text("mine")
    ran = command("export-android", float_net.path, "-o", "my app/assets", "--name", "digits", cwd=tmp_path)
    assert ran.returncode == 2
    assert "my app/kotlin/com/example/model/Digits.kt" in ran.stderr
    ran = command("export-android", tmp_path / "my app", "-o", "x", cwd=tmp_path)
    assert ran.returncode == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my app"]
