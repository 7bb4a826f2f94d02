"""onnx2tf, from 1.29 on. Self-contained: it runs in the Python of a kit."""

from __future__ import annotations

from pathlib import Path


def convert(model: Path, folder: Path) -> Path:
    """What a user of it writes, with the names of the model's inputs and outputs kept."""
    import onnx2tf

    onnx2tf.convert(
        input_onnx_file_path=str(model),
        output_folder_path=str(folder),
        copy_onnx_input_output_names_to_tflite=True,
        non_verbose=True,
    )
    return folder / f"{model.stem}_float32.tflite"
