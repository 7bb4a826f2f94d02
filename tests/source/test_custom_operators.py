"""Exported programs whose operators a package registers."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import torch

from edgeworthy.errors import NotAvailable
from edgeworthy.source import custom_operators
from edgeworthy.source.torch_files import load_exported_program


class _Rounds(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        import torch.ao.quantization.fx._decomposed  # registers them

        q = torch.ops.quantized_decomposed.quantize_per_tensor(x, 0.05, 3, -128, 127, torch.int8)
        return torch.ops.quantized_decomposed.dequantize_per_tensor(q, 0.05, 3, -128, 127, torch.int8)  # type: ignore[no-any-return]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "m.pt2"
    torch.export.save(torch.export.export(_Rounds(), (torch.randn(2, 3),)), path)
    return path


def test_pytorchs_own_registration_is_found(program: Path) -> None:
    x = torch.linspace(-9, 9, 6).reshape(2, 3)
    loaded = load_exported_program(program).module()
    torch.testing.assert_close(loaded(x), _Rounds()(x))


@pytest.mark.parametrize(
    ("namespace", "words"), [("torchao", ["torchao", "pip install"]), ("of_nobody", ["of_nobody", "factory"])]
)
def test_what_nobody_registers_is_named(
    program: Path, tmp_path: Path, namespace: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(custom_operators, "_imports", lambda module: False)
    other = tmp_path / "other.pt2"
    with zipfile.ZipFile(program) as before, zipfile.ZipFile(other, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name.endswith("model.json"):
                assert json.loads(content)
                content = content.replace(b"quantized_decomposed", namespace.encode())
            after.writestr(name, content)
    with pytest.raises(NotAvailable) as raised:
        load_exported_program(other)
    assert all(word in f"{raised.value} {raised.value.remedy}" for word in words)
