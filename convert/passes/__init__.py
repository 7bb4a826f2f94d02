"""ONNX → ONNX passes: one file a pass, run in an order that their contracts allow.

The graph stays runnable by ONNX Runtime after every pass. What a pass may assume and must keep is in ``contract``; how
it changes a graph, in ``rewriter``; the operators it may make that ONNX lacks, in ``private_ops``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

import onnx_ir as ir

from ..graph.rewriter import IsLowered, Refusal, Rewriter
from . import (
    clip_real_numbers,
    concat_scatters,
    conv1d_as_2d,
    drop_expands,
    drop_nan_guards,
    expand_functions,
    fold_affine,
    fold_constants,
    fold_pixel_shuffle,
    fold_quantized_constants,
    fold_shapes,
    fuse_gelu,
    fuse_group_norm,
    fuse_hard_swish,
    fuse_layer_norm,
    fuse_pad,
    fuse_quantization,
    fuse_rms_norm,
    gather_rows,
    infer_shapes,
    inline_branches,
    inline_functions,
    join_transposes,
    lift_constants,
    match_branches,
    merge_convolutions,
    merge_duplicates,
    merge_transposes,
    remove_noops,
    remove_unused,
    resolve_sequences,
    shuffle_channels_last,
    split_batch_norm,
    straighten_gathers,
    trim_kernels,
    unroll_loops,
    unwrap_transposes,
    write_integer_ops,
)
from .contract import WHOLE_MODEL, Pass, PassPipeline, PassReport, Repeat, check_order, passes_of

__all__ = ["PIPELINE", "Check", "IsLowered", "Pass", "PassReport", "Refusal", "run_pass", "run_passes"]

Check = Callable[[ir.Model, str], None]
"""Called with the model and the name of the step, such as a pass, that has just changed it."""

_MAX_ROUNDS = 12
"""Rounds after which a Repeat group gives up; each round resolves at least one more level of shape computations."""

PIPELINE: PassPipeline = (
    inline_functions.PASS,
    write_integer_ops.PASS,
    Repeat(
        (
            lift_constants.PASS,
            remove_unused.PASS,
            remove_noops.PASS,
            infer_shapes.PASS,
            fold_constants.PASS,
            fold_quantized_constants.PASS,
            fold_shapes.PASS,
            resolve_sequences.PASS,
            unroll_loops.PASS,
            expand_functions.PASS,
            match_branches.PASS,
            inline_branches.PASS,
        )
    ),
    clip_real_numbers.PASS,
    fuse_quantization.PASS,
    drop_expands.PASS,
    straighten_gathers.PASS,
    concat_scatters.PASS,
    fuse_pad.PASS,
    trim_kernels.PASS,
    split_batch_norm.PASS,
    Repeat((fold_affine.PASS, merge_convolutions.PASS)),
    fold_pixel_shuffle.PASS,
    fuse_gelu.PASS,
    fuse_group_norm.PASS,
    fuse_hard_swish.PASS,
    fuse_layer_norm.PASS,
    fuse_rms_norm.PASS,
    drop_nan_guards.PASS,
    conv1d_as_2d.PASS,
    unwrap_transposes.PASS,
    gather_rows.PASS,
    join_transposes.PASS,
    shuffle_channels_last.PASS,
    merge_transposes.PASS,
    merge_duplicates.PASS,
)


def run_passes(
    model: ir.Model,
    *,
    is_lowered: IsLowered | None = None,
    check: Check | None = None,
    pipeline: PassPipeline = PIPELINE,
) -> list[PassReport]:
    """Run the pipeline on a model, in place.

    Args:
        model: An ONNX model of opset 7 or later.
        is_lowered: (domain, operator, the opset it last changed in) → whether the lowering takes the operator as it
            is. Others are replaced by their official function body, and no fusion makes them. Without it every operator
            counts as lowered.
        check: Called after every pass that changed something; what it raises ends the run.
        pipeline: The passes to run.

    Returns:
        One report for each pass, in the order of their first run; refusals of nodes that are still there.

    Raises:
        InternalFault: the pipeline is in an order that the contracts of its passes don't allow.
        BadInput: the model's own functions can't be inlined.
    """
    check_order(pipeline)
    return _Run(model, is_lowered, check, pipeline).run()


def run_pass(model: ir.Model, step: Pass, *, is_lowered: IsLowered | None = None) -> PassReport:
    """Run one pass on a model, in place."""
    start = time.perf_counter()
    rewriter = Rewriter(model, is_lowered)
    step.run(rewriter)
    return PassReport(step.name, rewriter.changed, time.perf_counter() - start, rewriter.refusals)


def operators(model: ir.Model) -> Counter[str]:
    """Operator → how many of it a model has."""
    return Counter(node.op_type for node in model.graph.all_nodes())


def difference(before: Counter[str], after: Counter[str], earlier: Mapping[str, int]) -> dict[str, int]:
    """Operator → how many more or fewer there are ``after``, with those of ``earlier``; what stays isn't in it."""
    names = dict.fromkeys((*earlier, *before, *after))
    found = {name: earlier.get(name, 0) + after[name] - before[name] for name in names}
    return {name: more for name, more in found.items() if more}


class _Run:
    """One run of a pipeline. A pass isn't run again before something has changed since it last ran."""

    def __init__(
        self, model: ir.Model, is_lowered: IsLowered | None, check: Check | None, pipeline: PassPipeline
    ) -> None:
        self._model = model
        self._is_lowered = is_lowered
        self._check = check
        self._pipeline = pipeline
        self._reports = {p.name: PassReport(p.name) for p in passes_of(pipeline)}
        self._changes = 0
        self._seen: dict[str, int] = {}
        self._operators = operators(model)

    def run(self) -> list[PassReport]:
        for step in self._pipeline:
            if isinstance(step, Repeat):
                for _ in range(_MAX_ROUNDS):
                    before = self._changes
                    for member in step.passes:
                        self._run_one(member)
                    if self._changes == before:
                        break
            else:
                self._run_one(step)
        # What an early pass refused, a later one may have taken care of.
        there = {Rewriter.called(n) for n in self._model.graph.all_nodes()} | {WHOLE_MODEL}
        for report in self._reports.values():
            report.refusals = [r for r in report.refusals if r.node in there]
        return list(self._reports.values())

    def _run_one(self, step: Pass) -> None:
        if self._seen.get(step.name) == self._changes:
            return
        result = run_pass(self._model, step, is_lowered=self._is_lowered)
        self._changes += result.changed
        self._seen[step.name] = self._changes
        report = self._reports[step.name]
        report.changed += result.changed
        report.seconds += result.seconds
        report.refusals = result.refusals  # of its last look at the model
        if result.changed:
            before, self._operators = self._operators, operators(self._model)
            report.operators = difference(before, self._operators, report.operators)
        if self._check is not None and result.changed:
            self._check(self._model, step.name)
