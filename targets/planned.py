"""Where models can't be run from here yet: what each place is, what it takes, and what to do meanwhile.

Data alone: nothing of this is built. An entry goes when its target comes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Planned:
    """A place that has no target yet.

    Attributes:
        name: What ``--target`` will take.
        summary: What it is.
        needs: What running a model there takes.
        next_step: What a user can do today.
    """

    name: str
    summary: str
    needs: str
    next_step: str

    @property
    def why(self) -> str:
        return f"not built yet: it needs {self.needs}; until then, {self.next_step}"


_BENCHMARK_MODEL = "push a TFLite file with adb and run TFLite's benchmark_model there"

PLANNED: dict[str, Planned] = {
    entry.name: entry
    for entry in (
        Planned("android", "TFLite on an Android phone, on the CPU with XNNPACK",
                "adb, a device with USB debugging, and a runner built for arm64", _BENCHMARK_MODEL),
        Planned("executorch", "PyTorch's ExecuTorch on XNNPACK",
                "the package executorch, and a conversion of the exported program to .pte",
                "compare against ONNX Runtime, which is here"),
    )
}  # fmt: skip
"""Every place, by name."""
