"""Detection, segmentation, depth, pose and print of the ``transformers`` package: a picture in, much out."""

from __future__ import annotations

from typing import Any

from .architecture import Architecture, normal
from .pretrained import configured
from .vision import ANY_SIZE, BATCH, SIZE

_STAGES: dict[str, Any] = {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 1, 1]}
_ENCODER: dict[str, Any] = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4, "image_size": SIZE,
                            "intermediate_size": 96, "patch_size": 8}  # fmt: skip
_QUERIES: dict[str, Any] = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 4,
                            "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64,
                            "num_queries": 10, "num_labels": 6}  # fmt: skip
_BOXES = "logits pred_boxes"


def _resnet(**more: Any) -> Any:
    """The configuration of a backbone."""
    from transformers import ResNetConfig

    return ResNetConfig(
        embedding_size=8, hidden_sizes=[16, 16, 32, 32], depths=[1, 1, 1, 1], layer_type="basic", **more
    )


def _vit() -> Any:
    from transformers import Dinov2Config

    return Dinov2Config(**_ENCODER, out_indices=[1, 2, 3, 4], apply_layernorm=True, reshape_hidden_states=False)


_MODELS: dict[str, tuple[str, str, str, str, Any]] = {
    "detr": ("detection", "DetrForObjectDetection", _BOXES, BATCH, lambda: {
        **_QUERIES, "backbone_config": _resnet(out_features=["stage4"])}),
    "conditional_detr": ("detection", "ConditionalDetrForObjectDetection", _BOXES, BATCH, lambda: {
        **_QUERIES, "backbone_config": _resnet(out_features=["stage4"])}),
    "deformable_detr": ("detection", "DeformableDetrForObjectDetection", _BOXES, BATCH, lambda: {
        **_QUERIES, "num_feature_levels": 3, "backbone_config": _resnet(out_features=["stage2", "stage3", "stage4"])}),
    "rt_detr": ("detection", "RTDetrForObjectDetection", _BOXES, BATCH, lambda: {
        "d_model": 32, "encoder_hidden_dim": 32, "encoder_in_channels": [16, 32, 32], "num_queries": 10,
        "decoder_in_channels": [32, 32, 32], "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 4,
        "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "num_labels": 6,
        "anchor_image_size": None, "backbone_config": _rt_resnet()}),
    "yolos": ("detection", "YolosForObjectDetection", _BOXES, BATCH, lambda: {
        **_ENCODER, "image_size": [SIZE, SIZE], "num_detection_tokens": 10, "num_labels": 6}),
    "segformer": ("segmentation", "SegformerForSemanticSegmentation", "logits", ANY_SIZE, lambda: {
        **_STAGES, "num_attention_heads": [1, 2, 3, 4], "decoder_hidden_size": 32, "num_labels": 6}),
    "mobilenet_v2_deeplab": ("segmentation", "MobileNetV2ForSemanticSegmentation", "logits", ANY_SIZE, lambda: {
        "image_size": SIZE, "depth_multiplier": 0.35, "num_labels": 6, "output_stride": 16}),
    "mobilevit_deeplab": ("segmentation", "MobileViTForSemanticSegmentation", "logits", BATCH, lambda: {
        "image_size": SIZE, "hidden_sizes": [24, 32, 48], "neck_hidden_sizes": [8, 16, 24, 32, 40, 48, 64],
        "aspp_out_channels": 16, "num_labels": 6}),
    "upernet": ("segmentation", "UperNetForSemanticSegmentation", "logits", BATCH, lambda: {
        "hidden_size": 16, "num_labels": 6, "use_auxiliary_head": False,
        "backbone_config": _resnet(out_features=["stage1", "stage2", "stage3", "stage4"])}),
    "maskformer": ("segmentation", "MaskFormerForInstanceSegmentation", "class_queries_logits masks_queries_logits",
                   BATCH, lambda: _masks()),
    "mask2former": ("segmentation", "Mask2FormerForUniversalSegmentation",
                    "class_queries_logits masks_queries_logits", BATCH, lambda: {
        "hidden_dim": 32, "feature_size": 32, "mask_feature_size": 32, "encoder_feedforward_dim": 64,
        "encoder_layers": 1, "decoder_layers": 2, "dim_feedforward": 64, "num_attention_heads": 4, "num_queries": 10,
        "num_labels": 6, "backbone_config": _resnet(out_features=["stage1", "stage2", "stage3", "stage4"])}),
    "dpt": ("depth", "DPTForDepthEstimation", "predicted_depth", BATCH, lambda: {
        **_ENCODER, "patch_size": 16, "backbone_out_indices": [0, 1, 2, 3], "neck_hidden_sizes": [16, 16, 32, 32],
        "fusion_hidden_size": 16, "is_hybrid": False}),
    "glpn": ("depth", "GLPNForDepthEstimation", "predicted_depth", ANY_SIZE, lambda: {
        **_STAGES, "num_attention_heads": [1, 2, 3, 4], "decoder_hidden_size": 16}),
    "depth_anything": ("depth", "DepthAnythingForDepthEstimation", "predicted_depth", BATCH, lambda: {
        "backbone_config": _vit(), "patch_size": 8, "reassemble_hidden_size": 48, "neck_hidden_sizes": [8, 16, 16, 16],
        "fusion_hidden_size": 16, "head_hidden_size": 8}),
    "vitpose": ("pose", "VitPoseForPoseEstimation", "heatmaps", BATCH, lambda: {
        "backbone_config": _pose(), "num_labels": 5, "use_simple_decoder": False}),
    "superpoint_features": ("pose", "SuperPointForKeypointDetection", "", ". . height width", lambda: {
        "encoder_hidden_sizes": [8, 8, 16, 16], "decoder_hidden_size": 32}),
    "swin2sr": ("restoration", "Swin2SRForImageSuperResolution", "reconstruction", BATCH, lambda: {
        "image_size": SIZE, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 8, "upscale": 2}),
    "donut_swin": ("print", "DonutSwinModel", "last_hidden_state", BATCH, lambda: {
        "image_size": SIZE, "embed_dim": 16, "depths": [1, 2], "num_heads": [2, 4], "window_size": 4}),
    "mgp_str": ("print", "MgpstrForSceneTextRecognition", "", BATCH, lambda: {
        "image_size": [32, SIZE], "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "max_token_length": 8, "num_character_labels": 20, "num_bpe_labels": 40, "num_wordpiece_labels": 40}),
}  # fmt: skip
"""Name → section, transformers' class, outputs, what may vary of the picture, and its configuration.

MobileViT rounds sizes in Python, and PyTorch exports UPerNet's adaptive pools for one size alone.
"""


def _rt_resnet() -> Any:
    from transformers import RTDetrResNetConfig

    return RTDetrResNetConfig(embedding_size=8, hidden_sizes=[16, 16, 32, 32], depths=[1, 1, 1, 1],
                              layer_type="bottleneck", out_features=["stage2", "stage3", "stage4"])  # fmt: skip


def _pose() -> Any:
    from transformers import VitPoseBackboneConfig

    return VitPoseBackboneConfig(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, image_size=[SIZE, SIZE],
                                 patch_size=[16, 16], num_experts=1, out_indices=[2])  # fmt: skip


def _masks() -> dict[str, Any]:
    from transformers import DetrConfig, SwinConfig

    backbone = SwinConfig(image_size=SIZE, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 4, 4], window_size=4,
                          out_features=["stage1", "stage2", "stage3", "stage4"])  # fmt: skip
    decoder = DetrConfig(**_QUERIES, backbone_config=None, use_timm_backbone=False)
    return {"fpn_feature_size": 32, "mask_feature_size": 32, "backbone_config": backbone, "decoder_config": decoder,
            "num_labels": 6}  # fmt: skip


_HEIGHT = {"mgp_str": 32}

ARCHITECTURES = {
    name: Architecture(
        family,
        configured(kind, "pixel_values", outputs, options),
        {"pixel_values": normal(3, _HEIGHT.get(name, SIZE), SIZE)},
        {"pixel_values": axes},
    )
    for name, (family, kind, outputs, axes, options) in _MODELS.items()
}
