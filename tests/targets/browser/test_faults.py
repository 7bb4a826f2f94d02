"""Whatever goes wrong with a browser ends in time, is named, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from edgeworthy import kits
from edgeworthy.artifact import TFLiteModel
from edgeworthy.errors import NotAvailable, RuntimeFailure
from edgeworthy.targets import find
from edgeworthy.targets.worker import Worker

from .conftest import NEEDED, Made, browsers, images, litert, picture, tidied

pytestmark = [pytest.mark.device, NEEDED]


@pytest.fixture(scope="module")
def model(made: Made, classify: Callable[[Any], dict[str, Any]]) -> TFLiteModel:
    return made(classify, **images(1, 8, 8, 3))


def processes(place: Path, kind: str) -> list[psutil.Process]:
    """Chromium's processes of this test: ``renderer``, ``gpu-process``, or the main one (an empty string)."""
    lines = {p: " ".join(p.info["cmdline"]) for p in browsers() if str(place) in " ".join(p.info["cmdline"])}
    if kind:
        return [p for p, line in lines.items() if f"--type={kind}" in line]
    return [
        p for p, line in lines.items() if "--type=" not in line and "--user-data-dir" in line and "crashpad" not in line
    ]


def test_a_good_run_leaves_nothing(model: TFLiteModel, place: Path) -> None:
    with Worker("browser:wasm", model) as worker:
        worker.run(picture(1))
        assert processes(place, "renderer")
        worker.load(model)  # a new browser in place of the one before
        assert len(processes(place, "")) == 1
    assert tidied(place)


def test_a_long_name_of_the_folder_for_temporary_files_is_no_hindrance(
    model: TFLiteModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    with Worker("browser:wasm", model) as worker:
        assert worker.run(picture(1))["logits"].shape == (1, 5)


def test_without_chromium_it_says_how_to_get_one(
    model: TFLiteModel, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = find("browser:wasm,chromium=/nowhere/chromium")
    assert "no Chromium" in str(named.missing()) and "apt-get install chromium" in str(named.missing())
    with pytest.raises(NotAvailable, match="there is no Chromium here") as missing:
        Worker(named.name, model).__enter__()
    assert "/nowhere/chromium" in str(missing.value)
    assert tidied(place)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no Chromium on the path" in str(find("browser:webgpu").missing())


@pytest.mark.parametrize("program", ["exit 3", "echo no display >&2; exit 1", "kill -SEGV $$"])
def test_a_chromium_that_doesnt_start_is_named(model: TFLiteModel, place: Path, tmp_path: Path, program: str) -> None:
    path = tmp_path / "a chromium"
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    with pytest.raises(NotAvailable, match="Chromium doesn't start") as failed:
        Worker(f"browser:wasm,chromium={path}", model).__enter__()
    assert str(path) in str(failed.value)
    assert "echo" not in program or any("no display" in line for line in failed.value.details)
    assert not any("--headless" in line or "Call log" in line for line in failed.value.details)
    assert tidied(place)


@pytest.mark.parametrize("kind", ["", "renderer"])
def test_a_browser_killed_in_a_run_is_a_failed_row(model: TFLiteModel, place: Path, kind: str) -> None:
    with Worker("browser:wasm", model, timeout_s=60) as worker:
        worker.run(picture(1))

        def kill() -> None:
            time.sleep(1)
            for process in processes(place, kind):
                process.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        begin = time.monotonic()
        with pytest.raises(RuntimeFailure, match="Chromium ended in time"):
            worker.time(picture(1), 100_000_000)
        killer.join()
        assert time.monotonic() - begin < 20
        with pytest.raises(RuntimeFailure, match="Chromium ended in run"):
            worker.run(picture(1))
        worker.load(model)  # the worker lives on, with a new browser
        assert worker.run(picture(1))["logits"].tobytes() == litert(model, picture(1))["logits"].tobytes()
    assert tidied(place)


def test_a_page_that_hangs_ends_by_the_time_limit(model: TFLiteModel, place: Path) -> None:
    with Worker("browser:wasm", model, timeout_s=20) as worker:
        worker.run(picture(1))
        begin = time.monotonic()
        with pytest.raises(RuntimeFailure, match=r"hung: time took more than 20 s \(timeout\)"):
            worker.time(picture(1), 100_000_000)
        assert time.monotonic() - begin < 40
        assert not worker.alive
    assert tidied(place)


def test_a_browser_that_is_stopped_ends_by_the_time_limit(model: TFLiteModel, place: Path) -> None:
    with Worker("browser:wasm", model, timeout_s=15) as worker:
        worker.run(picture(1))
        for process in (*processes(place, ""), *processes(place, "renderer")):
            process.suspend()
        with pytest.raises(RuntimeFailure, match="hung: run took more than 15 s"):
            worker.run(picture(1))
    assert tidied(place, 30)


PARENT = """
    import sys, time
    from pathlib import Path
    from edgeworthy.formats.tflite.summary import describe
    from edgeworthy.targets.worker import Worker

    with Worker("browser:wasm", describe(Path(sys.argv[1]))) as worker:
        print(worker.pid, flush=True)
        time.sleep(100)
"""


@pytest.mark.parametrize("whom", ["parent", "worker"])
def test_browsers_end_with_the_process_that_asked(model: TFLiteModel, place: Path, whom: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PARENT), str(model.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert processes(place, "renderer")
    os.kill(parent.pid if whom == "parent" else worker, signal.SIGKILL)
    assert tidied(place)
    parent.kill()
    parent.wait(20)
    parent.stdout.close()


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the kit whose files may be taken away."""
    folder = kits.look(kits.KITS["browser"]).folder
    copy = tmp_path / "home/kits/browser"
    shutil.copytree(folder, copy, symlinks=True, copy_function=os.link)
    monkeypatch.setenv("EDGEWORTHY_HOME", str(tmp_path / "home"))
    return copy


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("npm/@litertjs/core/wasm/litert_wasm_internal.wasm", r"kit browser is damaged \(npm/.*\.wasm is gone"),
        ("npm/@litertjs/core/dist/index.js", r"kit browser is damaged \(npm/.*index\.js is gone"),
        (
            "env/lib/python3.11/site-packages/playwright/sync_api",
            r"kit browser is damaged \(env/.*, and \d+ more",
        ),
        ("env/lib/python3.11/site-packages/playwright/driver/node", r"kit browser is damaged \(env/.*node is gone"),
        ("kit.json", "not installed|damaged"),
    ],
)
def test_a_kit_that_lost_a_file_says_so(damaged: Path, model: TFLiteModel, place: Path, gone: str, said: str) -> None:
    path = damaged / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(NotAvailable, match=said):
        Worker("browser:wasm", model, timeout_s=60).__enter__()
    assert tidied(place)
