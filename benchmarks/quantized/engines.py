"""The two engines by themselves, as their own makers call them: what edgeworthy's int8 is held against.

``python -m … ENGINE SOURCE FEEDS.npz FILE`` in a process of its own: either may abort.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Feeds = Callable[[], Iterator[dict[str, NDArray[Any]]]]


def ai_edge_quantizer(source: Path, feeds: Feeds) -> bytes:
    """Static int8 of a float TFLite file by the package's own recipe and calibration."""
    from ai_edge_quantizer import quantizer, recipe

    engine = quantizer.Quantizer(str(source), recipe.static_wi8_ai8())
    from ai_edge_litert.interpreter import Interpreter

    (key,) = Interpreter(model_path=str(source)).get_signature_list()
    measured = engine.calibrate({key: list(feeds())})
    return bytes(engine.quantize(measured).quantized_model)


def tensorflow(source: Path, feeds: Feeds) -> bytes:
    """TensorFlow's post-training quantization of a SavedModel, with float inputs and outputs."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(str(source))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = feeds
    return bytes(converter.convert())


ENGINES = {"ai-edge-quantizer": ai_edge_quantizer, "TensorFlow": tensorflow}
"""What a row calls it → what makes its file."""


def main() -> None:
    name, source, feeds, file = sys.argv[1:5]
    with np.load(feeds) as archive:
        data = {key: archive[key] for key in archive.files}

    def each() -> Iterator[dict[str, NDArray[Any]]]:
        for index in range(len(next(iter(data.values())))):
            yield {key: array[index] for key, array in data.items()}

    Path(file).write_bytes(ENGINES[name](Path(source), each))


if __name__ == "__main__":
    main()
