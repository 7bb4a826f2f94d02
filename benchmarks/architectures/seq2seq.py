"""Encoder–decoders of the ``transformers`` package, step by step: text, speech and print to text.

The encoder; the decoder's first step, which makes the keys and values of what it attends to; and each later step.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch
from torch import nn

from .architecture import Architecture, Draw, mask, normal, tokens
from .pretrained import network

_WORDS, _LENGTH, _PAST, _LAYERS, _WIDTH, _HEADS, _HEAD = 300, 12, 5, 2, 48, 4, 12
_TOKENS: dict[str, Any] = {"vocab_size": _WORDS, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
                           "decoder_start_token_id": 1, "forced_eos_token_id": None}  # fmt: skip
_BART = {**_TOKENS, "d_model": _WIDTH, "encoder_layers": _LAYERS, "decoder_layers": _LAYERS, "encoder_ffn_dim": 96,
         "encoder_attention_heads": _HEADS, "decoder_attention_heads": _HEADS, "decoder_ffn_dim": 96,
         "max_position_embeddings": 64}  # fmt: skip
_SOUND = {"max_source_positions": 50, "max_target_positions": 64, "num_mel_bins": 16, "suppress_tokens": None,
          "begin_suppress_tokens": None}  # fmt: skip

Part = Literal["encoder", "first_step", "step"]
_PARTS: tuple[Part, ...] = ("encoder", "first_step", "step")

_MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "t5": ("T5ForConditionalGeneration", {**_TOKENS, "d_model": _WIDTH, "d_kv": _HEAD, "d_ff": 96, "num_heads": _HEADS,
                                          "num_layers": _LAYERS, "feed_forward_proj": "gated-gelu"}),
    "bart": ("BartForConditionalGeneration", _BART),
    "marian": ("MarianMTModel", {**_BART, "decoder_vocab_size": _WORDS}),
    "m2m_100": ("M2M100ForConditionalGeneration", _BART),
    "whisper": ("WhisperForConditionalGeneration", {**_BART, **_SOUND}),
}  # fmt: skip
_SPEECH = ("whisper",)


class EncoderDecoder(nn.Module):
    """One part of an encoder–decoder.

    Args:
        part: ``encoder``: ids and mask, or sound, → states [batch, source, width]; ``first_step``: ids [batch, 1] and
            states → logits, and keys and values of the step and of the states, for each layer; ``step``: ids [batch,
            1], the keys and values of the steps before, and those of the states → logits and those of the steps.
    """

    def __init__(self, kind: str, options: dict[str, Any], part: Part) -> None:
        super().__init__()
        self.model, self.part, self._width = network(kind, options), part, _WIDTH

    def forward(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        from transformers import DynamicCache, EncoderDecoderCache

        if self.part == "encoder":
            given = dict(zip(("attention_mask",), inputs[1:], strict=False))
            return {"states": self.model.get_encoder()(inputs[0], **given).last_hidden_state}
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        ids, states = inputs[:2]
        if self.part == "step":
            own, cross = inputs[1 : 1 + 2 * _LAYERS], inputs[1 + 2 * _LAYERS :]
            for index in range(_LAYERS):
                pair = slice(2 * index, 2 * index + 2)
                cache.self_attention_cache.update(*own[pair], index)
                cache.cross_attention_cache.update(*cross[pair], index)
                cache.is_updated[index] = True
            states = cross[0].new_zeros(cross[0].shape[0], cross[0].shape[2], self._width)
        result = self.model(decoder_input_ids=ids, encoder_outputs=(states,), past_key_values=cache, use_cache=True)
        named = {"logits": result.logits}
        for index, layer in enumerate(cache.self_attention_cache.layers):
            named |= {f"new_keys_{index}": layer.keys, f"new_values_{index}": layer.values}
        if self.part == "first_step":
            for index, layer in enumerate(cache.cross_attention_cache.layers):
                named |= {f"cross_keys_{index}": layer.keys, f"cross_values_{index}": layer.values}
        return named


def _inputs(name: str, part: Part) -> tuple[dict[str, Draw], dict[str, str]]:
    if part == "encoder" and name in _SPEECH:
        return {"input_features": normal(16, 100)}, {"input_features": "batch . ."}
    if part == "encoder":
        return ({"input_ids": tokens(_WORDS, _LENGTH), "attention_mask": mask(_LENGTH)},
                dict.fromkeys(("input_ids", "attention_mask"), "batch length"))  # fmt: skip
    ids: dict[str, Draw] = {"decoder_input_ids": tokens(_WORDS, 1)}
    if part == "first_step":
        return ids | {"states": normal(_LENGTH, _WIDTH)}, {"decoder_input_ids": "batch .", "states": "batch source ."}
    pairs = [f"{what}_{index}" for index in range(_LAYERS) for what in ("keys", "values")]
    own = dict.fromkeys(pairs, normal(_HEADS, _PAST, _HEAD))
    cross = {f"cross_{pair}": normal(_HEADS, _LENGTH, _HEAD) for pair in pairs}
    axes = {"decoder_input_ids": "batch .", **dict.fromkeys(own, "batch . past ."),
            **dict.fromkeys(cross, "batch . source .")}  # fmt: skip
    return ids | own | cross, axes


ARCHITECTURES = {
    f"{name}_{part}": Architecture(
        "speech" if name in _SPEECH else "encoder–decoders",
        partial(EncoderDecoder, kind, options, part),
        *_inputs(name, part),
    )
    for name, (kind, options) in _MODELS.items()
    for part in _PARTS
}
