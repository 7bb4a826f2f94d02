"""Encoders of text of the ``transformers`` package."""

from __future__ import annotations

from typing import Any

from .architecture import Architecture, mask, tokens
from .pretrained import configured

_WORDS, _LENGTH = 500, 16
_ENCODER: dict[str, Any] = {"vocab_size": _WORDS, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
                            "intermediate_size": 96, "max_position_embeddings": 40}  # fmt: skip

_ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "distilbert": ("DistilBert", {"vocab_size": _WORDS, "dim": 48, "hidden_dim": 96, "n_layers": 2, "n_heads": 4}),
    "albert": ("Albert", {**_ENCODER, "embedding_size": 24}),
    "roberta": ("Roberta", _ENCODER),
    "electra": ("Electra", {**_ENCODER, "embedding_size": 24}),
    "deberta_v2": ("DebertaV2", {**_ENCODER, "relative_attention": True, "pos_att_type": ["c2p", "p2c"],
                                 "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True}),
    "modernbert": ("ModernBert", {**_ENCODER, "num_hidden_layers": 3, "global_attn_every_n_layers": 3,
                                  "local_attention": 8, "pad_token_id": 0}),
    "mobilebert": ("MobileBert", {**_ENCODER, "embedding_size": 24, "intra_bottleneck_size": 24,
                                  "true_hidden_size": 24}),
    "mpnet": ("MPNet", _ENCODER),
    "squeezebert": ("SqueezeBert", {**_ENCODER, "embedding_size": 48}),
    "convbert": ("ConvBert", {**_ENCODER, "embedding_size": 24}),
    "funnel": ("FunnelBase", {"vocab_size": _WORDS, "block_sizes": [1, 1], "d_model": 48, "n_head": 4, "d_head": 12,
                              "d_inner": 96, "num_decoder_layers": 1}),
    "esm": ("Esm", {**_ENCODER, "position_embedding_type": "rotary", "pad_token_id": 0, "mask_token_id": 1,
                    "token_dropout": False}),
    "layoutlm": ("LayoutLM", _ENCODER),
    "roformer": ("RoFormer", {**_ENCODER, "embedding_size": 24}),
    "nomic_bert": ("NomicBert", {**_ENCODER, "pad_token_id": 0}),
}  # fmt: skip
"""Name → transformers' name of it, and its configuration; each takes tokens and a mask."""

_FIXED_LENGTH = ("funnel",)
"""Those whose own code takes the length for a number."""


ARCHITECTURES = {
    **{
        name: Architecture(
            "text",
            configured(f"{kind}Model", "input_ids attention_mask", "last_hidden_state", options),
            {"input_ids": tokens(_WORDS, _LENGTH), "attention_mask": mask(_LENGTH)},
            dict.fromkeys(("input_ids", "attention_mask"), "batch ." if name in _FIXED_LENGTH else "batch length"),
        )
        for name, (kind, options) in _ENCODERS.items()
    },
    "fnet": Architecture(
        "text",
        configured("FNetModel", "input_ids", "last_hidden_state", {**_ENCODER, "pad_token_id": 0}),
        {"input_ids": tokens(_WORDS, _LENGTH)},
        {"input_ids": "batch length"},
    ),
}
