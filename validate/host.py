"""The machine that the numbers were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

import psutil
from pydantic import Field

from .record import Record


class Host(Record):
    """The machine that produced the numbers (made by ``validate.host.current``)."""

    system: str = Field(description="operating system and kernel release")
    machine: str = Field(description="architecture, such as x86_64")
    cpu: str = Field(description="the processor's own name")
    logical_cores: int = Field(description="logical cores this process may use")
    physical_cores: int | None = None
    memory_bytes: int
    load_average: float | None = Field(default=None, description="1-minute load average at the start")
    cpu_mhz: float | None = Field(default=None, description="current clock, where the system tells")
    cpu_governor: str | None = Field(default=None, description="frequency governor, where the system tells")
    temperature_celsius: float | None = Field(default=None, description="hottest CPU sensor, where the system tells")
    python: str
    packages: dict[str, str] = Field(default_factory=dict, description="installed packages that matter → version")


PACKAGES = (
    "edgeworthy", "torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "onnxruntime-gpu", "tensorflow",
    "tensorflow-cpu", "litert-converter", "ai-edge-litert", "ai-edge-quantizer", "numpy",
)  # fmt: skip
"""Packages that change files or numbers."""

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def current() -> Host:
    """This machine, now. What the system doesn't tell is None."""
    frequency = _frequency()
    return Host(
        system=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        cpu=_cpu(),
        logical_cores=usable_cores(),
        physical_cores=psutil.cpu_count(logical=False),
        memory_bytes=psutil.virtual_memory().total,
        load_average=os.getloadavg()[0],
        cpu_mhz=frequency,
        cpu_governor=_GOVERNOR.read_text().strip() if _GOVERNOR.is_file() else None,
        temperature_celsius=_temperature(),
        python=platform.python_version(),
        packages=packages(),
    )


def packages() -> dict[str, str]:
    """Installed packages of ``PACKAGES`` → version."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.lower().startswith(("model name", "hardware")):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Logical cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _frequency() -> float | None:
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    return float(frequency.current) if frequency and frequency.current > 0 else None


def _temperature() -> float | None:
    """The hottest sensor that speaks of the CPU."""
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    cpu = [s.current for name in ("coretemp", "k10temp", "cpu_thermal") for s in sensors.get(name, [])]
    return float(max(cpu)) if cpu else None
