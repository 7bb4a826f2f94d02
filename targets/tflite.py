"""TFLite files on LiteRT's interpreter (the ``ai-edge-litert`` package), on the CPU with XNNPACK."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ..artifact import Artifact, Feeds, Receipt, TensorSpec
from ..errors import BadInput
from ..formats.tflite.summary import STEPS
from ..vocabulary import SIGNATURE
from .info import Setting, TargetInfo, one_of
from .session import LoadedModel, check_kind, checked

if TYPE_CHECKING:
    from ..artifact import Array


Kernels = Literal["xnnpack", "builtin", "reference"]


class TFLite:
    """The LiteRT interpreter.

    Args:
        kernels: ``xnnpack`` (what Android's CPU path runs), ``builtin`` (TFLite's own optimised kernels,
            without the delegate), or ``reference`` (the slow kernels that define the operators).
    """

    kind = "tflite"
    name = "tflite"

    def __init__(self, *, kernels: Kernels = "xnnpack") -> None:
        self.kernels = kernels

    def version(self) -> str:
        """The installed version; imports the package."""
        import ai_edge_litert
        import ai_edge_litert.interpreter

        return str(ai_edge_litert.__version__)

    def load(self, artifact: Artifact, *, threads: int = 1) -> LoadedModel:
        """Load a flatbuffer and allocate its tensors.

        Raises:
            BadInput: the file's signature lacks a name of the artifact's.
            ValueError, RuntimeError: the interpreter refuses the file.
        """
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        check_kind(artifact, self.kind, self.name)
        resolver = {
            "xnnpack": OpResolverType.BUILTIN,
            "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            "reference": OpResolverType.BUILTIN_REF,
        }[self.kernels]
        interpreter = Interpreter(str(artifact.path), num_threads=threads, experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
        return _Session(artifact, interpreter, self.kernels)


class _Session(LoadedModel):
    """Inputs and outputs by the signature's names.

    A tensor that the file quantizes to int8, uint8 or int16 takes float32 feeds too: they are quantized here with
    the tensor's scale and zero point, and then the quantized outputs are given back as float32. When every
    quantized input is fed in its own dtype, outputs come out raw.
    """

    def __init__(self, artifact: Artifact, interpreter: Any, kernels: Kernels) -> None:
        self._artifact = artifact
        self._interpreter = interpreter
        self._kernels = kernels
        inputs, outputs = _signature(interpreter)
        missing = [s.name for s in artifact.inputs if s.name not in inputs]
        missing += [s.name for s in artifact.outputs if s.name not in outputs]
        if missing:
            raise BadInput(
                f"the file's signature lacks {missing}; it has {[*inputs, *outputs]}",
                where=str(artifact.path),
            )
        self._inputs = {s.name: inputs[s.name] for s in artifact.inputs}
        self._outputs = {s.name: outputs[s.name] for s in artifact.outputs}
        self._shapes = {name: tuple(map(int, d["shape"])) for name, d in self._inputs.items()}

    @property
    def receipt(self) -> Receipt:
        names = {d["index"]: d["name"] for d in self._interpreter.get_tensor_details()}
        nodes, delegated, partitions, fallback = delegation(self._interpreter._get_ops_details(), names)
        wanted = self._kernels == "xnnpack"
        return Receipt(
            asked="XNNPACK" if wanted else "none",
            ran="XNNPACK" if delegated else f"TFLite {'reference' if self._kernels == 'reference' else 'builtin'}",
            nodes=nodes,
            delegated=delegated,
            partitions=partitions,
            precision=self._precision(),
            fallback=fallback if wanted else (),
        )

    def run(self, feeds: Feeds) -> dict[str, Array]:
        encoded, dequantize = self._encode(feeds)
        outputs = self._invoke(encoded)
        if dequantize:
            return {name: _dequantize(array, self._outputs[name]) for name, array in outputs.items()}
        return outputs

    def prepare(self, feeds: Feeds) -> Callable[[], object]:
        encoded, _ = self._encode(feeds)
        return lambda: self._invoke(encoded)

    def _invoke(self, encoded: Mapping[str, Array]) -> dict[str, Array]:
        interpreter = self._interpreter
        shapes = {name: array.shape for name, array in encoded.items()}
        if shapes != self._shapes:
            for name, shape in shapes.items():
                interpreter.resize_tensor_input(self._inputs[name]["index"], list(shape))
            interpreter.allocate_tensors()
            self._shapes = shapes
        for name, array in encoded.items():
            interpreter.set_tensor(self._inputs[name]["index"], array)
        interpreter.invoke()
        return {name: interpreter.get_tensor(detail["index"]) for name, detail in self._outputs.items()}

    def _encode(self, feeds: Feeds) -> tuple[dict[str, Array], bool]:
        """The feeds in the file's dtypes, and whether quantized outputs shall come back as float."""
        quantized = {name for name, detail in self._inputs.items() if _scale(detail) is not None}
        floats = {n for n in quantized & set(feeds) if np.asarray(feeds[n]).dtype == np.float32}
        specs = [
            TensorSpec(s.name, "float32" if s.name in floats else _dtype(self._inputs[s.name]), s.shape)
            for s in self._artifact.inputs
        ]
        arrays = checked(feeds, specs, where=str(self._artifact.path))
        for name in floats:
            arrays[name] = _quantize(arrays[name], self._inputs[name])
        return arrays, bool(floats) or not quantized

    def _precision(self) -> str:
        """The dtypes of the results of the operators, the commonest first: ``int8+float32``."""
        dtypes = {d["index"]: np.dtype(d["dtype"]).name for d in self._interpreter.get_tensor_details()}
        operators = [op for op in self._interpreter._get_ops_details() if op["op_name"] != "DELEGATE"]
        counts = Counter(dtypes[int(i)] for op in operators for i in op["outputs"] if int(i) in dtypes)
        return "+".join(name for name, _ in counts.most_common()) or "none"


def _signature(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Input and output details by the names of the main graph's signature; by tensor name in a file without one.

    The runner is dropped on return: while one lives, the interpreter refuses to resize.
    """
    own = interpreter.get_input_details(), interpreter.get_output_details()
    keys = interpreter.get_signature_list()
    for key in sorted(keys, key=lambda key: key != SIGNATURE):
        runner = interpreter.get_signature_runner(key)
        found = runner.get_input_details(), runner.get_output_details()
        if all(_same(details.values(), main) for details, main in zip(found, own, strict=True)):
            return found
    inputs, outputs = ({d["name"]: d for d in side} for side in own)
    return inputs, outputs


def _same(some: Iterable[Mapping[str, Any]], others: Iterable[Mapping[str, Any]]) -> bool:
    """Whether both are of the same tensors; the other subgraphs of a file have indices of their own."""
    sides = ({(d["index"], d["name"]) for d in side} for side in (some, others))
    return next(sides) == next(sides)


def delegation(
    operators: Sequence[Mapping[str, Any]], names: Mapping[int, str]
) -> tuple[int, int, int, tuple[str, ...]]:
    """Nodes of the graph, how many of them delegates took, in how many partitions, and the others by name.

    The interpreter lists the original nodes and then one DELEGATE per partition. A partition holds the nodes that
    lead from its inputs to its outputs.

    Args:
        operators: As ``Interpreter._get_ops_details`` gives them.
        names: Tensor index → name.
    """
    nodes = [op for op in operators if op["op_name"] != "DELEGATE"]
    partitions = [op for op in operators if op["op_name"] == "DELEGATE"]
    producer = {int(t): k for k, op in enumerate(nodes) for t in op["outputs"]}
    taken: set[int] = set()
    for partition in partitions:
        stop = {int(t) for t in partition["inputs"]}
        pending = [int(t) for t in partition["outputs"]]
        while pending:
            tensor = pending.pop()
            node = producer.get(tensor)
            if tensor in stop or node is None or node in taken:
                continue
            taken.add(node)
            pending += [int(t) for t in nodes[node]["inputs"]]
    left = [node for k, node in enumerate(nodes) if k not in taken]
    fallback = tuple(
        " ".join([node["op_name"], *(names.get(int(t), "") for t in node["outputs"][:1])]) for node in left
    )
    return len(nodes), len(taken), len(partitions), fallback


def _dtype(detail: Mapping[str, Any]) -> str:
    return str(np.dtype(detail["dtype"]).name)


def _scale(detail: Mapping[str, Any]) -> tuple[float, int] | None:
    """(scale, zero point) of a tensor quantized as a whole."""
    scales = detail["quantization_parameters"]["scales"]
    if _dtype(detail) not in STEPS or len(scales) != 1:
        return None
    return float(scales[0]), int(detail["quantization_parameters"]["zero_points"][0])


def _quantize(array: Array, detail: Mapping[str, Any]) -> Array:
    """round(x / scale) + zero point, saturating (TFLite quantization spec)."""
    found = _scale(detail)
    if found is None:
        return array
    scale, zero = found
    limits = np.iinfo(detail["dtype"])
    steps = np.rint(array.astype(np.float64) / scale) + zero
    result: Array = np.clip(steps, limits.min, limits.max).astype(detail["dtype"])
    return result


def _dequantize(array: Array, detail: Mapping[str, Any]) -> Array:
    """(q - zero point) · scale, in float32."""
    found = _scale(detail)
    if found is None:
        return array
    scale, zero = found
    return (array.astype(np.float32) - np.float32(zero)) * np.float32(scale)


TARGETS = (
    TargetInfo(
        "tflite",
        title="TFLite",
        summary="TFLite (LiteRT) on the CPU with XNNPACK",
        kind=TFLite.kind,
        module="ai_edge_litert",
        distributions=("ai-edge-litert",),
        install="pip install ai-edge-litert",
        make=TFLite,
        default=True,
        aliases=("litert:cpu",),
        settings={
            "kernels": Setting(
                "XNNPACK's, TFLite's own, or the ones that define the operators; default: xnnpack",
                one_of(*get_args(Kernels)),
                "|".join(get_args(Kernels)),
            )
        },
        baseline_rank=2,
    ),
)
