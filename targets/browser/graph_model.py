"""A SavedModel as a graph model of TensorFlow.js, run as a program of its own: ``graph_model.py SITE SAVED_MODEL OUT``.

It is the conversion of ``tensorflowjs_converter`` (the package tensorflowjs, in SITE) on the TensorFlow that is
installed. The package itself also brings converters for JAX, for TensorFlow Hub and for decision forests, and asks for
all of these and for versions of TensorFlow and numpy of its own; for a SavedModel none of them is called.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

_UNUSED = ("tensorflow_decision_forests", "tensorflow_hub")
"""Imported by the conversion of SavedModels; used by others."""

_PACKAGES = ("tensorflowjs", "tensorflowjs.converters")
"""Imported without their ``__init__``, which imports every converter."""


def main(site: str, saved_model: str, out: str) -> None:
    """Write ``model.json``, its weights, and ``names.json`` to the folder ``out``."""
    for name in _UNUSED:
        sys.modules[name] = ModuleType(name)
    for name in _PACKAGES:
        sys.modules[name] = package = ModuleType(name)
        package.__path__ = [f"{site}/{name.replace('.', '/')}"]
    conversion = importlib.import_module("tensorflowjs.converters.tf_saved_model_conversion_v2")
    conversion.convert_tf_saved_model(
        saved_model, out, signature_def="serving_default", saved_model_tags="serve", control_flow_v2=True
    )
    Path(out, "names.json").write_text(json.dumps(names(saved_model)), encoding="utf-8")


def names(saved_model: str) -> dict[str, dict[str, str]]:
    """``inputs`` and ``outputs`` by the signature's names → tensors of the graph.

    The converter guesses names from shapes and dtypes, and leaves those out that fit several.
    """
    tf = importlib.import_module("tensorflow")
    loaded = tf.saved_model.load(saved_model)
    function = loaded.signatures["serving_default"]
    sides = {
        "inputs": (function.structured_input_signature[1], function.inputs),
        "outputs": (function.structured_outputs, function.outputs),
    }
    # A dictionary is flattened in the order of its sorted keys; variables come after the inputs.
    return {
        side: {key: tensor.name for key, tensor in zip(sorted(keys), tensors, strict=False)}
        for side, (keys, tensors) in sides.items()
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
