"""Export: names, dynamic dimensions, provenance, the check against the module, and what is said on failure."""

import textwrap
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from edgeworthy.errors import BadInput, CheckFailed
from edgeworthy.export import onnx_export as export_module
from edgeworthy.export.check import run_onnx
from edgeworthy.export.onnx_export import Export, export_onnx
from edgeworthy.formats.onnx.summary import describe
from edgeworthy.source.load import load_source
from edgeworthy.vocabulary import MODULE_KEY, SOURCE_KEY

NETS = """
    from dataclasses import dataclass

    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3)
            self.norm = nn.BatchNorm2d(8)

        def forward(self, x):
            return torch.relu(self.norm(self.conv(x)))

    class Net(nn.Module):
        example_inputs = {"image": torch.randn(1, 3, 16, 16)}

        def __init__(self):
            super().__init__()
            self.block = Block()
            self.heads = nn.ModuleList([nn.Linear(8, 4), nn.Linear(8, 2)])

        def forward(self, image, mask=None):
            y = self.block(image).mean((2, 3))
            logits = self.heads[0](y)
            return {"logits": logits, "mask": self.heads[1](y), "extra": (logits + 1, None)}

    @dataclass
    class Pair:
        low: torch.Tensor
        high: torch.Tensor

    class Pairs(nn.Module):
        example_inputs = torch.randn(2, 3)

        def forward(self, x):
            return Pair(x - 1, x + 1)

    class Same(nn.Module):
        example_inputs = {"x": torch.randn(2, 3), "unused": torch.zeros(1)}

        def forward(self, x, unused):
            y = x * 2
            return x, y, y

    class Star(nn.Module):
        def forward(self, *parts):
            return parts[0] + parts[1]

    class Branch(nn.Module):
        example_inputs = torch.ones(2, 3)

        def forward(self, x):
            if x.sum() > 0:
                return x * 2
            return x - 5

    class Eigen(nn.Module):
        example_inputs = torch.randn(3, 3)

        def forward(self, x):
            y = x + 1
            return torch.linalg.eigvals(y).real

    class Fixed(nn.Module):
        example_inputs = torch.randn(3, 4)

        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(3, 4))

        def forward(self, x):
            return x + self.bias

    class Random(nn.Module):
        example_inputs = torch.randn(3, 4)

        def forward(self, x):
            return x + torch.rand_like(x)

    class Text(nn.Module):
        example_inputs = torch.randn(3, 4)

        def forward(self, x):
            return {"y": x, "label": "cat"}
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("nets.py").write_text(textwrap.dedent(NETS).lstrip())
    return "nets.py"


def line_of(text: str) -> str:
    lines = textwrap.dedent(NETS).lstrip().splitlines()
    return f"nets.py:{next(i for i, line in enumerate(lines, 1) if text in line)}"


def export(spec: str, *inputs: str, output: str = "out/model.onnx", **options: object) -> Export:
    return export_onnx(load_source(spec, inputs=inputs), Path(output), **options)


def names_in(folder: str | Path) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]


def provenance(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Operator → module path and source line of each of its nodes."""
    found: dict[str, list[tuple[str, str]]] = {}
    for node in onnx.load(path).graph.node:
        props = {entry.key: entry.value for entry in node.metadata_props}
        assert set(props) == {MODULE_KEY, SOURCE_KEY}
        found.setdefault(node.op_type, []).append((props[MODULE_KEY], props[SOURCE_KEY]))
    return found


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
class TestBothExporters:
    def test_names_values_and_provenance(self, nets: str, exporter: str, capfd: pytest.CaptureFixture[str]) -> None:
        result = export(f"{nets}:Net", "image:float32[batch,3,16,16]", exporter=exporter)
        assert capfd.readouterr() == ("", "")
        assert [str(s) for s in result.model.inputs] == ["image:float32[batch,3,16,16]"]
        assert [s.name for s in result.model.outputs] == ["logits", "mask", "extra_0"]
        assert result.exporter == exporter
        assert all(error.max_rel < 1e-5 for error in result.check.values())
        assert list(result.check) == ["logits", "mask", "extra_0"]
        nodes = provenance(result.model.path)
        assert nodes["Conv"][0][0] in ("block.conv", "block.norm")  # one exporter names the fused pair by its second
        assert nodes["Conv"][0][1] == nodes["Relu"][0][1] == line_of("torch.relu(self.norm")
        assert nodes["Relu"][0][0] == "block"
        assert nodes["Gemm"] == [
            ("heads.0", line_of("logits = self.heads[0](y)")),
            ("heads.1", line_of("self.heads[1](y)")),
        ]
        assert nodes["Add"] == [("", line_of("logits + 1"))]
        assert names_in("out") == ["model.onnx"]

    def test_two_exports_are_equal_and_tell_nothing_of_the_machine(self, nets: str, exporter: str) -> None:
        first = export(f"{nets}:Net", exporter=exporter, output="a.onnx").model.path.read_bytes()
        second = export(f"{nets}:Net", exporter=exporter, output="b/c.onnx").model.path.read_bytes()
        assert first == second
        assert str(Path.cwd()).encode() not in first
        assert b"site-packages" not in first

    def test_outputs_that_are_inputs_or_twice_the_same(self, nets: str, exporter: str) -> None:
        result = export(f"{nets}:Same", "unused:float32[1]", exporter=exporter)
        assert [s.name for s in result.model.outputs] == ["output_0", "output_1", "output_2"]
        feeds = {"x": np.ones((2, 3), np.float32), "unused": np.zeros(1, np.float32)}
        (outputs,) = run_onnx(result.model.path, [feeds])
        assert [float(o.flat[0]) for o in outputs] == [1, 2, 2]

    def test_dataclasses(self, nets: str, exporter: str) -> None:
        result = export(f"{nets}:Pairs", exporter=exporter)
        assert [s.name for s in result.model.outputs] == ["low", "high"]

    def test_star_arguments(self, nets: str, exporter: str) -> None:
        result = export(f"{nets}:Star", "left:float32[n,3]", "right:float32[n,3]", exporter=exporter)
        assert [str(s) for s in result.model.inputs] == ["left:float32[n,3]", "right:float32[n,3]"]

    def test_no_operator_for_it(self, nets: str, exporter: str) -> None:
        with pytest.raises(BadInput, match=r"aten(::|\.)linalg_eig") as caught:
            export(f"{nets}:Eigen", exporter=exporter)
        assert caught.value.where == line_of("torch.linalg.eigvals")
        other = "torchscript" if exporter == "dynamo" else "dynamo"
        assert f"--exporter {other}" in str(caught.value.remedy)
        assert not Path("out").exists()

    def test_random_output(self, nets: str, exporter: str) -> None:
        with pytest.raises(CheckFailed, match="random"):
            export(f"{nets}:Random", exporter=exporter)
        assert names_in("out") == []

    def test_opset(self, nets: str, exporter: str) -> None:
        assert export(f"{nets}:Pairs", exporter=exporter, opset=18).opset == 18
        with pytest.raises(BadInput):
            export(f"{nets}:Pairs", exporter=exporter, opset=99)

    def test_output_that_is_no_tensor(self, nets: str, exporter: str) -> None:
        with pytest.raises(BadInput, match="returns a str as 'label'"):
            export(f"{nets}:Text", exporter=exporter)


class TestFailures:
    def test_branch_on_a_value(self, nets: str, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(BadInput, match="depends on a tensor's values") as caught:
            export(f"{nets}:Branch")
        assert caught.value.where == line_of("if x.sum() > 0:")
        assert "--exporter torchscript" in str(caught.value.remedy)
        assert capfd.readouterr() == ("", "")

    def test_a_traced_branch_is_found_out(self, nets: str) -> None:
        with pytest.raises(CheckFailed, match="'output'") as caught:
            export(f"{nets}:Branch", exporter="torchscript")
        assert any(line.startswith(line_of("if x.sum() > 0:")) for line in caught.value.details)
        assert names_in("out") == []

    def test_a_dimension_that_cannot_be_dynamic(self, nets: str) -> None:
        with pytest.raises(BadInput, match=r"'rows' .* can't be dynamic: the model fixes it to 3"):
            export(f"{nets}:Fixed", "x:float32[rows,4]")

    def test_a_dimension_that_an_exporter_fixed_without_a_word(
        self, nets: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make = export_module._export_dynamo
        static = load_source(f"{nets}:Same")
        monkeypatch.setattr(export_module, "_export_dynamo", lambda _, *rest: make(static, *rest))
        with pytest.raises(BadInput, match=r"'rows' .* can't be dynamic: the model fixes it to 2"):
            export(f"{nets}:Same", "x:float32[rows,3]")

    def test_an_earlier_file_survives_a_failure(self, nets: str) -> None:
        path = export(f"{nets}:Pairs").model.path
        before = path.read_bytes()
        with pytest.raises(CheckFailed):
            export(f"{nets}:Random")
        assert path.read_bytes() == before

    def test_unwritable_folder(self, nets: str) -> None:
        Path("out").write_text("a file")
        with pytest.raises(BadInput, match="can't write"):
            export(f"{nets}:Pairs")

    def test_input_that_does_not_fit_the_model(self, nets: str) -> None:
        with pytest.raises(BadInput, match="can't run on") as caught:
            export(f"{nets}:Net", "image:float32[1,4,16,16]")
        assert caught.value.where == line_of("torch.relu(self.norm")


class TestDynamic:
    def test_all_dimensions_of_an_image(self, nets: str) -> None:
        result = export(f"{nets}:Net", "image:float32[n,3,height,width]")
        assert [str(s) for s in result.model.inputs] == ["image:float32[n,3,height,width]"]
        assert result.model.outputs[0].shape == ("n", 4)
        feeds = [{"image": np.ones((b, 3, h, w), np.float32)} for b, h, w in ((1, 9, 30), (5, 16, 16))]
        assert [o[0].shape for o in run_onnx(result.model.path, feeds)] == [(1, 4), (5, 4)]

    def test_a_size_that_was_frozen_is_found_out(self, nets: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The exporter's graph is swapped for one that was made for the example's batch."""
        make = export_module._export_dynamo

        def frozen(*args: object) -> object:
            model = make(*args)
            static = make(load_source(f"{nets}:Wrong"), *args[1:])
            static.graph.inputs[0].shape = model.graph.inputs[0].shape
            return static

        with Path(nets).open("a") as file:
            file.write(
                "\nclass Sized(nn.Module):\n    example_inputs = torch.ones(2, 3)\n"
                "    def forward(self, x): return x * x.shape[0]\n"
                "\nclass Wrong(Sized):\n    def forward(self, x): return x * 2\n"
            )
        assert export(f"{nets}:Sized", "x:float32[n,3]").check["output"].max_rel == 0
        monkeypatch.setattr(export_module, "_export_dynamo", frozen)
        with pytest.raises(CheckFailed, match="'output'") as caught:
            export(f"{nets}:Sized", "x:float32[n,3]")
        assert "[3, 3]" in str(caught.value.where)


class TestOtherSources:
    def test_exported_program(self, nets: str) -> None:
        module = load_source(f"{nets}:Net").module
        assert module is not None
        image = torch.randn(2, 3, 16, 16)
        batch = {"image": {0: torch.export.Dim("b")}}
        program = torch.export.export(module, (), {"image": image}, dynamic_shapes=batch)
        torch.export.save(program, "m.pt2")
        result = export("m.pt2")
        assert [str(s) for s in result.model.inputs] == ["image:float32[batch,3,16,16]"]
        assert result.model.outputs[0].shape == ("batch", 4)
        assert max(e.max_rel for e in result.check.values()) < 1e-5
        nodes = provenance(result.model.path)
        assert nodes["Gemm"][0] == ("heads.0", line_of("logits = self.heads[0](y)"))
        pinned = export("m.pt2", "image:float32[4,3,16,16]")
        assert pinned.model.inputs[0].shape == (4, 3, 16, 16)
        assert pinned.model.outputs[0].shape == (4, 4)

    @pytest.mark.parametrize("make", [torch.jit.script, lambda m: torch.jit.trace(m, torch.ones(1, 3, 16, 16))])
    def test_torchscript(self, nets: str, make: type) -> None:
        with Path(nets).open("a") as file:
            file.write(
                "\nclass Plain(nn.Sequential):\n"
                "    def __init__(self): super().__init__(Block(), nn.Flatten(), nn.Linear(1568, 2))\n"
            )
        module = load_source(f"{nets}:Plain", inputs=("input:float32[1,3,16,16]",)).module
        make(module).save("m.ts.pt")
        result = export("m.ts.pt", "input:float32[n,3,16,16]")
        assert result.exporter == "torchscript"
        assert any("TorchScript exporter" in note for note in result.notes)
        assert [str(s) for s in result.model.inputs] == ["input:float32[n,3,16,16]"]
        assert max(e.max_rel for e in result.check.values()) < 1e-5
        nodes = provenance(result.model.path)
        assert nodes["Relu"][0] == ("0", line_of("torch.relu(self.norm"))

    def test_onnx_is_copied(self, nets: str) -> None:
        first = export(f"{nets}:Net", "image:float32[n,3,16,16]").model.path
        result = export(str(first), output="copy/m.onnx")
        assert result.model.path.read_bytes() == first.read_bytes()
        assert result.exporter == "none"
        assert result.check == {}
        pinned = export(str(first), "image:float32[1,3,16,16]", output="copy/n.onnx")
        assert [s.shape for s in pinned.model.outputs] == [(1, 4), (1, 2), (1, 4)]
        assert str(describe(first).inputs[0]) == "image:float32[n,3,16,16]"
        with pytest.raises(BadInput, match="of opset 20"):
            export(str(first), opset=17)

    def test_onnx_with_external_data_is_made_whole(self, tmp_path: Path) -> None:
        weight = helper.make_tensor("w", TensorProto.FLOAT, [4, 4], np.eye(4).tobytes()[:64], raw=True)
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
            [weight],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
        result = export(str(tmp_path / "m.onnx"), output=str(tmp_path / "out" / "m.onnx"))
        assert names_in(tmp_path / "out") == ["m.onnx"]
        assert onnx.load(result.model.path).graph.initializer[0].raw_data == weight.raw_data


class TestTransformers:
    @pytest.fixture
    def small(self) -> dict[str, int]:
        pytest.importorskip("transformers")
        return {
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
        }

    def test_bert_with_any_batch_and_length(self, tmp_path: Path, small: dict[str, int]) -> None:
        from transformers import BertConfig

        BertConfig(vocab_size=50, max_position_embeddings=24, **small).save_pretrained(tmp_path)
        specs = ("input_ids:int64[batch,length]", "attention_mask:int64[batch,length]")
        result = export(f"hf:{tmp_path}/config.json", *specs, output=f"{tmp_path}/m.onnx")
        assert [str(s) for s in result.model.inputs] == list(specs)
        assert [str(s) for s in result.model.outputs] == [
            "last_hidden_state:float32[batch,length,32]",
            "pooler_output:float32[batch,32]",
        ]
        assert max(e.max_rel for e in result.check.values()) < 1e-5
        modules = {module for nodes in provenance(result.model.path).values() for module, _ in nodes}
        assert "encoder.layer.0.intermediate.dense" in modules
        sources = {source for nodes in provenance(result.model.path).values() for _, source in nodes}
        assert any(s.startswith("transformers/models/bert/modeling_bert.py:") for s in sources)

    def test_vit(self, tmp_path: Path, small: dict[str, int]) -> None:
        from transformers import ViTConfig

        ViTConfig(image_size=32, architectures=["ViTForImageClassification"], **small).save_pretrained(tmp_path)
        result = export(f"hf:{tmp_path}/config.json", "pixel_values:float32[n,3,32,32]", output=f"{tmp_path}/m.onnx")
        assert [str(s) for s in result.model.outputs] == ["logits:float32[n,2]"]


def test_module_is_left_as_it_was(nets: str) -> None:
    source = load_source(f"{nets}:Net")
    module = source.module
    assert isinstance(module, nn.Module)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    for exporter in ("dynamo", "torchscript"):
        export_onnx(source, Path("m.onnx"), exporter=exporter)
    assert "forward" not in vars(module)
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert not module.training
