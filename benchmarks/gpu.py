"""Every target on CUDA that this machine has, on a sample: parity and latency, beside the same runtimes on the CPU.

What can't run here is listed with what it lacks. The exit status is 3 without a GPU, else that of ``edgeworthy run``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edgeworthy.targets import TARGETS, cuda

BESIDE = ("pytorch", "onnxruntime", "tensorflow", "tflite")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", nargs="?", default="sample:digits_cnn", help="default: %(default)s")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/gpu"), help="default: %(default)s")
    given = parser.parse_args(arguments)
    if why := cuda.missing():
        print(f"no target on CUDA can run here: {why}", file=sys.stderr)
        return 3
    targets = []
    for name, target in TARGETS.items():
        if name not in BESIDE and target.device != "cuda":
            continue
        if lacks := target.missing():
            print(f"{name} is left out: {lacks}", file=sys.stderr)
        else:
            targets.append(name)
    chosen = [word for name in targets for word in ("--target", name)]
    command = [sys.executable, "-m", "edgeworthy", "run", given.source, "-o", str(given.output), *chosen]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
