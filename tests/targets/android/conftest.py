from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .devices import Device, Network, why_not


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Where devices are, and adb's client for them; its processes end before another module counts its own."""
    if why := why_not():
        pytest.skip(why)
    made = Network(tmp_path_factory.mktemp("network"))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def adb_of_the_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "network" in request.fixturenames:
        folder: Path = request.getfixturevalue("network").adb.parent
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def device(network: Network) -> Iterator[Device]:
    with network.device() as made:
        yield made


@pytest.fixture(scope="session")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What has benchmark_model's flags and words, at a path with spaces and quotes."""
    path = tmp_path_factory.mktemp("tool") / 'it\'s a "benchmark"; $(reboot) model'
    text = Path(__file__).with_name("benchmark_model.py").read_text(encoding="utf-8")
    path.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    return path
