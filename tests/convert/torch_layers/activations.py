"""Activations, normalizations and arithmetic."""

import torch
from torch import nn
from torch.nn import functional as F

from .case import booleans, function, given, integers, layer, normal, uniform

_ACTIVATIONS = {
    "relu": nn.ReLU(), "relu6": nn.ReLU6(), "leaky_relu": nn.LeakyReLU(0.2), "elu": nn.ELU(), "elu_alpha": nn.ELU(0.5),
    "selu": nn.SELU(), "celu": nn.CELU(1.5), "gelu": nn.GELU(), "gelu_tanh": nn.GELU("tanh"), "silu": nn.SiLU(),
    "mish": nn.Mish(), "sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "hardswish": nn.Hardswish(),
    "hardsigmoid": nn.Hardsigmoid(), "hardtanh": nn.Hardtanh(), "hardtanh_range": nn.Hardtanh(-2, 0.5),
    "softplus": nn.Softplus(), "softplus_beta": nn.Softplus(2.0, 10.0), "softsign": nn.Softsign(),
    "softshrink": nn.Softshrink(0.3), "hardshrink": nn.Hardshrink(0.3), "tanhshrink": nn.Tanhshrink(),
    "threshold": nn.Threshold(0.1, -1.0), "log_sigmoid": nn.LogSigmoid(), "softmax": nn.Softmax(-1),
    "softmin": nn.Softmin(-1), "log_softmax": nn.LogSoftmax(-1), "softmax_of_channels": nn.Softmax(1),
    "softmax2d": nn.Softmax2d(), "glu": nn.GLU(1),
}  # fmt: skip

ACTIVATIONS = [
    *(function(name, module, normal(2, 4, 3, 5)) for name, module in _ACTIVATIONS.items()),
    layer("prelu", lambda: nn.PReLU(4, 0.3), normal(2, 4, 3, 5)),
    layer("prelu_shared", lambda: nn.PReLU(), normal(2, 4, 3, 5)),
    layer("prelu_flat", lambda: nn.PReLU(4), normal(3, 4)),
    layer("dropout", lambda: nn.Sequential(nn.Dropout(0.5), nn.Dropout2d(0.3)), normal(2, 4, 3, 5)),
    function("swiglu", lambda x: F.silu(x[..., :4]) * x[..., 4:], normal(2, 3, 8)),
    function("quick_gelu", lambda x: x * torch.sigmoid(1.702 * x), normal(2, 8)),
    function("wide_sigmoid", torch.sigmoid, uniform(-80, 80, 200)),
    function("wide_softplus", F.softplus, uniform(-15, 60, 200)),
    function("wide_gelu", F.gelu, uniform(-6, 6, 200)),
]

NORMALIZATIONS = [
    layer("batch_norm1d_flat", lambda: nn.BatchNorm1d(5), normal(3, 5)),
    layer("batch_norm1d", lambda: nn.BatchNorm1d(5), normal(3, 5, 7)),
    layer(
        "batch_norm1d_after_linear", lambda: nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU()), normal(3, 6)
    ),
    layer("batch_norm1d_before_linear", lambda: nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 5)), normal(3, 6)),
    layer("batch_norm2d", lambda: nn.BatchNorm2d(4), normal(2, 4, 5, 6)),
    layer("batch_norm2d_conv", lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), normal(1, 3, 6, 6)),
    layer(
        "batch_norm2d_relu_conv",
        lambda: nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 3)),
        normal(1, 3, 6, 6),
    ),
    layer(
        "batch_norm2d_deconv",
        lambda: nn.Sequential(nn.ConvTranspose2d(3, 4, 3, 2), nn.BatchNorm2d(4)),
        normal(1, 3, 6, 6),
    ),
    layer("batch_norm2d_not_affine", lambda: nn.BatchNorm2d(4, affine=False), normal(2, 4, 5, 6)),
    layer("batch_norm3d", lambda: nn.BatchNorm3d(3), normal(1, 3, 3, 4, 5)),
    layer("instance_norm1d", lambda: nn.InstanceNorm1d(4, affine=True), normal(2, 4, 9)),
    layer("instance_norm2d", lambda: nn.InstanceNorm2d(4), normal(2, 4, 5, 6)),
    layer("instance_norm2d_affine", lambda: nn.InstanceNorm2d(4, affine=True), normal(2, 4, 5, 6)),
    layer("group_norm", lambda: nn.GroupNorm(2, 6), normal(2, 6, 4, 5)),
    layer("group_norm_1", lambda: nn.GroupNorm(1, 6), normal(2, 6, 4, 5)),
    layer("group_norm_flat", lambda: nn.GroupNorm(2, 6), normal(3, 6)),
    layer("group_norm_1d_not_affine", lambda: nn.GroupNorm(3, 6, affine=False), normal(2, 6, 7)),
    layer(
        "group_norm_conv",
        lambda: nn.Sequential(nn.Conv2d(3, 6, 3), nn.GroupNorm(3, 6), nn.SiLU(), nn.Conv2d(6, 2, 1)),
        normal(1, 3, 6, 6),
    ),
    layer("layer_norm", lambda: nn.LayerNorm(8), normal(2, 5, 8)),
    layer("layer_norm_no_bias", lambda: nn.LayerNorm(8, bias=False), normal(2, 5, 8)),
    layer("layer_norm_not_affine", lambda: nn.LayerNorm((5, 8), elementwise_affine=False), normal(2, 5, 8)),
    layer("layer_norm_of_images", lambda: nn.LayerNorm((3, 4, 5)), normal(2, 3, 4, 5)),
    function(
        "layer_norm_of_channels",
        lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (3,)).permute(0, 3, 1, 2),
        normal(2, 3, 4, 5),
    ),
    layer("rms_norm", lambda: nn.RMSNorm(8), normal(2, 5, 8)),
    layer("local_response_norm", lambda: nn.LocalResponseNorm(3, 0.1, 0.7, 1.2), normal(1, 5, 4, 4)),
    layer("local_response_norm_even", lambda: nn.LocalResponseNorm(2), normal(1, 5, 4, 4)),
    function("normalize", lambda x: F.normalize(x, dim=1), normal(2, 5, 7)),
    function("normalize_l1", lambda x: F.normalize(x, p=1, dim=-1), normal(2, 5, 7)),
    layer("weight_norm", lambda: nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 4, 3)), normal(1, 3, 8)),
    layer("spectral_norm", lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(5, 4)), normal(2, 5)),
]

_UNARY = {
    "abs": torch.abs, "ceil": torch.ceil, "floor": torch.floor, "round": torch.round, "trunc": torch.trunc,
    "frac": torch.frac, "sign": torch.sign, "exp": torch.exp, "expm1": torch.expm1, "sin": torch.sin,
    "cos": torch.cos, "tan": torch.tan, "asin": lambda x: torch.asin(x / 4), "acos": lambda x: torch.acos(x / 4),
    "atan": torch.atan, "sinh": torch.sinh, "cosh": torch.cosh, "asinh": torch.asinh,
    "atanh": lambda x: torch.atanh(x / 4), "acosh": lambda x: torch.acosh(x.abs() + 1), "erf": torch.erf,
    "erfc": torch.erfc, "square": torch.square, "neg": torch.neg, "exp2": torch.exp2,
}  # fmt: skip
_POSITIVE = {
    "log": torch.log, "log2": torch.log2, "log10": torch.log10, "log1p": torch.log1p, "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt, "reciprocal": torch.reciprocal, "pow_half": lambda x: x**0.5, "pow_inverse": lambda x: x**-1,
    "pow_rsqrt": lambda x: x**-0.5, "pow_fraction": lambda x: x**2.3, "pow_scalar_base": lambda x: 2**x,
    "pow_tensor": lambda x: x**x, "logit": lambda x: torch.logit(x / 4),
}  # fmt: skip

ARITHMETIC = [
    *(function(name, of, uniform(-3, 3, 3, 40)) for name, of in _UNARY.items()),
    *(function(name, of, uniform(0.2, 3, 3, 40)) for name, of in _POSITIVE.items()),
    function("pow_2", lambda x: x**2, normal(3, 40)),
    function("pow_3", lambda x: x**3, normal(3, 40)),
    function("pow_4", lambda x: x**4, normal(3, 40)),
    function("erf_near_zero", torch.erf, given([0, 1e-30, 1e-8, -1e-6, 1e-5, -1e-4, 1e-3, 0.01, -0.05, 0.1, 0.3])),
    function("expm1_near_zero", torch.expm1, given([0, 1e-30, 1e-8, -1e-6, 1e-5, -1e-4, 1e-3, 0.01, -0.05, 0.1, 0.3])),
    function("log1p_near_zero", torch.log1p, given([0, 1e-30, 1e-8, -1e-6, 1e-5, -1e-4, 1e-3, 0.01, -0.05, 0.1, 0.3])),
    function("clamp", lambda x: x.clamp(-0.5, 0.7), normal(3, 40)),
    function("clamp_min", lambda x: x.clamp(min=0.1), normal(3, 40)),
    function("clamp_of_integers", lambda x: x.clamp(-2, 3), integers(-9, 9, 3, 10)),
    function("clamp_tensor", lambda x, low: torch.clamp(x, low), normal(3, 40), normal(40)),
    function("atan2", torch.atan2, normal(3, 8), normal(3, 8)),
    function("atan2_broadcast", torch.atan2, normal(3, 8), normal(8)),
    function("fmod", lambda x, y: torch.fmod(x, y), uniform(-9, 9, 3, 8), uniform(0.5, 2, 3, 8)),
    function("remainder", lambda x, y: torch.remainder(x, y), uniform(-9, 9, 3, 8), uniform(0.5, 2, 3, 8)),
    function("remainder_of_integers", lambda x: x % 3, integers(-9, 9, 3, 8)),
    function("floor_divide", lambda x: x // 0.7, uniform(-9, 9, 3, 8)),
    function("floor_divide_of_integers", lambda x: x // 4, integers(-9, 9, 3, 8)),
    function("true_divide_of_integers", lambda x: x / 4, integers(-9, 9, 3, 8)),
    function("maximum", torch.maximum, normal(3, 8), normal(3, 1)),
    function("addcmul", lambda x, y, z: torch.addcmul(x, y, z, value=0.5), normal(3, 8), normal(3, 8), normal(8)),
    function("lerp", lambda x, y: torch.lerp(x, y, 0.3), normal(3, 8), normal(3, 8)),
    function("logaddexp", torch.logaddexp, normal(3, 8), normal(3, 8)),
    function("scalar_and_rank_0", lambda x, y: x * y + 1, normal(), normal(3)),
    function("broadcast_rank_5", lambda x, y: x + y, normal(2, 1, 3, 1, 4), normal(5, 1, 2, 1)),
    function("comparisons", lambda x, y: ((x > y) & (x <= 1)) | (y != 0.5) ^ (x < 0), normal(3, 8), normal(3, 8)),
    function("logical", lambda x, y: torch.logical_or(x, ~y) & torch.logical_xor(x, y), booleans(3, 8), booleans(3, 8)),
    function(
        "bitwise_and", lambda x, y: x & y, integers(0, 256, 3, 8, dtype="int32"), integers(0, 256, 3, 8, dtype="int32")
    ),
    function("bitwise_or_shift", lambda x: (x << 2) | (x >> 1), integers(0, 256, 3, 8, dtype="int32")),
    function(
        "is_nan_and_inf",
        lambda x: torch.isnan(x) | torch.isinf(x),
        given([1, float("nan"), float("inf"), -float("inf")]),
    ),
    function("nan_to_num", torch.nan_to_num, given([1, float("nan"), float("inf"), -float("inf")])),
    function("integers_of_bytes", lambda x: (x.float() / 255 - 0.5).sum(), integers(0, 256, 3, 8, dtype="uint8")),
    function("int32_arithmetic", lambda x: (x * 3 - 7).abs() + x.sign(), integers(-9, 9, 3, 8, dtype="int32")),
    function("to_integers", lambda x: x.to(torch.int32) + x.long(), uniform(-9, 9, 3, 8)),
    function("bool_sum", lambda x: (x > 0).sum(1), normal(3, 8)),
    function("any_all", lambda x: torch.stack([(x > 0).any(1), (x > 0).all(1)]), normal(3, 3)),
    function("fake_quantize", lambda x: torch.fake_quantize_per_tensor_affine(x, 0.05, 3, -128, 127), normal(3, 40)),
    function(
        "fake_quantize_channels",
        lambda x: torch.fake_quantize_per_channel_affine(
            x, torch.tensor([0.05, 0.1]), torch.tensor([3, 0], dtype=torch.int32), 1, 0, 255
        ),
        normal(3, 2, 20),
    ),
    layer(
        "half_mlp",
        lambda: nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.LayerNorm(8)).half(),
        normal(3, 6, dtype="float16"),
    ),
    layer(
        "half_conv",
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).half(),
        normal(1, 3, 6, 6, dtype="float16"),
    ),
    layer(
        "double_mlp",
        lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Softmax(-1)).double(),
        normal(3, 6, dtype="float64"),
    ),
    layer(
        "double_conv",
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2)).double(),
        normal(1, 3, 6, 6, dtype="float64"),
    ),
    layer("bfloat16_inside", lambda: _Bfloat16(), normal(3, 6)),
]


class _Bfloat16(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(6, 4).bfloat16()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x.bfloat16()).float()
