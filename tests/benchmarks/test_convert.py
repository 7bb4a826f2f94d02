"""The cost benchmark's own arithmetic; the measuring is for `python benchmarks/convert.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgeworthy.benchmarks import convert
from edgeworthy.benchmarks.convert import MB, Budget, Cost, over_budget, spread

BUDGET = Budget(cpu_s=1.5, peak_bytes=220 * MB, peak_per_byte=3.0)


def cost(cpu_s: float, peak_mb: float) -> Cost:
    return Cost(wall_s=9.0, cpu_s=cpu_s, peak_bytes=int(peak_mb * MB))


def test_the_median_is_held_to_the_budget() -> None:
    kept = [cost(1.4, 219), cost(1.4, 100), cost(9.0, 900)]
    assert over_budget(BUDGET, 100 * MB, kept) == []
    exceeded = [cost(1.4, 219), cost(1.6, 240), cost(9.0, 900)]
    assert over_budget(BUDGET, 70 * MB, exceeded) == [
        "CPU 1.60 s > 1.5 s",
        "memory 240 MB > 220 MB",
        "memory 3.43× > 3.0× the model's bytes",
    ]


def test_a_budget_that_is_not_set_is_not_held() -> None:
    assert over_budget(Budget(), 1, [cost(99, 99)]) == []


def test_spread_is_median_and_range() -> None:
    assert spread([3.0, 1.0, 2.5], 1) == "2.5 [1.0–3.0]"


def test_a_failing_command_ends_the_benchmark(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"exit 2 of: .* -m edgeworthy convert"):
        convert.edgeworthy("convert", str(tmp_path / "missing.onnx"), "-o", str(tmp_path / "out"))
    assert "missing.onnx" in capfd.readouterr().err


def test_an_unknown_model_is_a_usage_error() -> None:
    script = Path(convert.__file__)
    done = subprocess.run([sys.executable, script, "alexnet"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no such model: alexnet" in done.stderr
