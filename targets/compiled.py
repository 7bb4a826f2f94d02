"""TFLite files on LiteRT's ``CompiledModel``: what its GPU and its NPU accelerator share.

LiteRT calls a model fully accelerated when XNNPACK took what the accelerator didn't. So a file is compiled for the
accelerator alone first, which fails unless that takes every node, and with the CPU only after that.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..artifact import Artifact, Dim, Feeds, Receipt
from ..errors import CheckFailed
from ..formats.tflite.summary import TensorSummary, TFLiteSummary, summarize
from ..vocabulary import MeasuredWhere
from ..workers.native import caught
from . import rounding
from .leftover import Delegation, alone, left_over
from .quantized import QuantizedSignature
from .session import TRY_TFLITE, LoadedModel, check_32_bits, check_kind

if TYPE_CHECKING:
    from ..artifact import Array

_NOT_ALL = "Some ops are not accelerated"
_DYNAMIC = re.compile(r"tensor#(\d+) is a dynamic-sized tensor")
_FAULT = re.compile(r"^(?:ERROR|E\d{4})\b")


class Accelerator(ABC):
    """A ``Target`` that compiles TFLite files for one of LiteRT's accelerators.

    Attributes:
        hardware: Its name among LiteRT's ``HardwareAccelerator``.
        largest: Whether it takes the largest part of the graph alone.
        resizes: Whether it compiles anew for other shapes of the inputs.
        wide: Whether it computes int64 in 64 bits.
    """

    kind = "tflite"
    hardware: ClassVar[str]
    largest: ClassVar[bool] = False
    resizes: ClassVar[bool] = False
    wide: ClassVar[bool] = True

    @property
    @abstractmethod
    def name(self) -> str: ...

    @abstractmethod
    def version(self) -> str: ...

    @abstractmethod
    def environment(self) -> Any:
        """LiteRT's environment for it; NotAvailable when something is missing on this machine."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """The arguments of LiteRT's ``Options`` that are the accelerator's own."""

    @abstractmethod
    def told(self, lines: Sequence[str], nodes: int) -> Delegation | None:
        """What the lines of a compilation say of a partly accelerated model; None where they say nothing.

        Args:
            nodes: Of the main graph.
        """

    @abstractmethod
    def place(self, lines: Sequence[str]) -> tuple[str, MeasuredWhere | None]:
        """What it runs on, as the lines of a compilation tell, and where a latency is from if it isn't this host's."""

    def check(self, file: TFLiteSummary) -> None:  # noqa: B027 - most have nothing to say
        """Raise CheckFailed for a file that it would compile, and compute wrongly."""

    def wrong(self, path: Path) -> tuple[str, ...]:
        """The nodes of a file that it is known to compute wrongly, and how."""
        return ()

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Compile a flatbuffer.

        Raises:
            NotAvailable: the accelerator is not there.
            CheckFailed: it can't compile this file, which says why.
        """
        check_kind(artifact, self.kind, self.name)
        return _Session(self, artifact, threads)

    def compile(self, environment: Any, model: Path | bytes, threads: int, *, cpu: bool) -> Any:
        """LiteRT's model of a file or of bytes; RuntimeError when it refuses, for want of the CPU with ``_NOT_ALL``."""
        from ai_edge_litert.compiled_model import CompiledModel, CpuOptions, HardwareAccelerator, Options

        hardware = HardwareAccelerator[self.hardware] | (HardwareAccelerator.CPU if cpu else 0)
        options = Options(hardware_accelerators=hardware, cpu_options=CpuOptions(num_threads=threads), **self.options())
        if isinstance(model, bytes):
            return CompiledModel.from_buffer(model, environment=environment, options=options)
        return CompiledModel.from_file(str(model), environment=environment, options=options)


class _Session(LoadedModel):
    """Inputs and outputs by the signature's names; floats are quantized as on the target ``tflite``."""

    def __init__(self, accelerator: Accelerator, artifact: Artifact, threads: int) -> None:
        self._accelerator = accelerator
        self._artifact = artifact
        self._threads = threads
        self._summary = summarize(artifact.path)
        self._check_elements({spec.name: spec.shape for spec in (*self._summary.inputs, *self._summary.outputs)})
        accelerator.check(self._summary)
        with caught() as said:
            self._environment = accelerator.environment()
            self._model, self._full = self._compiled()
        self._lines = said.lines
        self._key = self._summary.signature or next(iter(self._model.get_signature_list()))
        places = self._summary.input_tensors, self._summary.output_tensors
        inputs, outputs = (self._tensors(*side) for side in zip(self._details(), places, strict=True))
        self._twins, self._echoes = self._aliases(outputs)
        twins = {name: outputs[twin] for name, twin in self._twins.items()}
        self._signature = QuantizedSignature(artifact, inputs, outputs | twins)
        self._shapes: dict[str, tuple[int, ...]] | None = None
        self._feeds: dict[str, Any] = {}
        self._results: dict[str, tuple[Any, np.dtype[Any], tuple[int, ...]]] = {}

    @property
    def receipt(self) -> Receipt:
        return self._receipt

    def run(self, feeds: Feeds) -> dict[str, Array]:
        encoded, dequantized = self._signature.encode(feeds)
        if self._receipt.delegated and not self._accelerator.wide:
            check_32_bits(encoded, self._accelerator.name, where=str(self._artifact.path))
        return self._signature.decode(self._invoke(encoded), dequantized)

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        encoded, _ = self._signature.encode(feeds)
        return lambda: self._invoke(encoded)

    def _invoke(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Write, run, read. A run returns before the accelerator is done; reading an output waits for it."""
        shapes = {name: array.shape for name, array in arrays.items()}
        if shapes != self._shapes:
            self._allocate(shapes)
        for name, array in arrays.items():
            self._feeds[name].write(array.reshape(-1).view(np.int8))  # TensorBuffer knows few dtypes by name
        self._model.run_by_name(self._key, self._feeds, {n: buffer for n, (buffer, _, _) in self._results.items()})
        read = {
            name: buffer.read(int(np.prod(shape, dtype=np.int64)) * dtype.itemsize, np.int8).view(dtype).reshape(shape)
            for name, (buffer, dtype, shape) in self._results.items()
        }
        return read | {name: read[twin] for name, twin in self._twins.items()}

    def _allocate(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Buffers for inputs of these shapes, and for the outputs that come of them."""
        self._shapes, self._feeds, self._results = None, {}, {}
        self._check_elements(shapes)
        inputs, _ = self._details()
        for name, shape in shapes.items():
            if tuple(inputs[name]["shape"]) != shape:
                self._resize(name, shape, tuple(inputs[name]["shape"]))
        inputs, outputs = self._details()
        self._check_elements({name: detail["shape"] for name, detail in (inputs | outputs).items()})
        self._feeds = {name: self._model.create_input_buffer_by_name(self._key, name) for name in inputs}
        for name, detail in outputs.items():
            # Of a tensor that is fed LiteRT would take the output's buffer, and what is in it, for the input.
            echoed = self._feeds.get(self._echoes.get(name, ""))
            buffer = echoed or self._model.create_output_buffer_by_name(self._key, name)
            self._results[name] = buffer, np.dtype(detail["dtype"]), tuple(map(int, detail["shape"]))
        self._shapes = dict(shapes)

    def _check_elements(self, shapes: Mapping[str, Sequence[Dim]]) -> None:
        for name, shape in shapes.items():
            if 0 in shape:
                raise CheckFailed(
                    f"LiteRT's accelerators take no tensor without elements, and {name!r} is {list(shape)}",
                    where=str(self._artifact.path),
                    remedy="leave it out of the model, or run the file on the target tflite",
                )

    def _resize(self, name: str, shape: tuple[int, ...], compiled: tuple[int, ...]) -> None:
        if not self._accelerator.resizes:  # LiteRT would, and run what was compiled for the other shape
            raise CheckFailed(
                f"{self._accelerator.name} compiled input {name!r} for {list(compiled)}, and was given {list(shape)}",
                where=str(self._artifact.path),
                remedy="convert the model with the shapes that it is to run with",
            )
        self._model.resize_input_tensor_by_name(self._key, name, shape)

    def _compiled(self) -> tuple[Any, bool]:
        """The model, and whether the accelerator took all of it."""
        try:
            with caught() as said:
                return self._compile(cpu=False), True
        except RuntimeError as error:
            if _NOT_ALL not in str(error):
                raise self._refusal(said.lines, error) from error
        try:
            with caught() as said:
                return self._compile(cpu=True), False
        except RuntimeError as error:
            raise self._refusal(said.lines, error) from error

    def _compile(self, *, cpu: bool) -> Any:
        return self._accelerator.compile(self._environment, self._artifact.path, self._threads, cpu=cpu)

    def _refusal(self, said: Sequence[str], error: RuntimeError) -> CheckFailed:
        where = str(self._artifact.path)
        name = self._accelerator.name
        for line in said:
            if found := _DYNAMIC.search(line):
                tensor = self._summary.graphs[0].tensors[int(found[1])].name
                return CheckFailed(
                    f"{name} takes no model with shapes that depend on values, such as that of {tensor!r}",
                    where=where,
                    remedy="rewrite what makes it, or run the file on the target tflite",
                )
        faults = [line for line in said if _FAULT.match(line)] or str(error).splitlines()
        return CheckFailed(f"{name} can't compile this model", where=where, details=faults, remedy=TRY_TFLITE)

    def _details(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Inputs and outputs by the signature's names, with the shapes of now."""
        model = self._model
        return model.get_input_tensor_details(self._key), model.get_output_tensor_details(self._key)

    def _tensors(self, names: Iterable[str], places: Mapping[str, int]) -> dict[str, dict[str, Any]]:
        """What ``QuantizedSignature`` wants to know of inputs or outputs; the scales are the file's."""
        return {name: scales(self._summary.graphs[0].tensors[places[name]]) for name in names}

    def _aliases(self, known: Mapping[str, object]) -> tuple[dict[str, str], dict[str, str]]:
        """Outputs that LiteRT leaves out → the one of the same tensor; outputs that are an input → that input."""
        fed = {index: name for name, index in self._summary.input_tensors.items()}
        given = self._summary.output_tensors
        kept = {index: name for name, index in given.items() if name in known}
        twins = {name: kept[index] for name, index in given.items() if name not in known and index in kept}
        return twins, {name: fed[index] for name, index in given.items() if name in known and index in fed}

    @cached_property
    def _receipt(self) -> Receipt:
        graph, accelerator = self._summary.graphs[0], self._accelerator
        place, measured = accelerator.place(self._lines)
        told = Delegation(len(graph.ops), 0) if self._full else accelerator.told(self._lines, len(graph.ops))
        if told is None:
            notes = ("LiteRT doesn't tell which nodes it left to the CPU",)
            return Receipt(accelerator.name, place, len(graph.ops), precision=self._rounding(), notes=notes)
        named = left_over(graph, told, self._takes, largest=accelerator.largest)
        unnamed = () if named is not None else (f"{told.left} nodes ran on the CPU, and LiteRT doesn't tell which",)
        return Receipt(
            asked=accelerator.name,
            ran=place if told.taken else "XNNPACK",
            nodes=len(graph.ops),
            delegated=told.taken,
            partitions=told.partitions if told.taken else 0,
            precision=self._rounding() if told.taken else "float32",
            notes=tuple(dict.fromkeys([*told.reasons, *unnamed, *accelerator.wrong(self._artifact.path)])),
            fallback=named or (),
            measured=measured if told.taken else None,
        )

    def _takes(self, index: int) -> bool:
        content = self._artifact.path.read_bytes()
        try:
            self._accelerator.compile(self._environment, alone(content, index), 1, cpu=False)
        except RuntimeError:
            return False
        return True

    def _rounding(self) -> str:
        """What the accelerator's arithmetic rounds to, as a product of it shows."""
        try:
            model = self._accelerator.compile(self._environment, rounding.model(), 1, cpu=False)
        except RuntimeError:
            return "unknown"
        key = next(iter(model.get_signature_list()))
        feed, result = (model.create_input_buffer_by_name(key, rounding.INPUT),
                        model.create_output_buffer_by_name(key, rounding.OUTPUT))  # fmt: skip
        feed.write(rounding.FEED)
        model.run_by_name(key, {rounding.INPUT: feed}, {rounding.OUTPUT: result})
        return rounding.judge(result.read(rounding.FEED.size, np.float32))


def scales(tensor: TensorSummary) -> dict[str, Any]:
    """What ``QuantizedSignature`` wants to know of a tensor of a file."""
    found = tensor.quantization
    quantized = {"scales": [found.scale] * found.channels, "zero_points": [found.zero_point]} if found else {}
    return {"dtype": tensor.dtype} | quantized
