"""What detectors do with boxes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import onnx_ir as ir

from ....vocabulary import NHWC_DOMAIN
from ...builders.remedies import FIXED_SIZE
from ...builders.tensor import Tensor, Unsupported
from ...layout.spatial import spatial
from ..context import Context
from ..extents import positions
from ..registry import lowers

_LOWEST = float(np.finfo(np.float32).min)
_FAR = 2.0**60
"""Where no box is. Areas of boxes of 2^-23 of this side, 2^-22 of it apart, are numbers still."""


@lowers("NonMaxSuppression", since=10)
def lower_non_max_suppression(ctx: Context, node: ir.Node) -> Tensor:
    """Boxes [B,N,4], scores [B,C,N] → (batch, class, box) of those that are kept, int64 [count, 3], by batch, class and
    falling score; of equal scores the first box comes first (ONNX NonMaxSuppression 10-11).

    TFLite: NON_MAX_SUPPRESSION_V4 for each batch and class, on boxes that are in the order of their scores (TOPK_V2):
    its own order of equal scores is its heap's. Raises Unsupported for a dynamic number of batches or classes.
    """
    b, boxes, scores = ctx.b, ctx.input(node, 0), ctx.input(node, 1)
    batches, classes = boxes.shape[0] if boxes.shape[0] is not None else scores.shape[0], scores.shape[1]
    if batches is None or classes is None:
        raise Unsupported("the number of batches and of classes must be static", "give them a fixed size with --input")
    overlap, may_go = _overlap(ctx, node)
    rows = _Rows(ctx, node, _corners(ctx, node, boxes), scores, may_go)
    picked = [rows.picked(batch, index, overlap) for batch, index in product(range(batches), range(classes))]
    if len(picked) == 1:
        ((chosen, count),) = picked
        kept = b.strided_slice(
            chosen, b.int32s([rows.lead]), b.reshape(count, (1,)), b.int32s([1]), (None,)
        )  # fmt: skip
        return b.pad(b.reshape(b.cast(rows.box(kept), "int64"), (None, 1)), [(0, 0), (2, 0)])
    return _listed(ctx, rows, picked, classes)


def _corners(ctx: Context, node: ir.Node, boxes: Tensor) -> Tensor:
    """Two opposite corners of each box, from its centre and its size where ``center_point_box`` says so."""
    b = ctx.b
    if not ctx.attribute(node, "center_point_box"):
        return boxes
    centre, size = b.split(boxes, [2, 2], 2)
    half = b.mul(size, b.like(size, 0.5))
    return b.concat([b.sub(centre, half), b.add(centre, half)], 2)


def _overlap(ctx: Context, node: ir.Node) -> tuple[Tensor, Tensor]:
    """The overlap from which on a box goes, and whether any may go (bool); both scalars.

    It is the next number after ONNX's threshold, which is the last to stay. The kernel takes none above 1.
    """
    b, given = ctx.b, ctx.optional(node, 3)
    if given is None or given.value is not None:
        threshold = np.float32(0 if given is None or given.value is None else given.value.item())
        after = np.nextafter(max(threshold, np.float32(0)), np.float32(2))
        return b.const(min(after, np.float32(1))), b.const(np.bool_(threshold < 1))
    threshold_t, one = b.reshape(given, ()), b.like(given, 1)
    # Between 0.75 and 1.5 of the last place: the sum is rounded to the next number.
    step = b.mul(threshold_t, b.like(given, 0.75 * 2.0**-23))
    after_t = b.binary("maximum", b.add(threshold_t, step), b.like(given, float(np.finfo(np.float32).tiny)))
    return b.binary("minimum", after_t, one), b.compare("less", threshold_t, one)


def _apart(ctx: Context, boxes: Tensor, may_go: Tensor) -> Tensor:
    """Boxes [B,N,4] with those that overlap nothing (they have no area, or none ``may_go``) far away from each other.

    TFLite's kernel selects a box again and again unless it overlaps itself.
    """
    b = ctx.b
    low, high = b.split(boxes, [2, 2], 2)
    area = b.reduce("reduce_prod", b.sub(high, low), [2], keep_dims=True)
    stays = b.compare("not_equal", area, b.like(area, 0))
    if not may_go.is_all(1):
        stays = b.binary("logical_and", stays, may_go)
    index = b.cast(positions(ctx, boxes, 1), "float32")
    corner = b.expand_dims(b.add(b.mul(index, b.like(index, _FAR * 2.0**-22)), b.like(index, _FAR)), [1])
    opposite = b.add(corner, b.like(index, _FAR * 2.0**-23))
    return b.select(stays, boxes, b.concat([corner, corner, opposite, opposite], 1))


class _Rows:
    """The boxes and scores of every batch and class.

    With a threshold of scores, there is a box without an area and with an infinite score in front: it is always there
    and kept, so that no operator sees an empty list.

    Attributes:
        lead: Number of such boxes.
        most: How many boxes of a row may be kept.
    """

    def __init__(self, ctx: Context, node: ir.Node, boxes: Tensor, scores: Tensor, may_go: Tensor) -> None:
        b, self._ctx = ctx.b, ctx
        least = ctx.optional(node, 4)
        self.lead = 0 if least is None else 1
        self.most = _most(ctx, node, scores)
        self._limit = b.add(self.most, b.const(np.int32(self.lead)))
        boxes = b.pad(boxes, [(0, 0), (self.lead, 0), (0, 0)])
        scores = b.pad(scores, [(0, 0), (0, 0), (self.lead, 0)], np.inf)
        above = None if least is None else b.compare("greater", scores, b.reshape(least, ()))
        self._boxes = b.unpack(_apart(ctx, boxes, may_go), 0)
        self._scores = [b.unpack(of_batch, 0) for of_batch in b.unpack(scores, 0)]
        self._above = [b.unpack(of_batch, 0) for of_batch in b.unpack(above, 0)] if above is not None else None
        count = ctx.b.extent_of(scores, 2)
        falling = b.range(b.const(np.int32(0)), b.unary("neg", count), b.const(np.int32(-1)), scores.shape[2])
        self._ranks = b.cast(falling, "float32")

    def picked(self, batch: int, index: int, overlap: Tensor) -> tuple[Tensor, Tensor]:
        """The elements of a row that are kept, and how many there are."""
        b, scores = self._ctx.b, self._scores[batch][index]
        if self._above is None:
            _, order = b.top_k(scores, self._ctx.b.extent_of(scores, 0))
            ranks = self._ranks
        else:
            candidates = b.reshape(b.where(self._above[batch][index]), (None,))
            count = b.shape_of(candidates)
            _, place = b.top_k(b.gather(scores, candidates, 0), b.reshape(count, ()))
            order = b.cast(b.gather(candidates, place, 0), "int32")
            ranks = b.strided_slice(self._ranks, b.int32s([0]), count, b.int32s([1]), (None,))
        sorted_boxes = b.gather(self._boxes[batch], order, 0)
        kept, count = b.non_max_suppression(sorted_boxes, ranks, self._limit, overlap, b.const(np.float32(_LOWEST)))
        return b.gather(order, kept, 0), count

    def box(self, element: Tensor) -> Tensor:
        """The number of the box that is ``element`` (int32) of a row."""
        return self._ctx.b.sub(element, self._ctx.b.const(np.int32(self.lead)))


def _most(ctx: Context, node: ir.Node, scores: Tensor) -> Tensor:
    """``max_output_boxes_per_class`` (0 by default) as far as there are boxes, an int32 scalar."""
    b, given = ctx.b, ctx.optional(node, 2)
    if given is None:
        return b.const(np.int32(0))
    count = b.cast(ctx.b.extent_of(scores, 2), given.dtype)
    limit = b.binary("maximum", b.binary("minimum", b.reshape(given, ()), count), b.like(given, 0))
    return b.cast(limit, "int32")


def _listed(ctx: Context, rows: _Rows, picked: list[tuple[Tensor, Tensor]], classes: int) -> Tensor:
    """One list of what is kept of all rows."""
    b = ctx.b
    elements = b.pack([chosen for chosen, _ in picked], 0)
    counts = b.pack([count for _, count in picked], 0)
    slots = b.range(b.const(np.int32(0)), b.add(rows.most, b.const(np.int32(rows.lead))), b.const(np.int32(1)), None)
    filled = b.compare("less", b.expand_dims(slots, [0]), b.expand_dims(counts, [1]))
    if rows.lead:
        filled = b.binary("logical_and", filled, b.expand_dims(b.compare("greater", slots, b.like(slots, 0)), [0]))
    places = b.where(filled)
    row = b.reshape(b.slice(places, [0, 0], [-1, 1]), (None,))
    of_row = np.stack(np.divmod(np.arange(len(picked)), classes), 1)
    box = b.cast(rows.box(b.gather_nd(elements, places)), "int64")
    return b.concat([b.gather(b.const(of_row.astype(np.int64)), row, 0), b.expand_dims(box, [1])], 1)


@lowers("RoiAlign", since=10, domain=NHWC_DOMAIN, layout=spatial)
def lower_roi_align(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,H,W,C], rois [R,4] of (x1, y1, x2, y2), batch_indices [R] → Y [R,output_height,output_width,C]: the mean or
    the maximum of samples in each bin (ONNX RoiAlign 10-22).

    A sample is four weighted elements; ``max`` is that of the weighted elements, as ONNX has it. TFLite: one GATHER of
    all of them. With sampling_ratio=0 the number of samples depends on the box; all have as many as the largest, of
    which the rest counts nothing.
    """
    b, x = ctx.b, ctx.input(node, 0)
    rows, columns = (_samples(ctx, node, axis, b.cast(ctx.b.extent_of(x, axis + 1), "float32")) for axis in (0, 1))
    first = b.mul(b.cast(ctx.input(node, 2), "int32"), ctx.b.extent_of(x, 1))
    row = b.mul(b.add(rows.index, b.expand_dims(first, [1, 2])), ctx.b.extent_of(x, 2))
    index = b.add(b.expand_dims(row, [3, 4]), b.expand_dims(columns.index, [1, 2]))
    weight = b.mul(b.expand_dims(rows.weight, [3, 4, 5]), b.expand_dims(columns.weight, [1, 2, 5]))
    if x.shape[-1] is None:
        raise Unsupported("the number of channels must be static", FIXED_SIZE)
    elements = b.gather(b.cast(b.reshape(x, (None, x.shape[-1])), "float32"), index, 0)
    is_mean = ctx.attribute(node, "mode") == "avg"
    result = b.reduce("sum" if is_mean else "reduce_max", b.mul(elements, weight), [2, 4], keep_dims=False)
    if is_mean:
        result = b.mul(result, b.expand_dims(b.mul(rows.share, columns.share), [3]))
    return b.cast(result, x.dtype)


@dataclass(frozen=True)
class _Samples:
    """What is taken along one axis: int32 indices and weights [R, bins, elements], and 1/samples [R or 1, 1, 1]."""

    index: Tensor
    weight: Tensor
    share: Tensor


def _samples(ctx: Context, node: ir.Node, axis: int, size: Tensor) -> _Samples:
    """The samples along ``axis`` (0: y, 1: x) of an image of extent ``size``."""
    b, bins = ctx.b, int(ctx.attribute(node, ("output_height", "output_width")[axis]))
    start, length = _region(ctx, node, axis)
    step = b.div(length, b.like(length, bins))
    within, visible, share = _within(ctx, node, step)
    bin_number = b.const(np.arange(bins, dtype=np.float32)[None, :, None])
    at = b.const(within.value + bin_number.value) if within.value is not None else b.add(within, bin_number)
    place = b.add(start, b.mul(step, at))
    is_inside = b.binary(
        "logical_and", b.compare("greater_equal", place, b.like(place, -1)), b.compare("less_equal", place, size)
    )
    shown = b.cast(is_inside if visible is None else b.binary("logical_and", is_inside, visible), "float32")
    one = b.like(size, 1)
    last = b.sub(size, one)
    place = b.binary("minimum", b.binary("maximum", place, b.like(place, 0)), last)
    low = b.unary("floor", place)
    beyond = b.sub(place, low)
    weight = b.concat([b.mul(b.sub(one, beyond), shown), b.mul(beyond, shown)], 2)
    index = b.concat([low, b.binary("minimum", b.add(low, one), last)], 2)
    return _Samples(b.cast(index, "int32"), weight, share)


def _region(ctx: Context, node: ir.Node, axis: int) -> tuple[Tensor, Tensor]:
    """Where each box begins along ``axis``, and its length, [R,1,1] in elements of the image."""
    b, rois = ctx.b, ctx.input(node, 1)
    rois = b.mul(b.cast(rois, "float32"), b.const(np.float32(ctx.attribute(node, "spatial_scale"))))
    start, end = (b.expand_dims(b.slice(rois, [0, i], [-1, 1]), [2]) for i in (1 - axis, 3 - axis))
    if ctx.attribute(node, "coordinate_transformation_mode") == "half_pixel":
        half = b.like(start, 0.5)
        start, end = b.sub(start, half), b.sub(end, half)
        return start, b.sub(end, start)
    return start, b.binary("maximum", b.sub(end, start), b.like(start, 1))


def _within(ctx: Context, node: ir.Node, step: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
    """Where in a bin its samples lie, in bins [R or 1, 1, samples], which of them count (None: all) and 1/samples."""
    b, ratio = ctx.b, int(ctx.attribute(node, "sampling_ratio"))
    if ratio > 0:
        places = (np.arange(ratio, dtype=np.float32) + np.float32(0.5)) / np.float32(ratio)
        return b.const(places[None, None, :]), None, b.const(np.full((1, 1, 1), 1 / ratio, np.float32))
    one, zero = b.like(step, 1), b.like(step, 0)
    wanted = b.unary("ceil", step)
    count = b.binary("maximum", wanted, one)
    most = b.binary("maximum", b.reduce("reduce_max", count, [0, 1, 2], keep_dims=False), one)
    number = b.expand_dims(b.range(zero, most, one, None), [0, 1])
    if ctx.attribute(node, "mode") == "max":
        # What is one too many repeats the last, which a maximum doesn't notice.
        number, visible = b.binary("minimum", number, b.sub(count, one)), b.compare("greater", wanted, zero)
    else:
        visible = b.compare("less", number, wanted)
    return b.div(b.add(number, b.like(number, 0.5)), count), visible, b.div(one, count)
