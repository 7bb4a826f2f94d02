"""Export: names, provenance, the check against the module, and what is said on failure."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgeworthy.errors import BadInput, CheckFailed
from edgeworthy.export import onnx_export as export_module
from edgeworthy.export.check import run_onnx
from edgeworthy.export.onnx_export import export_onnx
from edgeworthy.export.program import save_program
from edgeworthy.source.load import load_source

from .export_networks import export, line_of, names_in, provenance


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
class TestBothExporters:
    def test_names_values_and_provenance(self, networks: str, exporter: str, capfd: pytest.CaptureFixture[str]) -> None:
        result = export(f"{networks}:Net", "image:float32[batch,3,16,16]", exporter=exporter)
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

    def test_two_exports_are_equal_and_tell_nothing_of_the_machine(self, networks: str, exporter: str) -> None:
        first = export(f"{networks}:Net", exporter=exporter, output="a.onnx").model.path.read_bytes()
        second = export(f"{networks}:Net", exporter=exporter, output="b/c.onnx").model.path.read_bytes()
        assert first == second
        assert str(Path.cwd()).encode() not in first
        assert b"site-packages" not in first

    def test_outputs_that_are_inputs_or_twice_the_same(self, networks: str, exporter: str) -> None:
        result = export(f"{networks}:Same", "unused:float32[1]", exporter=exporter)
        assert [s.name for s in result.model.outputs] == ["output_0", "output_1", "output_2"]
        feeds = {"x": np.ones((2, 3), np.float32), "unused": np.zeros(1, np.float32)}
        (outputs,) = run_onnx(result.model.path, [feeds])
        assert [float(o.flat[0]) for o in outputs] == [1, 2, 2]

    def test_dataclasses(self, networks: str, exporter: str) -> None:
        result = export(f"{networks}:Pairs", exporter=exporter)
        assert [s.name for s in result.model.outputs] == ["low", "high"]

    def test_star_arguments(self, networks: str, exporter: str) -> None:
        result = export(f"{networks}:Star", "left:float32[n,3]", "right:float32[n,3]", exporter=exporter)
        assert [str(s) for s in result.model.inputs] == ["left:float32[n,3]", "right:float32[n,3]"]

    def test_no_operator_for_it(self, networks: str, exporter: str) -> None:
        with pytest.raises(BadInput, match=r"aten(::|\.)linalg_eig") as caught:
            export(f"{networks}:Eigen", exporter=exporter)
        assert caught.value.where == line_of("torch.linalg.eigvals")
        other = "torchscript" if exporter == "dynamo" else "dynamo"
        assert f"--exporter {other}" in str(caught.value.remedy)
        assert not Path("out").exists()

    def test_random_output(self, networks: str, exporter: str) -> None:
        with pytest.raises(BadInput, match="random"):
            export(f"{networks}:Random", exporter=exporter)
        assert names_in("out") == []

    def test_opset(self, networks: str, exporter: str) -> None:
        assert export(f"{networks}:Pairs", exporter=exporter, opset=18).opset == 18
        with pytest.raises(BadInput):
            export(f"{networks}:Pairs", exporter=exporter, opset=99)

    def test_output_that_is_no_tensor(self, networks: str, exporter: str) -> None:
        with pytest.raises(BadInput, match="returns a str as 'label'"):
            export(f"{networks}:Text", exporter=exporter)


class TestFailures:
    def test_branch_on_a_value(self, networks: str, capfd: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(BadInput, match="depends on a tensor's values") as caught:
            export(f"{networks}:Branch")
        assert caught.value.where == line_of("if x.sum() > 0:")
        assert "torch.where" in str(caught.value.remedy)
        assert "--exporter" not in str(caught.value.remedy), "the other one would send the reader back here"
        assert capfd.readouterr() == ("", "")

    def test_a_traced_branch_is_found_out(self, networks: str) -> None:
        with pytest.raises(CheckFailed, match="'output'") as caught:
            export(f"{networks}:Branch", exporter="torchscript")
        assert any(line.startswith(line_of("if x.sum() > 0:")) for line in caught.value.details)
        assert "torch.where" in str(caught.value.remedy) and "--exporter" not in str(caught.value.remedy)
        assert names_in("out") == []

    def test_a_dimension_that_cannot_be_dynamic(self, networks: str) -> None:
        with pytest.raises(BadInput, match=r"'rows' .* can't be dynamic: the model fixes it to 3"):
            export(f"{networks}:Fixed", "x:float32[rows,4]")

    def test_a_dimension_that_an_exporter_fixed_without_a_word(
        self, networks: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make = export_module._export_dynamo
        static = load_source(f"{networks}:Same")
        monkeypatch.setattr(export_module, "_export_dynamo", lambda _, *rest: make(static, *rest))
        with pytest.raises(BadInput, match=r"'rows' .* can't be dynamic: the model fixes it to 2"):
            export(f"{networks}:Same", "x:float32[rows,3]")

    def test_an_earlier_file_survives_a_failure(self, networks: str) -> None:
        path = export(f"{networks}:Pairs").model.path
        before = path.read_bytes()
        with pytest.raises(BadInput, match="is random"):
            export(f"{networks}:Random")
        assert path.read_bytes() == before

    def test_unwritable_folder(self, networks: str) -> None:
        Path("out").write_text("a file")
        with pytest.raises(BadInput, match="can't write"):
            export(f"{networks}:Pairs")

    def test_input_that_does_not_fit_the_model(self, networks: str) -> None:
        with pytest.raises(BadInput, match="can't run on") as caught:
            export(f"{networks}:Net", "image:float32[1,4,16,16]")
        assert caught.value.where == line_of("torch.relu(self.norm")


def test_module_is_left_as_it_was(networks: str) -> None:
    source = load_source(f"{networks}:Net")
    module = source.module
    assert isinstance(module, nn.Module)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    for exporter in ("dynamo", "torchscript"):
        export_onnx(source, Path("m.onnx"), exporter=exporter)
    assert "forward" not in vars(module)
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert not module.training


def test_inputs_of_keywords_alone_go_by_keyword(networks: str) -> None:
    result = export(f"{networks}:Keywords")
    assert [s.name for s in result.model.inputs] == ["left", "right"]
    assert result.check["output"].max_abs == 0


@pytest.mark.parametrize("program", [False, True])
def test_attention_with_a_bias_is_exported(networks: str, tmp_path: Path, program: bool) -> None:
    """PyTorch lays its result out in two ways, and a view of the one is none of the other."""
    spec = f"{networks}:Biased"
    if program:
        save_program(load_source(spec, inputs=["x:float32[2,5,8]"]), tmp_path / "biased.pt2")
        spec = str(tmp_path / "biased.pt2")
    result = export(spec, "x:float32[2,5,8]")
    assert all(error.max_rel < 1e-5 for error in result.check.values()) and len(result.check) == 1


@pytest.mark.parametrize("name", ["Ordered", "OrderedInBranch"])
def test_equal_elements_of_a_stable_sort_keep_their_order(name: str, networks: str) -> None:
    result = export(f"{networks}:{name}")
    source = load_source(f"{networks}:{name}")
    (outputs,) = run_onnx(result.model.path, [source.examples])
    for got, want in zip(outputs, source.run(source.examples).values(), strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_recurrent_layer_varies_in_every_export_of_a_process(networks: str) -> None:
    """PyTorch keeps from one export to the next how it took an LSTM."""
    for number in range(2):
        made = export(f"{networks}:Recurrent", "x:float32[batch,length,4]", output=f"out/{number}.onnx")
        assert made.model.inputs[0].shape == ("batch", "length", 4)
