"""Models of sound of the ``transformers`` package."""

from __future__ import annotations

from typing import Any

from .architecture import Architecture, normal
from .pretrained import configured

_ENCODER: dict[str, Any] = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
                            "intermediate_size": 96}  # fmt: skip
_WAVE: dict[str, Any] = {**_ENCODER, "conv_dim": [16, 16, 16], "conv_kernel": [10, 3, 3], "conv_stride": [5, 2, 2],
                         "num_feat_extract_layers": 3, "num_conv_pos_embeddings": 16,
                         "num_conv_pos_embedding_groups": 4, "apply_spec_augment": False,
                         "vocab_size": 32}  # fmt: skip
_ENCODEC: dict[str, Any] = {"hidden_size": 16, "num_filters": 4, "upsampling_ratios": [4, 2], "codebook_size": 32,
                            "codebook_dim": 16, "num_lstm_layers": 1}  # fmt: skip
_SAMPLES = 1600
_WAVES, _BATCH = "batch samples", "batch ."

_LISTENERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "wav2vec2": ("Wav2Vec2ForCTC", _WAVES, _WAVE),
    "wav2vec2_large": ("Wav2Vec2ForCTC", _WAVES, {**_WAVE, "do_stable_layer_norm": True, "feat_extract_norm": "layer",
                                                  "conv_bias": True}),
    "wav2vec2_conformer": ("Wav2Vec2ConformerForCTC", _BATCH, {**_WAVE, "position_embeddings_type": "rotary",
                                                               "conv_depthwise_kernel_size": 7}),
    "wavlm": ("WavLMForCTC", _WAVES, _WAVE),
    "sew": ("SEWForCTC", _WAVES, {**_WAVE, "squeeze_factor": 2}),
    "data2vec_audio": ("Data2VecAudioForCTC", _WAVES, {**_WAVE, "conv_pos_kernel_size": 5,
                                                       "num_conv_pos_embeddings": 2}),
}  # fmt: skip
"""Name → transformers' class, what may vary of the wave, and its configuration; each gives letters' scores.

The conformer keeps its rotary table from one call to the next, for the length that it has seen.
"""


ARCHITECTURES = {
    **{
        name: Architecture(
            "speech",
            configured(kind, "input_values", "logits", options),
            {"input_values": normal(_SAMPLES)},
            {"input_values": axes},
            sizes=({"samples": 1600}, {"samples": 2080}, {"samples": 1200}),
        )
        for name, (kind, axes, options) in _LISTENERS.items()
    },
    "ast": Architecture(
        "speech",
        configured("ASTForAudioClassification", "input_values", "logits",
                   {**_ENCODER, "max_length": 64, "num_mel_bins": 32, "frequency_stride": 8, "time_stride": 8,
                    "num_labels": 16}),
        {"input_values": normal(64, 32)},
        {"input_values": "batch . ."},
    ),
    "dac_decoder": Architecture(
        "speech",
        configured("DacModel", "hidden_state", "",
                   {"encoder_hidden_size": 8, "decoder_hidden_size": 32, "upsampling_ratios": [4, 2],
                    "downsampling_ratios": [2, 4], "n_codebooks": 2, "codebook_size": 32, "codebook_dim": 4},
                   part="decoder"),
        {"hidden_state": normal(32, 20)},
        {"hidden_state": "batch . length"},
    ),
    "encodec_encoder": Architecture(
        "speech", configured("EncodecModel", "hidden_states", "", _ENCODEC, part="encoder"),
        {"hidden_states": normal(1, 320)},
        {"hidden_states": "batch . samples"},
    ),
    "encodec_decoder": Architecture(
        "speech", configured("EncodecModel", "hidden_states", "", _ENCODEC, part="decoder"),
        {"hidden_states": normal(16, 20)},
        {"hidden_states": "batch . length"},
    ),
    "univnet": Architecture(
        "speech",
        configured("UnivNetModel", "input_features noise_sequence", "waveforms",
                   {"model_in_channels": 8, "model_hidden_channels": 8, "num_mel_bins": 16,
                    "resblock_kernel_sizes": [3, 3], "resblock_stride_sizes": [4, 4],
                    "resblock_dilation_sizes": [[1, 3], [1, 3]], "kernel_predictor_hidden_channels": 8}),
        {"input_features": normal(12, 16), "noise_sequence": normal(12, 8)},
        dict.fromkeys(("input_features", "noise_sequence"), "batch frames ."),
    ),
    "speech_to_text_encoder": Architecture(
        "speech",
        configured("Speech2TextModel", "input_features", "last_hidden_state",
                   {"d_model": 48, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 4,
                    "encoder_ffn_dim": 96, "input_feat_per_channel": 16, "conv_channels": 32, "vocab_size": 32,
                    "max_source_positions": 100}, part="encoder"),
        {"input_features": normal(40, 16)},
        {"input_features": "batch frames ."},
    ),
}  # fmt: skip
