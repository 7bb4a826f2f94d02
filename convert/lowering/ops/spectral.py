"""Fourier transforms as products with their matrix (FULLY_CONNECTED). Complex numbers are pairs.

TFLite's RFFT2D makes complex tensors, which its other ops don't take, and only powers of two.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ....artifact import Array
from ...builders.tensor import Tensor, Unsupported, normalize_axis, static
from ..context import Context
from ..extents import cropped_or_padded
from ..functions import log1p, sinh
from ..registry import lowers

_MOST_ELEMENTS = 1 << 22
"""Elements of all matrices of a transform along an axis that comes at run time."""


@lowers("DFT", since=17)
def lower_dft(ctx: Context, node: ir.Node) -> Tensor:
    """X [..., N, ..., 1 or 2] → the discrete Fourier transform along ``axis``, [..., K, ..., 2] (ONNX DFT 17-20).

    The signal is cut or filled with zeros to ``dft_length``. ``inverse`` divides by it; the inverse of a ``onesided``
    spectrum is real, [..., N, ..., 1]. An ``axis`` that comes at run time chooses among the matrices of all axes; along
    one whose extent varies the matrix is made at run time.
    """
    b, x = ctx.b, ctx.input(node, 0)
    wanted = ctx.optional_constant(node, 1)
    if ctx.version(node) >= 20:
        given = ctx.optional(node, 2)
        if given is not None and given.value is None:
            return _along_any_axis(ctx, node, x, given, wanted)
        axis = -2 if given is None or given.value is None else int(given.value.item())
    else:
        axis = int(ctx.attribute(node, "axis"))
    axis = normalize_axis(axis, x.rank)
    inverse, onesided = bool(ctx.attribute(node, "inverse")), bool(ctx.attribute(node, "onesided"))
    parts, to_real = static(x.shape[-1:])[0], inverse and onesided
    perm = [*(a for a in range(x.rank - 1) if a != axis), axis, x.rank - 1]
    back = [perm.index(a) for a in range(x.rank)]
    if x.shape[axis] is None and wanted is None and not to_real:
        turned = _transformed(ctx, b.transpose(x, perm), b.extent_of(x, axis), onesided, inverse)
        return b.transpose(turned, back)
    extent = static(x.shape[axis : axis + 1])[0]
    length = int(wanted.item()) if wanted is not None else 2 * (extent - 1) if to_real else extent
    bins = length // 2 + 1 if onesided else length
    taken = bins if to_real else length
    pads = [(0, 0)] * x.rank
    pads[axis] = (0, taken - extent)
    moved = b.transpose(cropped_or_padded(ctx, x, pads), perm)
    matrix = _real_inverse(length) if to_real else _matrix(length, length if inverse else bins, parts, inverse)
    made = (length, 1) if to_real else (length if inverse else bins, 2)
    return b.transpose(_multiplied(ctx, moved, matrix, made), back)


def _along_any_axis(ctx: Context, node: ir.Node, x: Tensor, axis: Tensor, wanted: Array | None) -> Tensor:
    """The transform along an axis that comes at run time: its matrix and its orders of axes are looked up."""
    b, shape, rank = ctx.b, x.static_shape, x.rank
    inverse, onesided = bool(ctx.attribute(node, "inverse")), bool(ctx.attribute(node, "onesided"))
    length = None if wanted is None else int(wanted.item())
    made = [_matrix_for(extent, shape[-1], length, inverse, onesided) for extent in shape[:-1]]
    if sum(matrix.size for matrix, _ in made) > _MOST_ELEMENTS:
        raise Unsupported("an axis that is computed, of so large a tensor", "make the axis constant")
    index = b.cast(b.reshape(axis, ()), "int32")
    index = b.select(b.compare("less", index, b.like(index, 0)), b.add(index, b.like(index, rank)), index)

    def chosen(rows: list[list[int]]) -> Tensor:
        return b.gather(b.const(np.asarray(rows, np.int32)), index, 0)

    orders = [[*(o for o in range(rank - 1) if o != a), a, rank - 1] for a in range(rank - 1)]
    ends = np.cumsum([matrix.size for matrix, _ in made])
    flat = b.const(np.concatenate([matrix.reshape(-1) for matrix, _ in made]).astype(np.float32))
    begin, end = (chosen([[int(at)] for at in places]) for places in (ends - [m.size for m, _ in made], ends))
    cut = b.strided_slice(flat, begin, end, b.int32s([1]), (None,))
    matrix = b.reshape(cut, (None, None), chosen([list(m.shape) for m, _ in made]))
    moved = b.cast(b.transpose_by(x, chosen(orders), (None,) * rank), "float32")
    rows = b.reshape(moved, (None, None), chosen([[-1, m.shape[1]] for m, _ in made]))
    product = b.batch_matmul(rows, matrix, adj_y=True)
    after = [[*(shape[o] for o in order[:-2]), *size] for order, (_, size) in zip(orders, made, strict=True)]
    result = b.reshape(product, (None,) * rank, chosen(after))
    back = chosen([[order.index(a) for a in range(rank)] for order in orders])
    return b.cast(b.transpose_by(result, back, (None,) * rank), x.dtype)


def _matrix_for(
    extent: int, parts: int, wanted: int | None, inverse: bool, onesided: bool
) -> tuple[Array, tuple[int, int]]:
    """The matrix [made, extent·parts] of a transform of an axis, which cuts or fills it too, and what it makes."""
    to_real = inverse and onesided
    length = wanted if wanted is not None else 2 * (extent - 1) if to_real else extent
    if length < 1:
        return np.zeros((0, extent * parts)), (0, 1)
    bins = length // 2 + 1 if onesided else length
    taken, rows = (bins, length) if to_real else (length, length if inverse else bins)
    matrix = _real_inverse(length) if to_real else _matrix(length, rows, parts, inverse)
    kept = matrix.reshape(len(matrix), taken, parts)[:, :extent]
    filled = np.zeros((len(matrix), extent, parts))
    filled[:, : kept.shape[1]] = kept
    return filled.reshape(len(matrix), extent * parts), (rows, 1 if to_real else 2)


@lowers("STFT", since=17)
def lower_stft(ctx: Context, node: ir.Node) -> Tensor:
    """signal [N, L, 1 or 2] → [N, frames, K, 2]: the transform of every frame times the window (ONNX STFT 17).

    The step, the window and the length of a frame may come at run time; with the length so does the matrix.
    """
    b, x = ctx.b, ctx.input(node, 0)
    step, window, given = (
        b.cast(b.reshape(ctx.input(node, 1), ()), "int32"),
        ctx.optional(node, 2),
        ctx.optional(node, 3),
    )
    if given is None and window is None:
        raise Unsupported("neither window nor frame_length is given", "give one of them")
    _, samples, parts = x.shape
    if parts not in (1, 2):
        raise Unsupported(f"numbers of {parts} parts", "give real ones, or pairs")
    if x.rank != 3 or samples is None:
        raise Unsupported("a signal of dynamic length", "give the signal a fixed length with --input")
    known = None if given is None or given.value is None else int(given.value.item())
    known = window.shape[0] if known is None and window is not None else known
    if known is not None:
        length = b.const(np.int32(known))
    elif given is not None:
        length = b.cast(b.reshape(given, ()), "int32")
    else:
        raise Unsupported("a window of dynamic length", "give it a fixed length")
    zero, one = b.const(np.int32(0)), b.const(np.int32(1))
    starts = b.range(zero, b.add(b.sub(b.const(np.int32(samples)), length), one), step, None)
    within = b.range(zero, length, one, known)
    cut = b.gather(x, b.add(b.expand_dims(starts, [1]), b.expand_dims(within, [0])), 1)
    onesided = bool(ctx.attribute(node, "onesided"))
    if window is not None and (window.value is None or known is None):
        cut = b.mul(cut, b.expand_dims(window, [1]))
    if known is None:
        return _transformed(ctx, cut, length, onesided)
    bins = known // 2 + 1 if onesided else known
    matrix = _matrix(known, bins, parts, False)
    if window is not None and window.value is not None:
        matrix = matrix * np.repeat(window.value.astype(np.float64), parts)[None, :]
    return _multiplied(ctx, cut, matrix, (bins, 2))


@lowers("MelWeightMatrix", since=17)
def lower_mel_weight_matrix(ctx: Context, node: ir.Node) -> Tensor:
    """Bins, frame length, rate, lowest and highest frequency (scalars) → triangles [length // 2 + 1, bins], each of
    which rises to 1 at its centre, and falls (ONNX MelWeightMatrix 17).

    TFLite: the places of their corners, and the smaller of both sides' lines. Constants come here computed already.
    """
    b = ctx.b
    bins, length, rate = (b.cast(b.reshape(ctx.input(node, i), ()), "int32") for i in range(3))
    low, high = (_mel(ctx, b.cast(b.reshape(ctx.input(node, i), ()), "float32")) for i in (3, 4))
    zero, one, two = (b.const(np.int32(n)) for n in range(3))
    corners = b.cast(b.range(zero, b.add(bins, two), one, None), "float32")
    step = b.div(b.sub(high, low), b.cast(b.add(bins, two), "float32"))
    half = b.mul(b.add(b.mul(corners, step), low), b.like(low, np.log(10) / 5190))
    hertz = b.mul(b.mul(sinh(ctx, half), b.unary("exp", half)), b.like(low, 1400))  # 700 · (e^2h - 1)
    place = b.mul(b.cast(b.add(length, one), "float32"), hertz)
    place = b.unary("floor", b.div(place, b.cast(rate, "float32")))
    starts = [b.range(first, b.add(bins, first), one, None) for first in (zero, one, two)]
    left, centre, right = (b.expand_dims(b.gather(place, start, 0), [0]) for start in starts)
    rows = b.add(b.binary("floor_div", length, two), one)
    at = b.expand_dims(b.cast(b.range(zero, rows, one, None), "float32"), [1])

    def side(distance: Tensor, width: Tensor, beyond: str) -> Tensor:
        """The line to 1 at the centre, and 1 on the centre's other side."""
        line = b.div(distance, b.binary("maximum", width, b.like(width, 1)))
        return b.select(b.compare(beyond, at, centre), b.like(line, 1), line)

    rise = side(b.sub(at, left), b.sub(centre, left), "greater_equal")
    fall = side(b.sub(right, at), b.sub(right, centre), "less_equal")
    weights = b.unary("relu", b.binary("minimum", rise, fall))
    return b.cast(weights, ctx.output(node).dtype)


def _mel(ctx: Context, hertz: Tensor) -> Tensor:
    """2595 · log₁₀(1 + f/700)."""
    b = ctx.b
    return b.mul(log1p(ctx, b.mul(hertz, b.like(hertz, 1 / 700))), b.like(hertz, 2595 / np.log(10)))


def _transformed(ctx: Context, x: Tensor, length: Tensor, onesided: bool, inverse: bool = False) -> Tensor:
    """x [..., length, parts] times a matrix that is made at run time → [..., K, 2]."""
    b, zero, one = ctx.b, ctx.b.const(np.int32(0)), ctx.b.const(np.int32(1))
    bins = b.add(b.binary("floor_div", length, b.const(np.int32(2))), one) if onesided else length
    bin_number, sample = b.range(zero, bins, one, None), b.range(zero, length, one, None)
    turns = b.binary("floor_mod", b.mul(b.expand_dims(sample, [1]), b.expand_dims(bin_number, [0])), length)
    # Within a quarter of a turn; so that the zeros of sine and cosine are.
    quarters = b.mul(turns, b.const(np.int32(4)))
    quarter = b.binary("floor_div", quarters, length)
    rest = b.cast(b.sub(quarters, b.mul(quarter, length)), "float32")
    angle = b.div(b.mul(rest, b.like(rest, np.pi / 2)), b.cast(length, "float32"))
    sine, cosine = b.unary("sin", angle), b.unary("cos", angle)

    def turned(*by_quarter: Tensor) -> Tensor:
        result = by_quarter[3]
        for number in (2, 1, 0):
            result = b.select(b.compare("equal", quarter, b.const(np.int32(number))), by_quarter[number], result)
        return b.expand_dims(result, range(x.rank - 3))

    minus_sine, minus_cosine = b.unary("neg", sine), b.unary("neg", cosine)
    real, imaginary = turned(cosine, minus_sine, minus_cosine, sine), turned(minus_sine, minus_cosine, sine, cosine)
    if inverse:
        share = b.div(b.like(x, 1), b.cast(length, x.dtype))
        real, imaginary = b.mul(real, share), b.mul(b.unary("neg", imaginary), share)
    last = x.rank - 1
    pieces = [b.squeeze(part, [last]) for part in b.split(x, [1] * static(x.shape[-1:])[0], last)]
    made = [b.batch_matmul(pieces[0], real), b.batch_matmul(pieces[0], imaginary)]
    if len(pieces) == 2:
        made = [
            b.sub(made[0], b.batch_matmul(pieces[1], imaginary)), b.add(made[1], b.batch_matmul(pieces[1], real))
        ]  # fmt: skip
    return b.pack(made, last)


def _multiplied(ctx: Context, x: Tensor, matrix: Array, made: tuple[int, int]) -> Tensor:
    """x [..., N, parts] as one row, times ``matrix`` [K·2, N·parts] → [..., K, 2]."""
    b, lead = ctx.b, [[(x, axis)] for axis in range(x.rank - 2)]
    rows = b.reshape_by(x, [*lead, [(x, x.rank - 2), (x, x.rank - 1)]])
    product = b.fully_connected(rows, b.const(matrix.astype(x.dtype)), None)
    shape = (*x.shape[:-2], *made)
    if sum(d is None for d in shape) <= 1:
        return b.reshape(product, shape)
    return b.reshape(product, shape, b.concat([b.slice(b.shape_of(x), [0], [x.rank - 2]), b.int32s(made)], 0))


def _angles(rows: int, columns: int, length: int) -> Array:
    """2π·k·n/length, reduced before the product with π."""
    return 2 * np.pi * (np.outer(np.arange(rows), np.arange(columns)) % length) / length


def _matrix(length: int, bins: int, parts: int, inverse: bool) -> Array:
    """[bins·2, length·parts]: (re, im) of bin k from (re, im) of sample n by e^∓i·angle."""
    angle = _angles(bins, length, length)
    cosine, sine = np.cos(angle), np.sin(angle) * (1 if inverse else -1)
    result = np.empty((bins, 2, length, parts))
    result[:, 0, :, 0], result[:, 1, :, 0] = cosine, sine
    if parts == 2:
        result[:, 0, :, 1], result[:, 1, :, 1] = -sine, cosine
    return result.reshape(bins * 2, length * parts) / (length if inverse else 1)


def _real_inverse(length: int) -> Array:
    """[length, bins·2]: a real signal from the first half of its spectrum; the other half is the mirrored conjugate."""
    bins = length // 2 + 1
    angle = _angles(length, bins, length)
    share = np.full(bins, 2.0)
    share[0] = 1
    if length % 2 == 0:
        share[-1] = 1
    result = np.stack([np.cos(angle) * share, -np.sin(angle) * share], -1)
    return result.reshape(length, bins * 2) / length
