"""What a device tells of itself, and what makes times void."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeworthy.targets.android.state import DeviceState, notes, parse_info, parse_state, void

from .devices import BATTERY, THERMAL

TOLD = {
    "thermal": THERMAL.format(status=0),
    "battery": BATTERY,
    "zones": "61000\n-1\n45000",
    "cooling": "thermal-cpufreq-0 0\nbattery 3\nthermal-cpufreq-1 0",
    "now": "1800000\n2400000",
    "allowed": "1800000\n2850000",
    "most": "1800000\n2850000",
    "uptime": "4711.25 9000.00",
    "date": "1795721278.250000000",
    "boot": "9f3c",
}


def test_a_phone_tells_all() -> None:
    assert parse_state(TOLD) == DeviceState(
        throttling=0, cooling=(), celsius=41.5, mhz=(2400, 2850, 2850), battery=(81, 30.5), charging=True,
        skew=1795721278.25 - 4711.25, boot="9f3c",
    )  # fmt: skip


def test_a_phone_that_tells_nothing_is_believed_to_be_well() -> None:
    silent = parse_state({})
    assert silent == DeviceState() and void(silent, silent, silent) is None and notes(silent, silent) == []


def test_what_is_no_sensor_is_no_temperature() -> None:
    assert parse_state({"thermal": "Thermal Status: 2\nTemperature{mValue=-99.9, mType=0, mName=C}"}).celsius is None
    assert parse_state({"zones": "45200\nabc\n61000"}).celsius == 61.0
    assert parse_state({"date": "1795721278.N", "uptime": "5.0 1"}).skew == 1795721273


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"throttling": 1}, "it throttled: thermal status light"),
        ({"throttling": 3}, "it throttled: thermal status severe"),
        ({"cooling": ("thermal-cpufreq-1 2",)}, "it throttled: thermal-cpufreq-1 2"),
        ({"mhz": (1200, 1500, 2850)}, "it throttled: at most 1500 MHz instead of 2850"),
        ({"skew": 100.0}, "its clock was set by +100 s"),
        ({"skew": -5.0}, "its clock was set by -5 s"),
        ({"skew": 0.5}, None),
        ({"throttling": None, "mhz": (None, None, None), "skew": None}, None),
        ({"celsius": 90.0, "mhz": (300, 2850, 2850)}, None),
    ],
)
def test_times_are_void_by_what_changed(change: dict[str, object], said: str | None) -> None:
    well = replace(parse_state(TOLD), skew=0.0)
    other = replace(well, **change)
    assert void(well, other, well) == said
    if "skew" not in change:
        assert void(other, well, well) == said


def test_a_limit_that_was_there_at_first_is_the_devices_own() -> None:
    saving = replace(parse_state(TOLD), mhz=(1200, 1500, 2850))
    assert void(saving, saving, saving) is None
    assert "limited to 1500 of 2850 MHz" in notes(saving, saving)


def test_cooling_is_read_by_its_step() -> None:
    assert parse_state({"cooling": "thermal-cpufreq-0 0\ncpu-hotplug 1\ngpu 2"}).cooling == ("cpu-hotplug 1",)


def test_notes_tell_what_changed() -> None:
    first, last = (
        DeviceState(celsius=30, battery=(80, None)),
        DeviceState(celsius=44.6, battery=(79, 31), charging=False),
    )
    assert notes(first, last) == [
        "30 °C at first, 45 °C at last",
        "battery 80 % at first, battery 79 % at last",
        "on battery",
    ]


@pytest.mark.parametrize(
    ("told", "name", "system", "abis"),
    [
        ({"maker": "Google", "model": "Pixel 8", "release": "15", "abis": "arm64-v8a"}, "Google Pixel 8", "Android 15",
         ("arm64-v8a",)),
        ({"maker": "samsung", "model": "SAMSUNG-SM", "abis": "arm64-v8a,armeabi-v7a"}, "SAMSUNG-SM", "no Android",
         ("arm64-v8a", "armeabi-v7a")),
        ({"machine": "aarch64"}, "a device", "no Android", ("arm64-v8a",)),
        ({"machine": "x86_64"}, "a device", "no Android", ("x86_64",)),
    ],
)  # fmt: skip
def test_what_a_device_is(told: dict[str, str], name: str, system: str, abis: tuple[str, ...]) -> None:
    info = parse_info(told)
    assert (info.name, info.system, info.abis, info.emulator) == (name, system, abis, False)


def test_an_emulator_says_so() -> None:
    assert parse_info({"emulator": "\n1"}).emulator and not parse_info({"emulator": "0"}).emulator
