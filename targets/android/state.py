"""A device: what it is, and the state that its times depend on: heat, limits of frequency, battery, clock.

Everything is told by commands of its shell, of which a phone may refuse any: what isn't told is None, and nothing is
concluded from it. Temperatures are °C, frequencies MHz, times seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .adb import Adb

_THROTTLING = {1: "light", 2: "moderate", 3: "severe", 4: "critical", 5: "emergency", 6: "shutdown"}
"""``Thermal Status`` of ``dumpsys thermalservice`` (PowerManager.THERMAL_STATUS_*, since Android 10)."""

_CPU = 0
"""``mType`` of a temperature (android.hardware.thermal: TemperatureType)."""

_CLOCK_S = 1.0
"""A clock that goes otherwise than the uptime by more than this was set."""

_MACHINES = {"aarch64": "arm64-v8a", "armv7l": "armeabi-v7a", "armv8l": "armeabi-v7a", "i686": "x86"}
"""``uname -m`` → Android's name of the ABI, where it is another."""

_CPUFREQ = "/sys/devices/system/cpu/cpufreq/policy*"
_COOLING = "/sys/class/thermal/cooling_device*"

_INFO = {
    "abis": "getprop ro.product.cpu.abilist", "release": "getprop ro.build.version.release",
    "maker": "getprop ro.product.manufacturer", "model": "getprop ro.product.model",
    "chip": "getprop ro.soc.model; getprop ro.board.platform",
    "emulator": "getprop ro.boot.qemu; getprop ro.kernel.qemu",
    "machine": "uname -m", "boot": "cat /proc/sys/kernel/random/boot_id",
}  # fmt: skip

_STATE = {
    "thermal": "dumpsys thermalservice", "battery": "dumpsys battery",
    "zones": "cat /sys/class/thermal/thermal_zone*/temp",
    "cooling": f'for d in {_COOLING}; do echo "$(cat $d/type) $(cat $d/cur_state)"; done',
    "now": f"cat {_CPUFREQ}/scaling_cur_freq", "allowed": f"cat {_CPUFREQ}/scaling_max_freq",
    "most": f"cat {_CPUFREQ}/cpuinfo_max_freq", "uptime": "cat /proc/uptime", "date": "date +%s.%N",
    "boot": _INFO["boot"],
}  # fmt: skip


@dataclass(frozen=True)
class DeviceInfo:
    """What a device is.

    Attributes:
        abis: Android's names of what it executes, the best first.
        emulator: Whether it is Android's emulator.
        boot: Identifies the time since its last start.
    """

    name: str
    system: str
    chip: str
    abis: tuple[str, ...]
    emulator: bool
    boot: str

    @property
    def note(self) -> str:
        chip = f", {self.chip}" if self.chip else ""
        return f"{self.name}{chip}, {self.system}, {'+'.join(self.abis)}"


@dataclass(frozen=True)
class DeviceState:
    """How a device is at a time.

    Attributes:
        throttling: Android's thermal status, 0 for none.
        cooling: The devices that cool the processor by slowing it down, as long as they do.
        celsius: The processor's temperature.
        mhz: The highest frequency now, what is allowed at most now, and what it is capable of.
        battery: Per cent, and its temperature.
        charging: Whether it is plugged in.
        skew: By how much its clock is ahead of its uptime.
    """

    throttling: int | None = None
    cooling: tuple[str, ...] = ()
    celsius: float | None = None
    mhz: tuple[int | None, int | None, int | None] = (None, None, None)
    battery: tuple[int | None, float | None] = (None, None)
    charging: bool | None = None
    skew: float | None = None
    boot: str = ""


def look(adb: Adb) -> DeviceInfo:
    """What it is. Raises as ``Adb.shell``."""
    return parse_info(_ask(adb, _INFO))


def observe(adb: Adb) -> DeviceState:
    """How it is now. Raises as ``Adb.shell``."""
    return parse_state(_ask(adb, _STATE))


def parse_info(told: Mapping[str, str]) -> DeviceInfo:
    """``DeviceInfo`` of what the commands of ``_INFO`` print; a Linux that is no Android has but ``uname``."""
    machine = told.get("machine", "")
    abis = tuple(filter(None, told.get("abis", "").split(","))) or (_MACHINES.get(machine, machine),)
    maker, model, release = (told.get(key, "") for key in ("maker", "model", "release"))
    name = model if model.lower().startswith(maker.lower()) else f"{maker} {model}"
    return DeviceInfo(
        name=name.strip() or "a device",
        system=f"Android {release}" if release else "no Android",
        chip=next(iter(told.get("chip", "").split()), ""),
        abis=abis,
        emulator="1" in told.get("emulator", "").split(),
        boot=told.get("boot", ""),
    )


def parse_state(told: Mapping[str, str]) -> DeviceState:
    """``DeviceState`` of what the commands of ``_STATE`` print."""
    thermal, battery = told.get("thermal", ""), told.get("battery", "")
    status = re.search(r"Thermal Status: (\d+)", thermal)
    cooling = re.findall(r"^(\S*cpu\S*) ([1-9]\d*)$", told.get("cooling", ""), re.M | re.I)
    level, tenths = (re.search(rf"^\s*{key}: (\d+)", battery, re.M) for key in ("level", "temperature"))
    powered = re.findall(r"powered: (true|false)", battery)
    up, date = (re.match(r"(\d+(?:\.\d+)?)", told.get(key, "")) for key in ("uptime", "date"))
    return DeviceState(
        throttling=int(status[1]) if status else None,
        cooling=tuple(f"{name} {step}" for name, step in cooling),
        celsius=_celsius(thermal, told.get("zones", "")),
        mhz=(_highest(told.get("now", "")), _highest(told.get("allowed", "")), _highest(told.get("most", ""))),
        battery=(int(level[1]) if level else None, int(tenths[1]) / 10 if tenths else None),
        charging="true" in powered if powered else None,
        skew=float(date[1]) - float(up[1]) if up and date else None,
        boot=told.get("boot", ""),
    )


def void(before: DeviceState, after: DeviceState, first: DeviceState) -> str | None:
    """Why times that were taken between the two say nothing of the device; None when they may stand.

    Args:
        first: As it was at loading: a frequency limit that was there from the beginning is the device's own.
    """
    for state in (after, before):
        if state.throttling:
            return f"it throttled: thermal status {_THROTTLING.get(state.throttling, state.throttling)}"
        if state.cooling:
            return f"it throttled: {', '.join(state.cooling)}"
    allowed, least = first.mhz[1], min((s.mhz[1] for s in (before, after) if s.mhz[1] is not None), default=None)
    if allowed is not None and least is not None and least < allowed:
        return f"it throttled: at most {least} MHz instead of {allowed}"
    if before.skew is not None and after.skew is not None and abs(after.skew - before.skew) > _CLOCK_S:
        return f"its clock was set by {after.skew - before.skew:+.0f} s"
    return None


def notes(first: DeviceState, last: DeviceState) -> list[str]:
    """The state at loading and now, as far as it is told."""
    said = [
        _change(first.celsius, last.celsius, "{:.0f} °C"),
        _change(first.mhz[0], last.mhz[0], "{} MHz"),
        _change(first.battery[0], last.battery[0], "battery {} %"),
        _change(first.battery[1], last.battery[1], "battery {:.0f} °C"),
    ]
    if None not in (last.mhz[1], last.mhz[2]) and last.mhz[1] != last.mhz[2]:
        said.append(f"limited to {last.mhz[1]} of {last.mhz[2]} MHz")
    if last.charging is not None:
        said.append("plugged in" if last.charging else "on battery")
    return [text for text in said if text]


def _change(first: float | None, last: float | None, form: str) -> str:
    if first is None or last is None:
        return ""
    begin, end = form.format(first), form.format(last)
    return begin if begin == end else f"{begin} at first, {end} at last"


def _celsius(thermal: str, zones: str) -> float | None:
    """Of the processor by Android's thermal service, else of the hottest zone of the kernel."""
    now = thermal.partition("Current temperatures from HAL:")[2] or thermal
    told = re.findall(rf"mValue=(-?[\d.]+), mType={_CPU},", now)
    found = [float(value) for value in told] or [int(value) / 1000 for value in zones.split() if _number(value)]
    return max((value for value in found if -50 < value < 200), default=None)  # -99.9 says that there is no sensor


def _number(text: str) -> bool:
    return text.lstrip("-").isdigit()


def _highest(kilohertz: str) -> int | None:
    return max((int(value) // 1000 for value in kilohertz.split() if value.isdigit()), default=None)


def _ask(adb: Adb, commands: Mapping[str, str]) -> dict[str, str]:
    """What each command prints, in one call; what is refused is empty."""
    script = "; ".join(f"printf '\\n@{name}\\n'; {{ {command}; }} 2>/dev/null" for name, command in commands.items())
    pieces = re.split(r"^@(\w+)\n", adb.shell(f"{script}; true").decode(errors="replace"), flags=re.M)
    return {name: text.strip() for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}
