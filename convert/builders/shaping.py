"""Ops of the TFLite vocabulary that move, select and generate data.

An op that would return its operand is not emitted: the operand is the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .base import BuilderBase
from .kernels import kernel_dtypes, working_dtype
from .remedies import BROKEN, FIXED_SIZE
from .tensor import Shape, Spec, Tensor, Unsupported, element_count, format_shape, normalize_axis, static


class Shaping(BuilderBase):
    """Reshaping, slicing, joining, gathering, generating."""

    def shape_of(self, x: Tensor) -> Tensor:
        """The shape as a 1-D int32 tensor; a constant where it is static. TFLite: SHAPE."""
        if x.is_static:
            return self.int32s(x.static_shape)
        return self.emit_one("shape", [x], "int32", (x.rank,))

    def reshape(self, x: Tensor, shape: Shape, runtime_shape: Tensor | None = None) -> Tensor:
        """``x`` with ``shape``. TFLite: RESHAPE.

        With one dynamic extent the runtime works it out; with more, ``runtime_shape`` (1-D int32) must be given.
        """
        # A single dynamic extent is what the others leave of the elements, unless there are none.
        is_settled = None not in shape or (shape.count(None) == 1 and 0 not in shape)
        if shape == x.shape and (is_settled or runtime_shape is None):
            return x
        if x.reshaped is not None and shape == x.reshaped.shape and is_settled:
            return x.reshaped
        if x.value is not None and all(d is not None for d in shape):
            if x.value.size != element_count(shape):
                raise Unsupported(f"{format_shape(x.shape)} can't become {format_shape(shape)}", BROKEN)
            return self.const(x.value.reshape([d or 0 for d in shape]))
        unknown = sum(d is None for d in shape)
        if unknown <= 1:
            runtime_shape = self.int32s([-1 if d is None else d for d in shape])
        if runtime_shape is None:
            raise Unsupported(f"a reshape to {shape} needs its dimensions at run time", FIXED_SIZE)
        return replace(self.emit_one("reshape", [x, runtime_shape], x.dtype, shape), reshaped=x.reshaped or x)

    def reshape_to(self, x: Tensor, shape: Shape) -> Tensor:
        """Like :meth:`reshape`; where several extents are dynamic they are taken from ``x``'s own, in order."""
        dynamic = [axis for axis, d in enumerate(x.shape) if d is None]
        wanted = [axis for axis, d in enumerate(shape) if d is None]
        if len(wanted) <= 1 or len(wanted) != len(dynamic):
            return self.reshape(x, shape)
        extents = self.shape_of(x)
        parts = [
            self.int32s([d]) if d is not None else self.slice(extents, [dynamic[wanted.index(axis)]], [1])
            for axis, d in enumerate(shape)
        ]
        return self.reshape(x, shape, self.concat(parts, 0))

    def transpose(self, x: Tensor, perm: Sequence[int]) -> Tensor:
        """Axes in the order of ``perm``. TFLite: TRANSPOSE, or RESHAPE where only extents of 1 move."""
        if sorted(perm) != list(range(x.rank)):
            raise Unsupported(f"{list(perm)} is no order of the axes of {format_shape(x.shape)}", BROKEN)
        if list(perm) == list(range(x.rank)):
            return x
        if x.value is not None:
            return self.const(np.transpose(x.value, perm))
        shape = tuple(x.shape[axis] for axis in perm)
        moved = [axis for axis in perm if x.shape[axis] != 1]
        if moved == sorted(moved) and sum(d is None for d in shape) <= 1:
            return self.reshape(x, shape)
        return self._same("transpose", [x], shape, extra=[self.int32s(perm)])

    def transpose_by(self, x: Tensor, perm: Tensor, shape: Shape) -> Tensor:
        """``x`` with its axes in the order of ``perm`` (1-D int32), which comes at run time. TFLite: TRANSPOSE."""
        return self._same("transpose", [x], shape, extra=[perm])

    def expand_dims(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """``x`` with extents of 1 at ``axes`` of the result."""
        rank = x.rank + len(axes)
        at = {normalize_axis(a, rank) for a in axes}
        if len(at) < len(axes):
            raise Unsupported(f"the axes {list(axes)} to add have one twice", BROKEN)
        extents = iter(x.shape)
        return self.reshape_to(x, tuple(1 if axis in at else next(extents) for axis in range(rank)))

    def squeeze(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """``x`` without the extents of 1 at ``axes``."""
        at = {normalize_axis(a, x.rank) for a in axes}
        return self.reshape_to(x, tuple(d for axis, d in enumerate(x.shape) if axis not in at))

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """The parts joined along ``axis``. TFLite: CONCATENATION."""
        if len(parts) == 1:
            return parts[0]
        axis = normalize_axis(axis, parts[0].rank)
        if any(p.rank != parts[0].rank for p in parts):
            raise Unsupported(f"{' and '.join(format_shape(p.shape) for p in parts)} can't be joined", BROKEN)
        parts = [p for p in parts if p.shape[axis] != 0] or parts[:1]
        if len(parts) == 1:
            return parts[0]
        extents = [p.shape[axis] for p in parts]
        merged = list(parts[0].shape)
        for part in parts[1:]:
            merged = [m if m is not None else d for m, d in zip(merged, part.shape, strict=True)]
        merged[axis] = None if None in extents else sum(d or 0 for d in extents)
        if all(p.value is not None for p in parts):
            return self.const(np.concatenate([p.value for p in parts if p.value is not None], axis))
        return self._same("concatenation", parts, tuple(merged), axis=axis, fused_activation_function="NONE")

    def pack(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """The parts, all of one shape, side by side along a new ``axis``. TFLite: PACK."""
        first = parts[0]
        at = normalize_axis(axis, first.rank + 1)
        if len(parts) == 1:
            return self.expand_dims(first, [at])
        shape = (*first.shape[:at], len(parts), *first.shape[at:])
        return self._same("pack", parts, shape, values_count=len(parts), axis=at)

    def split(self, x: Tensor, sizes: Sequence[int], axis: int) -> tuple[Tensor, ...]:
        """``x`` cut along ``axis`` into parts of ``sizes``. TFLite: SPLIT, SLICE or SPLIT_V.

        Which of them, says the form ``slices_for_split``.
        """
        axis, count = normalize_axis(axis, x.rank), len(sizes)
        if count == 1:
            return (x,)
        if x.value is not None and sum(sizes) == x.shape[axis]:
            return tuple(self.const(part) for part in np.split(x.value, np.cumsum(sizes)[:-1], axis))
        shapes = [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]
        sliced, equal = self.forms.numbers("slices_for_split"), len({*sizes}) == 1
        if x.dtype in kernel_dtypes("split") and x.is_static:
            if equal and (sliced is None or count <= sliced["parts"]):
                operands = [self.const(np.int32(axis)), x]
                return tuple(self.emit("split", operands, [Spec(x.dtype, s) for s in shapes], num_splits=count))
            if sliced is not None:
                self.because(f"SPLIT is taken into at most {sliced['parts']} equal parts, and slices are")
                starts = np.cumsum([0, *sizes])[:-1].tolist()
                begins = ([start if a == axis else 0 for a in range(x.rank)] for start in starts)
                return tuple(self.slice(x, begin, static(s)) for begin, s in zip(begins, shapes, strict=True))
        work = working_dtype("split_v", x.dtype)
        operands = [self.cast(x, work), self.int32s(sizes), self.const(np.int32(axis))]
        results = self.emit("split_v", operands, [Spec(work, s) for s in shapes], num_splits=count)
        return tuple(self.cast(r, x.dtype) for r in results)

    def with_row(self, x: Tensor, at: Tensor, row: Tensor) -> Tensor:
        """``x`` [N, …] with ``row`` [1, …] in the place ``at``, an int32 scalar. TFLite: DYNAMIC_UPDATE_SLICE."""
        start = self.concat([self.reshape(at, (1,)), self.int32s([0] * (x.rank - 1))], 0)
        return self._same("dynamic_update_slice", [x, row], x.shape, extra=[start])

    def unpack(self, x: Tensor, axis: int) -> tuple[Tensor, ...]:
        """The slices of ``x`` along ``axis``, which goes. TFLite: UNPACK."""
        axis = normalize_axis(axis, x.rank)
        count = x.shape[axis]
        if count is None:
            raise Unsupported("the number of slices must be static", FIXED_SIZE)
        work = working_dtype("unpack", x.dtype)
        spec = Spec(work, (*x.shape[:axis], *x.shape[axis + 1 :]))
        results = self.emit("unpack", [self.cast(x, work)], [spec] * count, num=count, axis=axis)
        return tuple(self.cast(r, x.dtype) for r in results)

    def slice(self, x: Tensor, begin: Sequence[int], size: Sequence[int]) -> Tensor:
        """``size`` elements from ``begin`` on every axis; a size of -1 means all the rest. TFLite: SLICE.

        An extent that is known is written as such: XNNPACK (LiteRT 2.3) takes no size of -1.
        """
        if not len(begin) == len(size) == x.rank:
            raise Unsupported(f"a slice of {len(size)} axes of {format_shape(x.shape)}", BROKEN)
        shape = tuple(
            (None if d is None else d - b) if s == -1 else s for d, b, s in zip(x.shape, begin, size, strict=True)
        )
        if shape == x.shape and not any(begin):
            return x
        if x.value is not None:
            index = tuple(slice(b, None if s == -1 else b + s) for b, s in zip(begin, size, strict=True))
            return self.const(x.value[index])
        return self._same(
            "slice", [x], shape, extra=[self.int32s(begin), self.int32s([-1 if d is None else d for d in shape])]
        )

    def strided_slice(
        self, x: Tensor, begin: Tensor, end: Tensor, strides: Tensor, shape: Shape, *,
        begin_mask: int = 0, end_mask: int = 0,
    ) -> Tensor:  # fmt: skip
        """Python slicing on every axis; ``begin``, ``end``, ``strides`` are 1-D int32. TFLite: STRIDED_SLICE.

        Bit i of a mask says that axis i runs from (to) the very end.
        """
        if shape == x.shape and x.is_taken_whole(begin, end, strides, begin_mask, end_mask):
            return x
        return self._same(
            "strided_slice", [x], shape, extra=[begin, end, strides],
            begin_mask=begin_mask, end_mask=end_mask, ellipsis_mask=0, new_axis_mask=0, shrink_axis_mask=0,
            offset=False,
        )  # fmt: skip

    def tile(self, x: Tensor, repeats: Tensor, shape: Shape) -> Tensor:
        """``x`` repeated ``repeats`` (1-D int32) times per axis. TFLite: TILE."""
        if repeats.is_all(1):
            return x
        return self._same("tile", [x], shape, extra=[repeats])

    def broadcast_to(self, x: Tensor, target: Tensor, shape: Shape) -> Tensor:
        """``x`` broadcast to ``target`` (1-D int32), whose values are ``shape``. TFLite: BROADCAST_TO."""
        if x.shape == shape and x.is_static:
            return x
        return self._same("broadcast_to", [x], shape, extra=[target])

    def gather(self, x: Tensor, indices: Tensor, axis: int, batch_dims: int = 0) -> Tensor:
        """``numpy.take(x, indices, axis)``; indices are int32 or int64, not negative. TFLite: GATHER."""
        axis = normalize_axis(axis, x.rank)
        shape = (*x.shape[:axis], *indices.shape[batch_dims:], *x.shape[axis + 1 :])
        if indices.value is not None and batch_dims == 0:
            extent = x.shape[axis]
            last = int(indices.value.max(initial=-1))
            if extent is not None and (last >= extent or int(indices.value.min(initial=0)) < 0):
                raise Unsupported(f"an index is outside the {extent} elements of the axis", BROKEN)
            if x.value is not None and x.value.size < 1024:
                return self.const(np.take(x.value, indices.value, axis))
            if shape == x.shape and np.array_equal(indices.value, range(indices.value.size)):
                return x
        work = working_dtype("gather", x.dtype)
        if work != x.dtype and x.dtype != "float16":
            # MLIR would put the cast behind the gather, where no kernel takes it; a maximum stays between them.
            wide = self.cast(x, work)
            wide = self.emit_one("maximum", [wide, wide], work, x.shape)
            return self.cast(self.gather(wide, indices, axis, batch_dims), x.dtype)
        return self._same("gather", [x], shape, extra=[indices], axis=axis, batch_dims=batch_dims)

    def gather_nd(self, x: Tensor, indices: Tensor) -> Tensor:
        """Slices of ``x`` at the index vectors in the last axis of ``indices``. TFLite: GATHER_ND."""
        depth = indices.shape[-1]
        if depth is None:
            raise Unsupported("the length of the index vectors must be static", FIXED_SIZE)
        return self._same("gather_nd", [x], (*indices.shape[:-1], *x.shape[depth:]), extra=[indices])

    def scatter_nd(self, indices: Tensor, updates: Tensor, shape: Tensor, static: Shape) -> Tensor:
        """A zero tensor of ``static`` shape with ``updates`` added at ``indices``. TFLite: SCATTER_ND."""
        work = working_dtype("scatter_nd", updates.dtype)
        operands = [indices, self.cast(updates, work), shape]
        return self.cast(self.emit_one("scatter_nd", operands, work, static), updates.dtype)

    def fill(self, shape: Tensor, value: Tensor, static: Shape) -> Tensor:
        """A tensor of ``shape`` (1-D int32), all ``value``. TFLite: FILL."""
        if shape.shape == (0,):
            return self.reshape(value, ())
        work = working_dtype("fill", value.dtype)
        return self.cast(self.emit_one("fill", [shape, self.cast(value, work)], work, static), value.dtype)

    def random_uniform(self, shape: Tensor, static: Shape) -> Tensor:
        """Other float32 numbers of 0 … 1, below 1, in every run, of ``shape`` (1-D int32). TFLite: RANDOM_UNIFORM."""
        return self.emit_one("random_uniform", [shape], "float32", static)

    def range(self, start: Tensor, limit: Tensor, delta: Tensor, length: int | None) -> Tensor:
        """start, start+delta, … before limit; scalars of one dtype. TFLite: RANGE."""
        if start.value is not None and limit.value is not None and delta.value is not None:
            return self.const(np.arange(start.value.item(), limit.value.item(), delta.value.item()), start.dtype)
        return self._same("range", [start, limit, delta], (length,))

    def reverse(self, x: Tensor, axis: int) -> Tensor:
        """``x`` from back to front along ``axis``. TFLite: REVERSE_V2."""
        axis = normalize_axis(axis, x.rank)
        if x.value is not None:
            return self.const(np.flip(x.value, axis))
        return x if x.shape[axis] == 1 else self._same("reverse_v2", [x], x.shape, extra=[self.int32s([axis])])

    def reverse_sequence(self, x: Tensor, lengths: Tensor, seq_dim: int, batch_dim: int) -> Tensor:
        """The first ``lengths[b]`` slices of each batch reversed. TFLite: REVERSE_SEQUENCE."""
        return self._same("reverse_sequence", [x], x.shape, extra=[lengths], seq_dim=seq_dim, batch_dim=batch_dim)

    def depth_to_space(self, x: Tensor, block: int) -> Tensor:
        """NHWC; channels are (block, block, C). TFLite: DEPTH_TO_SPACE."""
        if block == 1:
            return x
        n, h, w, c = x.shape
        shape = (n, _times(h, block), _times(w, block), None if c is None else c // block**2)
        return self._same("depth_to_space", [x], shape, block_size=block)

    def space_to_depth(self, x: Tensor, block: int) -> Tensor:
        """NHWC; the inverse of :meth:`depth_to_space`. TFLite: SPACE_TO_DEPTH."""
        if block == 1:
            return x
        n, h, w, c = x.shape
        shape = (n, None if h is None else h // block, None if w is None else w // block, _times(c, block**2))
        return self._same("space_to_depth", [x], shape, block_size=block)

    def one_hot(self, indices: Tensor, depth: Tensor, on: Tensor, off: Tensor, axis: int) -> Tensor:
        """``on`` at the indices along a new ``axis`` of extent ``depth``, else ``off``. TFLite: ONE_HOT."""
        extent = None if depth.value is None else int(depth.value)
        rank = indices.rank + 1
        at = normalize_axis(axis, rank)
        shape = (*indices.shape[:at], extent, *indices.shape[at:])
        work = working_dtype("one_hot", on.dtype)
        operands = [indices, depth, self.cast(on, work), self.cast(off, work)]
        result = self.emit_one("one_hot", operands, work, shape, axis=-1 if at == rank - 1 else at)
        return self.cast(result, on.dtype)

    def where(self, condition: Tensor) -> Tensor:
        """Coordinates of the true elements, int64 [count, rank]. TFLite: WHERE."""
        return self.emit_one("where", [condition], "int64", (None, condition.rank))

    def numel(self, x: Tensor) -> int | None:
        """Number of elements, if static."""
        return element_count(x.shape)


def _times(extent: int | None, factor: int) -> int | None:
    return None if extent is None else extent * factor
