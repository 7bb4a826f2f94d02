"""What calibration data costs in memory: ``edgeworthy quantize`` on many images, against the same command on few.

Each run is a fresh process tree. Its peak is the kernel's own account (``VmHWM``) of the command and of every process
that it starts, each by itself; the figure is what a process needs with all samples above what it needs with four. That
is what the data costs, and not the model or the libraries. With ``--check`` the exit status is 1 when it is above the
budget.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import write_array_header_1_0

# This process only watches others: what it takes itself doesn't count.

MB = 1_000_000
BUDGET_BYTES = 300 * MB
SHAPE = (3, 224, 224)
FEW = 4

FACTORY = """
import torch
from torch import nn


def make():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    net.example_inputs = {"input": torch.randn(1, 3, 224, 224)}
    return net
"""

GENERATOR = """
import numpy as np


def samples():
    random = np.random.default_rng(0)
    for _ in range(%d):
        yield random.standard_normal((1, 3, 224, 224), np.float32)
"""


@dataclass(frozen=True)
class Peak:
    """Of one run: bytes of the command's own process, and the most of a process that it started."""

    main: int
    worker: int


@dataclass(frozen=True)
class Cost:
    """What the data of one form costs: bytes above the run with few samples."""

    form: str
    samples: int
    few: Peak
    all: Peak

    @property
    def above(self) -> int:
        return max(self.all.main - self.few.main, self.all.worker - self.few.worker)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("forms", nargs="*", default=list(FORMS), metavar="FORM", help=f"default: {', '.join(FORMS)}")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit with 1 above the budget")
    options = parser.parse_args()
    if unknown := set(options.forms) - set(FORMS):
        parser.error(f"no such form: {', '.join(sorted(unknown))}; there are {', '.join(FORMS)}")
    costs = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "net.py").write_text(FACTORY)
        onnx = folder / "export" / "model.onnx"
        watched("export", f"{folder}/net.py:make", "-o", str(onnx.parent))
        for form in options.forms:
            data = FORMS[form](folder, options.samples)
            peaks = [quantize(onnx, data, count, folder / f"out-{form}-{count}") for count in (FEW, options.samples)]
            costs.append(Cost(form, options.samples, *peaks))
    if options.json:
        print(json.dumps([asdict(cost) | {"above": cost.above} for cost in costs], indent=1))
    else:
        print(*table(costs), sep="\n")
    return 1 if options.check and any(cost.above > BUDGET_BYTES for cost in costs) else 0


def quantize(onnx: Path, data: str, samples: int, output: Path) -> Peak:
    """Quantize to int8 on so many samples."""
    words = ["quantize", str(onnx), "-o", str(output), "--to", "tflite", "--scheme", "int8", "--calibration", data]
    return watched(*words, "--samples", str(samples))


def watched(*arguments: str) -> Peak:
    """Run the command line and look at the peak of each of its processes while they live."""
    command = [sys.executable, "-m", "edgeworthy", *arguments, "--json"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        peaks: dict[tuple[int, str], int] = {}
        watch = threading.Thread(target=_watch, args=(process, peaks))
        watch.start()
        code = process.wait()
        watch.join()
        if code:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace"))
            raise SystemExit(f"exit {code} of: {' '.join(command)}")
    workers = [peak for (_, line), peak in peaks.items() if "edgeworthy.quantize.worker" in line]
    others = [peak for (_, line), peak in peaks.items() if "edgeworthy.workers" not in line]
    return Peak(max(others, default=0), max(workers, default=0))


def _watch(process: subprocess.Popen[bytes], peaks: dict[tuple[int, str], int]) -> None:
    """Peaks by process and command line: until it is another program, a process has its parent's."""
    while process.poll() is None:
        for pid in tree(process.pid):
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it ended
                continue
            peaks[pid, line] = max(high_water(pid), peaks.get((pid, line), 0))
        time.sleep(0.01)


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:  # it ended
            continue
    return found


def high_water(pid: int) -> int:
    """Peak resident bytes of a process so far; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _npy(folder: Path, samples: int) -> str:
    path, random = folder / "data.npy", np.random.default_rng(0)
    with path.open("wb") as file:
        write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (samples, *SHAPE)})
        for _ in range(samples):
            file.write(random.standard_normal(SHAPE, np.float32).tobytes())
    return str(path)


def _npz(how: Callable[..., None]) -> Callable[[Path, int], str]:
    def make(folder: Path, samples: int) -> str:
        path = folder / f"{how.__name__}.npz"
        how(path, input=np.random.default_rng(0).standard_normal((samples, *SHAPE), np.float32))
        return str(path)

    return make


def _images(folder: Path, samples: int) -> str:
    from PIL import Image

    images, random = folder / "images", np.random.default_rng(0)
    images.mkdir()
    for number in range(samples):
        pixels = random.integers(0, 255, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((256, 256)).save(images / f"{number:05}.jpg")
    return str(images)


def _generator(folder: Path, samples: int) -> str:
    path = folder / "generator.py"
    path.write_text(GENERATOR % samples)
    return f"{path}:samples"


FORMS: Mapping[str, Callable[[Path, int], str]] = {
    "npy": _npy,
    "npz": _npz(np.savez),
    "npz-compressed": _npz(np.savez_compressed),
    "images": _images,
    "generator": _generator,
}


def table(costs: Sequence[Cost]) -> list[str]:
    """A header and one line a form, in MB."""
    lines = [
        f"{'data':16} {'samples':>8} {'main, few':>10} {'main, all':>10} {'worker, few':>12} {'worker, all':>12}  above"
    ]
    for c in costs:
        few, whole = ((p.main / MB, p.worker / MB) for p in (c.few, c.all))
        verdict = "kept" if c.above <= BUDGET_BYTES else f"more than {BUDGET_BYTES / MB:.0f}"
        lines.append(
            f"{c.form:16} {c.samples:8} {few[0]:10.0f} {whole[0]:10.0f} {few[1]:12.0f} {whole[1]:12.0f}"
            f"  {c.above / MB:5.0f} MB, {verdict}"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
