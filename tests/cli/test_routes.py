"""``edgeworthy routes`` as a user meets it, without a registry."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from edgeworthy import kits
from edgeworthy.convert.routes import CONVERTERS

from .conftest import edgeworthy


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    gone = {"PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_NO_INDEX": "1", "PIP_RETRIES": "0"}
    return os.environ | gone | {"EDGEWORTHY_HOME": str(tmp_path / "home"), "COLUMNS": "220"}


def routes(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    return edgeworthy("routes", *arguments, environment=environment)


def test_the_list_says_what_each_is_and_how_to_get_it(environment: dict[str, str]) -> None:
    ran = routes(environment)
    assert ran.returncode == 0
    assert routes(environment, "list").stdout == ran.stdout
    found = {state["name"]: state for state in json.loads(routes(environment, "list", "--json").stdout)}
    assert {name: state["takes"] for name, state in found.items()} == {n: i.takes for n, i in CONVERTERS.items()}
    assert found["direct"]["available"] and found["direct"]["kit"] is None
    for name, kit in kits.KITS.items():
        for route in kit.routes:
            assert found[route]["kit"] == "absent" and not found[route]["available"]
            assert found[route]["why"] == f"kit {name} is not installed; edgeworthy routes install {name}"
            assert found[route]["why"] in ran.stdout
    assert found["onnx-tf"]["opset"] == 15 and "ONNX ≤ 15" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("install", "onnx2ft"), 2, "did you mean 'onnx2tf'"),
        (("install", "tf"), 2, "tf needs no kit"),
        (("install", "onnx2tf"), 3, "can't install onnx2tf==2.6.9 for the kit onnx2tf"),
        (("install", "onnx2tf", "--offline", "nowhere"), 3, "there is no such folder"),
        (("remove", "onnx2tf"), 0, ""),
        (("doctor", "onnx2tf"), 3, "fix: edgeworthy routes install onnx2tf"),
    ],
)
def test_what_cannot_be_installed_leaves_nothing(
    environment: dict[str, str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    ran = routes(environment, *arguments)
    assert (ran.returncode, said in ran.stderr) == (code, True), ran.stderr
    home = Path(environment["EDGEWORTHY_HOME"])
    assert not [path for path in home.rglob("*") if path.is_file() and path.suffix != ".lock"]


@pytest.mark.parametrize("command", ["list", "install", "remove", "doctor"])
def test_help_has_examples(environment: dict[str, str], command: str) -> None:
    assert f"edgeworthy routes {command}" in routes(environment, command, "--help").stdout
