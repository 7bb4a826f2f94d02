"""``digits_cnn`` trained on with its weights rounded to 4 bits and its activations to 8: quantization-aware training.

Plain PyTorch, no package more: rounding is ``torch.fake_quantize_*``, whose gradient passes through (Jacob et al.,
arXiv:1712.05877), and which the ONNX exporter writes as QuantizeLinear and DequantizeLinear.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from . import training
from .networks import SampleModel, digits_cnn, trained, training_images

_WEIGHT_BITS = 4
_EPOCHS = 6
_MOMENTUM = 0.05


class ActivationSteps(nn.Module):
    """Rounds to 256 steps over the range of what it saw in training, by a moving average of the extremes."""

    scale: torch.Tensor
    zero_point: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("zero_point", torch.zeros((), dtype=torch.int32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self._observe(x.detach())
        return torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero_point, -128, 127)

    def _observe(self, x: torch.Tensor) -> None:
        first = bool(self.low == self.high)
        weight = 1.0 if first else _MOMENTUM
        self.low.lerp_(x.min().clamp(max=0), weight)
        self.high.lerp_(x.max().clamp(min=0), weight)
        self.scale.copy_(((self.high - self.low) / 255).clamp(min=1e-8))
        self.zero_point.copy_((-128 - self.low / self.scale).round())


class WeightSteps(nn.Module):
    """Rounds weights to ``2^bits - 1`` steps of one scale, symmetric about 0."""

    scale: torch.Tensor
    zero_point: torch.Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.most = 2 ** (bits - 1) - 1
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("zero_point", torch.zeros((), dtype=torch.int32))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.scale.copy_(weight.detach().abs().max() / self.most)
        return torch.fake_quantize_per_tensor_affine(weight, self.scale, self.zero_point, -128, 127)


class DigitsQAT(SampleModel):
    """``DigitsCNN`` without its norms, on integers: image ``[n, 1, 8, 8]`` → logits ``[n, 10]``."""

    def __init__(self, bits: int = _WEIGHT_BITS) -> None:
        super().__init__()
        shapes = ((1, 32), (32, 64), (64, 128))
        layers: list[nn.Conv2d | nn.Linear] = [nn.Conv2d(i, o, 3, padding=1) for i, o in shapes]
        self.layers = nn.ModuleList([*layers, nn.Linear(512, 256), nn.Linear(256, 10)])
        self.weights = nn.ModuleList(WeightSteps(bits) for _ in self.layers)
        self.activations = nn.ModuleList(ActivationSteps() for _ in range(len(self.layers) + 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x: torch.Tensor = self.activations[0](image)
        for index, (layer, weights) in enumerate(zip(self.layers, self.weights, strict=True)):
            if isinstance(layer, nn.Conv2d):
                x = nn.functional.conv2d(x, weights(layer.weight), layer.bias, padding=1)
            elif isinstance(layer, nn.Linear):
                x = nn.functional.linear(x.flatten(1), weights(layer.weight), layer.bias)
            x = x if index == len(self.layers) - 1 else torch.relu(x)
            x = self.activations[index + 1](x)
            x = nn.functional.max_pool2d(x, 2) if index in (1, 2) else x
        return x


def post_training(bits: int = _WEIGHT_BITS) -> DigitsQAT:
    """The trained ``digits_cnn`` with the same steps, calibrated on the training images and not trained with them."""
    model = DigitsQAT(bits)
    _start(model)
    images, _ = training_images("image8")
    with torch.no_grad():
        for batch in torch.split(images, 64):
            model(batch)
    return model.eval()


def digits_qat() -> SampleModel:
    """A ``DigitsQAT`` that went on training with its steps."""

    def train(model: DigitsQAT) -> None:
        _start(model)
        images, labels = training_images("image8")
        training.fit(model, images, labels, epochs=_EPOCHS, peak_rate=1e-3, shift=1)

    return trained("digits_qat", DigitsQAT, train, "image8")


def _start(model: DigitsQAT) -> None:
    """Take over the float network's weights, its norms folded into them."""
    source = digits_cnn()
    convolutions = [part for part in source.modules() if isinstance(part, nn.Conv2d)]
    norms = [part for part in source.modules() if isinstance(part, nn.BatchNorm2d)]
    layers = [fuse_conv_bn_eval(c, n) for c, n in zip(convolutions, norms, strict=True)]
    dense = [part for part in source.modules() if isinstance(part, nn.Linear)]
    with torch.no_grad():
        for mine, theirs in zip(model.layers, [*layers, *dense], strict=True):
            mine.load_state_dict(theirs.state_dict())
