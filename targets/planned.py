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


PLANNED: dict[str, Planned] = {
    entry.name: entry
    for entry in (
        Planned("browser", "LiteRT.js in a browser, on WebAssembly or WebGPU",
                "a headless Chromium and the package @litertjs/core",
                "load the float32 TFLite file with LiteRT.js by hand"),
        Planned("tfjs", "TensorFlow.js in a browser or Node", "the package tensorflowjs and Node",
                "convert OUT/saved_model with tensorflowjs_converter"),
    )
}  # fmt: skip
"""Every place, by name."""
