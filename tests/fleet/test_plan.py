from __future__ import annotations

from pathlib import Path

import pytest

from edgeworthy.errors import BadInput, NotAvailable
from edgeworthy.fleet.plan import read_plan

DEVICE = '[[device]]\nname = "laptop"\ntarget = "tflite"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "devices.toml"
    path.write_text(text)
    return path


def test_a_plan_names_its_models_and_finds_them_beside_it(tmp_path: Path, models: Path) -> None:
    (tmp_path / "net.py").write_text("")
    (tmp_path / "a.onnx").write_bytes((models / "abs.onnx").read_bytes())
    text = (
        DEVICE
        + '[[model]]\nsource = "a.onnx"\n[[model]]\nsource = "net.py:make"\n[[model]]\nsource = "sample:digits_cnn"\n'
    )
    plan = read_plan(write(tmp_path, text), [str(models)])
    assert [(m.name, m.source) for m in plan.model] == [
        ("a", str(tmp_path / "a.onnx")),
        ("make", f"{tmp_path / 'net.py'}:make"),
        ("digits_cnn", "sample:digits_cnn"),
        ("abs", str(models / "abs.onnx")),
        ("relu", str(models / "relu.onnx")),
    ]
    assert (plan.device[0].threads, plan.retries, plan.timeout_s) == ([1], 1, 900.0)


def test_models_of_one_name_are_told_apart(tmp_path: Path, models: Path) -> None:
    plan = read_plan(write(tmp_path, DEVICE), [str(models), str(models / "abs.onnx")])
    assert [m.name for m in plan.model] == ["abs", "relu", "abs-2"]


def test_a_queue_is_a_device_or_the_machine(tmp_path: Path, models: Path) -> None:
    other = '[[device]]\nname = "slow"\ntarget = "tflite,kernels=reference"\n'
    far = '[[device]]\nname = "far"\ntarget = "tflite"\nresource = "lab-2"\n'
    plan = read_plan(write(tmp_path, DEVICE + other + far), [str(models)])
    assert [d.queue for d in plan.device] == ["this machine", "this machine", "lab-2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("device = 3", "not as a devices.toml should be"),
        ("[[device]", "this is not TOML"),
        ("", "not as a devices.toml should be"),
        (DEVICE + "cores = 3\n", "not as a devices.toml should be"),
        (DEVICE + DEVICE, "two devices are called 'laptop'"),
        (DEVICE, "no model is given"),
        (DEVICE.replace("laptop", "../x"), "not as a devices.toml should be"),
        (DEVICE.replace("tflite", "tflit"), "no target 'tflit'"),
        (DEVICE + '[[model]]\nsource = "a.onnx"\nname = "../../x"\n', "can't be a folder's name"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises((BadInput, NotAvailable), match=said):
        read_plan(write(tmp_path, text))


def test_a_device_whose_target_is_wrong_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, DEVICE + DEVICE.replace("laptop", "board").replace("tflite", "ssh:"))
    with pytest.raises(BadInput) as refused:
        read_plan(path)
    assert refused.value.where == f"{path}, target of the device 'board'"


def test_missing_files_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="can't be read"):
        read_plan(tmp_path / "none.toml")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no model in this folder"):
        read_plan(write(tmp_path, DEVICE), [str(tmp_path / "empty")])
