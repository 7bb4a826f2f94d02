"""The sample networks, trained when they are first asked for (see ``training.cached``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from . import digits, training

_EXAMPLE = "example."


class SampleModel(nn.Module):
    """A module that brings one set of example inputs: input name → tensor of batch size 1."""

    example_inputs: dict[str, torch.Tensor]


Model = TypeVar("Model", bound=SampleModel)


class SimpleNet(SampleModel):
    """784-128-10 MLP: pixels ``[n, 784]`` → logits ``[n, 10]``."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(784, 128)
        self.output = nn.Linear(128, 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.output(torch.relu(self.hidden(pixels)))  # type: ignore[no-any-return]


class SimpleCNN(SampleModel):
    """Conv 32@3×3, pool, dense 64 and 10, softmax: image ``[n, 1, 28, 28]`` → probabilities ``[n, 10]``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 32, 3)
        self.pool = nn.MaxPool2d(2)
        self.hidden = nn.Linear(32 * 13 * 13, 64)
        self.output = nn.Linear(64, 10)

    def logits(self, image: torch.Tensor) -> torch.Tensor:
        features = self.pool(torch.relu(self.conv(image))).flatten(1)
        return self.output(torch.relu(self.hidden(features)))  # type: ignore[no-any-return]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.logits(image), dim=-1)


class LinearRegression(SampleModel):
    """x ``[n, 1]`` → y ``[n, 1]``."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.line(x)  # type: ignore[no-any-return]


class DigitsCNN(SampleModel):
    """Three convolutions with BatchNorm, two dense layers: image ``[n, 1, 8, 8]`` → logits ``[n, 10]``.

    227,000 weights: enough that a quantized file's size is that of its weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _conv_bn_relu(1, 32),
            _conv_bn_relu(32, 64),
            nn.MaxPool2d(2),
            _conv_bn_relu(64, 128),
            nn.MaxPool2d(2),
        )
        self.hidden = nn.Linear(128 * 2 * 2, 256)
        self.dropout = nn.Dropout(0.3)
        self.output = nn.Linear(256, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.hidden(self.features(image).flatten(1)))
        return self.output(self.dropout(hidden))  # type: ignore[no-any-return]


def simple_net() -> SampleModel:
    """A trained ``SimpleNet``."""

    def train(model: SimpleNet) -> None:
        def scores(images: torch.Tensor) -> torch.Tensor:
            return model(images.flatten(1))  # type: ignore[no-any-return]

        images, labels = training_images("image28")
        training.fit(model, images, labels, epochs=20, peak_rate=3e-3, shift=2, scores=scores)

    return trained("simple_net", SimpleNet, train, "flat28")


def simple_cnn() -> SampleModel:
    """A trained ``SimpleCNN``."""

    def train(model: SimpleCNN) -> None:
        images, labels = training_images("image28")
        training.fit(model, images, labels, epochs=8, peak_rate=3e-3, shift=2, scores=model.logits)

    return trained("simple_cnn", SimpleCNN, train, "image28")


def digits_cnn() -> SampleModel:
    """A trained ``DigitsCNN``."""

    def train(model: DigitsCNN) -> None:
        images, labels = training_images("image8")
        training.fit(model, images, labels, epochs=12, peak_rate=5e-3, shift=1)

    return trained("digits_cnn", DigitsCNN, train, "image8")


def linear_regression() -> SampleModel:
    """y = 3x + 1, found by least squares from 32 points of that line."""
    x = _line_points(32, seed=training.SEED)
    design = np.concatenate([x, np.ones_like(x)], axis=1)
    (slope, intercept), *_ = np.linalg.lstsq(design, 3 * x[:, 0] + 1, rcond=None)
    model = LinearRegression()
    with torch.no_grad():
        model.line.weight.fill_(float(slope))
        model.line.bias.fill_(float(intercept))
    model.example_inputs = {"x": torch.tensor([[0.5]])}
    return model.eval()


def line_calibration(n: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """x float32 ``[n, 1]``, drawn from -10..10."""
    return {"x": _line_points(n, seed).astype(np.float32)}


def trained(name: str, make: Callable[[], Model], train: Callable[[Model], None], form: str) -> Model:
    """``make()`` with trained weights, in eval mode; its example is the first test image."""

    def learn() -> training.Tensors:
        with training.deterministic():
            model = make()
            train(model)
        _, test = digits.digits()
        examples = digits.feeds(test.images[:1], form)
        return model.state_dict() | {_EXAMPLE + key: torch.from_numpy(v) for key, v in examples.items()}

    tensors = training.cached(name, learn)
    # On the meta device nothing is initialised, so the caller's random numbers stay as they were.
    with torch.device("meta"):
        model = make()
    weights = {key: value for key, value in tensors.items() if not key.startswith(_EXAMPLE)}
    model.load_state_dict(weights, assign=True)
    model.example_inputs = {
        key.removeprefix(_EXAMPLE): value for key, value in tensors.items() if key.startswith(_EXAMPLE)
    }
    return model.eval()


def _conv_bn_relu(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def _line_points(n: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-10, 10, (n, 1))


def training_images(form: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images as a sample of this form takes them, and their classes."""
    train, _ = digits.digits()
    return torch.from_numpy(digits.feeds(train.images, form)["image"]), torch.from_numpy(train.labels)
