"""``benchmarks/models.py``: the table of the zoo, made for real on small models."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgeworthy.samples.zoo import ZOO

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "models.py"


@pytest.fixture(scope="module")
def models() -> Any:
    spec = importlib.util.spec_from_file_location("benchmark_models", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _rows(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    command = [sys.executable, str(SCRIPT), "--small", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=590, check=False)
    return done.returncode, json.loads(done.stdout)


def _check(row: dict[str, Any]) -> None:
    assert row["failures"] == {}
    assert set(row["parity"]) == {"onnx", "tflite", "saved_model"}
    assert all(0 < ratio <= row["limit"] == 10 for ratio in row["parity"].values())
    assert row["ops"] > 0 and row["megabytes"]["tflite"] > 4e-6 * row["parameters"] * 0.9


def test_a_model_gets_a_row_and_the_page_is_written(tmp_path: Path) -> None:
    page = tmp_path / "models.md"
    code, (row,) = _rows("--only", "mlp", "--write", str(page))
    assert code == 0
    _check(row)
    assert row["transposes"] == row["transposes_nhwc"] == 0
    text = page.read_text()
    assert f"--write {page}` on " in text
    assert sum(line.startswith("| mlp |") for line in text.splitlines()) == 1
    assert "What failed" not in text


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ZOO if name != "mlp"])
def test_every_small_model_converts_within_ten_noise_floors(name: str) -> None:
    code, (row,) = _rows("--only", name)
    assert code == 0
    _check(row)
    if name.startswith(("resnet", "mobilenet", "efficientnet", "densenet", "convnext")):
        assert (row["transposes"], row["transposes_nhwc"]) == (1, 0)


def test_a_process_that_dies_is_a_row(models: Any) -> None:
    row = models.in_child("no_such_model", small=True)
    assert row.failures == {"process": "exit status 1: KeyError: 'no_such_model'"}
    text = models.markdown([row], "command")
    assert "| no_such_model | – |" in text
    assert "KeyError: 'no_such_model'" in text.partition("## What failed")[2]


def test_missed_parity_stands_out(models: Any) -> None:
    row = models.Row("net", parity={"onnx": 1.0, "tflite": 12.5, "saved_model": 2.0}, limit=10.0)
    row.failures["parity of tflite"] = "output: 12.5× the noise floor"
    text = models.markdown([row], "command")
    assert "| 1.00× | **12.50×** | 2.00× |" in text
    assert "10× passes" in text
