"""Rules of the operators that TFLite has for channels-last activations only."""

from __future__ import annotations

from ...vocabulary import NHWC_DOMAIN
from .layouts import TO_CHANNELS_LAST
from .placement import Op, Placement, Port, Site


def spatial(op: Op) -> Placement | None:
    """Input 0 and output 0 are channels-last; the other operands (weights, sizes, grids) stay as they are.

    Refused where a second output is used (the indices of a MaxPool count elements of the natural layout).
    """
    dims = op.out_dims[0]
    if op.rank() is None or dims is None or len(dims) not in TO_CHANNELS_LAST:
        return None
    if any(op.uses_output(i) for i in range(1, len(op.outputs))):
        return None
    others = (Port.NATURAL,) * (len(op.inputs) - 1)
    unused = (Port.ANY,) * (len(op.outputs) - 1)
    return Placement((Port.CHANNELS_LAST, *others), (Port.CHANNELS_LAST, *unused), _to_private_domain, required=True)


def resize(op: Op) -> Placement | None:
    """Like :func:`spatial` if batch and channels keep their extents; natural otherwise."""
    source, target = op.in_dims[0], op.out_dims[0]
    if source is None or target is None or None in source[:2] or source[:2] != target[:2]:
        return None
    return spatial(op)


def _to_private_domain(site: Site) -> None:
    """The domain's function transposes around the ONNX operator."""
    rank = len(site.layout())
    site.node.domain, site.node.overload = NHWC_DOMAIN, f"{rank - 2}d"
    site.edit.private.add((site.node.op_type, rank))
