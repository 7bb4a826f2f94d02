"""Shapes that ONNX's inference leaves open: what a Loop carries, and the ranks that computed axes leave.

A Loop's state may change its shape. That is settled by rounds: a state has its initial shape, its body is inferred, and
where that makes another shape of it, the extents in which they differ are dynamic; until nothing changes any more. How
many axes a reduction, a Squeeze or an Unsqueeze takes is known where the axes themselves aren't. A GroupNormalization's
result has its input's shape, and a MelWeightMatrix is one, and ONNX says nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import onnx

Extents = tuple[int | str | None, ...]
"""Numbers, names, and None for what is unknown."""

Infer = Callable[[onnx.ModelProto], onnx.ModelProto]

_NO_RANK = "no rank"
_ROUNDS = 12


def infer_settled(model: onnx.ModelProto, infer: Infer) -> onnx.ModelProto:
    """``infer`` of a model, with what its loops carry and the ranks behind computed axes.

    Those shapes are written into ``model`` too. What isn't settled in a bounded number of rounds has no rank.
    """
    rounds = _Rounds()
    for attempt in range(_ROUNDS):
        inferred = infer(model)
        scopes = list(_scopes(model.graph, inferred.graph, {}, ()))
        news = [rounds.settle(loop, give_up=attempt == _ROUNDS - 2) for scope in scopes for loop in scope.loops()]
        news += [_state_rank(scope, node) for scope in scopes for node in scope.given.node]
        if not any(news):
            break
    return inferred


@dataclass(frozen=True)
class _Scope:
    """A graph as it is given and as it was inferred, and the types of what its nodes may use."""

    path: tuple[int, ...]
    given: onnx.GraphProto
    inferred: onnx.GraphProto
    types: Mapping[str, onnx.TypeProto]

    def loops(self) -> Iterator[_Found]:
        for place, (node, found) in enumerate(zip(self.given.node, self.inferred.node, strict=True)):
            # A Scan of opset 8 has a batch, and another order of its operands; it is written out or refused.
            if (
                node.domain == ""
                and all(node.input[2:])
                and (node.op_type == "Loop" or (node.op_type == "Scan" and len(_body(node).input) == len(node.input)))
            ):
                yield _Found((*self.path, place), self.given, node, found, self.types)


@dataclass(frozen=True)
class _Found:
    """A Loop or a Scan: as it is given and as it was inferred, the graph it is in, and the types of what it may use."""

    path: tuple[int, ...]
    graph: onnx.GraphProto
    given: onnx.NodeProto
    inferred: onnx.NodeProto
    types: Mapping[str, onnx.TypeProto]


class _Rounds:
    """What all rounds so far have shown of each state of each loop."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, ...], Extents | str] = {}
        self._stated: dict[tuple[int, ...], Extents | None] = {}

    def settle(self, loop: _Found, *, give_up: bool) -> bool:
        """Write what is known of the states of a loop into the model; whether that is news."""
        body, inferred = (_body(node) for node in (loop.given, loop.inferred))
        news = False
        for index, name, formal, result in _carried(loop.given):
            start = loop.types.get(name)
            if start is None or start.WhichOneof("value") != "tensor_type":
                continue
            key = (*loop.path, index)
            known = _extents(start, _axis(loop.given, index))
            if result is not None and known is not None and key in self._stated:
                made = _extents(inferred.output[result].type)
                self._made[key] = _join(self._made.get(key), _NO_RANK if made is None else made)
            if give_up and result is not None:
                self._made[key] = _NO_RANK
            whole = _NO_RANK if known is None else _join(self._made.get(key), known)
            shape = None if isinstance(whole, str) else whole
            if key in self._stated and self._stated[key] == shape:
                continue
            self._stated[key], news = shape, True
            _state(body.input[formal], start, shape)
            if loop.given.op_type == "Loop" and index < len(loop.given.output):
                _state(_info(loop.graph, loop.given.output[index]), start, shape)
        return news


def _carried(node: onnx.NodeProto) -> Iterator[tuple[int, str, int, int | None]]:
    """Index, name of the operand, input of the body, and output of the body for what a body is given."""
    if node.op_type == "Loop":
        for index, name in enumerate(node.input[2:]):
            yield index, name, 2 + index, 1 + index
        return
    for index, name in enumerate(node.input):
        yield index, name, index, None


def _axis(node: onnx.NodeProto, index: int) -> int | None:
    """The axis along which a Scan takes operand ``index`` apart."""
    numbers = {a.name: a.i for a in node.attribute}
    if node.op_type == "Loop" or index < len(node.input) - numbers["num_scan_inputs"]:
        return None
    axes = next((list(a.ints) for a in node.attribute if a.name == "scan_input_axes"), [])
    place = index - len(node.input) + numbers["num_scan_inputs"]
    return axes[place] if axes else 0


def _scopes(
    given: onnx.GraphProto, inferred: onnx.GraphProto, around: Mapping[str, onnx.TypeProto], path: tuple[int, ...]
) -> Iterator[_Scope]:
    """A graph and the graphs below it, outer ones first."""
    types = {
        **around,
        **{t.name: onnx.helper.make_tensor_type_proto(t.data_type, t.dims) for t in inferred.initializer},
        **{info.name: info.type for info in (*inferred.input, *inferred.value_info, *inferred.output)},
    }
    yield _Scope(path, given, inferred, types)
    for place, (node, found) in enumerate(zip(given.node, inferred.node, strict=True)):
        pairs = [(a, b) for a, b in zip(node.attribute, found.attribute, strict=True) if a.HasField("g")]
        for below, (mine, theirs) in enumerate(pairs):
            yield from _scopes(mine.g, theirs.g, types, (*path, place, below))


def _state_rank(scope: _Scope, node: onnx.NodeProto) -> bool:
    """Write what is known of the shape of a result along computed axes into the model; whether that is news."""
    kinds = [scope.types.get(name) for name in (*node.output[:1], *node.input[:2])]
    if node.domain != "" or len(kinds) < 3 or any(k is None or k.WhichOneof("value") != "tensor_type" for k in kinds):
        return False
    found, data, axes = (kind for kind in kinds if kind is not None)
    extents, count = _extents(data), _extents(axes)
    if _extents(found) is not None or not found.tensor_type.elem_type or extents is None:
        return False
    numbers = {a.name: a.i for a in node.attribute}
    shape: Extents | None = {"GroupNormalization": extents, "MelWeightMatrix": (None, None)}.get(node.op_type)
    if count and isinstance(count[0], int):
        shape = shape or _along_axes(node.op_type, extents, count[0], numbers)
    if shape is None:
        return False
    _state(_info(scope.given, node.output[0]), found, shape)
    return True


def _along_axes(op: str, extents: Extents, count: int, numbers: Mapping[str, int]) -> Extents | None:
    """The extents of a result of ``count`` axes that aren't known; None if it hasn't such, or isn't made of any."""
    rank = len(extents)
    if op.startswith("Reduce"):
        if count == 0 and numbers.get("noop_with_empty_axes"):
            return extents
        every = count in (0, rank)
        if numbers.get("keepdims", 1):
            return tuple(1 if every or d == 1 else None for d in extents)
        return () if every else (None,) * max(rank - count, 0)
    change = {"Squeeze": -count, "Unsqueeze": count}.get(op)
    return None if change is None or rank + change < 0 else (None,) * (rank + change)


def _body(node: onnx.NodeProto) -> onnx.GraphProto:
    body: onnx.GraphProto = next(a.g for a in node.attribute if a.name == "body")
    return body


def _extents(kind: onnx.TypeProto, axis: int | None = None) -> Extents | None:
    """The extents of a tensor, without ``axis``; None if its rank is unknown."""
    if not kind.tensor_type.HasField("shape"):
        return None
    found: list[int | str | None] = []
    for dim in kind.tensor_type.shape.dim:
        name = dim.dim_param if dim.dim_param and not dim.dim_param.startswith("unk__") else None
        found.append(dim.dim_value if dim.HasField("dim_value") else name)
    if axis is not None and -len(found) <= axis < len(found):
        del found[axis]
    return tuple(found)


def _join(one: Extents | str | None, other: Extents | str) -> Extents | str:
    """What is true of both; of ``other`` alone where there is nothing yet."""
    if one is None or one == other:
        return other
    if isinstance(one, str) or isinstance(other, str) or len(one) != len(other):
        return _NO_RANK
    return tuple(a if a == b else None for a, b in zip(one, other, strict=True))


def _state(info: onnx.ValueInfoProto, like: onnx.TypeProto, shape: Extents | None) -> None:
    info.type.CopyFrom(onnx.helper.make_tensor_type_proto(like.tensor_type.elem_type, shape))


def _info(graph: onnx.GraphProto, name: str) -> onnx.ValueInfoProto:
    known: dict[str, onnx.ValueInfoProto] = {info.name: info for info in (*graph.value_info, *graph.output)}
    if name not in known:
        known[name] = graph.value_info.add()
        known[name].name = name
    return known[name]
