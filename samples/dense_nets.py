"""An MLP, and two encoders of the ``transformers`` package made from their configurations alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import nn


class MLP(nn.Module):
    """Linear, BatchNorm and ReLU, repeated: image ``[n, 3, h, w]`` → logits ``[n, widths[-1]]``."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        *hidden, classes = widths
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(hidden):
            layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], classes))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(image.flatten(1))
        return logits


class Bert(nn.Module):
    """``transformers.BertModel``: int64 ``[n, t]`` twice → states ``[n, t, width]``, pooled ``[n, width]``.

    Source: J. Devlin et al., *BERT*, arXiv:1810.04805.
    """

    def __init__(self, **config: Any) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        self.encoder = BertModel(BertConfig(**config))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        output = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        return output.last_hidden_state, output.pooler_output


class ViT(nn.Module):
    """``transformers.ViTForImageClassification``: image ``[n, 3, h, w]`` → logits ``[n, classes]``.

    Source: A. Dosovitskiy et al., *An Image Is Worth 16×16 Words*, arXiv:2010.11929.
    """

    def __init__(self, *, classes: int, **config: Any) -> None:
        super().__init__()
        from transformers import ViTConfig, ViTForImageClassification

        self.classifier = ViTForImageClassification(ViTConfig(num_labels=classes, **config))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(pixel_values=image).logits
        return logits
