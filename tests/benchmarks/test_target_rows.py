"""The table of targets: a run that was stopped goes on, a slow row costs itself, no folder of ours."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from edgeworthy.benchmarks import target_rows, targets

ROOT = Path(targets.__file__).parent
PAGE = f"before\n<!-- {targets.MARK} -->\nold\n<!-- end of {targets.MARK} -->\nafter\n"


def test_a_text_names_no_folder_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWORTHY_HOME", "/srv/it's mine/edgeworthy")
    folders = [
        Path.home(),
        Path(tempfile.gettempdir()),
        tmp_path / "out",
        ROOT.parent,
        Path("/srv/it's mine/edgeworthy"),
    ]
    for folder in folders:
        said = target_rows.hidden(
            f"can't read {folder}/a/b.py: no; at {folder}, key={folder}/.ssh/board", tmp_path / "out"
        )
        assert str(folder) not in said and "…/b.py: no; at …, key" in said and said.endswith("key=…/board")
    kept = "there is no /dev/nvidia0; see https://pytorch.org/root/tmp, or -v OUT/saved_model:/models/model/1"
    assert target_rows.hidden(kept, tmp_path) == kept


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_and_a_row_out_of_time_costs_itself(tmp_path: Path) -> None:
    page, out = tmp_path / "page.md", tmp_path / "out"
    page.write_text(PAGE)
    names = ["onnxruntime", "tf-serving", "pytorch", "tflite"]
    command = [sys.executable, str(ROOT / "targets.py"), "-o", str(out), "--seconds", "0.05", "--write", str(page)]
    command += [part for name in names for part in ("--target", name)]

    def lines() -> list[str]:
        return [line.split("`")[1] for line in page.read_text().splitlines() if line.startswith("| `")]

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as first:
        until = time.monotonic() + 200
        while "onnxruntime" not in lines():
            assert first.poll() is None and time.monotonic() < until
            time.sleep(0.1)
        first.kill()
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert f"`tflite`: {targets.NOT_YET}" in text
    before = json.loads((out / targets.STORED).read_text())["rows"]["onnxruntime"]

    slow = subprocess.run([*command, "--timeout", "0.01"], capture_output=True, text=True, check=False, timeout=200)
    assert slow.returncode == 1 and "onnxruntime: as before" in slow.stderr
    assert slow.stderr.count("(timeout)") >= 2 and "as before: tflite" not in slow.stderr
    assert set(lines()) == {"onnxruntime", "pytorch", "tflite"}, "a row that failed says why"

    last = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    rows = json.loads((out / targets.STORED).read_text())["rows"]
    assert last.returncode == 0, last.stderr
    assert rows["onnxruntime"] == before and "as before" in last.stderr.splitlines()[0]
    assert lines() == ["onnxruntime", "pytorch", "tflite", "tflite"] and last.stdout.strip() in page.read_text()
    assert "- `tf-serving`: there is no program" in page.read_text() and targets.NOT_YET not in page.read_text()
    assert not any(str(folder) in page.read_text() for folder in (Path.home(), tmp_path, ROOT.parent, Path.cwd()))
