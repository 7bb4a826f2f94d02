"""Architectures beside those of ``samples/zoo.py``: transformers' models in small sizes, random weights by seed.

A source is ``benchmarks/nets.py:NAME``. Each gives one tensor or a tuple of tensors, as an app would want it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

_IMAGE, _TOKENS = (1, 3, 64, 64), 32

_VISION: dict[str, tuple[str, dict[str, Any]]] = {
    "mobilenet_v1": ("MobileNetV1", {"image_size": 64, "depth_multiplier": 0.5}),
    "regnet": ("RegNet", {"embedding_size": 16, "hidden_sizes": [16, 32, 64, 96], "depths": [1, 1, 2, 1],
                          "groups_width": 16}),
    "resnext_d": ("ResNet", {"embedding_size": 16, "hidden_sizes": [32, 64, 96, 128], "depths": [1, 1, 1, 1]}),
    "convnext_v2": ("ConvNextV2", {"hidden_sizes": [16, 32, 64, 96], "depths": [1, 1, 2, 1]}),
    "swin": ("Swin", {"image_size": 64, "embed_dim": 24, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4,
                      "attn_implementation": "eager"}),
    "poolformer": ("PoolFormer", {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1]}),
    "pvt": ("Pvt", {"image_size": 64, "hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1],
                    "num_attention_heads": [1, 2, 3, 4], "sequence_reduction_ratios": [8, 4, 2, 1]}),
    "mobilevit": ("MobileViT", {"image_size": 64, "hidden_sizes": [24, 32, 48],
                                "neck_hidden_sizes": [8, 16, 24, 32, 40, 48, 64]}),
    "deit": ("DeiT", {"image_size": 64, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
                      "intermediate_size": 96}),
}  # fmt: skip
"""Name → transformers' name of it, and its configuration; each classifies an image."""

_TEXT: dict[str, tuple[str, dict[str, Any]]] = {
    "distilbert": ("DistilBert", {"dim": 48, "hidden_dim": 96, "n_layers": 2, "n_heads": 4, "vocab_size": 500}),
    "albert": ("Albert", {"hidden_size": 48, "embedding_size": 24, "intermediate_size": 96, "num_hidden_layers": 2,
                          "num_attention_heads": 4, "vocab_size": 500}),
}  # fmt: skip
"""Likewise; each encodes a sentence."""


class _First(nn.Module):
    """A model that takes one tensor, and gives the first of its outputs."""

    def __init__(self, model: nn.Module, argument: str, example: torch.Tensor) -> None:
        super().__init__()
        self.model, self._argument = model, argument
        self.example_inputs = {"x": example}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(**{self._argument: x}, return_dict=False)[0]  # type: ignore[no-any-return]


def _make(name: str, kind: str, options: dict[str, Any], *, text: bool) -> nn.Module:
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**options)
    model = getattr(transformers, f"{kind}{'Model' if text else 'ForImageClassification'}")(config)
    generator = torch.Generator().manual_seed(1)
    example = (
        torch.randint(1, 500, (1, _TOKENS), generator=generator) if text else torch.rand(_IMAGE, generator=generator)
    )
    return _First(model, "input_ids" if text else "pixel_values", example).eval()


NETS: dict[str, Callable[[], nn.Module]] = {
    **{name: partial(_make, name, *what, text=False) for name, what in _VISION.items()},
    **{name: partial(_make, name, *what, text=True) for name, what in _TEXT.items()},
}


def __getattr__(name: str) -> Callable[[], nn.Module]:
    if name not in NETS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return NETS[name]
