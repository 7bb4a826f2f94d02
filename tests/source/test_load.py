"""Sources: every form of naming a model loads the right module, or says what is wrong."""

import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgeworthy.errors import BadInput, EdgeworthyError, NotAvailable
from edgeworthy.pipeline.inspection import inspect
from edgeworthy.source.load import load_source
from edgeworthy.source.model_files import read

Refused = Callable[..., EdgeworthyError]
LineOf = Callable[[str], int]

X = ("x:float32[1,4]",)


class TestFactories:
    @pytest.mark.parametrize("name", ["make", "Net", "ready"])
    def test_function_class_and_instance(self, nets: Path, name: str) -> None:
        source = load_source(f"{nets}:{name}", inputs=X)
        assert source.kind == "module"
        assert isinstance(source.module, nn.Module)
        assert source.run(source.examples)["output"].shape == (1, 2)

    def test_class_in_a_class(self, nets: Path) -> None:
        source = load_source(f"{nets}:Net.Inner", inputs=("input:float32[1,4]",))
        assert isinstance(source.module, nn.Linear)

    def test_module_of_a_package_in_the_working_folder(
        self, nets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        package = tmp_path / "acme_models"
        package.mkdir()
        (package / "__init__.py").touch()
        nets.rename(package / "nets.py")
        monkeypatch.chdir(tmp_path)
        assert load_source("acme_models.nets:make").kind == "module"

    def test_imports_its_neighbours_even_when_it_runs(self, tmp_path: Path) -> None:
        (tmp_path / "acme_layers.py").write_text("from torch import nn\nclass Layer(nn.Linear): pass\n")
        (tmp_path / "acme_late.py").write_text("FACTOR = 2\n")
        (tmp_path / "net.py").write_text(
            "import torch\nfrom acme_layers import Layer\n"
            "class Net(Layer):\n"
            "    example_inputs = torch.ones(1, 2)\n"
            "    def __init__(self): super().__init__(2, 2)\n"
            "    def forward(self, x):\n"
            "        from acme_late import FACTOR\n"
            "        return super().forward(x) * FACTOR\n"
        )
        source = load_source(f"{tmp_path}/net.py:Net")
        assert source.run(source.examples)["output"].shape == (1, 2)

    def test_a_file_named_like_a_package_does_not_stand_in_for_it(self, nets: Path, tmp_path: Path) -> None:
        nets.rename(tmp_path / "onnx.py")
        load_source(f"{tmp_path}/onnx.py:make")
        assert sys.modules["onnx"] is onnx

    def test_weights_are_random_by_seed_and_nobody_else_notices(self, nets: Path) -> None:
        torch.manual_seed(11)
        random.seed(11)
        np.random.seed(11)
        want = torch.rand(1).item(), random.random(), np.random.rand()
        torch.manual_seed(11)
        random.seed(11)
        np.random.seed(11)
        states = [load_source(f"{nets}:make", seed=seed).module for seed in (0, 0, 1)]
        first, again, other = (m.state_dict()["first.weight"] for m in states if m is not None)
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert (torch.rand(1).item(), random.random(), np.random.rand()) == want

    def test_goes_to_eval_with_a_note(self, nets: Path) -> None:
        source = load_source(f"{nets}:make")
        assert source.module is not None
        assert not any(part.training for part in source.module.modules())
        assert any("training mode" in note for note in source.notes)
        again = load_source("sample:linear_regression")
        assert not again.notes

    def test_infinite_masks_are_fine(self, nets: Path) -> None:
        load_source(f"{nets}:Masked")


class TestBadFactories:
    @pytest.mark.parametrize(
        ("name", "line", "message"),
        [("boom", 'raise RuntimeError("no', "RuntimeError: no such luck"), ("leave", "raise SystemExit", "bye")],
    )
    def test_raises(self, refused: Refused, line_of: LineOf, nets: Path, name: str, line: str, message: str) -> None:
        error = refused(f"{nets}:{name}")
        assert message in error.what
        assert error.where == f"{nets}:{line_of(line)}"

    def test_place_is_relative_to_the_working_folder(
        self, refused: Refused, line_of: LineOf, nets: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(nets.parent)
        assert refused("nets.py:boom").where == f"nets.py:{line_of('raise RuntimeError')}"

    def test_raises_within_a_package_it_calls(self, refused: Refused, tmp_path: Path) -> None:
        path = tmp_path / "net.py"
        path.write_text("from torch import nn\n\ndef make():\n    return nn.Linear(-1, 2)\n")
        assert refused(f"{path}:make").where == f"{path}:4"

    def test_does_not_parse(self, refused: Refused, tmp_path: Path) -> None:
        path = tmp_path / "net.py"
        path.write_text("x = 1\ndef make(:\n")
        error = refused(f"{path}:make")
        assert error.where == f"{path}:2"
        assert "SyntaxError" in error.what

    def test_imports_a_missing_package(self, refused: Refused, tmp_path: Path) -> None:
        path = tmp_path / "net.py"
        path.write_text("import torch\nimport acme_missing.part\n")
        error = refused(f"{path}:make", NotAvailable)
        assert error.where == f"{path}:2"
        assert "pip install acme_missing" in str(error.remedy)

    def test_returns_no_module(self, refused: Refused, nets: Path) -> None:
        assert "returned 'int', not a torch.nn.Module" in refused(f"{nets}:number").what

    def test_is_no_function(self, refused: Refused, nets: Path) -> None:
        assert "not a function or class" in refused(f"{nets}:__name__").what

    def test_needs_arguments(self, refused: Refused, nets: Path) -> None:
        assert "needs arguments: width" in refused(f"{nets}:needs").what

    def test_is_missing(self, refused: Refused, nets: Path) -> None:
        assert "it has make" in refused(f"{nets}:mkae").details

    def test_file_is_missing(self, refused: Refused, tmp_path: Path) -> None:
        assert refused(f"{tmp_path}/none.py:make").what == "no such file"

    def test_module_is_missing(self, refused: Refused) -> None:
        assert "no Python module 'acme_nowhere'" in refused("acme_nowhere.nets:make").what

    def test_names_no_factory(self, refused: Refused, nets: Path) -> None:
        assert f"{nets}:make" in str(refused(nets).remedy)
        assert "names no factory" in refused(f"{nets}:").what

    def test_is_not_finite(self, refused: Refused, nets: Path) -> None:
        error = refused(f"{nets}:diverged", inputs=X)
        assert error.details == ("second.weight", "scale")

    @pytest.mark.parametrize("spec", ["gibberish", "none.onnx", "dir/none.pt2"])
    def test_is_nothing_at_all(self, refused: Refused, spec: str) -> None:
        assert refused(spec).remedy

    def test_is_a_folder_of_no_model(self, refused: Refused, tmp_path: Path) -> None:
        """The same is said wherever a folder is given."""
        (tmp_path / "variables").mkdir()
        error = refused(str(tmp_path))
        assert error.what == "the folder holds no saved_model.pb"
        with pytest.raises(BadInput) as inspected:
            inspect(tmp_path)
        with pytest.raises(BadInput) as judged:
            read(tmp_path)
        assert {str(error), str(inspected.value), str(judged.value)} == {str(error)}


class TestZoos:
    def test_sample(self) -> None:
        source = load_source("sample:linear_regression")
        value = source.run({name: np.full_like(array, 2) for name, array in source.examples.items()})
        np.testing.assert_allclose(next(iter(value.values())).item(), 7, atol=0.2)

    def test_unknown_sample_lists_them(self, refused: Refused) -> None:
        assert any("digits_cnn" in line for line in refused("sample:nope").details)

    @pytest.mark.parametrize(
        ("spec", "package"),
        [
            ("torchvision:resnet18", "torchvision"),
            ("timm:resnet18", "timm"),
            ("hf:acme/bert", "transformers"),
            ("lightning:acme:Net@file.ckpt", "lightning"),
        ],
    )
    def test_missing_package(self, refused: Refused, monkeypatch: pytest.MonkeyPatch, spec: str, package: str) -> None:
        for name in (package, f"{package}.models", f"{package}.pytorch", "pytorch_lightning"):
            monkeypatch.setitem(sys.modules, name, None)
        error = refused(spec, NotAvailable)
        assert error.exit_code == 3
        assert error.remedy == f"pip install {package}"

    def test_transformers_config_and_folder(self, tmp_path: Path) -> None:
        transformers = pytest.importorskip("transformers")
        small = {
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
        }
        config = transformers.BertConfig(vocab_size=50, max_position_embeddings=24, **small)
        config.save_pretrained(tmp_path)
        source = load_source(f"hf:{tmp_path}/config.json")
        assert [str(s) for s in source.inputs] == ["input_ids:int64[1,24]", "attention_mask:int64[1,24]"]
        assert list(source.run(source.examples)) == ["last_hidden_state", "pooler_output"]
        assert any("random" in note for note in source.notes)

        model = transformers.ViTForImageClassification(transformers.ViTConfig(image_size=32, **small))
        model.save_pretrained(tmp_path / "vit")
        source = load_source(f"hf:{tmp_path}/vit")
        assert [str(s) for s in source.inputs] == ["pixel_values:float32[1,3,32,32]"]
        assert not source.notes
        assert source.module is not None
        assert torch.equal(source.module.state_dict()["classifier.weight"], model.state_dict()["classifier.weight"])
