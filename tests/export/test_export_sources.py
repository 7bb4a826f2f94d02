"""Export of dynamic dimensions, of other sources than a factory, and of networks of transformers."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from edgeworthy.errors import BadInput, CheckFailed
from edgeworthy.export import onnx_export as export_module
from edgeworthy.export.check import run_onnx
from edgeworthy.formats.onnx.summary import describe
from edgeworthy.source.load import load_source

from .export_networks import export, line_of, names_in, provenance


class TestDynamic:
    def test_all_dimensions_of_an_image(self, networks: str) -> None:
        result = export(f"{networks}:Net", "image:float32[n,3,height,width]")
        assert [str(s) for s in result.model.inputs] == ["image:float32[n,3,height,width]"]
        assert result.model.outputs[0].shape == ("n", 4)
        feeds = [{"image": np.ones((b, 3, h, w), np.float32)} for b, h, w in ((1, 9, 30), (5, 16, 16))]
        assert [o[0].shape for o in run_onnx(result.model.path, feeds)] == [(1, 4), (5, 4)]

    def test_a_size_that_was_frozen_is_found_out(self, networks: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The exporter's graph is swapped for one that was made for the example's batch."""
        make = export_module._export_dynamo

        def frozen(*args: object) -> object:
            model = make(*args)
            static = make(load_source(f"{networks}:Wrong"), *args[1:])
            static.graph.inputs[0].shape = model.graph.inputs[0].shape
            return static

        with Path(networks).open("a") as file:
            file.write(
                "\nclass Sized(nn.Module):\n    example_inputs = torch.ones(2, 3)\n"
                "    def forward(self, x): return x * x.shape[0]\n"
                "\nclass Wrong(Sized):\n    def forward(self, x): return x * 2\n"
            )
        assert export(f"{networks}:Sized", "x:float32[n,3]").check["output"].max_rel == 0
        monkeypatch.setattr(export_module, "_export_dynamo", frozen)
        with pytest.raises(CheckFailed, match="'output'") as caught:
            export(f"{networks}:Sized", "x:float32[n,3]")
        assert "[3, 3]" in str(caught.value.where)


class TestOtherSources:
    def test_exported_program(self, networks: str) -> None:
        module = load_source(f"{networks}:Net").module
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
    def test_torchscript(self, networks: str, make: type) -> None:
        with Path(networks).open("a") as file:
            file.write(
                "\nclass Plain(nn.Sequential):\n"
                "    def __init__(self): super().__init__(Block(), nn.Flatten(), nn.Linear(1568, 2))\n"
            )
        module = load_source(f"{networks}:Plain", inputs=("input:float32[1,3,16,16]",)).module
        make(module).save("m.ts.pt")
        result = export("m.ts.pt", "input:float32[n,3,16,16]")
        assert result.exporter == "torchscript"
        assert any("TorchScript exporter" in note for note in result.notes)
        assert [str(s) for s in result.model.inputs] == ["input:float32[n,3,16,16]"]
        assert max(e.max_rel for e in result.check.values()) < 1e-5
        nodes = provenance(result.model.path)
        assert nodes["Relu"][0] == ("0", line_of("torch.relu(self.norm"))

    def test_onnx_is_copied(self, networks: str) -> None:
        first = export(f"{networks}:Net", "image:float32[n,3,16,16]").model.path
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
