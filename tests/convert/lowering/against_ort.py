"""Holds both artifacts of a model against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx.helper
import onnx.numpy_helper
import onnx.parser
import onnxruntime as ort

from ...conformance.adapters import RUNNERS, convert_to
from ...noops import noops

Feeds = Mapping[str, Any]


def model_of(signature: str, nodes: str, constants: Feeds | None = None, *, opset: int = 20) -> bytes:
    """A serialized model, in ONNX's text form: ``signature`` is ``(inputs) => (outputs)``."""
    text = f'<ir_version: 9, opset_import: ["": {opset}]> g {signature} {{ {nodes} }}'
    model = onnx.parser.parse_model(text)
    tensors = [onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in (constants or {}).items()]
    model.graph.initializer.extend(tensors)
    return model.SerializeToString()


def assert_agrees(
    model: bytes,
    feeds: Sequence[Feeds],
    folder: Path,
    *,
    artifacts: Sequence[str] = ("tflite", "saved_model"),
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> dict[str, Path]:
    """Convert ``model`` and compare on each of ``feeds``: shapes and types exactly; integers too. Returns the files."""
    session = ort.InferenceSession(model)
    names = [output.name for output in session.get_outputs()]
    wanted = [session.run(None, dict(feed)) for feed in feeds]
    files = {}
    for artifact in artifacts:
        (folder / artifact).mkdir()
        made = files[artifact] = convert_to(artifact, model, folder / artifact)
        assert artifact != "tflite" or noops(made) == []
        for feed, want in zip(feeds, wanted, strict=True):
            outputs = RUNNERS[artifact](made, feed)
            for name, array in zip(names, want, strict=True):
                got = outputs[name]
                assert (got.shape, got.dtype) == (array.shape, array.dtype), f"{artifact}: {name}"
                if array.dtype.kind == "f":
                    np.testing.assert_allclose(got, array, rtol=rtol, atol=atol, err_msg=f"{artifact}: {name}")
                else:
                    np.testing.assert_array_equal(got, array, err_msg=f"{artifact}: {name}")
    return files
