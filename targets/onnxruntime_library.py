"""Run as a script with a provider's name (``cuda``): loads its library as ONNX Runtime does, and says what it lacks.

It imports nothing of edgeworthy (see ``asked``).
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path


def main(name: str) -> None:
    import onnxruntime

    onnxruntime.preload_dlls()  # CUDA's and cuDNN's libraries out of NVIDIA's own packages
    folder = Path(onnxruntime.__file__).parent / "capi"
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / f"libonnxruntime_providers_{name}.so"))
        told = {}
    except OSError as error:
        told = {"error": str(error)}
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
