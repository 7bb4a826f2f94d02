"""Convolutions, pools, products and resizing of the TFLite vocabulary. Images are NHWC, volumes NDHWC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .base import BuilderBase
from .remedies import FIXED_SIZE
from .tensor import Shape, Tensor, Unsupported, broadcast, window_output


class Neural(BuilderBase):
    """Ops with weights or windows."""

    def conv_2d(
        self, x: Tensor, weights: Tensor, bias: Tensor | None, *,
        strides: Sequence[int], dilations: Sequence[int], padding: str,
    ) -> Tensor:  # fmt: skip
        """x [N,H,W,C], weights [O,kH,kW,C/groups], bias [O] → [N,H',W',O]. TFLite: CONV_2D."""
        out = weights.shape[0]
        shape = self._windowed(x, weights.shape[1:3], strides, dilations, padding, out)
        return self._same(
            "conv_2d", [x, weights, bias or self._zeros(out, x.dtype)], shape,
            stride_h=strides[0], stride_w=strides[1],
            dilation_h_factor=dilations[0], dilation_w_factor=dilations[1],
            padding=padding, fused_activation_function="NONE",
        )  # fmt: skip

    def depthwise_conv_2d(
        self, x: Tensor, weights: Tensor, bias: Tensor | None, *,
        strides: Sequence[int], dilations: Sequence[int], padding: str,
    ) -> Tensor:  # fmt: skip
        """x [N,H,W,C], weights [1,kH,kW,C·m], bias [C·m] → [N,H',W',C·m]. TFLite: DEPTHWISE_CONV_2D."""
        out, channels = weights.shape[3], x.shape[3]
        if not out or not channels:
            raise Unsupported("the number of channels must be static, and at least one", FIXED_SIZE)
        shape = self._windowed(x, weights.shape[1:3], strides, dilations, padding, out)
        return self._same(
            "depthwise_conv_2d", [x, weights, bias or self._zeros(out, x.dtype)], shape,
            stride_h=strides[0], stride_w=strides[1],
            dilation_h_factor=dilations[0], dilation_w_factor=dilations[1],
            padding=padding, fused_activation_function="NONE", depth_multiplier=out // channels,
        )  # fmt: skip

    def transpose_conv(
        self, x: Tensor, weights: Tensor, bias: Tensor | None, *,
        output: Tensor, shape: Shape, strides: Sequence[int], padding: str,
    ) -> Tensor:  # fmt: skip
        """x [N,H,W,C], weights [O,kH,kW,C] → [N,H',W',O]. TFLite: TRANSPOSE_CONV.

        ``output`` (1-D int32) is the result's shape, of which ``shape`` is known: VALID takes
        H' = (H-1)·stride + max(kH, stride), SAME H' = H·stride.
        """
        data = [weights, x, bias or self._zeros(shape[-1], x.dtype)]
        return self._same(
            "transpose_conv", data, shape, before=[output], stride_h=strides[0], stride_w=strides[1],
            padding=padding, fused_activation_function="NONE",
        )  # fmt: skip

    def conv_3d_transpose(
        self, x: Tensor, weights: Tensor, *, output: Tensor, shape: Shape, strides: Sequence[int], padding: str
    ) -> Tensor:
        """x [N,D,H,W,C], weights [kD,kH,kW,O,C] → [N,D',H',W',O], as :meth:`transpose_conv`.

        TFLite: CONV_3D_TRANSPOSE, without its bias, which MLIR takes for one of C elements.
        """
        return self._same(
            "conv_3d_transpose", [weights, x], shape, before=[output], extra=[self.absent()],
            stride_d=strides[0], stride_h=strides[1], stride_w=strides[2],
            dilation_d_factor=1, dilation_h_factor=1, dilation_w_factor=1,
            padding=padding, fused_activation_function="NONE",
        )  # fmt: skip

    def conv_3d(
        self, x: Tensor, weights: Tensor, bias: Tensor | None, *,
        strides: Sequence[int], dilations: Sequence[int], padding: str,
    ) -> Tensor:  # fmt: skip
        """x [N,D,H,W,C], weights [kD,kH,kW,C,O], bias [O] → [N,D',H',W',O]. TFLite: CONV_3D."""
        out = weights.shape[4]
        shape = self._windowed(x, weights.shape[:3], strides, dilations, padding, out)
        return self._same(
            "conv_3d", [x, weights, bias or self._zeros(out, x.dtype)], shape,
            stride_d=strides[0], stride_h=strides[1], stride_w=strides[2],
            dilation_d_factor=dilations[0], dilation_h_factor=dilations[1], dilation_w_factor=dilations[2],
            padding=padding, fused_activation_function="NONE",
        )  # fmt: skip

    def pool_2d(self, op: str, x: Tensor, *, window: Sequence[int], strides: Sequence[int], padding: str) -> Tensor:
        """``max_pool_2d`` or ``average_pool_2d`` on [N,H,W,C]; the average leaves padding out."""
        if (*window, *strides) == (1, 1, 1, 1):
            return x
        shape = self._windowed(x, window, strides, (1, 1), padding, x.shape[-1])
        return self._same(
            op, [x], shape, filter_height=window[0], filter_width=window[1],
            stride_h=strides[0], stride_w=strides[1], padding=padding, fused_activation_function="NONE",
        )  # fmt: skip

    def fully_connected(self, x: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
        """x [...,I], weights [O,I], bias [O] → [...,O]. TFLite: FULLY_CONNECTED."""
        return self._same(
            "fully_connected", [x, weights, bias or self._zeros(weights.shape[0], x.dtype)],
            (*x.shape[:-1], weights.shape[0]),
            fused_activation_function="NONE", keep_num_dims=x.rank != 2, weights_format="DEFAULT",
            asymmetric_quantize_inputs=False,
        )  # fmt: skip

    def batch_matmul(self, a: Tensor, b: Tensor, *, adj_x: bool = False, adj_y: bool = False) -> Tensor:
        """[...,M,K] × [...,K,N] → [...,M,N]; ``adj`` swaps an operand's last two axes. TFLite: BATCH_MATMUL."""
        rows, columns = a.shape[-1 if adj_x else -2], b.shape[-2 if adj_y else -1]
        shape = (*broadcast(a.shape[:-2], b.shape[:-2]), rows, columns)
        return self._same("batch_matmul", [a, b], shape, adj_x=adj_x, adj_y=adj_y, asymmetric_quantize_inputs=False)

    def resize(
        self, op: str, x: Tensor, size: Tensor, extents: Shape, *, align_corners: bool, half_pixel_centers: bool
    ) -> Tensor:
        """``resize_bilinear`` or ``resize_nearest_neighbor`` of [N,H,W,C] to ``size`` (int32 [H', W']).

        ``extents`` is what is known of ``size``.
        """
        if None not in extents and x.shape[1:3] == tuple(extents):
            return x
        return self._same(
            op, [x], (x.shape[0], *extents, x.shape[3]), extra=[size],
            align_corners=align_corners, half_pixel_centers=half_pixel_centers,
        )  # fmt: skip

    def local_response_normalization(self, x: Tensor, *, radius: int, bias: float, alpha: float, beta: float) -> Tensor:
        """Over the last axis; ``alpha`` is not divided by the window. TFLite: LOCAL_RESPONSE_NORMALIZATION."""
        return self._same(
            "local_response_normalization", [x], x.shape, radius=radius, bias=bias, alpha=alpha, beta=beta
        )

    def _zeros(self, extent: int | None, dtype: str) -> Tensor:
        if extent is None:
            raise Unsupported("the number of output channels must be static", FIXED_SIZE)
        return self.const(np.zeros(extent, dtype))

    @staticmethod
    def _windowed(
        x: Tensor, window: Shape | Sequence[int], strides: Sequence[int], dilations: Sequence[int],
        padding: str, channels: int | None,
    ) -> Shape:  # fmt: skip
        spatial = []
        for extent, size, stride, dilation in zip(x.shape[1:-1], window, strides, dilations, strict=True):
            if size is None:
                raise Unsupported("the kernel's size must be static", FIXED_SIZE)
            spatial.append(window_output(extent, size, stride, dilation, padding))
        return (x.shape[0], *spatial, channels)
