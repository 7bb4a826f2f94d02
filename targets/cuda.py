"""Whether there is an NVIDIA GPU to run on: asked of the driver itself, before any framework is imported."""

from __future__ import annotations

import ctypes


def precision(tf32: bool) -> str:
    """What a receipt calls float32 arithmetic on a GPU."""
    return "tf32" if tf32 else "float32"


def missing() -> str | None:
    """Why nothing can run on CUDA here; None when the driver has a GPU.

    Source: CUDA driver API, ``cuInit`` and ``cuDeviceGetCount``; ``CUDA_VISIBLE_DEVICES`` counts.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver (libcuda.so.1)"
    if error := driver.cuInit(0):
        return f"the NVIDIA driver finds no GPU that it can use (cuInit gave {error})"
    count = ctypes.c_int()
    if error := driver.cuDeviceGetCount(ctypes.byref(count)):
        return f"the NVIDIA driver can't count its GPUs (cuDeviceGetCount gave {error})"
    return None if count.value else "the NVIDIA driver sees no GPU"
