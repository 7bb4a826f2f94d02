"""Which weights of a checkpoint are taken, and packages that don't go with the installed PyTorch."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from edgeworthy.errors import EdgeworthyError, NotAvailable
from edgeworthy.pipeline.diagnosis import diagnose
from edgeworthy.pipeline.progress import Silent
from edgeworthy.source.load import load_source
from edgeworthy.targets.pytorch import snapshot

Refused = Callable[..., EdgeworthyError]


def states(nets: Path) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    made = [load_source(f"{nets}:make", seed=seed).module for seed in (5, 6)]
    return tuple(dict(m.state_dict()) for m in made if m is not None)  # type: ignore[return-value]


def loaded(nets: Path, path: Path, key: str | None = None) -> tuple[dict[str, torch.Tensor], list[str]]:
    source = load_source(f"{nets}:make", weights=path, weights_key=key)
    assert source.module is not None
    return source.module.state_dict(), source.notes


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[k], other[k]) for k in other)


def optimizer() -> dict[str, Any]:
    return {"state": {0: {"step": torch.ones(1), "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}


class TestKey:
    def test_the_one_named_is_taken(self, nets: Path, tmp_path: Path) -> None:
        model, ema = states(nets)
        torch.save({"model": model, "ema": ema, "optimizer": optimizer(), "epoch": 3}, tmp_path / "w.pt")
        state, notes = loaded(nets, tmp_path / "w.pt")
        assert same(state, model)
        assert "w.pt: the weights under 'model' were taken, not those under 'ema'" in notes
        state, notes = loaded(nets, tmp_path / "w.pt", "ema")
        assert same(state, ema) and any("under 'ema' were taken" in n for n in notes)

    def test_a_dotted_key(self, nets: Path, tmp_path: Path) -> None:
        model, ema = states(nets)
        torch.save(
            {"state_dict": model, "trainer": {"ema": {f"module.{k}": v for k, v in ema.items()}}}, tmp_path / "w.pt"
        )
        assert same(loaded(nets, tmp_path / "w.pt", "trainer.ema")[0], ema)
        assert same(loaded(nets, tmp_path / "w.pt")[0], model)

    def test_the_only_one_needs_no_key(self, nets: Path, tmp_path: Path) -> None:
        _, ema = states(nets)
        torch.save({"averaged": ema, "optimizer": optimizer(), "hparams": {}}, tmp_path / "w.pt")
        state, notes = loaded(nets, tmp_path / "w.pt")
        assert same(state, ema) and not any("were taken" in n for n in notes)

    def test_of_several_without_a_usual_name_none_is_guessed(
        self, nets: Path, tmp_path: Path, refused: Refused
    ) -> None:
        model, ema = states(nets)
        torch.save({"online": model, "averaged": ema}, tmp_path / "w.pt")
        error = refused(f"{nets}:make", weights=tmp_path / "w.pt")
        assert list(error.details) == ["online", "averaged"] and "--weights-key online" in str(error.remedy)
        error = refused(f"{nets}:make", weights=tmp_path / "w.pt", weights_key="ema")
        assert "no state dict under 'ema'" in error.what and len(error.details) == 2


def test_a_module_without_parameters_goes_through_a_snapshot(tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text(
        "from torch import nn\n\nclass Twice(nn.Module):\n    def forward(self, x):\n        return x * 2\n"
    )
    spec = f"{tmp_path}/bare.py:Twice"
    module = load_source(spec, inputs=["x:float32[2]"]).module
    assert module is not None
    load_source(spec, inputs=["x:float32[2]"], weights=snapshot(module, tmp_path / "w.pt"))


class TestBrokenPackages:
    """As torchvision behaves beside a PyTorch that it wasn't built for."""

    @pytest.fixture
    def broken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        folder = tmp_path / "packages"
        (folder / "torchvision").mkdir(parents=True)
        (folder / "torchvision" / "__init__.py").write_text("from torchvision import _meta_registrations\n")
        (folder / "torchvision" / "_meta_registrations.py").write_text(
            'raise RuntimeError("operator torchvision::nms does not exist")\n'
        )
        (folder / "torchvision-0.9.0.dist-info").mkdir()
        (folder / "torchvision-0.9.0.dist-info" / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.9.0\n"
        )
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(str(folder))
        yield folder
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]

    def check(self, error: EdgeworthyError) -> None:
        assert error.exit_code == 3
        assert error.what == f"torchvision 0.9.0 can't be imported with PyTorch {torch.__version__}"
        assert "torchvision::nms does not exist" in error.details[0]
        assert "pip install" in str(error.remedy)

    def test_as_a_source(self, broken: Path, refused: Refused) -> None:
        self.check(refused("torchvision:resnet18", NotAvailable))

    def test_in_code_of_the_users(self, broken: Path, tmp_path: Path, refused: Refused) -> None:
        (tmp_path / "net.py").write_text("import torchvision\n\ndef make():\n    return None\n")
        self.check(refused(f"{tmp_path}/net.py:make", NotAvailable))

    def test_in_a_factory_of_the_users(self, broken: Path, tmp_path: Path, refused: Refused) -> None:
        (tmp_path / "net.py").write_text("def make():\n    import torchvision\n")
        self.check(refused(f"{tmp_path}/net.py:make", NotAvailable))

    def test_the_doctor_lists_it(self, broken: Path) -> None:
        (found,) = [p for p in diagnose(Silent()).packages if p.name == "torchvision"]
        assert found.version == "0.9.0"
        assert "can't be imported with PyTorch" in found.why and "nms" in found.why
