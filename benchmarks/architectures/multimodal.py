"""Pictures with words, and SAM's two halves, of the ``transformers`` package."""

from __future__ import annotations

from typing import Any

import torch

from .architecture import Architecture, Draw, mask, normal, tokens
from .pretrained import configured

_WORDS, _LENGTH, _SIZE = 300, 10, 64
_TEXT: dict[str, Any] = {"vocab_size": _WORDS, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                         "num_attention_heads": 4, "max_position_embeddings": 16, "pad_token_id": 0,
                         "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
_VISION: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                           "num_attention_heads": 4, "image_size": _SIZE, "patch_size": 16}  # fmt: skip
_BOTH = {"text_config": _TEXT, "vision_config": _VISION, "projection_dim": 24}
_PAIR = "logits_per_image text_embeds image_embeds"

_PAIRS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "clip": ("CLIPModel", _PAIR, _BOTH),
    "siglip": ("SiglipModel", _PAIR, _BOTH),
    "chinese_clip": ("ChineseCLIPModel", _PAIR, {**_BOTH, "text_config": {**_TEXT, "type_vocab_size": 2}}),
    "blip": ("BlipModel", _PAIR, {**_BOTH, "text_config": {**_TEXT, "encoder_hidden_size": 32}}),
    "clipseg": ("CLIPSegForImageSegmentation", "logits", {
        "text_config": _TEXT, "vision_config": _VISION, "projection_dim": 24, "extract_layers": [0, 1],
        "reduce_dim": 16, "decoder_num_attention_heads": 4, "decoder_intermediate_size": 32,
        "conditional_layer": 0}),
    "owlvit": ("OwlViTForObjectDetection", "logits pred_boxes", {**_BOTH, "projection_dim": 32}),
    "layoutlm_v3": ("LayoutLMv3ForTokenClassification", "logits", {
        **_TEXT, "input_size": _SIZE, "num_labels": 6, "coordinate_size": 5, "shape_size": 6}),
}  # fmt: skip
"""Name → transformers' class, outputs and configuration; each takes words, their mask and a picture."""


def _pair(name: str, kind: str, outputs: str, options: dict[str, Any]) -> Architecture:
    inputs: dict[str, Draw] = {"input_ids": tokens(_WORDS, _LENGTH), "attention_mask": mask(_LENGTH)}
    if name == "layoutlm_v3":
        inputs["bbox"] = lambda generator, count: torch.randint(0, 1000, (count, _LENGTH, 4), generator=generator).sort(
            -1
        )[0]
    inputs["pixel_values"] = normal(3, _SIZE, _SIZE)
    words = "batch length"
    axes = {"input_ids": words, "attention_mask": words, "bbox": f"{words} .", "pixel_values": "batch . . ."}
    return Architecture("pictures with words", configured(kind, " ".join(inputs), outputs, options), inputs,
                        {name: axes[name] for name in inputs})  # fmt: skip


_SAM: dict[str, Any] = {
    "vision_config": {"hidden_size": 32, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
                      "image_size": _SIZE, "patch_size": 8, "window_size": 3, "global_attn_indexes": [1],
                      "mlp_dim": 64, "num_pos_feats": 8},
    "prompt_encoder_config": {"hidden_size": 16, "image_size": _SIZE, "patch_size": 8, "mask_input_channels": 8},
    "mask_decoder_config": {"hidden_size": 16, "mlp_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                            "iou_head_hidden_dim": 16},
}  # fmt: skip

ARCHITECTURES = {
    **{name: _pair(name, kind, outputs, options) for name, (kind, outputs, options) in _PAIRS.items()},
    "sam_image": Architecture(
        "segmentation",
        configured("SamModel", "pixel_values", "last_hidden_state", _SAM, part="vision_encoder"),
        {"pixel_values": normal(3, _SIZE, _SIZE)},
        {"pixel_values": "batch . . ."},
    ),
    "sam_prompt": Architecture(
        "segmentation",
        configured("SamModel", "image_embeddings input_points input_labels", "iou_scores pred_masks", _SAM),
        {"image_embeddings": normal(16, 8, 8),
         "input_points": lambda generator, count: torch.rand(count, 1, 3, 2, generator=generator) * _SIZE,
         "input_labels": lambda generator, count: torch.tensor([[[1, 0, 1]]]).repeat(count, 1, 1)},
        {"image_embeddings": "batch . . .", "input_points": "batch . points .", "input_labels": "batch . points"},
    ),
}  # fmt: skip
