"""Ensembles of decision trees, as steps of all trees at once from their roots to their leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import onnx_ir as ir

from ....vocabulary import ML_DOMAIN
from ...builders.remedies import BROKEN
from ...builders.tensor import Tensor, Unsupported
from ..context import Context
from ..registry import lowers
from .tabular import post_transformed

_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
_AGGREGATES: dict[str, tuple[str, Callable[[Any, Any], Any], float]] = {
    "AVERAGE": ("mean", np.add, 0.0),
    "SUM": ("sum", np.add, 0.0),
    "MIN": ("reduce_min", np.minimum, float(np.finfo(np.float32).max)),
    "MAX": ("reduce_max", np.maximum, float(np.finfo(np.float32).min)),
}
"""Aggregate, in the order of its numbers → how trees go together, leaves' own scores, and what changes nothing."""
_TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


@dataclass
class _Forest:
    """Nodes that all ask whether a feature is at most their split, or no number where ``tracks`` says so.

    Attributes:
        yes: Where to go if so; a leaf goes to itself.
        scores: Node → target → what a leaf adds; nodes without any are no leaves.
    """

    feature: list[int] = field(default_factory=list)
    split: list[float] = field(default_factory=list)
    tracks: list[bool] = field(default_factory=list)
    yes: list[int] = field(default_factory=list)
    no: list[int] = field(default_factory=list)
    scores: dict[int, list[tuple[int, float]]] = field(default_factory=dict)
    roots: list[int] = field(default_factory=list)

    def leaf(self, scores: list[tuple[int, float]]) -> int:
        at = self._add(0, 0.0, False, len(self.yes), len(self.yes))
        self.scores[at] = scores
        return at

    def branch(self, mode: str, feature: int, splits: Sequence[float], tracks: bool, yes: int, no: int) -> int:
        """A node that goes to ``yes`` where the feature compares so with the split, or is one of the splits."""
        opposite = {"BRANCH_GT": "BRANCH_LEQ", "BRANCH_GTE": "BRANCH_LT", "BRANCH_NEQ": "BRANCH_EQ"}.get(mode)
        if opposite:
            # NaN is unequal to every split, and neither above nor below it.
            return self.branch(opposite, feature, splits, not tracks and mode != "BRANCH_NEQ", no, yes)
        if mode == "BRANCH_LEQ":
            return self._add(feature, splits[0], tracks, yes, no)
        if mode == "BRANCH_LT":
            return self._add(feature, _below(splits[0]), tracks, yes, no)
        for i, split in enumerate(splits):  # of which the last is asked first
            smaller = self._add(feature, _below(split), False, no, yes)
            no = self._add(feature, split, tracks and i == len(splits) - 1, smaller, no)
        return no

    def _add(self, feature: int, split: float, tracks: bool, yes: int, no: int) -> int:
        self.feature.append(feature)
        self.split.append(split)
        self.tracks.append(tracks)
        self.yes.append(yes)
        self.no.append(no)
        return len(self.yes) - 1

    def depth(self) -> int:
        """Questions on the longest way to a leaf. Nodes come after those that they lead to."""
        steps: list[int] = []
        for at, (yes, no) in enumerate(zip(self.yes, self.no, strict=True)):
            steps.append(0 if at in self.scores else 1 + max(steps[yes], steps[no]))
        return max((steps[root] for root in self.roots), default=0)


@contextmanager
def _as_trees() -> Iterator[None]:
    """Within, lists of nodes that make no trees are told: of other lengths, with numbers of nothing, in a circle."""
    try:
        yield
    except (LookupError, RecursionError, ValueError) as error:
        raise Unsupported(
            f"its lists of nodes and leaves make no trees ({type(error).__name__}: {error})", BROKEN
        ) from error


def _below(split: float) -> float:
    """The next smaller float32; of -∞, what nothing is at most.

    None is subnormal: TensorFlow takes those for 0.
    """
    if split == -np.inf:
        return float("nan")
    smaller, tiny = float(np.nextafter(np.float32(split), np.float32(-np.inf))), float(np.finfo(np.float32).tiny)
    return smaller if abs(smaller) >= tiny else 0.0 if smaller > 0 or split > 0 else -tiny


def _scores(ctx: Context, x: Tensor, forest: _Forest, targets: int, aggregate: str) -> tuple[Tensor, Tensor]:
    """X [N,F] → [N, targets]: what the leaves of all trees add up to, and whether any of them adds to it."""
    b, x = ctx.b, ctx.b.cast(x, "float32")
    with _as_trees():
        if not all(0 <= place < (x.shape[1] or place + 1) for place in forest.feature):
            raise IndexError(f"there are {x.shape[1]} features")
        if not all(0 <= target < targets for scores in forest.scores.values() for target, _ in scores):
            raise IndexError(f"there are {targets} targets")
    yes, no, feature = (b.const(np.asarray(v, np.int32)) for v in (forest.yes, forest.no, forest.feature))
    split, tracks = b.const(np.asarray(forest.split, np.float32)), b.const(np.asarray(forest.tracks))
    at = b.const(np.asarray(forest.roots, np.int32))
    for step in range(max(forest.depth(), 1)):
        columns = b.gather(feature, at, 0)
        value = b.gather(x, columns, 1, batch_dims=1 if step else 0)
        is_so = b.compare("less_equal", value, b.gather(split, at, 0))
        if any(forest.tracks):
            missing = b.compare("not_equal", value, value)
            is_so = b.binary("logical_or", is_so, b.binary("logical_and", missing, b.gather(tracks, at, 0)))
        at = b.select(is_so, b.gather(yes, at, 0), b.gather(no, at, 0))
    op, combine, nothing = _AGGREGATES[aggregate]
    table = np.full((len(forest.yes), targets), nothing, np.float32)
    for leaf, scores in forest.scores.items():
        for target, score in scores:
            table[leaf, target] = combine(table[leaf, target], np.float32(score))
    total = b.reduce(op, b.gather(b.const(table), at, 0), [1], keep_dims=False)
    hits = np.zeros(table.shape, np.bool_)
    for leaf, scores in forest.scores.items():
        hits[leaf, [target for target, _ in scores]] = True
    if hits[list(forest.scores)].all():
        return total, b.const(np.ones(targets, np.bool_))
    return total, b.reduce("reduce_any", b.gather(b.const(hits), at, 0), [1], keep_dims=False)


@lowers("TreeEnsemble", domain=ML_DOMAIN)
def lower_tree_ensemble(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,F] → [N, n_targets], of nodes and leaves in lists of their own (ai.onnx.ml 5)."""

    def get(name: str) -> Any:
        return ctx.attribute(node, name)

    weights, splits, modes = (get(name).numpy() for name in ("leaf_weights", "nodes_splits", "nodes_modes"))
    tracks = get("nodes_missing_value_tracks_true") or [0] * len(splits)
    members = get("membership_values")
    rows = [] if members is None else members.numpy().tolist()
    ends = [i for i, value in enumerate(rows) if np.isnan(value)]
    sets = [rows[start:end] for start, end in zip([0, *(e + 1 for e in ends)], ends, strict=False)]
    forest = _Forest()
    made: dict[int, int] = {}

    def build(at: int) -> int:
        if at not in made:
            sides = [(get(f"nodes_{s}nodeids")[at], get(f"nodes_{s}leafs")[at]) for s in ("true", "false")]
            if at < 0 or any(to < 0 for to, _ in sides):
                raise IndexError(f"node {at} leads to {sides}")
            yes, no = (leaves[to] if is_leaf else build(to) for to, is_leaf in sides)
            feature, mode = get("nodes_featureids")[at], _MODES[int(modes[at])]
            made[at] = forest.branch(mode, feature, of[at], bool(tracks[at]), yes, no)
        return made[at]

    with _as_trees():
        of = {i: sets.pop(0) if mode == 6 else [float(splits[i])] for i, mode in enumerate(modes.tolist())}
        leaves = [forest.leaf([(t, float(w))]) for t, w in zip(get("leaf_targetids"), weights.tolist(), strict=True)]
        forest.roots = [build(root) for root in get("tree_roots")]
        aggregate = list(_AGGREGATES)[int(get("aggregate_function"))]
        transform = _TRANSFORMS[int(get("post_transform"))]
    result, _ = _scores(ctx, ctx.input(node, 0), forest, int(get("n_targets")), aggregate)
    return ctx.b.cast(post_transformed(ctx, result, transform), ctx.output(node).dtype)


@lowers("TreeEnsembleRegressor", domain=ML_DOMAIN)
def lower_tree_ensemble_regressor(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,F] → float32 [N, n_targets]."""
    targets, aggregate = int(ctx.attribute(node, "n_targets")), str(ctx.attribute(node, "aggregate_function"))
    scores, _ = _scores(ctx, ctx.input(node, 0), _listed(ctx, node, "target"), targets, aggregate)
    return post_transformed(ctx, _on_base(ctx, node, scores), str(ctx.attribute(node, "post_transform")))


@lowers("TreeEnsembleClassifier", domain=ML_DOMAIN)
def lower_tree_ensemble_classifier(ctx: Context, node: ir.Node) -> tuple[Tensor, ...]:
    """X [N,F] → labels int64 [N], scores float32 [N, classes]: the label of the first largest sum that a leaf adds to.

    Of two classes with leaves of one only, that one's sum decides: above 0.5 where no leaf is negative, else above 0.
    """
    b, labels = ctx.b, ctx.attribute(node, "classlabels_int64s")
    transform = str(ctx.attribute(node, "post_transform"))
    if labels is None and ctx.has_output(node, 0):
        raise Unsupported("labels that are strings", "let the model give its scores only, or integers")
    count = len(labels or ctx.attribute(node, "classlabels_strings"))
    forest = _listed(ctx, node, "class")
    of_one = len({target for scores in forest.scores.values() for target, _ in scores}) == 1
    if count == 2 and not of_one:
        raise Unsupported("two classes with leaves of both", "export it with the scores of one, as regressors do")
    scores, has_any = _scores(ctx, ctx.input(node, 0), forest, 1 if count == 2 else count, "SUM")
    scores = _on_base(ctx, node, scores)
    if count != 2:
        judged = scores
        if has_any.value is None and not ctx.attribute(node, "base_values"):
            judged = b.select(has_any, scores, b.like(scores, -np.inf))
        index = b.arg_extreme("arg_max", judged, 1)
        chosen = b.gather(b.const(np.asarray(labels or [0] * count, np.int64)), index, 0)
        return chosen, post_transformed(ctx, scores, transform)
    positive = all(score >= 0 for scores in forest.scores.values() for _, score in scores)
    is_second = b.compare("greater", b.reshape(scores, (scores.shape[0],)), b.const(np.float32(0.5 if positive else 0)))
    chosen = b.gather(b.const(np.asarray(labels or [0, 0], np.int64)), b.cast(is_second, "int32"), 0)
    if positive:
        pair = b.concat([b.sub(b.like(scores, 1), scores), scores], 1)
    else:
        pair = b.concat([b.unary("neg", scores), scores], 1)
        pair = post_transformed(ctx, pair, transform)
    return chosen, pair


def _on_base(ctx: Context, node: ir.Node, scores: Tensor) -> Tensor:
    base = ctx.attribute(node, "base_values")
    if not base:
        return scores
    return ctx.b.add(scores, ctx.b.const(np.asarray(base[-1:] if scores.shape[1] == 1 else base, np.float32)))


def _listed(ctx: Context, node: ir.Node, of: str) -> _Forest:
    """The forest of an operator that lists all nodes, and what leaves add, by tree and number."""

    def get(name: str) -> list[Any]:
        tensor = ctx.attribute(node, f"{name}_as_tensor")
        return list(ctx.attribute(node, name) or ()) if tensor is None else tensor.numpy().tolist()

    with _as_trees():
        return _linked(ctx, node, of, get)


def _linked(ctx: Context, node: ir.Node, of: str, get: Callable[[str], list[Any]]) -> _Forest:
    scores: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for tree, number, target, weight in zip(
        get(f"{of}_treeids"), get(f"{of}_nodeids"), get(f"{of}_ids"), get(f"{of}_weights"), strict=True
    ):
        scores.setdefault((tree, number), []).append((0 if of == "class" and _is_pair(ctx, node) else target, weight))
    keys = list(zip(get("nodes_treeids"), get("nodes_nodeids"), strict=True))
    place = {key: i for i, key in enumerate(keys)}
    modes, features, values = get("nodes_modes"), get("nodes_featureids"), get("nodes_values")
    yes, no = get("nodes_truenodeids"), get("nodes_falsenodeids")
    tracks = get("nodes_missing_value_tracks_true") or [0] * len(keys)
    forest = _Forest()

    def build(key: tuple[int, int]) -> int:
        at = place[key]
        if modes[at] == "LEAF":
            return forest.leaf(scores.get(key, []))
        sides = build((key[0], yes[at])), build((key[0], no[at]))
        return forest.branch(modes[at], features[at], [values[at]], bool(tracks[at]), *sides)

    forest.roots = [build(next(group)) for _, group in groupby(keys, key=lambda key: key[0])]
    return forest


def _is_pair(ctx: Context, node: ir.Node) -> bool:
    return len(ctx.attribute(node, "classlabels_int64s") or ctx.attribute(node, "classlabels_strings") or ()) == 2
