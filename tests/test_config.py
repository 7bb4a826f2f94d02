"""`edgeworthy.toml`: precedence, paths, and errors that name the key, the value and the way out."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from edgeworthy import config, quantize_tables
from edgeworthy.cli import template
from edgeworthy.config import GateTable
from edgeworthy.errors import BadInput
from edgeworthy.keys import keys
from edgeworthy.metrics import METRICS, Metric
from edgeworthy.settings import load_config
from edgeworthy.tables import EVERY


def write(folder: Path, text: str) -> Path:
    path = folder / "edgeworthy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> BadInput:
    with pytest.raises(BadInput) as caught:
        load_config(path)
    return caught.value


def test_defaults_need_no_file() -> None:
    loaded = load_config()
    assert loaded.export.exporter == "dynamo"
    assert loaded.bench.threads == [1]
    assert loaded.gate.parity is True


def test_flags_win_over_the_file_and_absent_flags_do_not(tmp_path: Path) -> None:
    path = write(tmp_path, 'seed = 3\n[quantize]\nschemes = ["int8"]\nsamples = 5\n')
    flags = {"seed": None, "quantize": {"schemes": None, "samples": 9, "io_dtype": "int8"}}
    loaded = load_config(path, flags)
    assert (loaded.seed, loaded.quantize.schemes) == (3, ["int8"])
    assert (loaded.quantize.samples, loaded.quantize.io_dtype) == (9, "int8")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").touch()
    (tmp_path / "images").mkdir()
    path = write(
        tmp_path,
        'output = "out"\n[model]\nsource = "net.onnx"\nweights = "w.pt"\n[quantize]\ncalibration = "images"\n',
    )
    loaded = load_config(path)
    assert loaded.output == tmp_path / "out"
    assert loaded.model.source == str(tmp_path / "net.onnx")
    assert loaded.model.weights == tmp_path / "w.pt"
    assert loaded.quantize.calibration == str(tmp_path / "images")


def test_paths_in_a_list_are_relative_to_the_file_and_routes_are_no_paths(tmp_path: Path) -> None:
    path = write(tmp_path, '[artifacts]\nfiles = ["theirs.tflite", "route:tf", "/tmp/other.tflite"]\n')
    table = load_config(path).artifacts
    assert table.paths == [tmp_path / "theirs.tflite", Path("/tmp/other.tflite")]
    assert table.routes == ["tf"]


@pytest.mark.parametrize(
    ("source", "relative"),
    [("nets.py:make", True), ("sample:digits_cnn", False), ("pkg.nets:make", False)],
)
def test_only_specs_that_are_paths_become_relative(tmp_path: Path, source: str, relative: bool) -> None:
    loaded = load_config(write(tmp_path, f'[model]\nsource = "{source}"\n'))
    assert loaded.model.source == (str(tmp_path / source) if relative else source)


def test_flags_are_relative_to_the_working_directory(tmp_path: Path) -> None:
    loaded = load_config(write(tmp_path, ""), {"model": {"source": "net.onnx"}})
    assert loaded.model.source == "net.onnx"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sede = 1", "unknown key 'sede'; did you mean 'seed'?"),
        ("[quantise]\nsamples = 1", "unknown key 'quantise'; did you mean 'quantize'?"),
        ("[quantize.preprocess]\ncolor = 'rgb'", "'quantize.preprocess.color'; did you mean 'colour'?"),
        ("[convert]\nto = ['tflit']", "did you mean 'tflite'?"),
        ("[convert]\ncheck_passes = 'yes'", "convert.check_passes = 'yes': should be a valid boolean"),
        ("[export]\nexporter = 'dynmo'", "'dynamo' or 'torchscript'; did you mean 'dynamo'?"),
        ("[export]\nopset = '20'", "export.opset = '20': should be a valid integer"),
        ("[bench]\nthreads = []", "bench.threads = []"),
        ("[validate]\nsamples = 0", "greater than 0"),
        ("[gate]\nsize_ratio = {int8 = 'a'}", "gate.size_ratio.int8 = 'a'"),
        ("[gate]\nsqnr_db = nan", "finite"),
    ],
)
def test_wrong_keys_and_values_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    error = refusal(path)
    assert error.where == str(path)
    assert any(said in line for line in error.details), error.details


def test_all_errors_come_at_once(tmp_path: Path) -> None:
    assert len(refusal(write(tmp_path, "a = 1\nb = 2\nseed = 'x'")).details) == 3


def test_what_is_no_toml_says_where(tmp_path: Path) -> None:
    assert "line 1" in refusal(write(tmp_path, "seed = 1 1")).what
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "not TOML" in refusal(path).what


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "doesn't exist" in refusal(tmp_path / "none.toml").what
    assert "can't read" in refusal(tmp_path).what


def test_one_number_is_a_limit_for_all(tmp_path: Path) -> None:
    loaded = load_config(write(tmp_path, "[gate]\nsqnr_db = 30\nsize_ratio = {int8 = 0.3}\n"))
    assert loaded.gate.limits("sqnr_db") == {EVERY: 30}
    assert loaded.gate.limits("size_ratio") == {"int8": 0.3}


def test_a_dotted_metric_is_a_key_in_a_table_of_the_gate(tmp_path: Path) -> None:
    text = "[gate]\nlatency_ms.p50 = {int8 = 5}\nlatency_ms.p99 = 9.5\n"
    text += "regression = {size_bytes = 1.0, latency_ms = {p50 = 1.1}}\nbaseline = 'old/report.json'\n"
    loaded = load_config(write(tmp_path, text)).gate
    assert loaded.limits("latency_ms.p50") == {"int8": 5}
    assert loaded.limits("latency_ms.p99") == {EVERY: 9.5}
    assert loaded.limits("latency_ms.p90") == {}
    assert loaded.regressions("size_bytes") == {EVERY: 1.0}
    assert loaded.regressions("latency_ms.p50") == {EVERY: 1.1}
    assert loaded.baseline == tmp_path / "old/report.json"


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.key)
def test_every_metric_is_a_key_of_the_gate(metric: Metric) -> None:
    assert GateTable().limits(metric.key) == {}
    if metric.regression:
        assert GateTable().regressions(metric.key) == {}


# -- --set ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("quantize.samples=64", "quantize.samples", 64),
        ("validate.noise_multiple = 5", "validation.noise_multiple", 5.0),
        ("convert.check_passes=true", "convert.check_passes", True),
        ("convert.to=tflite", "convert.to", ["tflite"]),
        ("convert.to=tflite,saved_model", "convert.to", ["tflite", "saved_model"]),
        ('targets=["tflite"]', "targets", ["tflite"]),
        ("model.inputs=x:float32[1,3,4]", "model.inputs", ["x:float32[1,3,4]"]),
        ("model.weights=w=1.pt", "model.weights", Path("w=1.pt")),
        ("bench.threads=1,2", "bench.threads", [1, 2]),
        ("bench.baseline=1", "bench.baseline", "1"),
        ('bench.baseline="TFLite int8"', "bench.baseline", "TFLite int8"),
        ("gate.sqnr_db=20", "gate.sqnr_db", {"*": 20.0}),
        ("gate.latency_ms.p50.int8=2", "gate.latency_ms.p50", {"int8": 2.0}),
        ("gate.regression.size_bytes=1.0", "gate.regression.size_bytes", {"*": 1.0}),
        ("gate.sqnr_db={int8 = 20, float16 = 40}", "gate.sqnr_db", {"int8": 20, "float16": 40}),
        ("gate.sqnr_db.int8=20", "gate.sqnr_db", {"int8": 20.0}),
        ("validate.atol.layer.1=1e-3", "validation.atol", {"layer.1": 1e-3}),
        ("validate.atol=a:1e-3,2", "validation.atol", {"a": 1e-3, "*": 2.0}),
        ("quantize.preprocess={colour = 'grey'}", "quantize.preprocess.colour", "grey"),
        ("quantize.preprocess.size=224,192", "quantize.preprocess.size", [224, 192]),
        ("gate.must_convert=[]", "gate.must_convert", []),
    ],
)
def test_any_key_can_be_set(text: str, key: str, value: object) -> None:
    found: object = load_config(sets=[text])
    for part in key.split("."):
        found = getattr(found, part)
    assert found == value
    assert type(found) is type(value)


def test_precedence_is_flag_then_set_then_file(tmp_path: Path) -> None:
    path = write(tmp_path, "seed = 1\n[quantize]\nsamples = 1\nio_dtype = 'int8'\n")
    loaded = load_config(path, {"seed": 3}, sets=["seed=2", "quantize.samples=2"])
    assert (loaded.seed, loaded.quantize.samples, loaded.quantize.io_dtype) == (3, 2, "int8")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quantize.sampels=3", "unknown key 'quantize.sampels'; did you mean 'samples'?"),
        ("quantise.samples=3", "unknown key 'quantise'; did you mean 'quantize'?"),
        ("quantize.samples=many", "quantize.samples = 'many': should be a valid integer"),
        ("quantize.samples=0", "quantize.samples = 0: should be greater than 0"),
        ("convert.check_passes=1", "convert.check_passes = '1': should be a valid boolean"),
        ("convert.to=tflit", "did you mean 'tflite'?"),
        ("quantize=3", "quantize = '3': should be a table"),
        ("seed.x=3", "seed = {'x': '3'}"),
        ("gate.sqnr_db.int8=good", "gate.sqnr_db.int8 = 'good'"),
        ("gate.sqnr_db=int8:good", "'int8:good' holds no number"),
        ("bench.threads=[1,", "bench.threads = [1,: this is not TOML"),
        ("quantize.samples", "'quantize.samples' sets nothing"),
        ("=3", "'=3' sets nothing"),
        ("targets=", "it has no value"),
        ("convert.to=, ", "it has no value"),
    ],
)
def test_what_is_set_wrongly_is_named(text: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_config(sets=[text])
    assert "--set" in str(caught.value.where)
    assert said in str(caught.value)


# -- one schema for all -------------------------------------------------------------------------------------


def test_every_key_has_a_docstring_and_every_flag_is_its_own() -> None:
    known = [key for key in keys() if key.table is None]
    assert [key.name for key in known if not key.help] == []
    names = [name for key in known if key.flag for name in (key.flag.name, key.flag.short) if name]
    assert len(names) == len(set(names))
    assert "quantize.preprocess.size" in {key.name for key in known}


def test_a_key_that_may_be_none_says_its_default_or_has_an_example() -> None:
    for key in keys():
        if key.table is None and key.default in (None, [], {}):
            assert key.field.examples, f"{key.name} has neither a default nor an example"


def test_the_page_is_the_one_that_the_schema_makes() -> None:
    page = (Path(__file__).parents[1] / "docs/config.md").read_text(encoding="utf-8")
    assert page == template.page(), "run python -m edgeworthy.cli.template > docs/config.md"


def test_the_documented_file_is_valid_has_every_key_and_the_defaults() -> None:
    table = tomllib.loads(template.commented({}, examples=True))
    loaded = config.Config.model_validate(table)

    def value(part: Any, path: tuple[str, ...]) -> Any:
        for name in path:
            part = part[name]
        return part

    default = config.Config().model_dump(mode="json", by_alias=True)
    for key in keys():
        assert value(table, key.path) is not None, key.name
        if key.table is None and key.path[:2] != ("quantize", "preprocess") and key.default not in (None, [], {}):
            assert value(table, key.path) == value(default, key.path), key.name
    assert loaded.quantize.preprocess == quantize_tables.PreprocessTable(
        size=[224, 224], layout="NCHW", resize=256, crop=[224, 224]
    )


def test_what_is_commented_out_is_the_default() -> None:
    """With every comment on a key taken away the file says the defaults and the examples, as it stands nothing."""
    empty = {t: {} for t in TABLES} | {"gate": {"latency_ms": {}, "regression": {"latency_ms": {}}}}
    empty["quantize"] = {"budget": {}}
    assert tomllib.loads(template.commented({})) == empty
    assert config.Config.model_validate(tomllib.loads(template.commented({}))) == config.Config()
    given = {"output": "out", "model": {"source": 'a "b".py:make', "inputs": ["x:float32[1]"]}}
    assert tomllib.loads(template.commented(given)) == empty | given


TABLES = (
    "model",
    "export",
    "convert",
    "preflight",
    "quantize",
    "data",
    "artifacts",
    "validate",
    "recommend",
    "bench",
    "gate",
)
