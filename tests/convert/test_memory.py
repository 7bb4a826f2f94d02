"""A conversion's memory, beyond what its libraries take, is that of a weight, not of all of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgeworthy.benchmarks.memory import write_chain

CONVERT = """
import json, resource, sys
from pathlib import Path
from edgeworthy.convert.conversion import convert

peaks = []
for path in sys.argv[1:]:
    convert(Path(path), Path(path).parent / "out", to=["tflite"])
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
print(json.dumps(peaks))
"""


@pytest.mark.parametrize("inside", [True, False], ids=["one file", "weights beside it"])
def test_large_weights_stay_in_their_file(inside: bool, tmp_path: Path) -> None:
    small, large = tmp_path / "small" / "m.onnx", tmp_path / "large" / "m.onnx"
    sizes = []
    for path, size in ((small, 1 << 20), (large, 100 << 20)):
        path.parent.mkdir()
        sizes.append(write_chain(path, size))
        if inside:
            onnx.save(onnx.load(path), path)
            path.with_suffix(".data").unlink()
    command = [sys.executable, "-c", CONVERT, str(small), str(large)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    before, after = json.loads(done.stdout.splitlines()[-1])
    assert after - before < 0.6 * sizes[1]

    made = large.parent / "out" / "model_float32.tflite"
    assert made.stat().st_size < sizes[1] + 10_000
    x = np.random.default_rng(0).standard_normal((1, 2048)).astype(np.float32)
    wanted = x
    for tensor in onnx.load(large).graph.initializer:
        wanted = np.tanh(wanted @ onnx.numpy_helper.to_array(tensor))
    (got,) = Interpreter(str(made)).get_signature_runner()(x0=x).values()
    np.testing.assert_allclose(got, wanted, atol=1e-5)
