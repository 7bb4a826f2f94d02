"""Which handler lowers which ONNX operator, by domain, name and opset, and in which layouts it may lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import onnx_ir as ir

from ...vocabulary import NHWC_DOMAIN
from ..builders.tensor import Tensor
from ..layout.placement import LayoutRule, LayoutRules
from .context import Context

Handler = Callable[[Context, ir.Node], Tensor | tuple[Tensor, ...]]

# One module a family; importing it registers its handlers.
_FAMILIES = (
    "activation", "bitwise", "comparison", "control", "convolution", "deformable", "detection", "einsum",
    "elementwise", "generation", "indexing", "linear_algebra", "matmul", "normalization", "pooling", "quantization",
    "recurrent", "reduction", "resize", "sampling", "shape", "slicing", "sorting", "spectral", "tabular", "text",
    "training", "transposed_convolution", "trees", "unpooling",
)  # fmt: skip

VERIFIED_TO = 28
"""The newest opset of the ONNX whose node tests are the conformance suite: 1.23."""


@dataclass(frozen=True)
class LoweringEntry:
    """A handler and the operator versions (opsets in which the operator changed) it is right for."""

    handler: Handler
    since: int
    verified_to: int
    layout: LayoutRule | None


_REGISTRY: dict[tuple[str, str], list[LoweringEntry]] = {}


def lowers(
    *ops: str, since: int = 1, verified_to: int = VERIFIED_TO, domain: str = "", layout: LayoutRule | None = None
) -> Callable[[Handler], Handler]:
    """Register the decorated function for ``ops``.

    Args:
        ops: Operator names.
        since: First operator version the handler is right for.
        verified_to: Last operator version it is proven for; a newer one is refused by the preflight. By default the
            newest of the conformance suite's ONNX: ``tests/convert/lowering/test_versions.py`` holds every version
            from ``since`` to here against ONNX's node tests and cases of its own. Versions that ONNX's schemas tell
            apart by types alone are proven together.
        domain: The operators' domain.
        layout: The rule that says in which layouts the operators may lie (see :mod:`~..layout.placement`); None keeps
            them natural. Handlers of the domain ``edgeworthy.nhwc`` have the rule that moves ONNX's operators there.
    """

    def register(handler: Handler) -> Handler:
        for op in ops:
            _REGISTRY.setdefault((domain, op), []).append(LoweringEntry(handler, since, verified_to, layout))
        return handler

    return register


def find(domain: str, op: str, version: int) -> LoweringEntry | None:
    """The entry for an operator whose ``version`` is the opset it last changed in; None if there is none."""
    _load()
    entries = [e for e in _REGISTRY.get(("" if domain == "ai.onnx" else domain, op), []) if e.since <= version]
    entry = max(entries, key=lambda e: e.since, default=None)
    return entry if entry and version <= entry.verified_to else None


def is_lowered(domain: str, op: str, version: int) -> bool:
    """Whether a handler exists for the operator, as it is or with channels-last activations."""
    if find(domain, op, version) is not None:
        return True
    return domain in ("", "ai.onnx") and find(NHWC_DOMAIN, op, version) is not None


def layout_rules() -> LayoutRules:
    """Domain and name of an operator as the layout step meets it → its rule. What has no lowering has no rule."""
    _load()
    return {
        ("" if domain == NHWC_DOMAIN else domain, op): entry.layout
        for (domain, op), entries in _REGISTRY.items()
        for entry in entries
        if entry.layout is not None
    }


def supported() -> dict[str, list[str]]:
    """Domain → names of the operators that have a handler."""
    _load()
    result: dict[str, list[str]] = {}
    for domain, op in sorted(_REGISTRY):
        result.setdefault(domain, []).append(op)
    return result


def _load() -> None:
    if not _REGISTRY:
        for family in _FAMILIES:
            import_module(f".ops.{family}", __package__)
