"""TFLite files on LiteRT.js (https://ai.google.dev/edge/litert/web) in Chromium, on WebAssembly or WebGPU."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ... import kits
from ...artifact import DTYPES, Artifact, Feeds, Receipt
from ...errors import CheckFailed, OutOfMemory
from ...formats.tflite.summary import TensorSummary, TFLiteSummary, summarize
from ...vocabulary import MeasuredWhere
from .. import leftover
from ..compiled import scales
from ..info import Setting, TargetInfo, one_of, switch
from ..leftover import Delegation, alone, left_over
from ..litert_gpu import told, wrong
from ..quantized import QuantizedSignature
from ..remote.there import litert
from ..session import LoadedModel, check_kind
from .chromium import INSTALL, KIT, program
from .session import BrowserSession, Page, counted_threads

if TYPE_CHECKING:
    from ...artifact import Array

BrowserBackend = Literal["wasm", "webgpu"]

CHROMIUM = Setting("the browser; default: the Chromium or Chrome on the path", metavar="PATH")

_DTYPES = ("float32", "int32", "uint8")
"""Of the tensors that LiteRT.js takes and gives (2.5.3, ``datatypes.ts``)."""

_MOST_BYTES = 1 << 31
"""The memory of LiteRT.js's WebAssembly."""

_FLAGS = {
    "wasm": ("--disable-gpu",),
    # Chromium takes a GPU where Vulkan has one, else SwiftShader; the names of adapters are the developers' feature.
    "webgpu": ("--enable-unsafe-webgpu", "--enable-features=Vulkan", "--enable-webgpu-developer-features"),
}
_SOFTWARE = "--use-webgpu-adapter=swiftshader"
_STARTED = {"wasm": "Created TensorFlow Lite XNNPACK delegate for CPU", "webgpu": "Initializing WebGPU-based API"}
"""What LiteRT logs when it makes the delegate: without it, what it says of delegation isn't believed."""


@dataclass
class LiteRTJs:
    """LiteRT.js in a page.

    Args:
        accelerator: WebAssembly on the CPU, with XNNPACK, or WebGPU.
        chromium: The browser's program, or empty for the one on the path.
        software: Whether WebGPU shall run in software even where there is a GPU.
        precision: What WebGPU computes in; empty: as LiteRT.js chooses, float16 where the GPU has it.
    """

    accelerator: BrowserBackend = "wasm"
    chromium: str = ""
    software: bool = False
    precision: str = ""

    kind = "tflite"
    _page: Page | None = None

    @property
    def name(self) -> str:
        return f"browser:{self.accelerator}"

    def version(self) -> str:
        """The version of LiteRT.js; NotAvailable when it, or a browser, isn't here."""
        kits.launch(kits.KITS[KIT])
        program(self.chromium)
        return kits.KITS[KIT].version

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Load a flatbuffer in a new browser, in place of the one before.

        Raises:
            NotAvailable: the kit or the browser is missing, or the browser doesn't start.
            CheckFailed: LiteRT.js takes no file like this, or WebGPU isn't what runs.
            RuntimeFailure: it raised, or the browser ended.
            OutOfMemory: the model is too large for a page.
        """
        check_kind(artifact, self.kind, self.name)
        summary = summarize(artifact.path)
        _check(artifact, summary)
        flags = [*_FLAGS[self.accelerator], *([_SOFTWARE] if self.software else [])]
        files = {"npm": kits.launch(kits.KITS[KIT]).folder / "npm", "model": artifact.path}
        if self._page is not None:
            self._page.close()
        self._page = page = Page("LiteRT.js", program(self.chromium), flags, files, where=str(artifact.path))
        told = page.load(
            "litert.js",
            accelerator=self.accelerator,
            threads=threads,
            precision={"float16": "fp16", "float32": "fp32"}.get(self.precision),
            key=summary.signature,
        )
        if told["accelerator"] != self.accelerator:
            raise CheckFailed(
                f"{self.accelerator} was asked for, and LiteRT.js took {told['accelerator']}",
                remedy="take software=true, or the target browser:wasm",
            )
        return _Session(page, told, artifact, summary)


class _Session(BrowserSession):
    def __init__(self, page: Page, told: dict[str, Any], artifact: Artifact, summary: TFLiteSummary) -> None:
        super().__init__(page, told)
        self._artifact = artifact
        self._summary = summary
        self._log = list(page.chromium.lines)
        tensors = summary.graphs[0].tensors
        inputs, outputs = summary.input_tensors, summary.output_tensors
        self._signature = QuantizedSignature(
            artifact, *({name: scales(tensors[index]) for name, index in side.items()} for side in (inputs, outputs))
        )
        # Of outputs that are one tensor, LiteRT.js gives one.
        given = {outputs[tensor["name"]]: tensor["name"] for tensor in told["outputs"]}
        self._names = {name: given[index] for name, index in outputs.items()}

    def encode(self, feeds: Feeds) -> tuple[dict[str, Array], bool]:
        return self._signature.encode(feeds)

    def decode(self, arrays: dict[str, Array], dequantized: bool) -> dict[str, Array]:
        return self._signature.decode({name: arrays[twin] for name, twin in self._names.items()}, dequantized)

    @property
    def receipt(self) -> Receipt:
        return self._receipt

    @cached_property
    def _receipt(self) -> Receipt:
        graph, wasm = self._summary.graphs[0], self.told["accelerator"] == "wasm"
        asked, ran, measured = self._place()
        nodes, notes = len(graph.ops), [*self.notes, *(() if wasm else wrong(self._artifact.path))]
        found = delegated(self._log, nodes)
        left = self._left(found, notes)
        if left is None:
            return Receipt(asked, ran, nodes, precision=self._precision(), notes=tuple(notes), measured=measured)
        taken = nodes - len(left)
        return Receipt(
            asked=asked,
            ran=ran if taken else "TFLite's own kernels, WebAssembly",
            nodes=nodes,
            delegated=taken,
            partitions=None if left and taken and wasm else min(1, taken),
            precision=self._precision(),
            notes=(*notes, *found.reasons),
            fallback=left,
            measured=measured if taken else None,
            kernels=self._family(taken) if wasm else "",
        )

    def _family(self, taken: int) -> str:
        graph = self._summary.graphs[0]
        results = [(op.op, graph.tensors[op.outputs[0]].dtype if op.outputs else "") for op in graph.ops]
        return litert.family("xnnpack", results, taken, "wasm")

    def _left(self, found: Delegation, notes: list[str]) -> tuple[str, ...] | None:
        """The nodes that the accelerator left; None, and a note, where that isn't known."""
        accelerator: BrowserBackend = self.told["accelerator"]
        if found.taken and not any(_STARTED[accelerator] in line for line in self._log):
            notes.append(f"LiteRT.js never logged {_STARTED[accelerator]!r}: what it took isn't known")
            return None
        if accelerator == "wasm":
            left = () if self.told["full"] else self._refused()
        else:
            left = left_over(self._summary.graphs[0], found, self._takes, largest=True) if found.left else ()
        if left is None:
            notes.append("LiteRT.js left nodes to the CPU, and doesn't tell which")
        return left

    def _place(self) -> tuple[str, str, MeasuredWhere | None]:
        """What was asked for, what ran, and whether that is in software."""
        told = self.told
        if adapter := told["adapter"]:
            return "WebGPU", f"WebGPU, {adapter['name']}", "emulated" if adapter["software"] else None
        simd = "relaxed SIMD" if told["simd"] else "no SIMD"
        return "XNNPACK", f"XNNPACK, WebAssembly with {simd}, {counted_threads(told['threads'])}", None

    def _refused(self) -> tuple[str, ...] | None:
        """The nodes that XNNPACK doesn't take alone either: LiteRT.js tells no more than that there are some."""
        graph = self._summary.graphs[0]
        return tuple(leftover.name(graph, op) for index, op in enumerate(graph.ops) if not self._takes(index)) or None

    def _takes(self, index: int) -> bool:
        self.page.server.given["node"] = alone(self._artifact.path.read_bytes(), index)
        full = bool(self.page.call("ask", "takes", "node"))
        if self.told["accelerator"] == "wasm":
            return full
        return not delegated(list(self.page.chromium.lines), 1).left

    def _precision(self) -> str:
        """The dtypes of the results of the operators, the commonest first."""
        graph = self._summary.graphs[0]
        counts = Counter(graph.tensors[i].dtype for op in graph.ops for i in op.outputs)
        found = "+".join(dtype for dtype, _ in counts.most_common()) or "none"
        adapter = self.told["adapter"]
        halves = adapter and adapter["half"] and self.told["precision"] != "fp32"
        return found.replace("float32", "float16") if halves else found


def delegated(lines: Sequence[str], nodes: int) -> Delegation:
    """What the GPU delegate logged of ``nodes`` nodes: nothing where it takes all of them."""
    return told(lines, nodes) or Delegation(nodes, 0)


def _check(artifact: Artifact, summary: TFLiteSummary) -> None:
    """What LiteRT.js refuses of a file, in words that help."""
    where = str(artifact.path)
    if artifact.size >= _MOST_BYTES:
        raise OutOfMemory(
            f"a page of LiteRT.js has 2 GiB, and the file alone is {artifact.size / (1 << 30):.1f} GiB",
            where=where,
            remedy="quantize the model, or make it smaller",
        )
    graph = summary.graphs[0]
    if large := [tensor for tensor in graph.tensors if _bytes(tensor) >= _MOST_BYTES]:  # their size overflows there
        raise OutOfMemory(
            f"a page of LiteRT.js has 2 GiB, and {large[0].name!r} is {_bytes(large[0]) / (1 << 30):.1f} GiB",
            where=where,
            remedy="make the model, or its inputs, smaller",
        )
    given = set(summary.input_tensors.values())
    if fed := [name for name, index in summary.output_tensors.items() if index in given]:
        raise CheckFailed(
            f"LiteRT.js computes nonsense where an output is an input itself: {', '.join(fed)}",
            where=where,
            remedy="leave it out of the model's outputs",
        )
    specs = (*summary.inputs, *summary.outputs)
    if wrong := [spec for spec in specs if spec.dtype not in _DTYPES]:
        eight = any(spec.dtype == "int8" for spec in wrong)
        raise CheckFailed(
            f"LiteRT.js takes and gives {', '.join(_DTYPES)}, and this file has {', '.join(map(str, wrong))}",
            where=where,
            remedy="make the file with float32 inputs and outputs (of edgeworthy: --io-dtype float32)"
            if eight
            else "cast it in the model",
        )
    if empty := [spec for spec in specs if 0 in spec.shape]:
        raise CheckFailed(
            f"LiteRT.js takes no tensor without elements, and this file has {', '.join(map(str, empty))}",
            where=where,
            remedy="leave it out of the model, or run the file on the target tflite",
        )
    if loose := [spec for spec in summary.inputs if not spec.is_static]:
        raise CheckFailed(
            f"LiteRT.js takes no dynamic dimensions, and this file has {', '.join(map(str, loose))}",
            where=where,
            remedy="make the file with fixed extents (of edgeworthy: --input name:dtype[1,…])",
        )


def _bytes(tensor: TensorSummary) -> int:
    extents = [extent for extent in tensor.shape if isinstance(extent, int)]
    return math.prod(extents) * (np.dtype(tensor.dtype).itemsize if tensor.dtype in DTYPES else 1)


def _installed() -> str | None:
    state = kits.look(kits.KITS[KIT])
    return state.kit.version if state.status == "ready" else None


_COMMON = partial(
    TargetInfo,
    kind=LiteRTJs.kind,
    module="",
    distributions=(),
    install=INSTALL,
    make=LiteRTJs,
    probe=True,
    installed=_installed,
)

TARGETS = (
    _COMMON(
        "browser:wasm",
        title="LiteRT.js wasm",
        summary="TFLite in Chromium (LiteRT.js), by WebAssembly on the CPU",
        options={"accelerator": "wasm"},
        aliases=("browser",),
        settings={"chromium": CHROMIUM},
    ),
    _COMMON(
        "browser:webgpu",
        title="LiteRT.js WebGPU",
        summary="TFLite in Chromium (LiteRT.js), by WebGPU",
        options={"accelerator": "webgpu", "precision": ""},
        settings={
            "chromium": CHROMIUM,
            "precision": Setting(
                "what to compute in; default: as LiteRT.js chooses, float16 where the GPU has it",
                one_of("float16", "float32"),
                "float16|float32",
            ),
            "software": Setting("SwiftShader even where there is a GPU; default: false", switch, "true|false"),
        },
    ),
)
