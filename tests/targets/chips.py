"""Networks of one operator a branch, in int8, for what chips take and refuse. Made once for all tests that ask."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgeworthy.artifact import TFLiteModel
from edgeworthy.convert import convert
from edgeworthy.export.onnx_export import export_onnx
from edgeworthy.quantize.calibration import load_calibration
from edgeworthy.quantize.post_training import quantize
from edgeworthy.quantize.recipe import Recipe
from edgeworthy.source.load import load_source

FACTORY = """
    import torch
    from torch import nn
    from torch.nn import functional as F


    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.example_inputs = {"image": torch.ones(1, 8, 16, 16)}
            self.strided = nn.Conv2d(8, 4, 5, stride=4, padding=2)
            self.unpadded = nn.Conv2d(8, 4, 5, stride=5)
            self.dilated = nn.Conv2d(8, 4, 3, dilation=2, padding=2)
            self.depthwise = nn.Conv2d(8, 8, 3, groups=8, padding=1)
            self.far = nn.Conv2d(8, 8, 5, groups=8, stride=4, padding=2)
            self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
            self.up_far = nn.ConvTranspose2d(8, 4, 3, stride=3)
            self.prelu = nn.PReLU(8)
            self.linear = nn.Linear(16, 5)

        def forward(self, image):
            x = torch.relu(image)
            flat = image.mean((2, 3))
            return {
                "strided": self.strided(x),
                "unpadded": self.unpadded(x),
                "dilated": self.dilated(x),
                "depthwise": self.depthwise(x),
                "far": self.far(x),
                "up": self.up(x),
                "up_far": self.up_far(x),
                "prelu": self.prelu(image),
                "linear": self.linear(image),
                "average": F.avg_pool2d(x, 4, 2),
                "average_all": F.avg_pool2d(x, 16),
                "maximum_pool": F.max_pool2d(x, 3, 2, 1),
                "maximum_far": F.max_pool2d(x, 4, 4),
                "mean": flat,
                "mean_channels": x.mean(1),
                "mean_rows": x.mean(2),
                "total": x.sum(1),
                "largest": x.amax(1),
                "smallest": x.amin((2, 3)),
                "softmax": torch.softmax(flat, 1),
                "softmax_image": torch.softmax(x, 3),
                "log_softmax": F.log_softmax(flat, 1),
                "gelu": F.gelu(image),
                "gelu_tanh": F.gelu(image, approximate="tanh"),
                "elu": F.elu(image),
                "hardswish": F.hardswish(image),
                "silu": F.silu(image),
                "leaky": F.leaky_relu(image, 0.1),
                "relu6": F.relu6(image * 3),
                "sigmoid": torch.sigmoid(image),
                "tanh": torch.tanh(image),
                "absolute": torch.abs(image),
                "exponential": torch.exp(-x),
                "logarithm": torch.log(x + 1.5),
                "square_root": torch.sqrt(x + 0.5),
                "reciprocal_root": torch.rsqrt(x + 0.5),
                "sine": torch.sin(image),
                "power": (x + 0.5) ** 1.5,
                "square": image * image,
                "difference": (image - 0.3) ** 2,
                "quotient": x / (x.mean((2, 3), keepdim=True) + 1.5),
                "larger": torch.maximum(image, x),
                "smaller": torch.minimum(image, x * 0.5),
                "greater": (image > x * 0.5).float(),
                "where": torch.where(image > 0.1, image, x * 0.5),
                "argmax": image.argmax(1),
                "argmax_rows": image.argmax(3),
                "cumulative": image.cumsum(1),
                "top": flat.topk(3, 1)[0],
                "twice": F.interpolate(x, scale_factor=2, mode="nearest"),
                "thrice": F.interpolate(x, scale_factor=3, mode="nearest"),
                "bilinear": F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False),
                "bilinear_corners": F.interpolate(x, size=(31, 31), mode="bilinear", align_corners=True),
                "bilinear_thrice": F.interpolate(x, scale_factor=3, mode="bilinear", align_corners=False),
                "padded": F.pad(x, (1, 2, 0, 1), value=0.5),
                "reflected": F.pad(x, (1, 1, 1, 1), mode="reflect"),
                "joined": torch.cat([x, image], 1),
                "stacked": torch.stack([flat, flat * 2], 1),
                "half": x[:, :, ::2, 2:9],
                "flipped": x.flip(3),
                "permuted": x.permute(0, 3, 1, 2) * 2,
                "shuffled": F.pixel_shuffle(x, 2),
                "gathered": x[:, [3, 1, 2]],
                "product": torch.matmul(x, image.transpose(2, 3)),
                "repeated": flat.repeat(1, 3),
                "split": x.split([3, 5], 1)[1] * 1.5,
            }


    class Number(nn.Module):
        \"\"\"A number without axes in the middle.\"\"\"

        def __init__(self):
            super().__init__()
            self.example_inputs = {"image": torch.ones(1, 3, 8, 8)}

        def forward(self, image):
            return image * (image.mean() + 3)


    class Plain(nn.Module):
        \"\"\"What every chip takes.\"\"\"

        def __init__(self):
            super().__init__()
            self.example_inputs = {"image": torch.ones(1, 3, 16, 16)}
            self.conv = nn.Conv2d(3, 8, 3, padding=1)
            self.down = nn.Conv2d(8, 16, 3, stride=2, padding=1)
            self.head = nn.Linear(16, 5)

        def forward(self, image):
            x = torch.relu(self.conv(image))
            x = F.relu6(self.down(x))
            return self.head(x.mean((2, 3)))
"""


def factory(folder: Path) -> Path:
    path = folder / "chips_net.py"
    path.write_text(textwrap.dedent(FACTORY))
    return path


def int8(folder: Path, name: str, io_dtype: str = "int8", targets: Sequence[str] = ()) -> TFLiteModel:
    """A network of the factory by this name, in the forms for ``targets``, quantized on noise: what chips take doesn't
    hang on it."""
    source = load_source(f"{factory(folder)}:{name}")
    exported = export_onnx(source, folder / "model.onnx").model
    floating = convert(exported, folder, to=["tflite"], targets=targets).tflite
    assert floating is not None
    shape = floating.inputs[0].concrete_shape()
    np.savez(folder / "data.npz", image=np.random.default_rng(0).normal(size=(16, *shape[1:])).astype(np.float32))
    data = load_calibration(folder / "data.npz", floating.inputs)
    made = quantize(floating, folder / f"{name}.tflite", Recipe.of("int8", io_dtype=io_dtype), calibration=data)
    return made.model
