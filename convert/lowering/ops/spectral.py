"""Fourier transforms of static length, as products with their matrix (FULLY_CONNECTED). Complex numbers are pairs.

TFLite's RFFT2D makes complex tensors, which its other ops don't take, and only powers of two.
"""

from __future__ import annotations

from math import prod

import numpy as np
import onnx_ir as ir

from ....artifact import Array
from ...builders.tensor import Tensor, Unsupported, normalize_axis, static
from ..context import Context
from ..extents import cropped_or_padded
from ..registry import lowers


@lowers("DFT", since=17)
def lower_dft(ctx: Context, node: ir.Node) -> Tensor:
    """X [..., N, ..., 1 or 2] → the discrete Fourier transform along ``axis``, [..., K, ..., 2] (ONNX DFT 17-20).

    The signal is cut or filled with zeros to ``dft_length``. ``inverse`` divides by it; the inverse of a ``onesided``
    spectrum is real, [..., N, ..., 1].
    """
    b, x = ctx.b, ctx.input(node, 0)
    if ctx.version(node) >= 20:
        given = ctx.optional_constant(node, 2)
        axis = -2 if given is None else int(given.item())
    else:
        axis = int(ctx.attribute(node, "axis"))
    axis = normalize_axis(axis, x.rank)
    inverse, onesided = bool(ctx.attribute(node, "inverse")), bool(ctx.attribute(node, "onesided"))
    wanted = ctx.optional_constant(node, 1)
    parts = static(x.shape[-1:])[0]
    extent = static(x.shape[axis : axis + 1])[0]
    to_real = inverse and onesided
    length = int(wanted.item()) if wanted is not None else 2 * (extent - 1) if to_real else extent
    bins = length // 2 + 1 if onesided else length
    taken = bins if to_real else length
    pads = [(0, 0)] * x.rank
    pads[axis] = (0, taken - extent)
    signal = cropped_or_padded(ctx, x, pads)
    perm = [*(a for a in range(x.rank - 1) if a != axis), axis, x.rank - 1]
    moved = b.transpose(signal, perm)
    matrix = _real_inverse(length) if to_real else _matrix(length, length if inverse else bins, parts, inverse)
    made = (length, 1) if to_real else (length if inverse else bins, 2)
    result = _multiplied(ctx, moved, matrix, made)
    return b.transpose(result, [perm.index(a) for a in range(x.rank)])


@lowers("STFT", since=17)
def lower_stft(ctx: Context, node: ir.Node) -> Tensor:
    """signal [N, L, 1 or 2] → [N, frames, K, 2]: the transform of every frame times the window (ONNX STFT 17)."""
    b, x = ctx.b, ctx.input(node, 0)
    step, window = int(ctx.constant(node, 1).item()), ctx.optional_constant(node, 2)
    given = ctx.optional_constant(node, 3)
    if given is None and window is None:
        raise Unsupported("neither window nor frame_length is given", "give one of them")
    length = int(given.item()) if given is not None else len(window if window is not None else ())
    _, samples, parts = x.shape
    if x.rank != 3 or samples is None or parts is None:
        raise Unsupported("a signal of dynamic length", "give the signal a fixed length with --input")
    frames = (samples - length) // step + 1
    at = np.arange(frames)[:, None] * step + np.arange(length)[None, :]
    cut = b.gather(x, b.const(at.astype(np.int32)), 1)
    bins = length // 2 + 1 if ctx.attribute(node, "onesided") else length
    matrix = _matrix(length, bins, parts, False)
    if window is not None:
        matrix = matrix * np.repeat(window.astype(np.float64), parts)[None, :]
    return _multiplied(ctx, cut, matrix, (bins, 2))


def _multiplied(ctx: Context, x: Tensor, matrix: Array, made: tuple[int, int]) -> Tensor:
    """x [..., N, parts] as one row, times ``matrix`` [K·2, N·parts] → [..., K, 2]."""
    b, lead = ctx.b, x.shape[:-2]
    if sum(d is None for d in lead) > 1:
        raise Unsupported("a signal with several dynamic dimensions", "give it fixed sizes with --input")
    rows = b.reshape(x, (*lead, prod(static(x.shape[-2:]))))
    product = b.fully_connected(rows, b.const(matrix.astype(x.dtype)), None)
    return b.reshape(product, (*lead, *made))


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
