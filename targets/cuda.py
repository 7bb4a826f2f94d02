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


def card() -> str:
    """The first GPU's name and the version of its driver, where ``missing`` finds one.

    Source: NVML, ``nvmlSystemGetDriverVersion``; CUDA driver API, ``cuDeviceGetName``.
    """
    name, version = ctypes.create_string_buffer(256), ctypes.create_string_buffer(80)
    driver = ctypes.CDLL("libcuda.so.1")
    driver.cuInit(0)
    driver.cuDeviceGetName(name, len(name), 0)
    management = ctypes.CDLL("libnvidia-ml.so.1")
    management.nvmlInit_v2()
    management.nvmlSystemGetDriverVersion(version, len(version))
    return f"{name.value.decode()}, driver {version.value.decode()}"
