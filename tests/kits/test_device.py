"""The real kits, from the real registries: installed, started, held against numpy (`make test-device`).

They go to the user's own data folder, as with ``edgeworthy targets install``; what is there is not fetched again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeworthy import kits, targets
from edgeworthy.kits import Launch
from edgeworthy.pipeline import trial
from edgeworthy.pipeline.progress import Silent

from .test_kit import megabytes, page

pytestmark = pytest.mark.device

FLOAT, INT8 = "float32", "static_wi8_ai8"

_LITERT = """
import json, sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
x = np.load(sys.argv[2])
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
interpreter.invoke()
y = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
print(json.dumps({"y": y.tolist(), "ops": [op["op_name"] for op in interpreter._get_ops_details()]}))
"""

_GPU = """
import json, sys
import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.hardware_accelerator import HardwareAccelerator
model = CompiledModel.from_file(sys.argv[1], HardwareAccelerator.GPU)
inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
inputs[0].write(np.load(sys.argv[2]))
model.run_by_index(0, inputs, outputs)
print(json.dumps({"y": outputs[0].read(8, np.float32).tolist(), "full": model.is_fully_accelerated()}))
"""

_MICRO = """
import json, sys
import numpy as np
from tflite_micro.python.tflite_micro import runtime
interpreter = runtime.Interpreter.from_file(sys.argv[1])
interpreter.set_input(np.load(sys.argv[2]), 0)
interpreter.invoke()
print(json.dumps({"y": interpreter.get_output(0).tolist()}))
"""

_OPENVINO = """
import json, sys
import numpy as np
import openvino
model = openvino.Core().compile_model(sys.argv[1], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
print(json.dumps({"y": next(iter(model([np.load(sys.argv[2])]).values())).tolist()}))
"""

_EXECUTORCH = """
import json, sys
import numpy as np
import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import to_edge_transform_and_lower
from executorch.runtime import Runtime
x, stored = torch.from_numpy(np.load(sys.argv[1])), np.load(sys.argv[2])
layer = torch.nn.Linear(x.shape[1], stored["bias"].size)
layer.load_state_dict({name: torch.from_numpy(stored[name]) for name in stored})
program = to_edge_transform_and_lower(torch.export.export(layer.eval(), (x,)), partitioner=[XnnpackPartitioner()])
calls = [str(node.target) for node in program.exported_program().graph.nodes if node.op == "call_function"]
method = Runtime.get().load_program(program.to_executorch().buffer).load_method("forward")
print(json.dumps({"y": method.execute([x])[0].tolist(), "calls": calls}))
"""

_BROWSER = """
import functools, http.server, json, sys, threading
from playwright.sync_api import sync_playwright
root, model, x, chromium = sys.argv[1:]
imports = {name: f"/{name}/dist/index.js" for name in ("@litertjs/core", "@litertjs/wasm-utils")}
PAGE = f'<script type="importmap">{json.dumps({"imports": imports})}</script>'.encode()

class Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = {".js": "text/javascript", ".wasm": "application/wasm", "": "application/octet-stream"}

    def do_GET(self):
        if self.path not in ("/", "/model"):
            return super().do_GET()
        content = PAGE if self.path == "/" else open(model, "rb").read()
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path == "/" else "application/octet-stream")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=root))
threading.Thread(target=server.serve_forever, daemon=True).start()
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    y = page.evaluate('''async (x) => {
        const litert = await import('@litertjs/core');
        await litert.loadLiteRt('/@litertjs/core/wasm/');
        const model = await litert.loadAndCompile('/model', {accelerator: 'wasm'});
        const [y] = await model.run(new litert.Tensor(new Float32Array(x), [1, x.length]));
        return Array.from(await y.data());
    }''', json.loads(x))
    print(json.dumps({"y": y}))
    browser.close()
"""


@pytest.fixture(scope="module")
def layer() -> Any:
    return trial._Layer.make()


@pytest.fixture(scope="module")
def folder(layer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``x.npy``, ``model.onnx`` and, under the names of their schemes, two TFLite files of one operator."""
    folder = tmp_path_factory.mktemp("models")
    for scheme, artifact in trial._models(layer, targets.find("tflite"), folder):
        shutil.copyfile(artifact.path, folder / f"{scheme}.tflite")
    np.save(folder / "x.npy", layer.x)
    return folder


@pytest.fixture(scope="module")
def installed() -> Callable[[str], Launch]:
    def install(name: str) -> Launch:
        kits.install(kits.find(name))
        return kits.launch(kits.find(name))

    return install


def run(python: Any, code: str, *arguments: Any, **environment: str) -> tuple[dict[str, Any], str]:
    """What a script prints as JSON in its last line, and its log."""
    command = [*python, "-c", code, *map(str, arguments)]
    ran = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1]), ran.stderr


def near(found: Any, layer: Any, scheme: str) -> bool:
    return bool(np.abs(np.ravel(found) - layer.y[0]).max() <= layer.limit(scheme, "float32"))


@pytest.mark.parametrize("scheme", [FLOAT, INT8])
def test_arm64(installed: Any, folder: Path, layer: Any, scheme: str) -> None:
    """Arm's kernels of XNNPACK; int8 to the bit as on this machine."""
    used = installed("arm64")
    model = folder / f"{scheme}.tflite"
    there, log = run(used.python, _LITERT, model, folder / "x.npy", **used.environment)
    here, _ = run([sys.executable], _LITERT, model, folder / "x.npy")
    assert "Created TensorFlow Lite XNNPACK delegate for CPU" in log
    assert there["ops"].count("DELEGATE") == 1
    assert near(there["y"], layer, scheme)
    if scheme == INT8:
        assert there["y"] == here["y"]
    else:
        np.testing.assert_allclose(there["y"], here["y"], rtol=1e-6, atol=1e-6)


def test_arm64_without_sys_has_no_xnnpack(installed: Any, folder: Path) -> None:
    """What the log line is asserted for: nothing else tells that the delegate is off."""
    used = installed("arm64")
    hidden = ["unshare", "-r", "-m", "sh", "-c", 'mount -t tmpfs none /sys/devices/system/cpu && exec "$@"', "sh"]
    if subprocess.run([*hidden, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody hide /sys")
    there, log = run([*hidden, *used.python], _LITERT, folder / f"{FLOAT}.tflite", folder / "x.npy", **used.environment)
    assert "XNNPACK delegate" not in log
    assert "DELEGATE" not in there["ops"]


def test_gpu(installed: Any, folder: Path, layer: Any) -> None:
    used = installed("gpu")
    found, _ = run([sys.executable], _GPU, folder / f"{FLOAT}.tflite", folder / "x.npy", **used.environment)
    assert found["full"] is True
    assert near(found["y"], layer, FLOAT)


def test_without_the_gpu_there_is_none(installed: Any, folder: Path) -> None:
    """That it was the kit's GPU: without its driver nothing can be made for one."""
    none = {"VK_ICD_FILENAMES": "/dev/null", "VK_DRIVER_FILES": "/dev/null"}
    environment = os.environ | installed("gpu").environment | none
    command = [sys.executable, "-c", _GPU, folder / f"{FLOAT}.tflite", folder / "x.npy"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    assert "CreateCompiledModel" in ran.stderr


@pytest.mark.parametrize("scheme", [FLOAT, INT8])
def test_browser(installed: Any, folder: Path, layer: Any, scheme: str) -> None:
    chromium = os.environ.get("CHROME") or shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "Chromium is missing: apt-get install chromium"
    used = installed("browser")
    arguments = used.folder / "npm", folder / f"{scheme}.tflite", json.dumps(layer.x[0].tolist()), chromium
    found, _ = run(used.python, _BROWSER, *arguments)
    assert near(found["y"], layer, scheme)


def test_ethos_u(installed: Any, folder: Path, tmp_path: Path) -> None:
    """The int8 operator is the NPU's, the quantization of float inputs and outputs is not."""
    used = installed("ethos-u")
    command = [*used.python, "-m", "ethosu.vela", folder / f"{INT8}.tflite", "--output-dir", tmp_path]
    command += ["--accelerator-config", "ethos-u55-128"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "NPU operators = 1 (33.3%)" in ran.stdout
    assert "CPU operators = 2 (66.7%)" in ran.stdout
    assert list(tmp_path.glob("*_vela.tflite"))


@pytest.mark.parametrize("scheme", [FLOAT, INT8])
def test_tflite_micro(installed: Any, folder: Path, layer: Any, scheme: str) -> None:
    used = installed("tflite-micro")
    found, _ = run(used.python, _MICRO, folder / f"{scheme}.tflite", folder / "x.npy")
    assert near(found["y"], layer, scheme)


@pytest.mark.parametrize("file", ["model.onnx", f"{FLOAT}.tflite"])
def test_openvino(installed: Any, folder: Path, layer: Any, file: str) -> None:
    """In float32 by request: on some processors it computes in bfloat16 otherwise."""
    used = installed("openvino")
    found, _ = run(used.python, _OPENVINO, folder / file, folder / "x.npy")
    assert near(found["y"], layer, FLOAT)


def test_executorch(installed: Any, folder: Path, layer: Any) -> None:
    """Exported with edgeworthy's own PyTorch, delegated whole to XNNPACK."""
    used = installed("executorch")
    np.savez(folder / "layer.npz", weight=layer.weight, bias=layer.bias)
    found, _ = run(used.python, _EXECUTORCH, folder / "x.npy", folder / "layer.npz", **used.environment)
    assert found["calls"] == ["executorch_call_delegate", "<built-in function getitem>"]
    assert near(found["y"], layer, FLOAT)


def test_all_are_whole_afterwards() -> None:
    """Nothing that ran changed a kit, what Python caches aside.

    Of those that this run installed (``make test-device``): in the same folder others of the user's may lie, damaged.
    """
    for name in os.environ.get("KITS", "").split() or kits.KITS:
        state = kits.look(kits.find(name), thorough=True)
        assert state.status in ("ready", "absent"), state.faults


def test_the_page_has_their_sizes() -> None:
    rows = page()
    for kit in kits.KITS.values():
        state = kits.look(kit)
        if state.status == "ready" and not kit.routes:
            told = megabytes(rows[kit.name][-2])
            assert told == pytest.approx(state.size / 1e6, rel=0.05), f"{kit.name}: python benchmarks/kits.py --write …"


def test_the_gpu_may_be_moved(installed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its driver is found by a manifest, which names no folder; the kit is nowhere else then."""
    place = tmp_path / 'it\'s "moved" ü' / "kits/gpu"
    shutil.copytree(installed("gpu").folder, place, symlinks=True)
    monkeypatch.setenv("EDGEWORTHY_HOME", str(place.parents[1]))
    found = trial.try_target("litert:gpu", Silent())
    assert found.passes and found.folder == str(place)
    assert all(row.receipt and "SwiftShader" in row.receipt.ran for row in found.rows)
