"""Tensors of more axes than TFLite's kernels take, as models of images and videos make them."""

import torch

from .case import function, integers, normal
from .dynamic import BATCH, dynamic


def _windows_3d(x: torch.Tensor) -> torch.Tensor:
    """[N,D,H,W,C] cut into windows of 2×3×2 and put together again, as in Video Swin: transposes of rank 8."""
    n, d, h, w, c = x.shape
    cut = x.view(n, d // 2, 2, h // 3, 3, w // 2, 2, c).permute(0, 1, 3, 5, 2, 4, 6, 7)
    tokens = cut.reshape(-1, 12, c).softmax(1).reshape(cut.shape)
    return tokens.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(x.shape)


def _relative_positions(scores: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Scores [N,h,t,H,W,t,H,W] and what rows and columns add to them, as in MViTv2: sums of rank 8."""
    return (scores + rows[:, :, :, :, :, None, :, None] + columns[:, :, :, :, :, None, None, :]).flatten(5).softmax(-1)


def _convex_upsampling(flow: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Flow [N,2,H,W] and mask [N,36,H,W] → [N,2,2H,2W], as in RAFT: a product and a sum of rank 7."""
    n, _, h, w = flow.shape
    weights = mask.view(n, 1, 9, 2, 2, h, w).softmax(2)
    patches = torch.nn.functional.unfold(2 * flow, 3, padding=1).view(n, 2, 9, 1, 1, h, w)
    return (weights * patches).sum(2).permute(0, 1, 4, 2, 5, 3).reshape(n, 2, 2 * h, 2 * w)


def _by_turns(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Every axis is broadcast from the other operand than its neighbour."""
    return torch.maximum(x[:, None, :, None, :, None, :, None], y[None, :, None, :, None, :, None])


WINDOWS = [
    function("windows_3d", _windows_3d, normal(2, 4, 6, 4, 5)),
    function("relative_positions", _relative_positions, normal(1, 2, 2, 3, 4, 2, 3, 4), normal(1, 2, 2, 3, 4, 3),
             normal(1, 2, 2, 3, 4, 4)),
    function("convex_upsampling", _convex_upsampling, normal(1, 2, 4, 5), normal(1, 36, 4, 5)),
    function("broadcast_by_turns", _by_turns, normal(2, 3, 2, 3), normal(3, 2, 3)),
    function("take_along_rank_7", lambda x, i: torch.take_along_dim(x, i, 3), normal(2, 1, 2, 5, 2, 3, 2),
             integers(0, 5, 2, 1, 2, 4, 2, 3, 2)),
    function("reversed_axes_8", lambda x: x.permute(7, 5, 3, 1, 6, 4, 2, 0), normal(2, 3, 2, 3, 2, 3, 2, 3)),
    dynamic("windows_3d", BATCH, _windows_3d, [normal(2, 4, 6, 4, 5)], [normal(3, 4, 6, 4, 5)]),
    dynamic("convex_upsampling", BATCH, _convex_upsampling, [normal(2, 2, 4, 5), normal(2, 36, 4, 5)],
            [normal(3, 2, 4, 5), normal(3, 36, 4, 5)]),
]  # fmt: skip
