"""What the place is that the runner came to, and the state of its processor. Self-contained, see ``runner``."""

from __future__ import annotations

import contextlib
import os
import platform
from pathlib import Path
from typing import Any


def place() -> dict[str, Any]:
    """Python, processor, and the emulator, if it is one."""
    libc = ""
    with contextlib.suppress(AttributeError, ValueError, OSError):
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "libc": libc.rpartition(" ")[2],
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _text("/proc/device-tree/model") or _cpu() or platform.machine(),
        "emulator": _emulator(),
    }


def state() -> dict[str, Any]:
    """What may change while a model runs: temperature (°C), governor and frequency (MHz), as far as /sys tells."""
    zones = _numbers("class/thermal/thermal_zone*/temp")
    governors = {_text(path) for path in _paths("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")}
    now = _numbers("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
    most = _numbers("devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq")
    return {
        "celsius": max(zones) / 1000 if zones else None,
        "governor": "+".join(sorted(governors - {""})),
        "mhz": max(now) // 1000 if now else None,
        "most_mhz": max(most) // 1000 if most else None,
    }


def _emulator() -> str:
    """The program that runs this one, as ``qemu-aarch64``, or an empty string.

    qemu-user answers for ``/proc/self/exe`` in place of the kernel, and doesn't know of the thread's own entry.
    """
    with contextlib.suppress(OSError):
        told, real = (Path(f"/proc/{who}/exe").readlink() for who in ("self", "thread-self"))
        return "" if told == real else real.name
    return ""


def _cpu() -> str:
    pairs = (line.partition(":") for line in _text("/proc/cpuinfo").splitlines())
    told = {key.strip().lower(): value.strip() for key, _, value in pairs}
    return next((told[key] for key in ("model name", "hardware") if told.get(key)), "")


def _numbers(pattern: str) -> list[int]:
    texts = [_text(path) for path in _paths(pattern)]
    return [int(text) for text in texts if text.lstrip("-").isdigit()]


def _paths(pattern: str) -> list[Path]:
    return sorted(Path("/sys").glob(pattern))


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace").strip(" \n\0")
    except OSError:  # some sensors refuse to be read
        return ""


COMMANDS = {"place": place, "state": state}
