"""Kits on this machine: full disks, installs that are killed or run twice, lost files, other versions."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeworthy import files, kits
from edgeworthy.errors import BadInput, NotAvailable
from edgeworthy.kits import store
from edgeworthy.kits.fetch import requirement
from edgeworthy.workers.processes import not_started

from .conftest import NOISE, Registry, deb, leftovers, part, path_of, plain_http, wheel

# ---- disks ----


def limited(limit: int | None, work: Callable[[], Any]) -> Any:
    """Run with a limit on the size of files."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        return work()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_for_a_download(toy: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain_http(monkeypatch)
    with pytest.raises(NotAvailable, match="the disk is full") as caught:
        limited(100_000, lambda: kits.install(toy))
    assert caught.value.exit_code == 3
    assert "EDGEWORTHY_HOME" in (caught.value.remedy or "")
    assert kits.look(toy).status == "absent"
    assert kits.install(toy).status == "ready"


def test_no_room_for_what_is_unpacked(registry: Registry, home: Path, make: Any, client: str) -> None:
    toy = make(part(registry.debian("zeros", deb({"./zeros": bytes(2_000_000)}))))
    with pytest.raises(NotAvailable, match="the disk is full"):
        limited(1_000_000, lambda: kits.install(toy))
    assert [p.name for p in (home / "kits").iterdir()] == [".toy.lock"]
    assert kits.install(toy).status == "ready"


def test_no_room_for_a_package(registry: Registry, home: Path, make: Any) -> None:
    file = registry.pypi("tool", wheel("tool", "1.0", {"noise.py": b"#" * 2_000_000}))
    toy = make(requirements=requirement(file))
    with pytest.raises(NotAvailable, match="the disk is full"):
        limited(1_000_000, lambda: kits.install(toy))
    assert [p.name for p in (home / "kits").iterdir()] == [".toy.lock"]


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("file", "Not a directory"),
        ("/proc/nowhere", "nothing can be made in /proc"),
        ("x" * 300, "File name too long"),
    ],
)
def test_a_place_that_is_none(toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, said: str) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEWORTHY_HOME", str(tmp_path / place))
    with pytest.raises(NotAvailable, match=f"can't write here: {said}") as caught:
        kits.install(toy)
    assert "EDGEWORTHY_HOME" in (caught.value.remedy or "")


# ---- interrupted, twice, damaged ----

_READ = """
import sys, time
from pathlib import Path
from edgeworthy import kits
from edgeworthy.kits import fetch, kit
kit.FOLDER = Path(sys.argv[1])
fetch.APT = Path("/nowhere")
fetch.SNAPSHOT = "http://127.0.0.1:9"
toy = kit.read("toy")
"""
_INSTALL = "print(kits.install(toy).status)"
_USE = "kits.launch(toy); print('uses', flush=True); time.sleep(60)"


def start(tmp_path: Path, does: str = _INSTALL) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _READ + does, tmp_path / "locks"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_killed_in_the_middle(toy: Any, home: Path, tmp_path: Path, registry: Registry) -> None:
    registry.faults[path_of("second")] = ["hang"]
    process = start(tmp_path)
    assert registry.hanging.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert kits.look(toy).status == "absent"
    assert list((home / "kits").glob(".toy.*.part")), "what the killed one left"
    with pytest.raises(NotAvailable, match="not installed"):
        kits.launch(toy)
    registry.asked.clear()
    assert kits.install(toy).status == "ready"
    assert registry.count(path_of("first")) == 0, "what had come is not fetched again"
    assert leftovers(home) == []


def test_two_at_once(toy: Any, home: Path, tmp_path: Path, registry: Registry) -> None:
    """The second waits for the first, and then finds all there."""
    registry.faults[path_of("second")] = ["hang"]
    first = start(tmp_path)
    assert registry.hanging.wait(60)
    told: list[str] = []
    states: list[kits.Installation] = []
    second = threading.Thread(target=lambda: states.append(kits.install(toy, tell=lambda what, *_: told.append(what))))
    second.start()
    until = time.monotonic() + 30
    while not told and time.monotonic() < until:
        time.sleep(0.02)
    assert told == ["waiting for another install of it"]
    first.terminate()
    first.wait()
    second.join(60)
    assert states[0].status == "ready"
    assert registry.count(path_of("first")) == 1
    assert leftovers(home) == []


def test_a_file_that_is_lost_is_found_and_mended(toy: Any, home: Path) -> None:
    kits.install(toy)
    folder = home / "kits/toy"
    (folder / "root/usr/lib/second").unlink()
    (folder / "root/usr/lib/noise").write_bytes(NOISE[:-1] + bytes([NOISE[-1] ^ 1]))
    (folder / "root/__pycache__").mkdir()
    (folder / "root/__pycache__/x.pyc").write_bytes(b"what Python caches is no damage")
    state = kits.look(toy, thorough=True)
    assert state.status == "broken"
    assert set(state.faults) == {"root/usr/lib/second is gone", "root/usr/lib/noise is changed"}
    assert kits.install(toy).status == "ready"
    assert kits.look(toy, thorough=True).status == "ready"


def test_before_use_every_file_is_looked_for_and_none_is_read(toy: Any, home: Path) -> None:
    """By size where the stamp has it: kits that are older have none. A link is no file of its own."""
    kits.install(toy)
    folder = home / "kits/toy"
    noise, second, stamp = (folder / name for name in ("root/usr/lib/noise", "root/usr/lib/second", store.STAMP))
    noise.write_bytes(NOISE[:-1] + bytes([NOISE[-1] ^ 1]))
    assert kits.look(toy, sizes=True).status == "ready", "that takes reading"
    noise.write_bytes(NOISE[:-1])
    assert kits.look(toy, sizes=True).faults == (
        f"root/usr/lib/noise has {len(NOISE) - 1} bytes instead of {len(NOISE)}",
    )
    told = r"kit toy is damaged \(root/usr/lib/noise has"
    for use in (kits.launch, kits.site):
        with pytest.raises(NotAvailable, match=told) as caught:
            use(toy)
        assert caught.value.remedy == "edgeworthy targets install toy rebuilds it"
    older = {name: value for name, value in json.loads(stamp.read_text()).items() if name != "sizes"}
    stamp.write_text(json.dumps(older))
    assert kits.look(toy, sizes=True).status == "ready"
    second.unlink()
    assert kits.look(toy, sizes=True).faults == ("root/usr/lib/second is gone",)
    second.symlink_to("nowhere")
    assert kits.look(toy, sizes=True).faults == ("root/usr/lib/second is gone",)
    assert kits.install(toy).status == "ready" and kits.look(toy, sizes=True).status == "ready"


@pytest.mark.parametrize("stamp", ["", "{", "[]", '{"lock": 1}'])
def test_a_damaged_stamp(toy: Any, home: Path, stamp: str) -> None:
    kits.install(toy)
    (home / "kits/toy" / store.STAMP).write_text(stamp)
    assert kits.look(toy).status == "broken"
    with pytest.raises(NotAvailable, match="damaged") as caught:
        kits.launch(toy)
    assert caught.value.remedy == "edgeworthy targets install toy rebuilds it"
    assert kits.install(toy).status == "ready"


def test_a_kit_of_another_lock_is_replaced(toy: Any, home: Path, registry: Registry, make: Any) -> None:
    kits.install(toy)
    newer = make(part(registry.debian("third", deb({"./usr/lib/third": b"3"}))))
    assert kits.look(newer).status == "outdated"
    with pytest.raises(NotAvailable, match="another version"):
        kits.launch(newer)
    kits.install(newer)
    assert [p.name for p in (home / "kits/toy/root/usr/lib").iterdir()] == ["third"]


def test_a_kit_of_another_python_is_replaced(registry: Registry, home: Path, make: Any) -> None:
    """Its packages are where this Python doesn't look."""
    file = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b""}))
    toy = make(requirements=requirement(file), python=("{kit}/env/bin/python",), check="import tool")
    kits.install(toy)
    site = kits.site(toy)
    assert (site / "tool.py").is_file()
    site.parent.rename(site.parents[1] / "python3.2")
    assert kits.look(toy).status == "outdated" and kits.version("toy") is None
    with pytest.raises(NotAvailable, match=r"of another version of edgeworthy or of Python"):
        kits.launch(toy)
    assert kits.install(toy).status == "ready" and (site / "tool.py").is_file()


def test_the_old_kit_stays_while_the_new_one_fails(toy: Any, home: Path, registry: Registry, make: Any) -> None:
    kits.install(toy)
    newer = make(part(registry.debian("third", deb({"./usr/lib/third": b"3"}))))
    registry.files.pop(path_of("third"))
    with pytest.raises(NotAvailable):
        kits.install(newer)
    assert (home / "kits/toy/root/usr/lib/second").is_file()


def test_a_kit_that_does_not_work_here_is_not_installed(registry: Registry, home: Path, make: Any) -> None:
    file = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b"raise ImportError('no such processor')\n"}))
    toy = make(requirements=requirement(file), python=("{kit}/env/bin/python",), check="import tool")
    with pytest.raises(NotAvailable, match="its check ended with 1") as caught:
        kits.install(toy)
    assert "ImportError: no such processor" in caught.value.details
    assert kits.look(toy).status == "absent"


def test_a_program_that_does_not_start(registry: Registry, home: Path, make: Any) -> None:
    file = registry.debian("first", deb({"./usr/bin/first": b"\x7fELF rubbish"}))
    toy = make(part(file), python=("{kit}/root/usr/bin/first",), check="pass")
    with pytest.raises(NotAvailable, match="can't be started"):
        kits.install(toy)


@pytest.mark.parametrize(("number", "remedy"), [(errno.EACCES, "EDGEWORTHY_HOME"), (errno.ENOENT, "targets install")])
def test_a_program_that_the_system_refuses_has_one_remedy_wherever_it_is_started(number: int, remedy: str) -> None:
    error = not_started("converter theirs", "/kit/bin/python", OSError(number, os.strerror(number)))
    assert error.remedy is not None and remedy in error.remedy


def test_a_kit_sees_no_packages_but_its_own(
    registry: Registry, home: Path, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/tool.py").write_text("raise ImportError('another one')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "theirs"))
    file = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b""}))
    kits.install(make(requirements=requirement(file), python=("{kit}/env/bin/python",), check="import tool"))


def test_a_kit_whose_python_is_gone_is_made_anew(registry: Registry, home: Path, make: Any) -> None:
    """A link to an interpreter that was uninstalled since, or one that starts no more."""
    file = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b""}))
    toy = make(requirements=requirement(file), python=("{kit}/env/bin/python",), check="import tool")
    kits.install(toy)
    (home / "kits/toy/env/bin/python").unlink()
    (home / "kits/toy/env/bin/python").symlink_to("/nowhere/python")
    assert kits.look(toy).faults == ("env/bin/python is gone",) and kits.version("toy") is None
    with pytest.raises(NotAvailable, match="damaged"):
        kits.launch(toy)
    assert kits.install(toy).status == "ready"
    (home / "kits/toy/env/bin/python").unlink()
    (home / "kits/toy/env/bin/python").symlink_to("/bin/false")
    stamp = json.loads((home / "kits/toy" / store.STAMP).read_text())
    stamp["files"] = {name: text for name, text in stamp["files"].items() if not name.startswith("env/bin/")}
    (home / "kits/toy" / store.STAMP).write_text(json.dumps(stamp))
    assert kits.look(toy, thorough=True).status == "ready"
    assert kits.install(toy).status == "ready"
    kits.check(toy)


def test_removed(toy: Any, home: Path) -> None:
    assert kits.remove(toy).status == "absent"
    kits.install(toy)
    assert kits.remove(toy).status == "ready"
    assert kits.look(toy).status == "absent"
    assert [p.name for p in home.rglob("*") if p.is_file()] == [".toy.lock"]


# ---- which ----


def test_one_that_another_process_uses_stays(toy: Any, home: Path, tmp_path: Path) -> None:
    """Killed or not: its lock ends with it. A process that used it itself may remove it."""
    kits.install(toy)
    kits.launch(toy)
    with start(tmp_path, _USE) as user:
        assert user.stdout is not None and user.stdout.readline() == "uses\n"
        with pytest.raises(NotAvailable, match="the kit toy is in use") as caught:
            kits.remove(toy)
        assert any(f"process {user.pid}: " in line for line in caught.value.details)
        assert kits.look(toy, thorough=True).status == "ready"
        assert kits.install(toy).status == "ready", "whoever installs what is whole waits for nobody"
        user.kill()
    kits.remove(toy)
    assert kits.look(toy).status == "absent"


def test_another_machine(registry: Registry, home: Path, make: Any) -> None:
    toy = make(part(registry.debian("first", deb({"./a": b""}))), machines=("pdp11",))
    with pytest.raises(NotAvailable, match="for Linux on pdp11") as caught:
        kits.install(toy)
    assert caught.value.exit_code == 3
    assert registry.asked == []


@pytest.mark.parametrize("name", ["toy", "toy-target", "toy-target:wasm", "toy-target,threads=2"])
def test_a_kit_by_its_name_or_by_its_target(toy: Any, name: str) -> None:
    assert kits.find(name) is toy


def test_its_version_is_told_once_it_is_there(toy: Any, home: Path) -> None:
    assert kits.version("toy") is None
    kits.install(toy)
    assert kits.version("toy-target") == "1.0"


def test_an_unknown_name(toy: Any) -> None:
    with pytest.raises(BadInput, match="there is no kit 'toi'") as caught:
        kits.find("toi")
    assert caught.value.exit_code == 2
    assert (caught.value.remedy, caught.value.details) == ("did you mean 'toy'?", ()), "not all kits besides"
    with pytest.raises(BadInput) as caught:
        kits.find("zzzz")
    assert caught.value.remedy == "use one of these" and len(caught.value.details) == len(kits.KITS)


def test_the_stamp_lists_every_file(toy: Any, home: Path) -> None:
    kits.install(toy)
    stamp = json.loads((home / "kits/toy" / store.STAMP).read_text())
    assert stamp["lock"] == toy.digest
    assert set(stamp["files"]) == {"root/usr/bin/first", "root/usr/lib/noise", "root/usr/lib/second", "where.txt"}


def test_a_file_of_several_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "one").write_bytes(b"x" * 1000)
    (tmp_path / "sub/two").hardlink_to(tmp_path / "one")
    (tmp_path / "sub/three").symlink_to(tmp_path / "one")
    (tmp_path / "other").write_bytes(b"x" * 1000)
    assert files.size(tmp_path) == 2000 and files.size(tmp_path / "sub/two") == 1000
