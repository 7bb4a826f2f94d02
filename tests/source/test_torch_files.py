"""PyTorch's files: what is read from them, and that none of them runs code."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file
from torch import nn

from edgeworthy.errors import EdgeworthyError
from edgeworthy.source.load import Source, load_source

Refused = Callable[..., EdgeworthyError]
LineOf = Callable[[str], int]

X = ("x:float32[1,4]",)


class TestWeights:
    @pytest.fixture
    def state(self, nets: Path) -> dict[str, torch.Tensor]:
        module = load_source(f"{nets}:make", seed=5).module
        assert module is not None
        return module.state_dict()

    def loaded(self, nets: Path, weights: Path) -> Source:
        return load_source(f"{nets}:make", weights=weights)

    def check(self, source: Source, state: dict[str, torch.Tensor]) -> None:
        assert source.module is not None
        for name, tensor in source.module.state_dict().items():
            assert torch.equal(tensor, state[name])

    @pytest.mark.parametrize(
        "wrap",
        [
            lambda s: s,
            lambda s: {"epoch": 3, "state_dict": s},
            lambda s: {"model": s},
            lambda s: {f"module.{k}": v for k, v in s.items()},
            lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}},
        ],
    )
    def test_from_pt(
        self,
        nets: Path,
        tmp_path: Path,
        state: dict[str, torch.Tensor],
        wrap: Callable[[dict[str, torch.Tensor]], dict[str, object]],
    ) -> None:
        torch.save(wrap(state), tmp_path / "w.pt")
        self.check(self.loaded(nets, tmp_path / "w.pt"), state)

    def test_from_safetensors(self, nets: Path, tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
        save_file(state, tmp_path / "w.safetensors")
        self.check(self.loaded(nets, tmp_path / "w.safetensors"), state)

    def test_half_precision_is_noted(self, nets: Path, tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
        save_file({k: v.half() for k, v in state.items()}, tmp_path / "w.safetensors")
        source = self.loaded(nets, tmp_path / "w.safetensors")
        assert any("torch.float16" in note for note in source.notes)
        assert source.module is not None
        assert source.module.state_dict()["first.weight"].dtype == torch.float32

    def test_tied_weights_may_be_stored_once(self, nets: Path, tmp_path: Path) -> None:
        save_file({"one.weight": torch.ones(4, 4)}, tmp_path / "w.safetensors")
        source = load_source(f"{nets}:Tied", weights=tmp_path / "w.safetensors", inputs=X)
        assert source.run({"x": np.ones((1, 4), np.float32)})["output"].tolist() == [[16.0] * 4]

    def test_that_do_not_fit(
        self, refused: Refused, nets: Path, tmp_path: Path, state: dict[str, torch.Tensor]
    ) -> None:
        wrong = dict(state) | {"second.weight": torch.zeros(5, 3), "third.bias": torch.zeros(1)}
        del wrong["first.bias"]
        torch.save(wrong, tmp_path / "w.pt")
        error = refused(f"{nets}:make", weights=tmp_path / "w.pt")
        assert "1 missing, 1 unexpected, 1 of another shape" in error.what
        assert error.details == (
            "missing first.bias",
            "unexpected third.bias",
            "second.weight: the file has [5, 3], the model [2, 3]",
        )

    def test_a_pickle_with_code_is_refused_and_not_run(self, refused: Refused, nets: Path, tmp_path: Path) -> None:
        trace = tmp_path / "was-here"
        torch.save({"x": Evil(str(trace))}, tmp_path / "zip.pt")
        (tmp_path / "old.pt").write_bytes(pickle.dumps(Evil(str(trace)), protocol=2))
        for name in ("zip.pt", "old.pt"):
            error = refused(f"{nets}:make", weights=tmp_path / name)
            assert "wants to run code" in error.what
            assert "safetensors" in str(error.remedy)
        assert not trace.exists()

    def test_a_pickled_module_is_refused(self, refused: Refused, nets: Path, tmp_path: Path) -> None:
        torch.save(nn.Linear(2, 2), tmp_path / "w.pt")
        error = refused(f"{nets}:make", weights=tmp_path / "w.pt")
        assert "wants to run code" in error.what
        assert "torch.nn.modules.linear.Linear" in " ".join(error.details)

    @pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
    @pytest.mark.parametrize("share", [0, 0.5, 0.99])
    def test_cut_off(
        self, refused: Refused, nets: Path, tmp_path: Path, state: dict[str, torch.Tensor], name: str, share: float
    ) -> None:
        path = tmp_path / name
        torch.save(state, path) if name == "w.pt" else save_file(state, path)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        assert refused(f"{nets}:make", weights=path).where == str(path)

    @pytest.mark.parametrize("content", [[1, 2], {"x": "text"}, {}])
    def test_that_are_no_state_dict(self, refused: Refused, nets: Path, tmp_path: Path, content: object) -> None:
        torch.save(content, tmp_path / "w.pt")
        assert "state dict" in refused(f"{nets}:make", weights=tmp_path / "w.pt").what

    def test_missing_file(self, refused: Refused, nets: Path, tmp_path: Path) -> None:
        assert refused(f"{nets}:make", weights=tmp_path / "w.pt").what == "no such file"

    def test_a_folder_or_a_link_that_leads_nowhere(self, refused: Refused, nets: Path, tmp_path: Path) -> None:
        (tmp_path / "a.pt2").mkdir()
        (tmp_path / "b.pt2").symlink_to("gone.pt2")
        (tmp_path / "c.pt2").symlink_to("c.pt2")
        for given in (refused(tmp_path / "a.pt2"), refused(f"{nets}:make", weights=tmp_path / "a.pt2")):
            assert given.what == "this is a folder, not a file"
        for name in ("b.pt2", "c.pt2"):
            assert refused(tmp_path / name).what == "this link leads nowhere"

    def test_given_as_the_source(self, refused: Refused, tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
        torch.save(state, tmp_path / "w.pt")
        assert "--weights" in str(refused(tmp_path / "w.pt").remedy)


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.path,)


class TestFiles:
    @pytest.fixture
    def program(self, nets: Path, tmp_path: Path) -> Path:
        module = load_source(f"{nets}:make").module
        assert module is not None
        batch = torch.export.Dim("rows")
        exported = torch.export.export(
            module, (torch.ones(2, 4),), {"mask": torch.ones(2, 2)}, dynamic_shapes=({0: batch}, {0: batch})
        )
        torch.export.save(exported, tmp_path / "m.pt2")
        return tmp_path / "m.pt2"

    def test_exported_program(self, program: Path) -> None:
        source = load_source(str(program))
        assert source.kind == "exported_program"
        assert [str(s) for s in source.inputs] == ["x:float32[batch,4]", "mask:float32[batch,2]"]
        assert source.examples["x"].shape == (2, 4)
        assert source.run({"x": np.ones((3, 4), np.float32), "mask": np.ones((3, 2), np.float32)})

    def test_exported_program_takes_other_names_and_extents(self, refused: Refused, program: Path) -> None:
        source = load_source(str(program), inputs=("x:float32[n,4]", "mask:float32[n,2]"))
        assert source.inputs[0].shape == ("n", 4)
        assert "contradicts the model" in refused(program, inputs=("x:float32[n,5]",)).what
        assert "contradicts the model" in refused(program, inputs=("x:float16[n,4]",)).what

    def test_exported_in_training_mode(self, refused: Refused, tmp_path: Path) -> None:
        net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
        torch.export.save(torch.export.export(net.train(), (torch.ones(1, 4),)), tmp_path / "m.pt2")
        assert "training mode" in refused(tmp_path / "m.pt2").what

    def test_exported_program_with_a_pickle_is_refused(self, refused: Refused, program: Path, tmp_path: Path) -> None:
        trace, evil = tmp_path / "was-here", tmp_path / "evil.pt2"
        torch.save(((Evil(str(trace)),), {}), tmp_path / "payload.pt")
        with zipfile.ZipFile(program) as old, zipfile.ZipFile(evil, "w") as new:
            for name in old.namelist():
                inputs = name.endswith("sample_inputs/model.pt")
                new.writestr(name, (tmp_path / "payload.pt").read_bytes() if inputs else old.read(name))
        assert "wants to run code" in refused(evil).what
        assert not trace.exists()

    def test_torchscript(self, refused: Refused, nets: Path, tmp_path: Path) -> None:
        module = load_source(f"{nets}:make").module
        assert module is not None
        torch.jit.trace(module, torch.ones(1, 4)).save(tmp_path / "m.ts.pt")
        source = load_source(str(tmp_path / "m.ts.pt"), inputs=X)
        assert source.kind == "torchscript"
        assert source.run(source.examples)["output"].shape == (1, 2)
        assert "--input 'x:" in str(refused(tmp_path / "m.ts.pt").remedy)
        assert "source instead" in str(refused(f"{nets}:make", weights=tmp_path / "m.ts.pt").remedy)

    @pytest.mark.parametrize("share", [0, 0.5, 0.98])
    def test_cut_off(self, refused: Refused, program: Path, share: float) -> None:
        program.write_bytes(program.read_bytes()[: int(program.stat().st_size * share)])
        assert refused(program).where == str(program)

    def test_weights_go_with_factories_only(self, refused: Refused, program: Path, tmp_path: Path) -> None:
        assert "factory" in refused(program, weights=tmp_path / "w.pt").what

    def test_onnx(self, refused: Refused, tmp_path: Path) -> None:
        graph = helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        )
        path = tmp_path / "m.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
        source = load_source(str(path))
        assert (source.kind, source.module, source.path) == ("onnx", None, path)
        assert source.examples["x"].shape == (2, 4)
        assert load_source(str(path), inputs=("x:float32[3,4]",)).inputs[0].shape == (3, 4)
        np.savez(tmp_path / "in.npz", y=np.zeros(1))
        assert "it has x" in refused(path, inputs_file=tmp_path / "in.npz").details
        np.savez(tmp_path / "in.npz", x=np.zeros((1, 4)))
        assert "doesn't fit" in refused(path, inputs_file=tmp_path / "in.npz").what
