"""SavedModels on TensorFlow.js (https://www.tensorflow.org/js) in Chromium, as graph models of its converter."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ... import kits
from ...artifact import Artifact, Feeds, Receipt
from ...errors import BadInput, CheckFailed, NotAvailable, RuntimeFailure
from ...formats.saved_model import argument_names
from ...plugins import installed_version
from ...vocabulary import SIGNATURE
from ..info import Setting, TargetInfo, one_of
from ..session import ANOTHER_FILE, LoadedModel, check_32_bits, check_kind, checked
from . import graph_model
from .chromium import INSTALL, KIT, program, scratch
from .litertjs import CHROMIUM
from .session import BrowserSession, Page, counted_threads

if TYPE_CHECKING:
    from ...artifact import Array

Backend = Literal["wasm", "webgl", "cpu"]

_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "int64")
_OWN = {"float32": "float32", "bool": "bool", **dict.fromkeys(_INTEGERS, "int32")}
"""Dtype → that of TensorFlow.js's tensors."""

_FLAGS = {"wasm": ("--disable-gpu",), "cpu": ("--disable-gpu",), "webgl": ("--enable-unsafe-swiftshader",)}
_SOFTWARE = ("SwiftShader", "llvmpipe", "Software")
_UNSUPPORTED = re.compile(r"^ValueError: Unsupported Ops in the model[^\n]*\n(.+)", re.MULTILINE)
_TAIL = 10


@dataclass
class TFJs:
    """TensorFlow.js in a page.

    Args:
        backend: What computes: WebAssembly, WebGL, or plain JavaScript.
        chromium: The browser's program, or empty for the one on the path.
    """

    backend: Backend = "wasm"
    chromium: str = ""

    kind = "saved_model"
    name = "tfjs"
    _page: Page | None = None

    def version(self) -> str:
        """The version of TensorFlow.js; NotAvailable when it, TensorFlow, or a browser, isn't here."""
        kits.launch(kits.KITS[KIT])
        program(self.chromium)
        if installed_version("tensorflow", ("tensorflow-cpu", "tensorflow")) is None:
            raise NotAvailable("TensorFlow is not installed", remedy="pip install 'edgeworthy[tensorflow]'")
        return _version()

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Convert a SavedModel and load it in a new browser, in place of the one before.

        Raises:
            NotAvailable: the kit or the browser is missing, or the browser doesn't start.
            CheckFailed: TensorFlow.js lacks an operator, which is named, or a dtype.
            RuntimeFailure: it raised, or the browser ended.
        """
        check_kind(artifact, self.kind, self.name)
        if strange := [spec for spec in (*artifact.inputs, *artifact.outputs) if spec.dtype not in _OWN]:
            raise CheckFailed(
                f"TensorFlow.js has no {', '.join(sorted({spec.dtype for spec in strange}))} tensors",
                where=str(artifact.path),
                details=list(map(str, strange)),
                remedy="cast them in the model",
            )
        folder = kits.launch(kits.KITS[KIT]).folder
        model = _converted(artifact, folder)
        if self._page is not None:
            self._page.close()
        self._page = page = Page(
            "TensorFlow.js",
            program(self.chromium),
            _FLAGS[self.backend],
            {"npm": folder / "npm", "model": model},
            where=str(artifact.path),
        )
        told = page.load("tfjs.js", backend=self.backend, threads=threads, tensors=_tensors(artifact, model))
        return _Session(page, told, artifact, threads)


class _Session(BrowserSession):
    def __init__(self, page: Page, told: dict[str, Any], artifact: Artifact, wanted: int) -> None:
        super().__init__(page, told)
        self._threads = wanted
        self._artifact = artifact

    @property
    def receipt(self) -> Receipt:
        told, notes = self.told, list(self.notes)
        backend, nodes = told["backend"], told["nodes"]
        ran, whole = f"TensorFlow.js, {backend}", True
        if backend == "wasm":
            ran += f" with {'SIMD' if told['simd'] else 'no SIMD'}, {counted_threads(told['threads'])}"
            if told["threads"] < self._threads:  # tfjs-backend-wasm 4.22, backend.cc
                notes.append(f"{self._threads} threads were asked for; TensorFlow.js takes at most half of the cores")
        elif backend == "webgl":
            ran += f", {told['renderer']}"
            notes.append("TensorFlow.js computes small tensors on the CPU, and doesn't tell which")
            whole = False
        software = told["renderer"] and any(word in told["renderer"] for word in _SOFTWARE)
        return Receipt(
            asked=backend,
            ran=ran,
            nodes=nodes,
            delegated=nodes if whole else None,  # a backend that lacks a kernel raises
            precision="float16" if told.get("half") else "float32",
            notes=tuple(notes),
            measured="emulated" if software else None,
        )

    def encode(self, feeds: Feeds) -> tuple[dict[str, Array], bool]:
        where = str(self._artifact.path)
        arrays = checked(feeds, self._artifact.inputs, where=where)
        check_32_bits(arrays, "TensorFlow.js", where=where)
        return {name: array.astype(_OWN[array.dtype.name]) for name, array in arrays.items()}, False

    def decode(self, arrays: dict[str, Array], dequantized: bool) -> dict[str, Array]:
        return {spec.name: arrays[spec.name].astype(spec.dtype) for spec in self._artifact.outputs}


def _converted(artifact: Artifact, kit: Path) -> Path:
    """The graph model of a SavedModel, in a folder that goes with this process.

    Raises:
        CheckFailed: TensorFlow.js lacks an operator.
        RuntimeFailure: the converter raised or crashed.
    """
    out = scratch()
    command = [sys.executable, "-P", graph_model.__file__, str(kit / "tensorflowjs"), str(artifact.path), str(out)]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if ran.returncode == 0 and (out / "model.json").is_file():
        return out
    where = str(artifact.path)
    if found := _UNSUPPORTED.search(ran.stderr):
        raise CheckFailed(
            f"TensorFlow.js has no operator {found[1].strip()}",
            where=where,
            remedy="rewrite what makes it, or run the TFLite file in the browser: --target browser:wasm",
        )
    raise RuntimeFailure(
        f"tensorflowjs's converter ended with {ran.returncode}",
        where=where,
        details=_last(ran.stderr),
        remedy="run the TFLite file in the browser: --target browser:wasm",
    )


def _tensors(artifact: Artifact, model: Path) -> dict[str, dict[str, str]]:
    """The names of inputs and outputs → the graph model's tensors.

    Raises:
        BadInput: the signature lacks one.
    """
    told = json.loads((model / "names.json").read_text(encoding="utf-8"))
    arguments = argument_names(spec.name for spec in artifact.inputs)
    if all(
        spec.name in told["inputs"] for spec in artifact.inputs
    ):  # of another converter, whose names TensorFlow took
        arguments = {spec.name: spec.name for spec in artifact.inputs}
    try:
        return {
            "inputs": {name: told["inputs"][argument] for name, argument in arguments.items()},
            "outputs": {spec.name: told["outputs"][spec.name] for spec in artifact.outputs},
        }
    except KeyError as error:
        raise BadInput(
            f"{SIGNATURE} lacks {error}; it has {told}", where=str(artifact.path), remedy=ANOTHER_FILE
        ) from error


def _last(said: str) -> Sequence[str]:
    return said.strip().splitlines()[-_TAIL:]


def _version() -> str:
    files = {file.name: file.version for part in kits.KITS[KIT].parts for file in part.files}
    return files["@tensorflow/tfjs"]


def _installed() -> str | None:
    return _version() if kits.look(kits.KITS[KIT]).status == "ready" else None


TARGETS = (
    TargetInfo(
        "tfjs",
        title="TensorFlow.js",
        summary="the SavedModel in Chromium (TensorFlow.js), as a graph model",
        kind=TFJs.kind,
        module="",
        distributions=(),
        install=INSTALL,
        make=TFJs,
        probe=True,
        settings={
            "backend": Setting("what computes; default: wasm", one_of(*get_args(Backend)), "|".join(get_args(Backend))),
            "chromium": CHROMIUM,
        },
        installed=_installed,
    ),
)
