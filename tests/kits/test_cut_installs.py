"""Real installs that a kill or the network cuts in the middle: nothing half-written is used, and they go on."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgeworthy import kits
from edgeworthy.files import sha256

from .metered import MeteredProxy

pytestmark = pytest.mark.slow

MOMENTS = (0.15, 0.4, 0.65, 0.9)
"""Shares of the time, and of the bytes, that an install takes."""
SLACK = 2 << 20
"""Bytes of handshakes and of an index's pages."""


@dataclass
class Place:
    """A data folder of its own, with empty caches of pip and npm."""

    kit: str
    folder: Path
    proxy: MeteredProxy

    def command(self, *words: str) -> subprocess.Popen[str]:
        caches = {"PIP_CACHE_DIR": str(self.folder / "pip"), "npm_config_cache": str(self.folder / "npm")}
        environment = os.environ | self.proxy.environment | caches | {"EDGEWORTHY_HOME": str(self.home)}
        environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0", "npm_config_fetch_retries": "0"}
        for name in ("PIP_FIND_LINKS", "PIP_NO_INDEX"):  # a mirror of this machine is no network
            environment.pop(name, None)
        command = [sys.executable, "-m", "edgeworthy", "targets", *words, "--json"]
        return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *words: str) -> tuple[int, Any]:
        with self.command(*words) as process:
            out, err = process.communicate(timeout=500)
        return process.returncode, json.loads(out) if out else err

    def install(self) -> tuple[int, Any]:
        return self.run("install", self.kit)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def fetched(self) -> int:
        """Bytes of whole files that were kept, of a client too that outlived us.

        Whether a part of one is any good is between client and server (apt needs its date, npm and pip begin anew), and
        so is whether npm may use its cache: a registry that sends no ``cache-control`` is asked again.
        """
        with (self.home / f"kits/.{self.kit}.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
        whole = {file.sha256 for part in kits.KITS[self.kit].parts for file in part.files}
        found = [path for path in (self.home / "downloads").rglob("*") if path.is_file() and sha256(path) in whole]
        found += [path for folder in self.folder.glob("pip/http*") for path in folder.rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in found)

    def visible(self) -> set[str]:
        """What there is besides locks."""
        found = {path.name for path in (self.home / "kits").iterdir() if not path.name.endswith((".lock", ".used"))}
        return found | {path.name for path in self.home.glob("downloads/*")}

    def listed(self) -> set[Any]:
        """The state of the kit, by each target that it is for."""
        code, states = self.run("list")
        assert code == 0, states
        return {state["kit"] for state in states if state["name"] in kits.KITS[self.kit].targets}


@pytest.fixture(scope="module", params=["adb", "browser", "gpu", "ethos-u", "tflite-micro"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, float]]:
    """A kit that was installed at a stroke, and the seconds that it took; its proxy tells the bytes."""
    with MeteredProxy() as proxy:
        place, begin = Place(request.param, tmp_path_factory.mktemp(request.param), proxy), time.monotonic()
        code, said = place.install()
        seconds = time.monotonic() - begin
        assert code == 0 and proxy.count > 0.9 * kits.KITS[place.kit].size, said
        assert place.listed() == {"ready"}
        yield place, seconds


def goes_on(place: Place, total: int) -> None:
    """The same command fetches what is missing, and the kit is whole."""
    there = place.fetched()
    place.proxy.count, place.proxy.most = 0, float("inf")
    code, said = place.install()
    assert code == 0, said
    assert place.proxy.count < total - 0.95 * there + SLACK, "nothing is fetched twice"
    assert place.visible() == {place.kit}
    assert json.loads((place.home / "kits" / place.kit / "kit.json").read_text())["lock"] == kits.KITS[place.kit].digest


def test_killed(whole: tuple[Place, float], tmp_path: Path) -> None:
    first, seconds = whole
    kept = []
    for share in MOMENTS:
        with MeteredProxy() as proxy:
            place = Place(first.kit, tmp_path / str(share), proxy)
            with place.command("install", place.kit) as process:
                time.sleep(share * seconds)
                process.send_signal(signal.SIGKILL)
                process.communicate()
            if not (place.home / "kits").exists():  # it had only begun to import
                continue
            done = (place.home / "kits" / place.kit).exists()
            assert place.listed() == {"ready" if done else "absent"}
            kept.append(place.fetched())
            goes_on(place, first.proxy.count)
    # Wheels of an environment are in pip's cache alone, and not all indexes let it keep them.
    assert any(kept) or not kits.KITS[first.kit].parts, "one was cut once something was there"


def test_the_network_goes(whole: tuple[Place, float], tmp_path: Path) -> None:
    first, _ = whole
    for share in MOMENTS:
        with MeteredProxy() as proxy:
            place = Place(first.kit, tmp_path / str(share), proxy)
            proxy.most = share * first.proxy.count
            code, error = place.install()
            assert code == 3 and place.kit in error["what"] and "same command" in error["remedy"], error
            assert place.visible() <= {place.kit}, "nothing half-written but downloads"
            assert not (place.home / "kits" / place.kit).exists()
            goes_on(place, first.proxy.count)


def test_it_works_after_a_cut(whole: tuple[Place, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = whole
    with MeteredProxy() as proxy:
        place = Place(first.kit, tmp_path, proxy)
        proxy.most = first.proxy.count / 2
        assert place.install()[0] == 3
        goes_on(place, first.proxy.count)
        monkeypatch.setenv("EDGEWORTHY_HOME", str(place.home))
        kits.check_whole(kits.KITS[place.kit])
        if place.kit == "adb":  # its doctor asks a device
            used = kits.launch(kits.KITS["adb"])
            program = used.folder / "root/usr/lib/android-sdk/platform-tools/adb"
            environment = os.environ | used.environment
            assert (
                b"Android Debug Bridge"
                in subprocess.run([program, "version"], env=environment, check=True, capture_output=True).stdout
            )
        else:
            code, trial = place.run("doctor", kits.KITS[place.kit].targets[0])
            assert code == 0, trial
