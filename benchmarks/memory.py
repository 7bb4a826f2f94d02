"""What a conversion costs by the size of a model: CPU seconds and peak memory for each byte of its weights.

The model is a chain of matrices with tanh between them, its weights beside the ONNX file as exporters put them. Each
conversion is the command line in a process of its own, and what it took is the kernel's account of that process: its
peak holds the interpreter and the libraries too, which is all that a small model takes. With ``--check`` the exit
status is 1 where a model of 200 MB or more took more than 1.3 times its bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.external_data_helper import set_external_data

from edgeworthy.benchmarks.convert import MB, edgeworthy

SIZES = (1, 50, 200)
MOST, HELD_FROM = 1.3, 200 * MB
SIDE = 2048
"""Rows and columns of a matrix: 16.8 MB."""


@dataclass(frozen=True)
class Row:
    """One conversion: bytes of the weights and at the peak, CPU seconds, bytes of the artifact."""

    weights: int
    artifact: int
    cpu_s: float
    peak: int

    @property
    def quotient(self) -> float:
        return self.peak / self.weights


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", type=int, default=list(SIZES), metavar="MB", help=f"default: {SIZES}")
    parser.add_argument("--to", choices=("tflite", "saved_model"), default="tflite")
    parser.add_argument("--folder", type=Path, help="where models are made, twice their size each (default: TMPDIR)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="put the table between its <!-- memory --> marks")
    parser.add_argument(
        "--check", action="store_true", help=f"exit with 1 above {MOST} times the bytes of a large model"
    )
    options = parser.parse_args()
    rows = [measure(size * MB, options.to, options.folder) for size in options.sizes]
    if options.json:
        print(json.dumps([asdict(row) | {"quotient": row.quotient} for row in rows], indent=1))
    else:
        print(text := table(rows))
    if options.write:
        from edgeworthy.benchmarks import figures  # takes more memory than a conversion, which a child would begin with

        figures.put(figures.document("benchmarks/memory.py", "", text, {}), options.write, "memory")
    return 1 if options.check and any(row.weights >= HELD_FROM and row.quotient > MOST for row in rows) else 0


def measure(size: int, to: str, folder: Path | None) -> Row:
    """Convert a chain of about ``size`` bytes."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch, "chain.onnx")
        weights = write_chain(path, size)
        output = Path(scratch, "out")
        cost = edgeworthy("convert", str(path), "-o", str(output), "--to", to, "--no-cache")
        files = [output / "model_float32.tflite"] if to == "tflite" else (output / to).rglob("*")
        return Row(weights, sum(f.stat().st_size for f in files if f.is_file()), cost.cpu_s, cost.peak_bytes)


def write_chain(path: Path, size: int) -> int:
    """Write ``tanh(…tanh(x · W₀) · W₁ …)``, of square matrices; returns the bytes of these."""
    side = min(SIDE, int((size / 4) ** 0.5))
    count = max(1, round(size / (4 * side * side)))
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    with path.with_suffix(".data").open("wb") as data:
        for i in range(count):
            matrix = rng.standard_normal((side, side), np.float32) / np.float32(side**0.5)
            tensor = TensorProto(name=f"w{i}", data_type=TensorProto.FLOAT, dims=matrix.shape, raw_data=b"-")
            set_external_data(tensor, path.with_suffix(".data").name, data.tell(), matrix.nbytes)
            tensor.ClearField("raw_data")
            data.write(matrix.data)
            weights.append(tensor)
            nodes.append(helper.make_node("MatMul", [f"x{i}", f"w{i}"], [f"y{i}"]))
            nodes.append(helper.make_node("Tanh", [f"y{i}"], [f"x{i + 1}"]))
    ends = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, [1, side]) for i in (0, count)]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return count * 4 * side * side


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = ["| weights, MB | artifact, MB | CPU, s | peak, MB | peak ÷ weights |", "| --: | --: | --: | --: | --: |"]
    for row in rows:
        sizes = [f"{n / MB:.1f}" for n in (row.weights, row.artifact)]
        lines.append(f"| {' | '.join(sizes)} | {row.cpu_s:.1f} | {row.peak / MB:.0f} | {row.quotient:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
