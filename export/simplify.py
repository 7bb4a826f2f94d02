"""The graph of PyTorch's exporter without its functions, its constant parts and its repetitions; exact throughout."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common


def simplified(model: ir.Model) -> ir.Model:
    """``model``, in place, with functions inlined, constants computed, and nothing twice or for nobody.

    ``torch.onnx.export(optimize=True)`` does that too, but then rewrites by patterns whose constants match within a
    tolerance: ``Add(x, 1e-9)`` becomes ``x`` and ``Mul(x, 1.000001)`` too.

    Args:
        model: What ``torch.onnx.export(dynamo=True, optimize=False)`` made.
    """
    from onnxscript.optimizer import fold_constants

    common.InlinePass()(model)
    fold_constants(model, onnx_shape_inference=True)
    for step in (
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]
        common.RemoveUnusedOpsetsPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.LiftSubgraphInitializersToMainGraphPass(),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.OutputFixPass(),
        common.NameFixPass(),
    ):
        step(model)
    return model
