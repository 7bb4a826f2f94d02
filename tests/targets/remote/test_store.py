from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeworthy.errors import RuntimeFailure
from edgeworthy.files import sha256
from edgeworthy.targets.remote.runner import RemoteRunner
from edgeworthy.targets.remote.store import RemoteStore

from .places import Here


@pytest.fixture
def runner() -> Iterator[RemoteRunner]:
    with Here().start() as runner:
        yield runner


@pytest.fixture
def store(tmp_path: Path) -> RemoteStore:
    return RemoteStore(str(tmp_path / "store"))


def made(path: Path, size: int, seed: int = 0) -> Path:
    import random

    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def names(store: RemoteStore) -> set[str]:
    return {p.name for p in Path(store.folder).iterdir() if p.suffix != ".lock"}


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, 3_000_001])
def test_a_file_arrives_once_under_its_hash(
    runner: RemoteRunner, store: RemoteStore, tmp_path: Path, size: int
) -> None:
    file = made(tmp_path / "; rm -rf $HOME '\"\n", size)
    path = Path(store.put(runner, file))
    assert path == Path(store.folder, sha256(file)) and path.read_bytes() == file.read_bytes()
    before = path.stat()
    assert store.put(runner, file) == str(path)
    assert path.stat().st_ino == before.st_ino and names(store) == {path.name}
    assert Path(store.folder).stat().st_mode & 0o777 == 0o700


def test_a_file_goes_on_from_where_it_stopped(runner: RemoteRunner, store: RemoteStore, tmp_path: Path) -> None:
    file = made(tmp_path / "m", 5_000_000)
    key = {"folder": store.folder, "limit": store.limit, "sha256": sha256(file), "size": 5_000_000}
    assert runner.ask("begin", **key)[0]["offset"] == 0
    runner.ask("write", [file.read_bytes()[:2_000_000]])
    runner.close()
    with Here().start() as other:
        assert other.ask("begin", **key)[0]["offset"] == 2_000_000
        assert Path(store.put(other, file)).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("left", [b"of another file", b"x" * 400_000])
def test_what_was_left_there_wrong_is_sent_anew(
    runner: RemoteRunner, store: RemoteStore, tmp_path: Path, left: bytes
) -> None:
    file = made(tmp_path / "m", 300_000)
    Path(store.folder).mkdir()
    Path(store.folder, f"{sha256(file)}.part").write_bytes(left)
    assert Path(store.put(runner, file)).read_bytes() == file.read_bytes()
    assert names(store) == {sha256(file)}


def test_a_file_that_the_disk_lost_some_of_is_sent_anew(
    runner: RemoteRunner, store: RemoteStore, tmp_path: Path
) -> None:
    file = made(tmp_path / "m", 300_000)
    path = Path(store.put(runner, file))
    path.write_bytes(bytes(300_000))
    assert Path(store.put(runner, file)).read_bytes() == file.read_bytes()


def test_two_that_send_one_file_take_turns(runner: RemoteRunner, store: RemoteStore, tmp_path: Path) -> None:
    file = made(tmp_path / "m", 2_500_000)
    key = {"folder": store.folder, "limit": store.limit, "sha256": sha256(file), "size": 2_500_000}
    runner.ask("begin", **key)
    paths: list[str] = []
    with Here().start() as other:
        second = threading.Thread(target=lambda: paths.append(store.put(other, file)))
        second.start()
        runner.ask("write", [file.read_bytes()])
        time.sleep(0.2)
        assert not paths
        assert runner.ask("finish")[0]["path"]
        second.join(10)
    assert paths == [str(Path(store.folder, sha256(file)))]


def test_many_that_send_and_clean_at_once_spoil_nothing(store: RemoteStore, tmp_path: Path) -> None:
    """Room for two of four files: each is removed by some while others wait for it."""
    small = RemoteStore(store.folder, limit=700_000)
    files = [made(tmp_path / str(seed), 300_000, seed) for seed in range(4)]
    wrong: list[object] = []

    def send(first: int) -> None:
        for turn in range(6):
            file = files[(first + turn) % len(files)]
            with Here().start() as runner:
                if Path(small.put(runner, file)).read_bytes() != file.read_bytes():
                    wrong.append(file)

    threads = [threading.Thread(target=send, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not wrong and not any(thread.is_alive() for thread in threads)
    assert not [name for name in names(store) if name.endswith(".part")]


def test_the_longest_unused_go_when_it_grows_too_large(store: RemoteStore, tmp_path: Path) -> None:
    small = RemoteStore(store.folder, limit=2_500_000)
    files = [made(tmp_path / str(seed), 1_000_000, seed) for seed in range(4)]
    with Here().start() as runner:
        for age, file in zip((1, 9, 5), files, strict=False):
            path = small.put(runner, file)
            os.utime(f"{path}.lock", (time.time() - age, time.time() - age))
        assert len(names(store)) == 3  # it holds them all, so none can go
    with Here().start() as user, Here().start() as runner:
        small.put(user, files[0])
        os.utime(Path(store.folder, f"{sha256(files[0])}.lock"), (1, 1))  # the oldest, and in use
        small.put(runner, files[3])
    assert names(store) == {sha256(files[0]), sha256(files[3])}


def test_a_folder_comes_as_it_is(runner: RemoteRunner, store: RemoteStore, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    (folder / "package" / "__pycache__").mkdir(parents=True)
    (folder / "package" / "__init__.py").write_text("X = 3\n")
    (folder / "package" / "__pycache__" / "x.pyc").write_text("")
    path = Path(store.put_folder(runner, folder))
    assert [p.relative_to(path).as_posix() for p in path.rglob("*.*")] == ["package/__init__.py"]
    os.utime(folder / "package" / "__init__.py", (1e9, 1e9))
    assert store.put_folder(runner, folder) == str(path)  # one folder, one hash


def test_a_folder_that_cannot_be_written_is_told(runner: RemoteRunner, tmp_path: Path) -> None:
    file = made(tmp_path / "in the way", 10)
    with pytest.raises(RuntimeFailure, match="can't take in the way: its folder can't be written") as failed:
        RemoteStore(str(file / "below")).put(runner, file)
    assert "workdir=FOLDER" in (failed.value.remedy or "")


def test_only_a_hash_names_a_file(runner: RemoteRunner, store: RemoteStore) -> None:
    with pytest.raises(RuntimeFailure, match="no SHA-256"):
        runner.ask("begin", folder=store.folder, limit=1, sha256="../../etc/passwd", size=1)
    assert not Path(store.folder).exists()
