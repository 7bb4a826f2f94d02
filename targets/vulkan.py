"""The Vulkan devices of this machine, and where its loader is. Run as a script it prints the devices as JSON.

It imports nothing of edgeworthy: a driver may crash, so it is asked in a process of its own (see ``asked``). Structures
are those of Vulkan 1.0 (``vulkan_core.h``).
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LOADER = "libvulkan.so.1"
MANIFESTS = ("VK_DRIVER_FILES", "VK_ICD_FILENAMES")
"""Variables that name the only drivers to use, the newer first (Vulkan-Loader's LoaderDriverInterface.md)."""

_KINDS = ("other", "integrated", "discrete", "virtual", "cpu")
"""``VkPhysicalDeviceType``; ``cpu`` is a GPU in software."""

_SUCCESS, _APPLICATION_INFO, _INSTANCE_CREATE_INFO = 0, 0, 1
_API_1_1 = 1 << 22 | 1 << 12
_PROPERTIES_BYTES = 1 << 12
"""More than ``VkPhysicalDeviceProperties`` has: five numbers, the name in 256 bytes, and limits."""


class _ApplicationInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("next", ctypes.c_void_p), ("name", ctypes.c_char_p), ("version", ctypes.c_uint32),
        ("engine", ctypes.c_char_p), ("engine_version", ctypes.c_uint32), ("api", ctypes.c_uint32),
    )  # fmt: skip


class _InstanceCreateInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("next", ctypes.c_void_p), ("flags", ctypes.c_uint32),
        ("application", ctypes.POINTER(_ApplicationInfo)), ("layer_count", ctypes.c_uint32),
        ("layers", ctypes.c_void_p), ("extension_count", ctypes.c_uint32), ("extensions", ctypes.c_void_p),
    )  # fmt: skip


def environment(driver: str = "") -> dict[str, str]:
    """Variables under which the loader uses this driver alone; none for those that the machine has set up."""
    return dict.fromkeys(MANIFESTS, driver) if driver else {}


def load(variables: Mapping[str, str]) -> Any:
    """The loader, which is found by its name from then on.

    Where the system has none, it is looked for in ``LD_LIBRARY_PATH`` (which a process that runs already doesn't heed)
    and beside the driver.

    Raises:
        OSError: there is none.
    """
    try:
        return ctypes.CDLL(LOADER, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        for place in (*_folders(variables.get("LD_LIBRARY_PATH", "")), *_beside_drivers(variables)):
            if (place / LOADER).exists():
                return ctypes.CDLL(str(place / LOADER), mode=ctypes.RTLD_GLOBAL)
        raise


def _folders(paths: str) -> list[Path]:
    return [Path(path) for path in paths.split(os.pathsep) if path]


def _beside_drivers(variables: Mapping[str, str]) -> list[Path]:
    """Folders of the libraries that the named manifests lead to; browsers keep driver and loader in one."""
    manifests = next((variables[name] for name in MANIFESTS if variables.get(name)), "")
    found = []
    for manifest in filter(None, manifests.split(os.pathsep)):
        try:
            library = json.loads(Path(manifest).read_text(encoding="utf-8"))["ICD"]["library_path"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found.append((Path(manifest).parent / library).parent)
    return found


def devices(loader: Any) -> list[dict[str, str]]:
    """Name and kind of every device.

    Raises:
        OSError: no driver can be used.
    """
    application = _ApplicationInfo(type=_APPLICATION_INFO, api=_API_1_1)
    create = _InstanceCreateInfo(type=_INSTANCE_CREATE_INFO, application=ctypes.pointer(application))
    instance, count = ctypes.c_void_p(), ctypes.c_uint32()
    if code := loader.vkCreateInstance(ctypes.byref(create), None, ctypes.byref(instance)):
        raise OSError(f"no Vulkan driver can be used (VkResult {code})")
    try:
        loader.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), None)
        handles = (ctypes.c_void_p * count.value)()
        loader.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
        return [_described(loader, handle) for handle in handles]
    finally:
        loader.vkDestroyInstance(instance, None)


def _described(loader: Any, handle: int | None) -> dict[str, str]:
    raw = ctypes.create_string_buffer(_PROPERTIES_BYTES)
    loader.vkGetPhysicalDeviceProperties(ctypes.c_void_p(handle), raw)
    kind = ctypes.cast(raw, ctypes.POINTER(ctypes.c_uint32))[4]
    name = raw.raw[20 : 20 + 256].split(b"\0")[0].decode(errors="replace")
    return {"name": name, "kind": _KINDS[kind] if kind < len(_KINDS) else _KINDS[0]}


def main() -> None:
    try:
        told: dict[str, Any] = {"devices": devices(load(os.environ))}
    except OSError as error:
        told = {"error": str(error)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
