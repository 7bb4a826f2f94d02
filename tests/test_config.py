"""`edgeworthy.toml`: precedence, paths, and errors that name the key, the value and the way out."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from edgeworthy import config
from edgeworthy.errors import BadInput


def write(folder: Path, text: str) -> Path:
    path = folder / "edgeworthy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path) -> BadInput:
    with pytest.raises(BadInput) as caught:
        config.load(path)
    return caught.value


def test_defaults_need_no_file() -> None:
    loaded = config.load()
    assert loaded.export.exporter == "dynamo"
    assert loaded.bench.threads == [1]
    assert loaded.gate.parity is True


def test_flags_win_over_the_file_and_absent_flags_do_not(tmp_path: Path) -> None:
    path = write(tmp_path, 'seed = 3\n[quantize]\nschemes = ["int8"]\nsamples = 5\n')
    flags = {"seed": None, "quantize": {"schemes": [], "samples": 9, "io_dtype": "int8"}}
    loaded = config.load(path, flags)
    assert (loaded.seed, loaded.quantize.schemes) == (3, ["int8"])
    assert (loaded.quantize.samples, loaded.quantize.io_dtype) == (9, "int8")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").touch()
    (tmp_path / "images").mkdir()
    path = write(
        tmp_path,
        'output = "out"\n[model]\nsource = "net.onnx"\nweights = "w.pt"\n[quantize]\ncalibration = "images"\n',
    )
    loaded = config.load(path)
    assert loaded.output == tmp_path / "out"
    assert loaded.model.source == str(tmp_path / "net.onnx")
    assert loaded.model.weights == tmp_path / "w.pt"
    assert loaded.quantize.calibration == str(tmp_path / "images")


@pytest.mark.parametrize(
    ("source", "relative"),
    [("nets.py:make", True), ("sample:digits_cnn", False), ("pkg.nets:make", False)],
)
def test_only_specs_that_are_paths_become_relative(tmp_path: Path, source: str, relative: bool) -> None:
    loaded = config.load(write(tmp_path, f'[model]\nsource = "{source}"\n'))
    assert loaded.model.source == (str(tmp_path / source) if relative else source)


def test_flags_are_relative_to_the_working_directory(tmp_path: Path) -> None:
    loaded = config.load(write(tmp_path, ""), {"model": {"source": "net.onnx"}})
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
    loaded = config.load(write(tmp_path, "[gate]\nsqnr_db = 30\nsize_ratio = {int8 = 0.3}\n"))
    assert loaded.gate.sqnr_db == {config.EVERY: 30}
    assert loaded.gate.size_ratio == {"int8": 0.3}


def test_the_documented_file_is_valid_and_has_every_key() -> None:
    page = (Path(__file__).parents[1] / "docs/config.md").read_text(encoding="utf-8")
    table = tomllib.loads(page.partition("```toml\n")[2].partition("```")[0])
    config.Config.model_validate(table)

    def keys(values: dict[str, object]) -> set[str]:
        inner = {k: v for k, v in values.items() if isinstance(v, dict)}
        return {*values, *(f"{k}.{below}" for k, v in inner.items() for below in keys(v))}

    def fields(model: type[BaseModel]) -> set[str]:
        found = set()
        for name, field in model.model_fields.items():
            key = field.alias or name
            found.add(key)
            for inner in (field.annotation, *get_args(field.annotation)):
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    found |= {f"{key}.{below}" for below in fields(inner)}
        return found

    missing = fields(config.Config) - keys(table)
    assert not missing
