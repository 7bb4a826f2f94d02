"""Decoders of the ``transformers`` package: a prompt, a step with a cache that grows, one with a cache of fixed size.

Caches are inputs and outputs: [batch, heads, length, width] of keys and of values, for each layer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import nn

from .architecture import Architecture, Draw, normal, same, tokens
from .pretrained import network

_WORDS, _LENGTH, _PAST, _MOST, _LAYERS = 300, 12, 7, 16, 2
_SIZES: dict[str, Any] = {"vocab_size": _WORDS, "hidden_size": 48, "num_hidden_layers": _LAYERS,
                          "num_attention_heads": 4, "intermediate_size": 96, "max_position_embeddings": 64,
                          "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
_GROUPED = {**_SIZES, "num_key_value_heads": 2}

Mode = Literal["prefill", "step", "static_step"]
_ALL: tuple[Mode, ...] = ("prefill", "step", "static_step")

_DECODERS: dict[str, tuple[str, int, int, dict[str, Any], tuple[Mode, ...]]] = {
    "gpt2": ("GPT2LMHeadModel", 4, 12, {"vocab_size": _WORDS, "n_embd": 48, "n_layer": _LAYERS, "n_head": 4,
                                   "n_positions": 64}, _ALL),
    "gpt_neox": ("GPTNeoXForCausalLM", 4, 12, _SIZES, ("prefill", "step")),
    "opt": ("OPTForCausalLM", 4, 12, {**_SIZES, "ffn_dim": 96, "word_embed_proj_dim": 48}, ("prefill", "step")),
    "bloom": ("BloomForCausalLM", 4, 12, {"vocab_size": _WORDS, "hidden_size": 48, "n_layer": _LAYERS, "n_head": 4},
              ("prefill", "step")),
    "falcon": ("FalconForCausalLM", 1, 12, {**_SIZES, "multi_query": True}, ("prefill", "step")),
    "llama": ("LlamaForCausalLM", 2, 12, _GROUPED, _ALL),
    "qwen3": ("Qwen3ForCausalLM", 2, 12, {**_GROUPED, "head_dim": 12}, _ALL),
    "phi3": ("Phi3ForCausalLM", 2, 12, _GROUPED, ("prefill", "step")),
    "gemma3": ("Gemma3ForCausalLM", 2, 12, {**_GROUPED, "head_dim": 12, "sliding_window": 32,
                                            "layer_types": ["sliding_attention", "full_attention"]},
               ("prefill", "step")),
    "mixtral": ("MixtralForCausalLM", 2, 12, {**_GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2,
                                              "experts_implementation": "batched_mm"}, ("prefill", "step")),
    "gpt_oss": ("GptOssForCausalLM", 2, 12, {**_GROUPED, "head_dim": 12, "num_local_experts": 4,
                                             "num_experts_per_tok": 2, "sliding_window": 8,
                                             "experts_implementation": "batched_mm"}, ("prefill",)),
    "deepseek_v3": ("DeepseekV3ForCausalLM", 4, 12, {
        **_SIZES, "num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8, "v_head_dim": 12, "first_k_dense_replace": 2, "n_routed_experts": 4, "n_group": 1,
        "topk_group": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 32}, ("prefill",)),
}  # fmt: skip
"""Name → transformers' class, heads and width of a head of its cache, configuration, and modes."""


class Decoder(nn.Module):
    """A causal language model with its cache outside.

    Args:
        mode: ``prefill``: ids [batch, length] → logits and cache; ``step``: ids [batch, 1] and a cache → logits and
            the cache, longer by one; ``static_step``: the same with a position [1], and a cache of fixed length.
    """

    def __init__(self, kind: str, options: dict[str, Any], mode: Mode) -> None:
        super().__init__()
        self.model, self.mode = network(kind, options), mode

    def forward(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        cache = self._cache(*inputs[1:])
        result = self.model(input_ids=inputs[0], past_key_values=cache, use_cache=True)
        named = {"logits": result.logits}
        for index, layer in enumerate(result.past_key_values.layers):
            named |= {f"new_keys_{index}": layer.keys, f"new_values_{index}": layer.values}
        return named

    def _cache(self, *rest: torch.Tensor) -> Any:
        from transformers import DynamicCache, StaticCache

        if self.mode == "prefill":
            return DynamicCache(config=self.model.config)
        if self.mode == "step":
            cache, tensors = DynamicCache(config=self.model.config), rest
        else:
            cache, tensors = StaticCache(config=self.model.config, max_cache_len=_MOST), rest[1:]
        for layer, keys, values in zip(cache.layers, tensors[::2], tensors[1::2], strict=True):
            layer.lazy_initialization(keys, values)
            layer.keys, layer.values = keys.clone(), values.clone()
            if self.mode == "static_step":
                layer.cumulative_length = rest[0][0].clone()
            elif layer.is_sliding:
                layer.cumulative_length = keys.shape[-2]
        return cache


def _inputs(mode: Mode, heads: int, width: int) -> tuple[dict[str, Draw], dict[str, str]]:
    if mode == "prefill":
        return {"input_ids": tokens(_WORDS, _LENGTH)}, {"input_ids": "batch length"}
    past = _PAST if mode == "step" else _MOST
    names = [f"{what}_{layer}" for layer in range(_LAYERS) for what in ("keys", "values")]
    inputs: dict[str, Draw] = {"input_ids": tokens(_WORDS, 1)}
    if mode == "static_step":
        inputs["position"] = same(lambda generator, count: torch.full((1, 1), 5))
    inputs |= dict.fromkeys(names, normal(heads, past, width))
    axes = {"input_ids": "batch ."} | dict.fromkeys(names, "batch . past ." if mode == "step" else "batch . . .")
    return inputs, axes


def _architecture(kind: str, heads: int, width: int, options: dict[str, Any], mode: Mode) -> Architecture:
    make: Callable[[], nn.Module] = partial(Decoder, kind, options, mode)
    sizes = ({"past": _PAST}, {"past": 3 * _PAST}, {"past": 1}) if mode == "step" else ()
    return Architecture("decoders", make, *_inputs(mode, heads, width), sizes)


ARCHITECTURES = {
    f"{name}_{mode}": _architecture(kind, heads, width, options, mode)
    for name, (kind, heads, width, options, modes) in _DECODERS.items()
    for mode in modes
}
