"""LiteRT's interpreter, for the target ``tflite`` and, sent as text, for the runner. Self-contained, see ``runner``.

Where there is no LiteRT it is that of ``tflite-runtime``, as TensorFlow Lite's was called: the same interface, by its
version 2.14 at the latest.

A backend is a file with ``version()`` and ``load(path, threads, **options)``, whose result has ``inputs``, ``outputs``
(name → dtype, shape, and scales and zero points of what is quantized), ``run`` and ``receipt``, as ``LiteRTModel`` has.
"""

from __future__ import annotations

import importlib
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

_SIGNATURE = "serving_default"
"""As ``vocabulary.SIGNATURE``."""


_OLD = "tflite_runtime"
_UNRESOLVED = "unresolved custom op"
"""What the interpreter says of an operator that it has no kernel for."""


def version() -> str:
    """The installed version, that of tflite-runtime with its name; imports the package."""
    package, _, _ = _interpreter().__name__.partition(".")
    own = str(importlib.import_module(package).__version__)
    return f"tflite-runtime {own}" if package == _OLD else own


def _interpreter() -> Any:
    """The module of the interpreter.

    Raises:
        ImportError: there is none; says what LiteRT's import did.
    """
    try:
        return importlib.import_module("ai_edge_litert.interpreter")
    except ImportError as error:
        try:
            return importlib.import_module(f"{_OLD}.interpreter")
        except ImportError:
            raise error from None


class LiteRTModel:
    """A file on the interpreter.

    Args:
        kernels: ``xnnpack``, ``builtin`` (without the delegate), or ``reference``.

    Attributes:
        inputs: By the signature's names.
        outputs: Likewise.

    Raises:
        ValueError, RuntimeError: the interpreter refuses the file.
    """

    def __init__(self, path: str, threads: int, kernels: str = "xnnpack") -> None:
        runtime = _interpreter()
        resolver = {
            "xnnpack": runtime.OpResolverType.BUILTIN,
            "builtin": runtime.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            "reference": runtime.OpResolverType.BUILTIN_REF,
        }[kernels]
        self._kernels = kernels
        self._interpreter = runtime.Interpreter(path, num_threads=threads, experimental_op_resolver_type=resolver)
        allocated = self._allocated()
        inputs, outputs = _signature(self._interpreter)
        self._places = {name: int(d["index"]) for name, d in inputs.items()}
        self._results = {name: int(d["index"]) for name, d in outputs.items()}
        self.inputs, self.outputs = ({name: _tensor(d) for name, d in side.items()} for side in (inputs, outputs))
        self._shapes = {name: tuple(tensor["shape"]) for name, tensor in self.inputs.items()} if allocated else {}

    def _allocated(self) -> bool:
        """Whether the file can be allocated as it is; one with dynamic extents may have to be resized first.

        They are 1 in the file, which pools and the like may leave nothing of: that says nothing of other extents.
        """
        try:
            self._interpreter.allocate_tensors()
        except RuntimeError as error:
            varies = any(-1 in detail["shape_signature"] for detail in self._interpreter.get_input_details())
            if not varies or _UNRESOLVED in str(error):
                raise
            return False
        return True

    def run(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        """Run once, on arrays of the file's dtypes."""
        shapes = {name: array.shape for name, array in arrays.items()}
        if any(self._shapes.get(name) != shape for name, shape in shapes.items()):
            self._resize(shapes)
            self._shapes.update(shapes)
            if self._in_parts:
                self._invoke(arrays)
                self._resize({name: tuple(extent + 1 for extent in shape) for name, shape in shapes.items()}, False)
                self._resize(shapes)
        self._invoke(arrays)
        return {name: self._read(index) for name, index in self._results.items()}

    def _resize(self, shapes: Mapping[str, tuple[int, ...]], allocate: bool = True) -> None:
        for name, shape in shapes.items():
            self._interpreter.resize_tensor_input(self._places[name], list(shape))
        if allocate:
            self._interpreter.allocate_tensors()

    @property
    def _in_parts(self) -> bool:
        """Whether XNNPACK took several parts of the graph.

        They share memory that grows as each is fitted to new extents in its turn, within the first run; LiteRT 2.3
        leaves those before it where it was, and what they compute from the second run on may be wrong. Fitted once
        more, they all find it as large as it has to be.
        """
        names = [str(op["op_name"]) for op in self._interpreter._get_ops_details()]
        return names.count("DELEGATE") > 1

    def _invoke(self, arrays: Mapping[str, Any]) -> None:
        for name, array in arrays.items():
            if array.size:  # the interpreter refuses one without elements, and computes with it all the same
                self._interpreter.set_tensor(self._places[name], array)
        self._interpreter.invoke()

    def _read(self, index: int) -> Any:
        """An output, which the interpreter gives only if it has elements."""
        try:
            return self._interpreter.get_tensor(index)
        except ValueError:
            found = self._interpreter._get_tensor_details(index, 0)
            if 0 not in found["shape"]:
                raise
            return np.empty(found["shape"], found["dtype"])

    def receipt(self) -> dict[str, Any]:
        """Fields of ``artifact.Receipt``."""
        tensors = self._interpreter.get_tensor_details()
        operators = self._interpreter._get_ops_details()
        nodes, delegated, partitions, fallback = delegation(operators, {d["index"]: d["name"] for d in tensors})
        wanted = self._kernels == "xnnpack"
        dtypes = {int(d["index"]): np.dtype(d["dtype"]).name for d in tensors}
        return {
            "asked": "XNNPACK" if wanted else "none",
            "ran": "XNNPACK" if delegated else f"TFLite {'reference' if self._kernels == 'reference' else 'builtin'}",
            "nodes": nodes,
            "delegated": delegated,
            "partitions": partitions,
            "precision": _precision(operators, dtypes),
            "fallback": fallback if wanted else [],
            "kernels": family(self._kernels, _results(operators, dtypes), delegated),
        }


load = LiteRTModel


def _tensor(detail: Mapping[str, Any]) -> dict[str, Any]:
    quantized = detail["quantization_parameters"]
    return {
        "dtype": np.dtype(detail["dtype"]).name,
        "shape": [int(d) for d in detail["shape"]],
        "scales": [float(s) for s in quantized["scales"]],
        "zero_points": [int(z) for z in quantized["zero_points"]],
    }


def _precision(operators: Sequence[Mapping[str, Any]], dtypes: Mapping[int, str]) -> str:
    """The dtypes of the results of the operators, the commonest first: ``int8+float32``."""
    nodes = [op for op in operators if op["op_name"] != "DELEGATE"]
    counts = Counter(dtypes[int(i)] for op in nodes for i in op["outputs"] if int(i) in dtypes)
    return "+".join(name for name, _ in counts.most_common()) or "none"


def family(kernels: str, results: Iterable[tuple[str, str]], delegated: int, machine: str = "") -> str:
    """The family of kernels (``artifact.Receipt.kernels``) that ran a graph.

    Args:
        kernels: As ``LiteRTModel``'s.
        results: Operator and dtype of its first result, of each node.
        delegated: How many nodes XNNPACK took.
        machine: The processor's architecture; empty: this one's.
    """
    if kernels == "reference":
        return "TFLite reference"
    place, nodes = machine or platform.machine(), list(results)
    if not delegated:
        return f"TFLite builtin, {place}"
    alike = delegated == len(nodes) and all(
        op == "DEQUANTIZE" or (op in _ALIKE and dtype == "int8") for op, dtype in nodes
    )
    share = "" if delegated == len(nodes) else f" for {delegated} of {len(nodes)} nodes"
    return "XNNPACK" if alike else f"XNNPACK{share}, {place}"


def own_families() -> dict[str, str]:
    """TFLite's own kernels, as ``LiteRTModel`` takes them → their family."""
    return {kernels: family(kernels, (), 0) for kernels in ("builtin", "reference")}


_ALIKE = frozenset((
    "ADD", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "LEAKY_RELU", "LOGISTIC", "MAX_POOL_2D",
    "MEAN", "PAD", "QUANTIZE", "RESHAPE", "RESIZE_BILINEAR", "SPLIT", "SUB", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
))  # fmt: skip
"""Operators whose int8 kernels in XNNPACK were measured bit-exact on x86-64 and Arm; of MUL they aren't."""


def _results(operators: Sequence[Mapping[str, Any]], dtypes: Mapping[int, str]) -> list[tuple[str, str]]:
    nodes = [op for op in operators if op["op_name"] != "DELEGATE"]
    return [(op["op_name"], dtypes.get(int(op["outputs"][0]), "") if len(op["outputs"]) else "") for op in nodes]


def _signature(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Input and output details by the names of the main graph's signature; by tensor name in a file without one.

    The runner is dropped on return: while one lives, the interpreter refuses to resize.
    """
    own = interpreter.get_input_details(), interpreter.get_output_details()
    keys = interpreter.get_signature_list()
    for key in sorted(keys, key=lambda key: key != _SIGNATURE):
        runner = interpreter.get_signature_runner(key)
        found = runner.get_input_details(), runner.get_output_details()
        if all(_same(details.values(), main) for details, main in zip(found, own)):
            return found
    inputs, outputs = ({d["name"]: d for d in side} for side in own)
    return inputs, outputs


def _same(some: Iterable[Mapping[str, Any]], others: Iterable[Mapping[str, Any]]) -> bool:
    """Whether both are of the same tensors; the other subgraphs of a file have indices of their own."""
    sides = ({(d["index"], d["name"]) for d in side} for side in (some, others))
    return next(sides) == next(sides)


def delegation(operators: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> tuple[int, int, int, list[str]]:
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
    fallback = [" ".join([node["op_name"], *(names.get(int(t), "") for t in node["outputs"][:1])]) for node in left]
    return len(nodes), len(taken), len(partitions), fallback
