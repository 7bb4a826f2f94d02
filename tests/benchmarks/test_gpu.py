"""The GPU benchmark on the CPU: who shares a process, rows as they come, and what a failed one leaves of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeworthy.benchmarks import gpu
from edgeworthy.targets import cuda

PAGE = f"before\n<!-- {gpu.MARK} -->\nold\n<!-- end of {gpu.MARK} -->\nafter\n"


def test_a_runtime_has_one_process_for_what_its_libraries_read_once() -> None:
    names = ["pytorch", "torch-cuda", "torch-cuda,tf32=true", "torchscript:cuda", "onnxruntime:cuda", "tflite"]
    assert gpu.groups(names) == [
        ["pytorch"], ["torch-cuda", "torchscript:cuda"], ["torch-cuda,tf32=true"], ["onnxruntime:cuda"], ["tflite"],
    ]  # fmt: skip


def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    if not cuda.missing():
        pytest.skip("there is a GPU")
    assert gpu.main([]) == 3
    assert "no target on CUDA can run here" in capsys.readouterr().err


@pytest.mark.slow
def test_rows_are_written_as_they_come_and_a_failed_one_costs_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    asked = ["onnxruntime", "tflite,require_full_delegation=true", "keras", "tflite"]
    arguments = [part for name in asked for part in ("--target", name)]
    options = ["-o", str(tmp_path / "out"), "--seconds", "0.05", "--write", str(page)]
    assert gpu.main(["sample:digits_cnn", *arguments, *options]) == 0
    text, said = page.read_text(), capsys.readouterr()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == asked
    assert all("× noise" in row and row.endswith("s | host |") for row in rows)
    assert said.err.count("× noise") == len(asked) and said.out.strip() in text

    broken = gpu.measured("sample:digits_cnn", ["tflite", "onnxruntime"], tmp_path / "out", 0.05, timeout_s=0.01)
    assert all("timeout" in row.why for row in broken)
