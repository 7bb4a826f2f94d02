"""A converter in the Python of a kit: one that is damaged is named, and told from a converter that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeworthy import kits
from edgeworthy.convert import convert as ours
from edgeworthy.convert.routes import CONVERTERS, ConverterInfo, worker
from edgeworthy.errors import NotAvailable, RuntimeFailure
from edgeworthy.kits.fetch import requirement
from edgeworthy.pipeline import trial
from edgeworthy.pipeline.comparing import compare
from edgeworthy.pipeline.progress import Silent
from edgeworthy.settings import load_config

from .conftest import Registry, wheel

TOOL = b"def made(model): raise ValueError('no rule for Sign')\n"
WORKS = b"""
import os, pathlib, shutil

def made(model):
    return shutil.copy(os.environ["MADE"], pathlib.Path("theirs.tflite").absolute())
"""
SCRIPT = "def convert(model, folder):\n    import tool\n    return tool.made(model)\n"


@pytest.fixture
def converter(registry: Registry, home: Path, make: Any, tmp_path: Path) -> ConverterInfo:
    """A converter that refuses every model, in a kit that is installed."""
    file = registry.pypi("tool", wheel("tool", "1.0", {"tool.py": TOOL}))
    toy = make(
        requirements=requirement(file), python=("{kit}/env/bin/python",), check="import tool", routes=("theirs",)
    )
    kits.install(toy)
    (tmp_path / "there.py").write_text(SCRIPT)
    script = f"{tmp_path / 'there.py'}:convert"
    return ConverterInfo("theirs", "for tests", "tflite", "", (), toy.install, script, kit="toy")


def convert(info: ConverterInfo, model: Path, folder: Path) -> worker.ConvertedFile:
    folder.mkdir()
    return worker.run(info, model, folder, timeout_s=60)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda env: (env / "tool.py").write_text(""), f"tool.py has 0 bytes instead of {len(TOOL)}"),
        (lambda env: (env / "tool.py").write_bytes(TOOL.replace(b"made", b"nade")), "tool.py is changed"),
        (lambda env: (env / "tool.py").unlink(), "tool.py is gone"),
        (lambda env: (env.parents[2] / "bin/python").unlink(), "env/bin/python is gone"),
    ],
)
def test_a_damaged_kit_is_named_once_it_fails(
    converter: ConverterInfo, home: Path, model: Path, tmp_path: Path, damage: Any, said: str
) -> None:
    with pytest.raises(RuntimeFailure, match="no rule for Sign"):
        convert(converter, model, tmp_path / "whole")
    (site,) = (home / "kits/toy/env").glob("lib/python*/site-packages")
    damage(site)
    with pytest.raises(NotAvailable, match=rf"kit toy is damaged \(.*{said}") as caught:
        convert(converter, model, tmp_path / "damaged")
    assert caught.value.exit_code == 3 and caught.value.remedy == "edgeworthy routes install toy rebuilds it"
    kits.install(kits.KITS["toy"])
    with pytest.raises(RuntimeFailure, match="no rule for Sign"):
        convert(converter, model, tmp_path / "again")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda site: (site / "spare.py").write_bytes(b"#" * 9), "spare.py has 9 bytes instead of 10"),
        (lambda site: (site / "spare.py").unlink(), "spare.py is gone"),
    ],
)
def test_a_damaged_kit_is_named_though_its_converter_works(
    converter: ConverterInfo, registry: Registry, home: Path, make: Any, model: Path, tmp_path: Path, damage: Any,
    said: str, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Of what it doesn't import: its file would be judged as if nothing was amiss."""
    members = {"tool.py": WORKS, "spare.py": b"#" * 10}
    lock = requirement(registry.pypi("tool", wheel("tool", "1.0", members)))
    kits.install(make(requirements=lock, python=("{kit}/env/bin/python",), routes=("theirs",)))
    monkeypatch.setitem(CONVERTERS._found.table, "theirs", converter)
    made = ours(model, tmp_path / "ours", to=["tflite"]).tflite
    assert made
    monkeypatch.setenv("MADE", str(made.path))

    def row(name: str) -> tuple[str, str]:
        tables = {"model": {"source": str(model)}, "output": tmp_path / name, "targets": ["onnxruntime", "tflite"]}
        found = compare(load_config(None, tables), routes=["direct", "theirs"], stages=["validate"])
        return next((row.status, row.cause) for row in found.rows if row.route == "theirs")

    assert row("whole") == ("pass", "")
    (site,) = (home / "kits/toy/env").glob("lib/python*/site-packages")
    damage(site)
    status, cause = row("damaged")
    assert status == "skipped" and said in cause
    assert cause.startswith("kit toy is damaged (") and cause.endswith("; edgeworthy routes install toy rebuilds it")
    kits.install(kits.KITS["toy"])
    assert row("mended") == ("pass", "")


def test_the_doctor_reads_every_file(
    converter: ConverterInfo, registry: Registry, home: Path, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was changed at the same size, of what the converter doesn't import: it works, and no size tells."""
    members = {"tool.py": WORKS, "spare.py": b"#" * 10}
    lock = requirement(registry.pypi("tool", wheel("tool", "1.0", members)))
    kits.install(make(requirements=lock, python=("{kit}/env/bin/python",), routes=("theirs",)))
    monkeypatch.setitem(CONVERTERS._found.table, "theirs", converter)
    layer = trial._onnx(trial._Layer.make(), tmp_path / "layer.onnx").path
    made = ours(layer, tmp_path / "ours", to=["tflite"]).tflite
    assert made
    monkeypatch.setenv("MADE", str(made.path))
    assert trial.try_route("theirs", Silent()).passes
    (spare,) = (home / "kits/toy/env").glob("lib/python*/site-packages/spare.py")
    spare.write_bytes(b"-" * 10)
    with pytest.raises(NotAvailable, match=r"kit toy is damaged \(.*spare.py is changed") as caught:
        trial.try_route("theirs", Silent())
    assert caught.value.remedy == "edgeworthy routes install toy"
    kits.install(kits.KITS["toy"])
    assert trial.try_route("theirs", Silent()).passes


def test_its_row_says_what_to_do(
    converter: ConverterInfo, home: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONVERTERS._found.table, "theirs", converter)
    (path,) = (home / "kits/toy/env").glob("lib/python*/site-packages/tool.py")
    path.write_bytes(b"")
    tables = {"model": {"source": str(model)}, "output": tmp_path / "out", "targets": ["onnxruntime", "tflite"]}
    found = compare(load_config(None, tables), routes=["direct", "theirs"], stages=["validate"])
    rows = {row.route: (row.status, row.cause) for row in found.rows}
    name = path.relative_to(home / "kits/toy").as_posix()
    told = f"kit toy is damaged ({name} has 0 bytes instead of {len(TOOL)}); edgeworthy routes install toy rebuilds it"
    assert rows == {"direct": ("pass", ""), "theirs": ("skipped", told)}


def test_a_kit_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="kit is 'no-such-kit', and should be adb or "):
        ConverterInfo("x", "", "tflite", "", (), "", "a:b", kit="no-such-kit")
    with pytest.raises(ValueError, match="module is '', and should be"):
        ConverterInfo("x", "", "tflite", "", (), "", "a:b")
