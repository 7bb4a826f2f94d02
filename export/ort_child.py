"""Runs an ONNX file in ONNX Runtime, in a process of its own: native code on a model can abort.

Started as a script: ``python ort_child.py MODEL FOLDER``. FOLDER holds ``0.in.npz``, ``1.in.npz`` …; for each of
them ``0.out.npz`` … is written, with the outputs under their positions. It imports nothing of edgeworthy.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime


def main(model: str, folder: str) -> None:
    onnxruntime.disable_telemetry_events()  # some builds report on the models that they load
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # The graph as it was exported is what is checked, not what ONNX Runtime makes of it.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = {value.name for value in session.get_inputs()}
    for file in sorted(Path(folder).glob("*.in.npz")):
        with np.load(file) as feeds:
            outputs = session.run(None, {name: feeds[name] for name in feeds.files if name in names})
        np.savez(file.with_name(file.name.replace(".in.", ".out.")), *outputs)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # noqa: BLE001  # the parent tells it, whatever it is
        print(error, file=sys.stderr)
        sys.exit(1)
