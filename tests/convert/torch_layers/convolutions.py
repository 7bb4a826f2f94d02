"""Convolutions, pools and resizing."""

import torch
from torch import nn
from torch.nn import functional as F

from .case import function, layer, normal, uniform

CONVOLUTIONS = [
    layer("conv1d", lambda: nn.Conv1d(3, 5, 3, padding=1), normal(2, 3, 11)),
    layer("conv1d_groups", lambda: nn.Conv1d(4, 6, 3, stride=2, groups=2), normal(2, 4, 11)),
    layer("conv1d_depthwise_causal", lambda: nn.Conv1d(4, 4, 3, padding=2, groups=4), normal(1, 4, 9)),
    layer("conv1d_dilated_same", lambda: nn.Conv1d(3, 4, 5, padding="same", dilation=2), normal(1, 3, 17)),
    layer("conv1d_circular", lambda: nn.Conv1d(3, 4, 3, padding=1, padding_mode="circular"), normal(2, 3, 8)),
    layer("conv1d_unbatched", lambda: nn.Conv1d(3, 4, 3), normal(3, 8)),
    layer("conv2d_no_bias", lambda: nn.Conv2d(3, 5, 3, bias=False), normal(1, 3, 9, 8)),
    layer("conv2d_stride_2_pad_1", lambda: nn.Conv2d(3, 8, 3, 2, 1), normal(2, 3, 10, 9)),
    layer("conv2d_asymmetric", lambda: nn.Conv2d(3, 4, (3, 5), (2, 1), (0, 2)), normal(1, 3, 9, 11)),
    layer("conv2d_groups", lambda: nn.Conv2d(6, 9, 3, groups=3, padding=1), normal(1, 6, 7, 7)),
    layer("conv2d_groups_stride", lambda: nn.Conv2d(8, 4, (1, 3), (1, 2), groups=4), normal(2, 8, 7, 7)),
    layer("conv2d_depthwise", lambda: nn.Conv2d(6, 6, 3, padding=1, groups=6), normal(1, 6, 7, 7)),
    layer("conv2d_depthwise_multiplier", lambda: nn.Conv2d(4, 12, 3, groups=4), normal(1, 4, 7, 7)),
    layer("conv2d_depthwise_uneven_strides", lambda: nn.Conv2d(4, 4, 3, (2, 1), groups=4), normal(1, 4, 9, 9)),
    layer("conv2d_depthwise_dilated_stride", lambda: nn.Conv2d(4, 4, 3, 2, 2, 2, groups=4), normal(1, 4, 11, 11)),
    layer("conv2d_dilated", lambda: nn.Conv2d(3, 4, 3, padding=2, dilation=2), normal(1, 3, 9, 9)),
    layer("conv2d_dilated_stride", lambda: nn.Conv2d(3, 4, 3, stride=2, padding=3, dilation=3), normal(1, 3, 15, 15)),
    layer("conv2d_dilations_differ", lambda: nn.Conv2d(3, 4, 3, dilation=(1, 2)), normal(1, 3, 9, 9)),
    layer("conv2d_same", lambda: nn.Conv2d(3, 4, (4, 3), padding="same"), normal(1, 3, 8, 8)),
    layer("conv2d_reflect", lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), normal(1, 3, 7, 6)),
    layer("conv2d_replicate", lambda: nn.Conv2d(3, 4, 5, padding=2, padding_mode="replicate"), normal(1, 3, 7, 6)),
    layer("conv2d_circular", lambda: nn.Conv2d(3, 4, 3, padding=(1, 2), padding_mode="circular"), normal(1, 3, 7, 6)),
    layer("conv2d_patchify", lambda: nn.Conv2d(3, 8, 4, 4), normal(1, 3, 12, 12)),
    layer("conv2d_one_channel", lambda: nn.Conv2d(1, 4, 3), normal(2, 1, 8, 8)),
    function("conv2d_weights_at_run_time", lambda x, w: F.conv2d(x, w, padding=1), normal(1, 3, 7, 7), normal(4, 3, 3, 3)),
    layer("conv3d", lambda: nn.Conv3d(3, 4, 3, padding=1), normal(1, 3, 5, 6, 7)),
    layer("conv3d_groups_stride", lambda: nn.Conv3d(4, 6, (1, 3, 3), (1, 2, 2), groups=2), normal(1, 4, 3, 7, 7)),
    layer("conv3d_depthwise", lambda: nn.Conv3d(3, 3, 3, groups=3), normal(1, 3, 5, 5, 5)),
    layer("conv3d_dilated", lambda: nn.Conv3d(2, 3, 2, dilation=2, bias=False), normal(1, 2, 5, 5, 5)),
    layer("deconv1d", lambda: nn.ConvTranspose1d(3, 4, 4, 2, 1), normal(1, 3, 7)),
    layer("deconv1d_output_padding", lambda: nn.ConvTranspose1d(4, 6, 3, 3, 1, 2, groups=2), normal(2, 4, 5)),
    layer("deconv2d", lambda: nn.ConvTranspose2d(3, 4, 2, 2), normal(1, 3, 5, 6)),
    layer("deconv2d_pad", lambda: nn.ConvTranspose2d(3, 4, 4, 2, 1), normal(1, 3, 5, 6)),
    layer("deconv2d_output_padding", lambda: nn.ConvTranspose2d(3, 4, 3, 2, 1, 1), normal(2, 3, 5, 6)),
    layer("deconv2d_groups", lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), normal(1, 4, 5, 5)),
    layer("deconv2d_depthwise_no_bias", lambda: nn.ConvTranspose2d(4, 4, 4, 2, 1, groups=4, bias=False), normal(1, 4, 5, 5)),
    layer("deconv2d_dilated", lambda: nn.ConvTranspose2d(3, 4, 3, 2, dilation=2), normal(1, 3, 5, 5)),
    layer("deconv2d_asymmetric", lambda: nn.ConvTranspose2d(3, 2, (3, 5), (1, 3), (1, 0)), normal(1, 3, 4, 5)),
    layer("deconv2d_kernel_below_stride", lambda: nn.ConvTranspose2d(3, 2, 1, 3, output_padding=1), normal(1, 3, 4, 5)),
    layer("deconv3d", lambda: nn.ConvTranspose3d(2, 3, 2, 2), normal(1, 2, 3, 4, 4)),
    layer("deconv3d_pad", lambda: nn.ConvTranspose3d(2, 3, 3, 2, 1, 1), normal(1, 2, 3, 4, 4)),
]

POOLS = [
    layer("max_pool1d", lambda: nn.MaxPool1d(3, 2, 1), normal(2, 3, 11)),
    layer("max_pool2d", lambda: nn.MaxPool2d(2), normal(1, 3, 9, 8)),
    layer("max_pool2d_pad", lambda: nn.MaxPool2d(3, 2, 1), normal(1, 3, 9, 8)),
    layer("max_pool2d_ceil", lambda: nn.MaxPool2d(3, 2, ceil_mode=True), normal(1, 3, 8, 10)),
    layer("max_pool2d_ceil_pad", lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), normal(1, 3, 8, 10)),
    layer("max_pool2d_dilated", lambda: nn.MaxPool2d(3, 1, 1, dilation=2), normal(1, 3, 9, 9)),
    layer("max_pool2d_indices", lambda: nn.MaxPool2d(2, return_indices=True), normal(1, 3, 8, 8)),
    layer("max_pool3d", lambda: nn.MaxPool3d(3, 2, 1), normal(1, 3, 7, 7, 7)),
    layer("avg_pool1d", lambda: nn.AvgPool1d(4, 2), normal(2, 3, 12)),
    layer("avg_pool2d", lambda: nn.AvgPool2d(2), normal(1, 3, 9, 8)),
    layer("avg_pool2d_pad", lambda: nn.AvgPool2d(3, 2, 1), normal(1, 3, 9, 8)),
    layer("avg_pool2d_pad_excluded", lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), normal(1, 3, 9, 8)),
    layer("avg_pool2d_same_excluded", lambda: nn.AvgPool2d(3, 1, 1, count_include_pad=False), normal(1, 3, 9, 8)),
    layer("avg_pool2d_ceil", lambda: nn.AvgPool2d(3, 2, ceil_mode=True), normal(1, 3, 8, 10)),
    layer("avg_pool2d_ceil_pad", lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True), normal(1, 3, 8, 10)),
    layer(
        "avg_pool2d_ceil_pad_excluded",
        lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), normal(1, 3, 8, 10),
    ),  # fmt: skip
    layer("avg_pool3d", lambda: nn.AvgPool3d(2), normal(1, 3, 6, 6, 6)),
    layer("lp_pool2d", lambda: nn.LPPool2d(2, 3, 2), normal(1, 3, 9, 9)),
    layer("adaptive_avg_pool1d_1", lambda: nn.AdaptiveAvgPool1d(1), normal(2, 3, 9)),
    layer("adaptive_avg_pool2d_1", lambda: nn.AdaptiveAvgPool2d(1), normal(2, 3, 9, 7)),
    layer("adaptive_avg_pool2d_divides", lambda: nn.AdaptiveAvgPool2d((3, 2)), normal(2, 3, 9, 8)),
    layer("adaptive_avg_pool2d_uneven", lambda: nn.AdaptiveAvgPool2d((3, 3)), normal(1, 3, 7, 8)),
    layer("adaptive_avg_pool2d_grows", lambda: nn.AdaptiveAvgPool2d((6, 6)), normal(1, 3, 3, 3)),
    layer("adaptive_avg_pool3d_1", lambda: nn.AdaptiveAvgPool3d(1), normal(1, 3, 5, 6, 7)),
    layer("adaptive_max_pool2d_1", lambda: nn.AdaptiveMaxPool2d(1), normal(2, 3, 9, 7)),
    layer("adaptive_max_pool2d_divides", lambda: nn.AdaptiveMaxPool2d((3, 2)), normal(2, 3, 9, 8)),
    function("global_mean_and_max", lambda x: torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1), normal(2, 3, 5, 5)),
]

RESIZING = [
    layer("upsample_nearest", lambda: nn.Upsample(scale_factor=2), normal(1, 3, 5, 6)),
    layer("upsample_bilinear", lambda: nn.Upsample(scale_factor=2, mode="bilinear"), normal(1, 3, 5, 6)),
    layer("upsample_bilinear_corners", lambda: nn.UpsamplingBilinear2d(scale_factor=3), normal(1, 3, 5, 6)),
    layer("upsample_linear_1d", lambda: nn.Upsample(scale_factor=2, mode="linear"), normal(1, 3, 7)),
    layer("upsample_nearest_1d", lambda: nn.Upsample(size=12), normal(1, 3, 5)),
    layer("upsample_trilinear", lambda: nn.Upsample(scale_factor=2, mode="trilinear"), normal(1, 2, 3, 4, 4)),
    layer("upsample_nearest_3d", lambda: nn.Upsample(scale_factor=2), normal(1, 2, 3, 4, 4)),
    function("interpolate_nearest_size", lambda x: F.interpolate(x, (7, 11)), normal(1, 3, 5, 6)),
    function("interpolate_nearest_fraction", lambda x: F.interpolate(x, scale_factor=1.5), normal(1, 3, 5, 6)),
    function("interpolate_nearest_exact", lambda x: F.interpolate(x, (7, 4), mode="nearest-exact"), normal(1, 3, 5, 6)),
    function("interpolate_nearest_down", lambda x: F.interpolate(x, scale_factor=0.5), normal(1, 3, 8, 6)),
    function("interpolate_bilinear_size", lambda x: F.interpolate(x, (7, 11), mode="bilinear"), normal(1, 3, 5, 6)),
    function("interpolate_bilinear_down", lambda x: F.interpolate(x, (3, 4), mode="bilinear"), normal(1, 3, 8, 9)),
    function(
        "interpolate_bilinear_fraction", lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear"), normal(1, 3, 7, 6)
    ),
    function(
        "interpolate_bilinear_recomputed",
        lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear", recompute_scale_factor=True), normal(1, 3, 7, 6),
    ),  # fmt: skip
    function(
        "interpolate_bilinear_corners_size",
        lambda x: F.interpolate(x, (7, 11), mode="bilinear", align_corners=True), normal(1, 3, 5, 6),
    ),  # fmt: skip
    function("interpolate_bilinear_antialias", lambda x: F.interpolate(x, (5, 4), mode="bilinear", antialias=True), normal(1, 3, 16, 13)),
    function("interpolate_bicubic", lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"), normal(1, 3, 5, 6)),
    function(
        "interpolate_bicubic_corners",
        lambda x: F.interpolate(x, (9, 7), mode="bicubic", align_corners=True), normal(1, 3, 5, 6),
    ),  # fmt: skip
    function("interpolate_bicubic_antialias", lambda x: F.interpolate(x, (5, 4), mode="bicubic", antialias=True), normal(1, 3, 16, 13)),
    function("interpolate_area", lambda x: F.interpolate(x, (3, 4), mode="area"), normal(1, 3, 9, 8)),
    layer("pixel_shuffle", lambda: nn.PixelShuffle(2), normal(1, 12, 4, 5)),
    layer("pixel_unshuffle", lambda: nn.PixelUnshuffle(2), normal(1, 3, 6, 8)),
    layer("channel_shuffle", lambda: nn.ChannelShuffle(3), normal(1, 6, 4, 5)),
    layer("pixel_shuffle_conv", lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.PixelShuffle(2), nn.ReLU()), normal(1, 3, 7, 7)),
    layer("pad_zero", lambda: nn.ZeroPad2d((1, 2, 3, 0)), normal(1, 3, 5, 6)),
    layer("pad_constant", lambda: nn.ConstantPad2d((1, 0, 0, 2), 0.7), normal(1, 3, 5, 6)),
    layer("pad_negative", lambda: nn.ZeroPad2d((-1, 2, 1, -2)), normal(1, 3, 5, 6)),
    layer("pad_reflect_1d", lambda: nn.ReflectionPad1d(3), normal(1, 3, 8)),
    layer("pad_reflect_2d", lambda: nn.ReflectionPad2d((1, 2, 3, 0)), normal(1, 3, 5, 6)),
    layer("pad_replicate_2d", lambda: nn.ReplicationPad2d((1, 2, 3, 0)), normal(1, 3, 5, 6)),
    layer("pad_replicate_3d", lambda: nn.ReplicationPad3d(1), normal(1, 2, 3, 4, 4)),
    function("pad_circular", lambda x: F.pad(x, (1, 2, 2, 1), mode="circular"), normal(1, 3, 5, 6)),
    function("grid_sample", lambda x, g: F.grid_sample(x, g, align_corners=False), normal(2, 3, 5, 6), uniform(-1.3, 1.3, 2, 4, 5, 2)),
    function(
        "grid_sample_border",
        lambda x, g: F.grid_sample(x, g, padding_mode="border", align_corners=True), normal(1, 3, 5, 6), uniform(-1.3, 1.3, 1, 4, 5, 2),
    ),  # fmt: skip
    function(
        "grid_sample_reflection",
        lambda x, g: F.grid_sample(x, g, padding_mode="reflection", align_corners=False), normal(1, 3, 5, 6), uniform(-2.5, 2.5, 1, 4, 5, 2),
    ),  # fmt: skip
    function(
        "grid_sample_nearest",
        lambda x, g: F.grid_sample(x, g, mode="nearest", align_corners=False), normal(1, 3, 5, 6), uniform(-1.3, 1.3, 1, 4, 5, 2),
    ),  # fmt: skip
    function(
        "grid_sample_bicubic",
        lambda x, g: F.grid_sample(x, g, mode="bicubic", align_corners=False), normal(1, 3, 5, 6), uniform(-1, 1, 1, 4, 5, 2),
    ),  # fmt: skip
    function(
        "spatial_transformer",
        lambda x, t: F.grid_sample(x, F.affine_grid(t, [2, 3, 4, 4], align_corners=False), align_corners=False),
        normal(2, 3, 5, 6), normal(2, 2, 3),
    ),  # fmt: skip
    function("unfold_2d", lambda x: F.unfold(x, 3, padding=1, stride=2), normal(1, 3, 7, 7)),
    function("fold_2d", lambda x: F.fold(x, (6, 6), 2, stride=2), normal(1, 12, 9)),
]
