"""TFLite files on TensorFlow Lite for Microcontrollers: its own interpreter and reference kernels, on this machine.

What it computes and how much memory it takes is what a microcontroller would; how long it takes says nothing of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..artifact import Artifact, Feeds, Receipt
from ..errors import BadInput, NotAvailable, RuntimeFailure
from ..formats.tflite.operations import Operation, read
from ..formats.tflite.summary import summarize
from ..workers.native import caught
from . import environments
from .info import TargetInfo
from .offline import precision
from .quantized import QuantizedSignature
from .rules import USUAL, remedies
from .session import LoadedModel, check_kind

if TYPE_CHECKING:
    from ..artifact import Array

_PACKAGE, _KIT = "tflite-micro", "tflite-micro"
_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")
_MISSING = re.compile(r"(?:Didn't find op for builtin opcode|Failed to get registration from op code) '?(\w+)")
_SLACK = 1 << 20
_MOST_BYTES = (1 << 31) - 1
"""Larger ones have their weights behind the flatbuffer, where TFLite Micro doesn't look."""


class TFLiteMicro:
    """The interpreter of the package ``tflite-micro``, with all of its operators."""

    kind = "tflite"
    name = "tflite-micro"

    def version(self) -> str:
        """The installed version; imports the package."""
        _runtime()
        return environments.version(_PACKAGE, _KIT) or "unknown"

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Load a flatbuffer into an arena; microcontrollers have one thread.

        Raises:
            RuntimeFailure: it lacks an operator, which is named, or refuses the file.
        """
        check_kind(artifact, self.kind, self.name)
        if artifact.size > _MOST_BYTES:
            raise RuntimeFailure(
                "TFLite Micro reads files of at most 2 GiB",
                where=str(artifact.path),
                remedy="quantize the model, or make it smaller",
            )
        operations = read(artifact.path)
        content = artifact.path.read_bytes()
        with caught() as said:
            try:
                interpreter = _runtime().Interpreter.from_bytes(content, arena_size=_arena(content, operations))
            except RuntimeError as error:
                raise _refused(artifact, said.text, operations) from error
        return _Session(artifact, interpreter, operations)


class _Session(LoadedModel):
    """Inputs and outputs by their number in the main graph."""

    def __init__(self, artifact: Artifact, interpreter: Any, operations: list[Operation]) -> None:
        self._artifact = artifact
        self._interpreter = interpreter
        self._operations = operations
        self._arena = 0
        summary = summarize(artifact.path)
        graph = summary.graphs[0]
        self._feeds = {name: graph.inputs.index(tensor) for name, tensor in summary.input_tensors.items()}
        self._results = {name: graph.outputs.index(tensor) for name, tensor in summary.output_tensors.items()}
        inputs = {name: _tensor(interpreter.get_input_details(n)) for name, n in self._feeds.items()}
        outputs = {name: _tensor(interpreter.get_output_details(n)) for name, n in self._results.items()}
        self._signature = QuantizedSignature(artifact, inputs, outputs)

    @property
    def receipt(self) -> Receipt:
        memory = (f"arena: {self._arena} bytes",) if self._arena else ()
        return Receipt(
            asked="none",
            ran="TFLite Micro, reference kernels",
            nodes=len(self._operations),
            precision=precision(self._operations),
            notes=memory,
        )

    def run(self, feeds: Feeds) -> dict[str, Array]:
        encoded, dequantized = self._signature.encode(feeds)
        return self._signature.decode(self._invoke(encoded), dequantized)

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        encoded, _ = self._signature.encode(feeds)
        return lambda: self._invoke(encoded)

    def memory(self) -> tuple[int, int]:
        return self._arena, 0

    def _invoke(self, encoded: Mapping[str, Array]) -> dict[str, Array]:
        for name, array in encoded.items():
            self._check_size(name, array.shape, self._signature.inputs[name]["shape"])
            self._interpreter.set_input(array, self._feeds[name])
        with caught() as said:
            try:
                self._interpreter.invoke()
                if not self._arena:
                    self._interpreter.print_allocations()
            except RuntimeError as error:
                raise _refused(self._artifact, said.text, self._operations) from error
            if found := _TOTAL.search(said.text):
                self._arena = int(found[1])
        names = self._signature.outputs
        return {name: np.array(self._interpreter.get_output(self._results[name])) for name in names}

    def _check_size(self, name: str, given: tuple[int, ...], own: tuple[int, ...]) -> None:
        """The arena is laid out once: a dynamic extent is what the file begins with."""
        if given != own:
            raise BadInput(
                f"TFLite Micro has fixed sizes: {name!r} is {list(own)} in the file, and was given {list(given)}",
                where=str(self._artifact.path),
                remedy="give the inputs fixed sizes with --input" if all(given) else "leave out what has no elements",
            )


def _tensor(detail: Mapping[str, Any]) -> dict[str, Any]:
    shape = tuple(map(int, detail["shape"]))
    return {"dtype": np.dtype(detail["dtype"]).name, "shape": shape, **detail["quantization_parameters"]}


def _arena(content: bytes, operations: list[Operation]) -> int:
    """Enough for all tensors at once; one that is too small may bring the process down."""
    wide = sum(t.size * 8 for operation in operations for t in operation.tensors)
    return len(content) + wide + _SLACK


def _refused(artifact: Artifact, said: str, operations: list[Operation]) -> RuntimeFailure:
    """Why a file isn't taken, with the nodes of an operator that is missing."""
    lines = [line for line in said.splitlines() if line.strip()]
    missing = _MISSING.search(said)
    if missing is None:
        return RuntimeFailure(
            "TFLite Micro refuses the file",
            where=str(artifact.path),
            details=lines,
            remedy="rewrite what these lines name: edgeworthy inspect says what is in the file",
        )
    nodes = [str(operation) for operation in operations if operation.op == missing[1]]
    return RuntimeFailure(
        f"TFLite Micro has no operator {missing[1]}",
        where=str(artifact.path),
        details=nodes,
        remedy=f"write in place of it: {remedies().get(missing[1], USUAL)}",
    )


def _runtime() -> Any:
    environments.borrow(_KIT)
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError as error:
        raise NotAvailable(f"{_PACKAGE} can't be used: {error}", remedy=_INSTALL) from error
    return runtime


_INSTALL = "edgeworthy targets install tflite-micro, or pip install tflite-micro"

TARGETS = (
    TargetInfo(
        "tflite-micro",
        title="TFLite Micro",
        summary="TFLite on the interpreter for microcontrollers: its outputs, its operators and its arena",
        kind=TFLiteMicro.kind,
        module="",
        distributions=(_PACKAGE,),
        install=_INSTALL,
        make=TFLiteMicro,
        measured="emulated",
        installed=lambda: environments.version(_PACKAGE, _KIT),
    ),
)
