"""``edgeworthy targets install`` and ``remove`` as a user meets them, without a registry."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from edgeworthy import kits

from .conftest import edgeworthy


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """No registry is there; plain HTTP would fail as apt does."""
    gone = {"EDGEWORTHY_DEBIAN": "http://127.0.0.1:9", "npm_config_registry": "http://127.0.0.1:9",
            "PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_RETRIES": "0"}  # fmt: skip
    return os.environ | gone | {"EDGEWORTHY_HOME": str(tmp_path / "home"), "COLUMNS": "200"}


def targets(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    return edgeworthy("targets", *arguments, environment=environment)


def test_the_list_is_what_there_is_without_a_subcommand(environment: dict[str, str]) -> None:
    ran = targets(environment)
    assert ran.returncode == 0
    for name, kit in kits.KITS.items():
        assert (f"edgeworthy targets install {name}" in ran.stdout) == (not kit.routes)
    found = {state["name"]: state for state in json.loads(targets(environment, "--json").stdout)}
    assert [*found] == [state["name"] for state in json.loads(targets(environment, "list", "--json").stdout)]
    assert found["arm64"]["kit"] == "absent"
    assert found["tflite"]["kit"] is None


@pytest.mark.parametrize("command", ["install", "remove", "doctor"])
def test_help_has_examples(environment: dict[str, str], command: str) -> None:
    text = targets(environment, command, "--help").stdout
    assert "--json" in text
    assert f"edgeworthy targets {command} " in text.partition("Examples:")[2]


@pytest.mark.parametrize("command", ["install", "remove"])
def test_an_unknown_kit(environment: dict[str, str], command: str) -> None:
    ran = targets(environment, command, "arm63")
    assert ran.returncode == 2
    assert "there is no kit 'arm63'" in ran.stderr
    assert "did you mean 'arm64'?" in ran.stderr
    assert not Path(environment["EDGEWORTHY_HOME"]).exists(), "nothing is begun"


def test_a_target_that_needs_no_kit(environment: dict[str, str]) -> None:
    ran = targets(environment, "install", "tflite")
    assert ran.returncode == 2
    assert "tflite needs no kit" in ran.stderr
    assert "fix: pip install ai-edge-litert" in ran.stderr


def test_nothing_is_begun_if_one_of_several_is_unknown(environment: dict[str, str]) -> None:
    assert targets(environment, "install", "ethos-u", "arm63").returncode == 2
    assert not Path(environment["EDGEWORTHY_HOME"]).exists()


def test_no_network(environment: dict[str, str]) -> None:
    """PyPI's is the only address that this kit has."""
    ran = targets(environment, "install", "ethos-u", "--json")
    assert ran.returncode == 3
    error = json.loads(ran.stdout)
    assert "can't install ethos-u-vela" in error["what"]
    assert "--offline" in error["remedy"]
    home = Path(environment["EDGEWORTHY_HOME"])
    assert [p.name for p in home.rglob("*") if p.is_file()] == [".ethos-u.lock"]


def test_a_folder_without_the_files(environment: dict[str, str], tmp_path: Path) -> None:
    ran = targets(environment, "install", "arm64", "--offline", tmp_path)
    assert ran.returncode == 3
    assert "14 of the 14 files of the kit arm64 are not there" in ran.stderr
    assert "qemu-user_1%3a10" in ran.stderr and "numpy==2.4.6 of PyPI" in ran.stderr


def test_removing_what_is_not_there(environment: dict[str, str]) -> None:
    ran = targets(environment, "remove", "arm64", "browser:wasm", "--json")
    assert ran.returncode == 0
    assert [(kit["name"], kit["status"]) for kit in json.loads(ran.stdout)] == [
        ("arm64", "absent"),
        ("browser", "absent"),
    ]


def test_doctor_of_a_kit_that_is_not_there(environment: dict[str, str]) -> None:
    ran = targets(environment, "doctor", "arm64")
    assert ran.returncode == 3
    assert "fix: edgeworthy targets install arm64" in ran.stderr
