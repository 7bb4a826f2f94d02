"""onnx2tf, from 1.29 on. Self-contained: it runs in the Python of a kit."""

from __future__ import annotations

from pathlib import Path

_PICTURES = "calibration_image_sample_data_20x128x128x3_float32.npy"
"""What 1.29 looks for in the working folder, and would download otherwise, to compare its layers' outputs on."""


def convert(model: Path, folder: Path) -> Path:
    """What a user of it writes, with the names of the model's inputs and outputs kept."""
    import numpy as np
    import onnx2tf

    np.save(folder / _PICTURES, np.random.default_rng(0).random((20, 128, 128, 3), np.float32))
    onnx2tf.convert(
        input_onnx_file_path=str(model),
        output_folder_path=str(folder),
        copy_onnx_input_output_names_to_tflite=True,
        non_verbose=True,
    )
    return folder / f"{model.stem}_float32.tflite"
