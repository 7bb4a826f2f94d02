"""Models that really run, to try edgeworthy on: ``edgeworthy run sample:digits_cnn``.

Nothing here imports torch or scikit-learn until a sample is used. Larger models are in ``samples.zoo``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    Array = NDArray[np.generic]


@dataclass(frozen=True)
class Sample:
    """A small model with real data.

    Attributes:
        name: What follows ``sample:``.
        summary: One line for ``edgeworthy samples``.
        factory: Makes the model, trained and in eval mode. ``model.example_inputs`` maps input names to
            tensors of batch size 1.
        calibration: ``(n, seed)`` → input name → array of up to ``n`` training examples along the first axis.
        labelled: Test data: input name → array along the first axis, and the int64 class of each example.
            None where there are no classes.
    """

    name: str
    summary: str
    factory: Callable[[], nn.Module]
    calibration: Callable[[int, int], dict[str, Array]]
    labelled: Callable[[], tuple[dict[str, Array], Array] | None]


def _later(module: str, function: str, *arguments: object) -> Callable[..., Any]:
    """``function`` of a module of this folder, imported when it is called."""

    def call(*more: object, **named: object) -> Any:
        return getattr(import_module(f"{__name__}.{module}"), function)(*arguments, *more, **named)

    return call


def _no_classes() -> None:
    return None


def _on_digits(name: str, summary: str, form: str, module: str = "networks") -> Sample:
    return Sample(
        name,
        summary,
        factory=_later(module, name),
        calibration=_later("digits", "calibration", form),
        labelled=_later("digits", "labelled", form),
    )


SAMPLES: dict[str, Sample] = {
    sample.name: sample
    for sample in (
        _on_digits("simple_net", "MLP 784-128-10 on handwritten digits, enlarged to 28×28", "flat28"),
        _on_digits("simple_cnn", "one convolution, two dense layers and softmax on 1×28×28 digits", "image28"),
        Sample(
            "linear_regression",
            "y = 3x + 1, by least squares",
            factory=_later("networks", "linear_regression"),
            calibration=_later("networks", "line_calibration"),
            labelled=_no_classes,
        ),
        _on_digits("digits_cnn", "a BatchNorm CNN on scikit-learn's 8×8 handwritten digits, > 98 %", "image8"),
        _on_digits(
            "digits_qat",
            "digits_cnn trained with 4-bit weights and 8-bit activations",
            "image8",
            "qat",
        ),
    )
}
