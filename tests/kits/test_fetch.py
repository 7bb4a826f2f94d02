"""Kits fetched from a registry on this machine, which cuts, lies and is gone, and from a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgeworthy import kits
from edgeworthy.errors import NotAvailable
from edgeworthy.kits.fetch import requirement

from .conftest import NOISE, Registry, leftovers, part, path_of, plain_http, tar, wheel

# ---- from registries ----


def test_debian(toy: Any, home: Path, registry: Registry, client: str) -> None:
    told: list[tuple[str, int, int]] = []
    state = kits.install(toy, tell=lambda *told_: told.append(told_))
    assert state.status == "ready"
    assert state.folder == home / "kits/toy"
    assert (state.folder / "root/usr/lib/noise").read_bytes() == NOISE
    assert (state.folder / "root/usr/lib/second").read_bytes() == b"2"
    assert (state.folder / "where.txt").read_text() == "{kit}", "no file names the folder, which may be moved"
    assert kits.launch(toy).environment == {"WHERE": f"{home}/kits/toy/root"}
    assert leftovers(home) == []
    sums = [done for _, done, total in told if total == toy.size]
    assert sums == sorted(sums)
    assert sums[-1] == toy.size
    asked = len(registry.asked)
    assert kits.install(toy).status == "ready"
    assert len(registry.asked) == asked, "what is there is not fetched again"


def test_npm_over_http(registry: Registry, home: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain_http(monkeypatch)
    file = registry.npm("@scope/tool", tar({"package/dist/index.js": b"js"}, "w:gz"))
    kits.install(make(part(file, source="npm", into="npm")))
    assert (home / "kits/toy/npm/dist/index.js").read_bytes() == b"js"


def test_pypi_for_another_machine(registry: Registry, home: Path, make: Any) -> None:
    """A wheel that no pip would take for this machine."""
    content = wheel("tool", "1.0", {"tool.py": b"x = 1\n"})
    file = registry.pypi("tool", content, "cp39-cp39-manylinux_2_17_s390x")
    kits.install(make(part(file, source="pypi", into="site", architecture="s390x")))
    assert (home / "kits/toy/site/tool.py").read_bytes() == b"x = 1\n"


def test_an_environment_of_its_own(registry: Registry, home: Path, make: Any) -> None:
    file = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b"answer = 42\n"}))
    toy = make(requirements=requirement(file), python=("{kit}/env/bin/python",), check="import tool")
    kits.install(toy)
    used = kits.launch(toy)
    ran = subprocess.run(
        [*used.python, "-c", "import tool; print(tool.answer, tool.__file__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    answer, where = ran.stdout.split()
    assert answer == "42"
    assert Path(where).is_relative_to(home / "kits/toy/env")
    scripts = [path.name for path in (home / "kits/toy/env/bin").iterdir()]
    assert scripts
    assert all(name.startswith("python") for name in scripts), "a script names the folder that it was built in"


def test_where_pip_installs_to_is_not_the_users_to_say(
    registry: Registry, home: Path, make: Any, monkeypatch: Any
) -> None:
    for name, value in {"PIP_USER": "yes", "PIP_TARGET": str(home / "target"), "PIP_PREFIX": str(home / "pre")}.items():
        monkeypatch.setenv(name, value)
    file = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b""}))
    toy = make(requirements=requirement(file), python=("{kit}/env/bin/python",), check="import tool")
    assert kits.install(toy).status == "ready"
    assert sorted(path.name for path in home.iterdir()) == ["kits"]


def test_why_there_is_no_network_is_told(registry: Registry, home: Path, make: Any, monkeypatch: Any) -> None:
    """pip's own error is that there are no versions of a package."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    file = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b""}))
    with pytest.raises(NotAvailable, match=r"can't install tool==1.0") as caught:
        kits.install(make(requirements=requirement(file)))
    assert "Connection refused; ERROR: Could not find a version" in caught.value.details[0]


def test_a_package_of_another_hash_is_not_installed(registry: Registry, home: Path, make: Any) -> None:
    file = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b"answer = 42\n"}))
    toy = make(requirements=requirement(file))
    registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b"answer = 'evil'\n"}))
    with pytest.raises(NotAvailable, match=r"can't install tool==1\.0") as caught:
        kits.install(toy)
    assert "hash" in str(caught.value).lower()
    assert leftovers(home) == []
    assert kits.look(toy).status == "absent"


def test_an_interpreter_without_pip(home: Path, make: Any, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    file = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b""}))
    toy = make(requirements=requirement(file))
    find = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pip" else find(name))
    with pytest.raises(NotAvailable, match="has no pip") as caught:
        kits.install(toy)
    assert "ensurepip" in (caught.value.remedy or "")


# ---- registries that fail ----


def test_a_file_that_is_another_one(toy: Any, home: Path, registry: Registry, client: str) -> None:
    good = registry.files[path_of("first")]
    registry.files[path_of("first")] = good[:-10] + b"0123456789"
    with pytest.raises(NotAvailable, match=r"can't get first_1.0_all.deb") as caught:
        kits.install(toy)
    assert caught.value.exit_code == 3
    assert "SHA-256" in str(caught.value)
    assert leftovers(home) == ["downloads/toy"], "what is wrong is thrown away"
    registry.files[path_of("first")] = good
    assert kits.install(toy).status == "ready"


def test_a_file_that_is_longer_or_shorter(toy: Any, home: Path, registry: Registry, client: str) -> None:
    good = registry.files[path_of("first")]
    for wrong in (b"more" + good, good[:1000], b""):
        registry.files[path_of("first")] = wrong
        with pytest.raises(NotAvailable, match=r"can't get first_1.0_all.deb"):
            kits.install(toy)
    registry.files[path_of("first")] = good
    assert kits.install(toy).status == "ready"


def test_a_mirror_without_the_file_and_the_archive_with_it(toy: Any, registry: Registry, client: str) -> None:
    path = path_of("first").replace("/debian/", "/snapshot/20260101T000000Z/")
    registry.files[path] = registry.files.pop(path_of("first"))
    assert kits.install(toy).status == "ready"
    assert registry.count(path_of("first")) == 1
    assert registry.count(path) == 1


def test_no_registry_at_all(toy: Any, home: Path, monkeypatch: pytest.MonkeyPatch, client: str) -> None:
    monkeypatch.setenv("EDGEWORTHY_DEBIAN", "http://127.0.0.1:9/debian")
    monkeypatch.setattr("edgeworthy.kits.fetch.SNAPSHOT", "http://127.0.0.1:9/snapshot")
    with pytest.raises(NotAvailable, match="can't get first") as caught:
        kits.install(toy)
    assert len(caught.value.details) == 2, "each address and why"
    assert all("127.0.0.1:9" in line for line in caught.value.details)
    assert "--offline" in (caught.value.remedy or "")
    assert kits.look(toy).status == "absent"


def test_a_connection_that_is_cut_goes_on(toy: Any, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    plain_http(monkeypatch)
    size = len(registry.files[path_of("first")])
    registry.faults[path_of("first")] = ["cut", "cut"]
    assert kits.install(toy).status == "ready"
    spans = [span for path, span in registry.asked if path == path_of("first")]
    assert spans == [None, f"bytes={size // 2}-", f"bytes={(size // 2 + size) // 2}-"]


def test_what_was_cut_off_goes_on_next_time(toy: Any, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a file, then nobody answers; later the other half."""
    plain_http(monkeypatch)
    registry.faults[path_of("first")] = ["cut", 503]
    with pytest.raises(NotAvailable, match="503"):
        kits.install(toy)
    registry.asked.clear()
    assert kits.install(toy).status == "ready"
    assert registry.asked[0] == (path_of("first"), f"bytes={len(registry.files[path_of('first')]) // 2}-")


def test_what_a_client_left_that_outlived_us(registry: Registry, home: Path, make: Any) -> None:
    """Killed, we leave pip or npm behind: what it brought to an end is used, what it didn't is fetched anew."""
    whole = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": b"x = 1\n"}), "cp39-cp39-manylinux_2_17_s390x")
    half = registry.pypi("other", wheel("other", "1.0", {"other.py": NOISE}), "cp39-cp39-manylinux_2_17_s390x")
    toy = make(*(part(f, source="pypi", into="site", architecture="s390x") for f in (whole, half)))
    for file, share in ((whole, 1.0), (half, 0.5)):
        left = home / f"downloads/toy/.{file.filename}.part.client/got" / file.filename
        left.parent.mkdir(parents=True)
        content = registry.files[f"/files/{file.filename}"]
        left.write_bytes(content[: int(len(content) * share)])
    kits.install(toy)
    assert (home / "kits/toy/site/tool.py").read_bytes() == b"x = 1\n"
    assert (home / "kits/toy/site/other.py").read_bytes() == NOISE
    assert registry.count(f"/files/{half.filename}") and not registry.count(f"/files/{whole.filename}")
    assert leftovers(home) == []


@pytest.mark.parametrize("size", ["half", "same", "longer"])
def test_a_rest_of_another_file_does_no_harm(toy: Any, home: Path, registry: Registry, client: str, size: str) -> None:
    content = registry.files[path_of("first")]
    left = home / "downloads/toy/first_1.0_all.deb.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x" * {"half": len(content) // 2, "same": len(content), "longer": len(content) + 9}[size])
    assert kits.install(toy).status == "ready"


def test_a_registry_that_lies_in_the_middle_of_a_kit(toy: Any, home: Path, registry: Registry, client: str) -> None:
    """The first file is kept, so that only the second is fetched next time."""
    registry.faults[path_of("second")] = [500] * 10
    with pytest.raises(NotAvailable, match="can't get second"):
        kits.install(toy)
    assert kits.look(toy).status == "absent"
    registry.faults.clear()
    registry.asked.clear()
    assert kits.install(toy).status == "ready"
    assert registry.count(path_of("first")) == 0


# ---- from a folder ----


def test_offline(toy: Any, tmp_path: Path, registry: Registry) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("first", "second"):
        (folder / f"{name}_1.0_all.deb").write_bytes(registry.files[path_of(name)])
    assert kits.install(toy, offline=folder).status == "ready"
    assert registry.asked == []


def test_offline_without_all_of_it(toy: Any, tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(NotAvailable, match="no such folder"):
        kits.install(toy, offline=tmp_path / "gone")
    for name in ("first", "second"):  # all that are missing, and where they are
        with pytest.raises(NotAvailable, match="of the 2 files of the kit toy are not there") as caught:
            kits.install(toy, offline=tmp_path)
        lacks = [line.partition(":")[0] for line in caught.value.details]
        assert lacks == [f"{left}_1.0_all.deb" for left in ("first", "second")[name == "second" :]]
        assert all(": http://deb.debian.org/debian/pool/main/t/" in line for line in caught.value.details)
        (tmp_path / f"{name}_1.0_all.deb").write_bytes(b"another")
    with pytest.raises(NotAvailable, match="7 bytes instead of"):
        kits.install(toy, offline=tmp_path)
    assert registry.asked == []


def test_an_environment_offline(registry: Registry, home: Path, tmp_path: Path, make: Any) -> None:
    content = wheel("tool", "1.0", {"tool.py": b""})
    toy = make(requirements=requirement(registry.pypi("tool", content)))
    with pytest.raises(NotAvailable, match=r"can't install tool==1\.0") as caught:
        kits.install(toy, offline=tmp_path)
    remedy = caught.value.remedy or ""  # and not to do what was done
    assert "pip download --require-hashes" in remedy and f"-d {tmp_path}" in remedy and "--offline" not in remedy
    (tmp_path / "tool-1.0-py3-none-any.whl").write_bytes(content)
    assert kits.install(toy, offline=tmp_path).status == "ready"
    assert registry.asked == []
