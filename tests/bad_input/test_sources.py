"""PyTorch sources that can't be used: factories, weights, exported programs, inputs."""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from .sandbox import Sandbox, Warm

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(x)


class Broken(Net):
    def forward(self, x):
        raise ValueError("forward is broken")


class Branching(Net):
    def forward(self, x):
        y = self.fc(x)
        return y if y.sum() > 0 else -y


class Text(Net):
    def forward(self, x):
        return {"answer": "text"}


class Unsupported(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Determinant(1), Determinant(2)

    def forward(self, x):
        return self.first(x) + self.second(x)


class Determinant(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return torch.linalg.det(x * self.scale)


def make(model=Net, **inputs):
    net = model()
    net.example_inputs = inputs or {"x": torch.ones(1, 4)}
    return net


def without_inputs():
    return Net()


def raising():
    raise RuntimeError("no checkpoint here")


def nothing():
    pass


def leaving():
    raise SystemExit(0)


def needing(width):
    return Net()


def diverged():
    net = make()
    nn.init.constant_(net.fc.weight, float("nan"))
    return net


def of_wrong_shape():
    return make(x=torch.ones(1, 5))


def of_wrong_type():
    return make(x=torch.ones(1, 4, dtype=torch.int64))


def of_wrong_name():
    return make(image=torch.ones(1, 4))


def of_nan():
    return make(x=torch.full((1, 4), float("nan")))


def broken():
    return make(Broken)


def branching():
    return make(Branching)


def text():
    return make(Text)


def unsupported():
    return make(Unsupported, x=torch.ones(1, 3, 3))
"""


class Evil:
    """Asks to run a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch here_i_was",)


@pytest.fixture
def nets(sandbox: Sandbox, warm: Warm) -> Sandbox:
    """A sandbox with net.py, whose commands are run by a warm process."""
    sandbox.warm = warm
    (sandbox.folder / "net.py").write_text(NET)
    return sandbox


def line(of: str) -> str:
    """``net.py:N``, where N is the number of the line that begins like this."""
    numbers = [number for number, text in enumerate(NET.splitlines(), 1) if text.strip().startswith(of)]
    return f"net.py:{numbers[0]}"


@pytest.mark.parametrize(
    ("source", "said", "where"),
    [
        ("none.py:make", "no such file", "none.py"),
        ("nowhere.nets:make", "no Python module 'nowhere'", "nowhere.nets:make"),
        ("net.py", "names a Python file and no factory", "net.py"),
        ("net.py:absent", "there is no 'absent' in it", "net.py:absent"),
        ("net.py:raising", "the factory raised: RuntimeError: no checkpoint here", line("raise RuntimeError")),
        ("net.py:leaving", "the factory raised: SystemExit", line("raise SystemExit")),
        ("net.py:nothing", "returned 'NoneType', not a torch.nn.Module", "net.py:nothing"),
        ("net.py:needing", "needs arguments: width", "net.py:needing"),
        ("net.py:diverged", "1 weight of the model is not finite", "net.py:diverged"),
        ("net.py:without_inputs", "input 'x' is not described", "net.py:without_inputs"),
        ("net.py:of_wrong_shape", r"can't run on x:float32\[1, 5\]", line("return self.fc(x)")),
        ("net.py:of_wrong_type", r"can't run on x:int64\[1, 4\]", line("return self.fc(x)")),
        ("net.py:of_wrong_name", "no input named 'image'", "the example inputs of net.py:of_wrong_name"),
        ("net.py:of_nan", "'x' are not all finite", "the example inputs of net.py:of_nan"),
        ("net.py:broken", "ValueError: forward is broken", line("raise ValueError")),
        ("net.py:branching", "depends on a tensor's values", line("return y if")),
        ("net.py:text", "the model returns a str as 'answer'", "net.py:text"),
        ("sample:none", "no sample 'none'", "sample:none"),
        ("gibberish", "not a source that edgeworthy knows", "gibberish"),
    ],
)
def test_sources(nets: Sandbox, source: str, said: str, where: str) -> None:
    error = nets.refused("export", source, "-o", "out")
    assert re.search(said, error.what)
    assert error.where.endswith(where)


def test_a_missing_package_is_not_available(nets: Sandbox) -> None:
    (nets.folder / "imports.py").write_text("import a_package_of_nobody\n")
    error = nets.refused("export", "imports.py:make", "-o", "out", code=3)
    assert error.where.endswith("imports.py:1")
    assert "pip install a_package_of_nobody" in error.remedy


def test_code_that_is_no_python(nets: Sandbox) -> None:
    (nets.folder / "syntax.py").write_text("\ndef make(:\n    pass\n")
    assert nets.refused("export", "syntax.py:make", "-o", "out").where.endswith("syntax.py:2")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("x", "'x' is not an input description"),
        ("x:float[1,4]", "unknown dtype 'float'"),
        ("x:float32[0,4]", "bad dimension '0'"),
        ("x:float32[1,5]", r"can't run on x:float32\[1, 5\]"),
        ("z:float32[1,4]", "no input named 'z'"),
    ],
)
def test_described_inputs(nets: Sandbox, given: str, said: str) -> None:
    assert re.search(said, nets.refused("export", "net.py:without_inputs", "-o", "out", "--input", given).what)


def test_an_opset_that_cannot_be(nets: Sandbox) -> None:
    assert "not 99" in nets.refused("export", "net.py:make", "-o", "out", "--opset", 99).what


def test_unsupported_nodes_are_told_in_terms_of_the_module(nets: Sandbox) -> None:
    error = nets.refused("convert", "net.py:unsupported", "-o", "out", "--to", "tflite")
    assert error.where == "net.py:unsupported"
    assert [(n["op"], n["module"]) for n in error.nodes] == [("Det", "first"), ("Det", "second")]
    assert {n["source"] for n in error.nodes} == {line("return torch.linalg.det")}


# -- weights ----------------------------------------------------------------------------------------------


def weights(**other: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"fc.weight": torch.ones(3, 4), "fc.bias": torch.ones(3)} | {
        k.replace("_", "."): v for k, v in other.items()
    }


def halved(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "no such file"),
        ("empty", "is empty"),
        ("text", "can't be read"),
        ("cut off", "can't be read"),
        ("safetensors", "not a safetensors file, or cut off"),
        ("names", "1 missing, 1 unexpected"),
        ("shapes", "1 of another shape"),
        ("nan", "not finite"),
        ("code", "a pickle that wants to run code"),
        ("old code", "a pickle that wants to run code"),
        ("module", "this is a whole model"),
    ],
)
def test_weights(nets: Sandbox, kind: str, said: str) -> None:
    path = nets.folder / ("weights.safetensors" if kind == "safetensors" else "weights.pt")
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("hello\n" * 9)
    elif kind == "cut off":
        torch.save(weights(), path)
        halved(path)
    elif kind == "safetensors":
        save_file(weights(), path)
        halved(path)
    elif kind == "names":
        torch.save({"fc.weight": torch.ones(3, 4), "head.bias": torch.ones(3)}, path)
    elif kind == "shapes":
        torch.save(weights(fc_weight=torch.ones(3, 9)), path)
    elif kind == "nan":
        torch.save(weights(fc_bias=torch.full((3,), float("nan"))), path)
    elif kind == "code":
        torch.save({"fc.weight": Evil()}, path)
    elif kind == "old code":
        path.write_bytes(pickle.dumps(Evil()))
    elif kind == "module":
        torch.jit.save(torch.jit.script(torch.nn.Linear(4, 3)), path)
    error = nets.refused("export", "net.py:make", "-o", "out", "--weights", path.name)
    assert said in error.what
    assert error.where == path.name
    assert not (nets.folder / "here_i_was").exists()


# -- files of PyTorch -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def program() -> bytes:
    """An exported program, as a file."""
    file = io.BytesIO()
    torch.export.save(torch.export.export(torch.nn.Linear(4, 3), (torch.ones(1, 4),)), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.pt2", None, "no such file"),
        ("model.pt2", b"", "is empty"),
        ("model.pt2", b"hello" * 9, "not a PyTorch archive"),
        ("model.ts.pt", b"hello" * 9, "not a PyTorch archive"),
        ("model.pt", b"", "is empty"),
    ],
)
def test_files_that_are_none_of_pytorch(nets: Sandbox, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (nets.folder / name).write_bytes(content)
    error = nets.refused("export", name, "-o", "out")
    assert said in error.what
    assert error.where == name


@pytest.mark.parametrize("missing", [40, 0.5])
def test_a_cut_off_program(nets: Sandbox, program: bytes, missing: float) -> None:
    """By its last bytes alone, what is left ends in an archive of its own: the example inputs."""
    keep = len(program) - (missing if missing > 1 else int(len(program) * missing))
    (nets.folder / "model.pt2").write_bytes(program[: int(keep)])
    assert "cut off" in nets.refused("export", "model.pt2", "-o", "out").what


def test_a_program_that_holds_code(nets: Sandbox, program: bytes) -> None:
    evil = io.BytesIO()
    torch.save({"x": Evil()}, evil)
    with zipfile.ZipFile(io.BytesIO(program)) as old, zipfile.ZipFile(nets.folder / "model.pt2", "w") as new:
        for name in old.namelist():
            new.writestr(name, evil.getvalue() if name.endswith(".pt") else old.read(name))
    error = nets.refused("export", "model.pt2", "-o", "out")
    assert "a pickle that wants to run code" in error.what
    assert "system" in error.details[0]
    assert not (nets.folder / "here_i_was").exists()


def test_a_checkpoint_is_no_source(nets: Sandbox) -> None:
    torch.save(weights(), nets.folder / "weights.pt")
    assert "--weights weights.pt" in nets.refused("export", "weights.pt", "-o", "out").remedy


def test_weights_go_with_a_factory_alone(nets: Sandbox, program: bytes) -> None:
    (nets.folder / "model.pt2").write_bytes(program)
    assert "has its own weights" in nets.refused("export", "model.pt2", "-o", "out", "--weights", "w.pt").what
