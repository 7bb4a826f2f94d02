"""TFLite's benchmark_model on a device: times on any phone, outputs where the tool can write them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...artifact import Artifact, Feeds, Receipt
from ...errors import CheckFailed, NotAvailable, RuntimeFailure
from ...formats.tflite.summary import TensorSummary, summarize
from .. import leftover
from ..quantized import QuantizedSignature
from ..session import LoadedModel
from . import output
from .tool import DELEGATES, Tool

if TYPE_CHECKING:
    from ...artifact import Array

_OTHER_BUILD = "use another build of benchmark_model, or a Python there: leave benchmark out"

_WARM_S = 0.1


class BenchmarkSession(LoadedModel):
    """A model that the tool loads anew for every run and every turn; loading it once gives the receipt.

    Raises:
        RuntimeFailure: the tool can't load it or crashes, the device has no room or goes away.
    """

    def __init__(self, tool: Tool, artifact: Artifact, threads: int) -> None:
        self._tool, self._artifact, self._threads = tool, artifact, threads
        self._file = summarize(artifact.path)
        main = self._file.graphs[0]
        sides = (self._file.inputs, main.inputs), (self._file.outputs, main.outputs)
        inputs, outputs = ({s.name: _tensor(main.tensors[i]) for s, i in zip(*side, strict=False)} for side in sides)
        self._signature = QuantizedSignature(artifact, inputs, outputs)
        self._names = list(inputs)  # in the order of the graph, as in the tool's lists and its file of outputs
        given = self._signature.inputs, self._signature.outputs
        if any(len(one) != len(indices) for one, (_, indices) in zip(given, sides, strict=True)):
            raise self._refusal("names all inputs and outputs by themselves, and this file's signature leaves some out")
        if not all(main.tensors[i].shape for i in main.inputs):
            raise self._refusal("takes no scalars")
        self._model = tool.files.put(artifact.path)
        shapes = {s.name: s.concrete_shape() for s in artifact.inputs}
        said = self._run(shapes, ["--num_runs=1", *self._optional("print_preinvoke_state=true")])
        self.elapsed_ns = round(output.initialized_us(said) * 1000)
        self._memory = output.footprint(said)
        self._receipt = self._receipt_of(said)

    @property
    def receipt(self) -> Receipt:
        notes = _NOTES if "input_layer_value_files" in self._tool.flags else (*_NOTES, "timed on random inputs")
        return replace(self._receipt, notes=(*notes, *self._receipt.notes))

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Run once, in a process of its own. Raises also NotAvailable: this build writes no outputs."""
        if "output_filepath" not in self._tool.flags:
            raise NotAvailable(
                "this benchmark_model has no --output_filepath: it tells times, and no outputs",
                where=self._tool.files.adb.where,
                remedy="use TFLite's own build of it, or leave benchmark out to run a Python there",
            )
        encoded, dequantized = self._signature.encode(feeds)
        left = self._tool.files.temporary()
        try:
            said = self._run(_shapes(encoded), ["--num_runs=1", f"--output_filepath={left}", *self._fed(encoded)], left)
            data = self._tool.files.shell(f"cat {left}")
        finally:
            self._tool.files.discard(left)
        self.elapsed_ns = self._times(said).spread(1)[0]
        return self._signature.decode(self._cut(data, encoded), dequantized)

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        encoded, _ = self._signature.encode(feeds)
        fed = self._fed(encoded)
        return lambda: self._run(_shapes(encoded), ["--num_runs=1", *fed])

    def time(self, feeds: Feeds, repeats: int) -> list[int]:
        encoded, _ = self._signature.encode(feeds)
        warm = [f"--num_runs={repeats}", "--warmup_runs=1", f"--warmup_min_secs={_WARM_S}"]
        found = self._times(self._run(_shapes(encoded), [*warm, *self._fed(encoded)]))
        return found.spread(min(repeats, found.count))

    def memory(self) -> tuple[int, int]:
        """What the tool grew by, over nothing: it doesn't tell what it was before."""
        return self._memory, 0

    def _run(self, shapes: Mapping[str, Sequence[int]], more: Sequence[str], left: str = "") -> str:
        """What one process prints; inputs are called by their places, since the tool's lists have no quoting."""
        extents = [",".join(map(str, shapes[name])) for name in self._names]
        inputs = [
            f"--input_layer={','.join(f'i{k}' for k in range(len(extents)))}",
            f"--input_layer_shape={':'.join(extents)}",
        ]
        if "input_layer" not in self._tool.flags:
            if any(tuple(shapes[s.name]) != s.concrete_shape() for s in self._file.inputs):
                raise self._refusal("runs the shapes of the file alone, and others are fed")
            inputs = []
        said = self._tool.run(
            [
                f"--graph={self._model}",
                f"--num_threads={self._threads}",
                f"--{self._tool.flag}=true",
                *inputs,
                "--min_secs=0",
                *([] if any("warmup" in word for word in more) else ["--warmup_runs=0", "--warmup_min_secs=0"]),
                *self._optional(f"signature_to_run_for={self._file.signature}" if self._file.signature else ""),
                *more,
            ],
            left,
        )
        self._times(said)
        return said

    def _optional(self, flag: str) -> list[str]:
        return [f"--{flag}"] if flag.partition("=")[0] in self._tool.flags else []

    def _fed(self, encoded: Mapping[str, Array]) -> list[str]:
        if "input_layer_value_files" not in self._tool.flags:
            return []
        arrays = [encoded[name] for name in self._names]
        names = [self._tool.files.put_bytes(a.astype(a.dtype.newbyteorder("<")).tobytes()) for a in arrays]
        return [f"--input_layer_value_files={','.join(f'i{k}:{name}' for k, name in enumerate(names))}"]

    def _refusal(self, what: str) -> NotAvailable:
        where, remedy = str(self._artifact.path), "run it with a Python there: leave benchmark out"
        return NotAvailable(f"benchmark_model {what}", where=where, remedy=remedy)

    def _times(self, said: str) -> output.Times:
        found = output.times(said)
        if found is None:
            raise RuntimeFailure(
                "benchmark_model ended without times",
                where=self._tool.files.adb.where,
                details=output.errors(said),
                remedy=_OTHER_BUILD,
            )
        return found

    def _receipt_of(self, said: str) -> Receipt:
        _, word, asked = DELEGATES[self._tool.delegate]
        main = self._file.graphs[0]
        found, logged = output.delegation(said, word, len(main.ops)), output.logged(said, word)
        where = self._tool.files.adb.where
        if found is None:
            note = f"benchmark_model doesn't tell what --{self._tool.flag} took"
            return Receipt(asked=asked, ran="unknown", precision=self._precision(), notes=(note,))
        if logged is not None and found.left is not None and logged != found.taken:
            raise CheckFailed(
                f"benchmark_model lists {found.taken} nodes as delegated, and its log says {logged}",
                where=where,
                details=[line.strip() for line in said.splitlines() if "node" in line and "elegate" in line][:5],
                remedy="this version says it otherwise: report it with these lines",
            )
        return Receipt(
            asked=asked,
            ran=asked if found.taken else "TFLite builtin",
            nodes=found.nodes,
            delegated=found.taken,
            partitions=found.partitions,
            precision=self._precision(),
            fallback=tuple(leftover.name(main, main.ops[index]) for index in found.left or ()),
        )

    def _precision(self) -> str:
        """The dtypes of the results of the operators, the commonest first; the tool lets a GPU compute in float16."""
        main = self._file.graphs[0]
        counts = Counter(main.tensors[i].dtype for op in main.ops for i in op.outputs if i >= 0)
        found = "+".join(name for name, _ in counts.most_common()) or "none"
        return found.replace("float32", "float16") if self._tool.delegate == "gpu" else found

    def _cut(self, data: bytes, encoded: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs out of one file, in which they lie one after the other in the order of the graph."""
        pairs = [(s, encoded[s.name]) for s in self._artifact.inputs]
        known = {d: n for spec, array in pairs for d, n in zip(spec.shape, array.shape, strict=True)}
        specs = {s.name: s for s in self._artifact.outputs}
        shapes = {s.name: [known.get(d, -1) if isinstance(d, str) else d for d in specs[s.name].shape]
                  for s in self._file.outputs}  # fmt: skip
        dtypes = {name: np.dtype(self._signature.outputs[name]["dtype"]) for name in shapes}
        sizes = {name: math.prod(shape) * dtypes[name].itemsize for name, shape in shapes.items() if -1 not in shape}
        if len(sizes) < len(shapes) - 1:
            raise self._refusal("writes no sizes of its outputs, and those of several depend on values")
        rest = len(data) - sum(sizes.values())
        if rest < 0 or (rest and len(sizes) == len(shapes)):
            what = f"wrote {len(data)} bytes of outputs, which aren't {[str(s) for s in specs.values()]}"
            raise RuntimeFailure(f"benchmark_model {what}", where=self._tool.files.adb.where, remedy=_OTHER_BUILD)
        cut, at = {}, 0
        for name, shape in shapes.items():
            size, dtype = sizes.get(name, rest), dtypes[name]
            array = np.frombuffer(data[at : at + size], dtype.newbyteorder("<")).astype(dtype, copy=False)
            cut[name], at = array.reshape(shape), at + size
        return cut


_NOTES = ("benchmark_model sums a turn up: single times are spread between its quantiles",)


def _shapes(arrays: Mapping[str, Array]) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}


def _tensor(tensor: TensorSummary) -> dict[str, Any]:
    """As ``quantized.Tensors`` has it; a tensor with steps by channel is never an input or an output."""
    found = tensor.quantization
    one = found is not None and found.channels == 1
    scales, zeros = ([found.scale], [found.zero_point]) if found is not None and one else ([], [])
    return {"dtype": tensor.dtype, "scales": scales, "zero_points": zeros}
