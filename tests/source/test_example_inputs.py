"""A model's inputs: where their names, shapes and values come from, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeworthy.errors import BadInput, EdgeworthyError
from edgeworthy.source.load import load_source

Refused = Callable[..., EdgeworthyError]
LineOf = Callable[[str], int]

X = ("x:float32[1,4]",)


class TestInputs:
    def test_named_dimensions_are_dynamic(self, nets: Path) -> None:
        source = load_source(f"{nets}:Net", inputs=("x:float32[batch,4]",))
        assert source.inputs[0].shape == ("batch", 4)
        assert source.examples["x"].shape == (2, 4)

    def test_are_generated_by_seed(self, nets: Path) -> None:
        spec = ("x:float32[3,4]",)
        one, same, other = (load_source(f"{nets}:Net", inputs=spec, seed=s).examples["x"] for s in (0, 0, 1))
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, other)

    def test_generated_by_type(self, tmp_path: Path) -> None:
        path = tmp_path / "net.py"
        path.write_text(
            "from torch import nn\nclass Net(nn.Module):\n"
            "    def forward(self, ids, attention_mask, flags, image): return image\n"
        )
        source = load_source(
            f"{path}:Net",
            inputs=(
                "image:float32[batch,3,h,w]",
                "ids:int64[batch,seq]",
                "attention_mask:int64[batch,seq]",
                "flags:bool[seq]",
            ),
        )
        assert [s.name for s in source.inputs] == ["ids", "attention_mask", "flags", "image"]
        ids, mask, flags, image = source.examples.values()
        assert ids.dtype == np.int64
        assert 0 <= ids.min() <= ids.max() < 10
        assert ids.max() > ids.min()
        assert mask.all()
        assert flags.dtype == bool
        assert ids.shape == mask.shape
        assert flags.shape == ids.shape[1:]
        sizes = [ids.shape[0], ids.shape[1], *image.shape[2:]]
        assert len(set(sizes)) == 4  # equal extents could hide a mix-up
        assert min(image.shape[2:]) >= 32  # small enough to be quick, large enough for a network's strides

    @pytest.mark.parametrize(
        "value",
        [
            "torch.ones(2, 4)",
            "(torch.ones(2, 4),)",
            "{'x': torch.ones(2, 4)}",
            "lambda: (torch.ones(2, 4),)",
            "staticmethod(lambda: {'x': torch.ones(2, 4)})",
        ],
    )
    @pytest.mark.parametrize("owner", ["module", "factory"])
    def test_examples_of_module_and_factory(self, nets: Path, value: str, owner: str) -> None:
        target = "Net.example_inputs" if owner == "module" else "build.example_inputs"
        if owner == "factory":
            value = value.removeprefix("static").removeprefix("method") if "static" in value else value
        elif value.startswith("lambda"):
            value = value.replace("lambda:", "lambda self:")
        nets.write_text(nets.read_text() + f"\ndef build(): return Net()\n{target} = {value}\n")
        source = load_source(f"{nets}:build")
        assert [str(s) for s in source.inputs] == ["x:float32[2,4]"]
        assert source.examples["x"].tolist() == [[1.0] * 4] * 2

    def test_a_spec_keeps_the_example_that_fits_it(self, nets: Path) -> None:
        source = load_source(f"{nets}:make", inputs=("x:float32[batch,4]",))
        assert source.examples["x"].tolist() == [[0.0] * 4]
        source = load_source(f"{nets}:make", inputs=("x:float32[7,4]",))
        assert source.examples["x"].shape == (7, 4)

    def test_what_an_example_may_be_a_spec_may_be(self, nets: Path) -> None:
        """A worker is handed the inputs as text: zero elements, too."""
        nets.write_text(nets.read_text() + "\ndef none(): return Net()\nnone.example_inputs = (torch.ones(0, 4),)\n")
        source = load_source(f"{nets}:none")
        again = load_source(f"{nets}:none", inputs=[str(spec) for spec in source.inputs])
        assert [spec.shape for spec in again.inputs] == [(0, 4)] and again.examples["x"].shape == (0, 4)
        for text in ("x:float32[-1,4]", "x:float32[²,4]", "x:float32[1.5,4]", "x:float32[1,,4]", "x:float32[4,]"):
            with pytest.raises(BadInput, match="bad dimension"):
                load_source(f"{nets}:make", inputs=(text,))

    def test_what_varies_is_shown_by_one_row_at_least(self, nets: Path, tmp_path: Path) -> None:
        nets.write_text(nets.read_text() + "\ndef none(): return Net()\nnone.example_inputs = (torch.ones(0, 4),)\n")
        source = load_source(f"{nets}:none", inputs=("x:float32[batch,4]",))
        assert source.inputs[0].shape == ("batch", 4) and source.examples["x"].size
        np.savez(tmp_path / "e.npz", x=np.ones((0, 4), np.float32))
        with pytest.raises(BadInput, match="'batch' is dynamic, and 'x' has 0 of it") as error:
            load_source(f"{nets}:make", inputs=("x:float32[batch,4]",), inputs_file=tmp_path / "e.npz")
        assert error.value.remedy
        fixed = load_source(f"{nets}:make", inputs=("x:float32[0,4]",), inputs_file=tmp_path / "e.npz")
        assert fixed.examples["x"].shape == (0, 4)

    def test_optional_inputs_may_be_added(self, nets: Path) -> None:
        source = load_source(f"{nets}:make", inputs=("mask:float32[1,2]",))
        assert list(source.examples) == ["x", "mask"]
        assert source.run(source.examples)["output"].tolist() != load_source(f"{nets}:make").run(
            {"x": source.examples["x"]}
        )

    def test_nothing_given_shows_how(self, refused: Refused, nets: Path) -> None:
        error = refused(f"{nets}:Net")
        assert "'x'" in error.what
        assert "--input 'x:float32[1,3,224,224]'" in str(error.remedy)

    def test_unknown_name_lists_those_there_are(self, refused: Refused, nets: Path) -> None:
        error = refused(f"{nets}:make", inputs=("image:float32[1,4]",))
        assert "'image'" in error.what
        assert error.details == ("it has x", "it has mask")

    def test_an_input_named_otherwise_than_forwards_argument(self, refused: Refused, nets: Path) -> None:
        """As on an ``nn.Sequential``, whose ``forward`` calls its argument input; only one can be meant."""
        nets.write_text(nets.read_text() + "\ndef chain():\n    return nn.Sequential(nn.Linear(4, 3), nn.ReLU())\n")
        error = refused(f"{nets}:chain", inputs=("x:float32[1,4]",))
        assert (error.what, error.remedy) == ("the model has no input named 'x'", "did you mean 'input'?")
        assert refused(f"{nets}:make", inputs=("msak:float32[1,4]",)).remedy == "did you mean 'mask'?"

    def test_one_name_for_two_extents(self, refused: Refused, nets: Path, tmp_path: Path) -> None:
        np.savez(tmp_path / "in.npz", x=np.zeros((3, 4), np.float32), mask=np.zeros((1, 2), np.float32))
        specs = ("x:float32[n,4]", "mask:float32[n,2]")
        error = refused(f"{nets}:make", inputs=specs, inputs_file=tmp_path / "in.npz")
        assert "'n' is both 3 and 1" in error.what

    def test_examples_that_are_no_tensors(self, refused: Refused, nets: Path) -> None:
        nets.write_text(nets.read_text() + "\nmake.example_inputs = {'x': [1, 2]}\n")
        assert "'x' is a list, not a dense tensor" in refused(f"{nets}:make").what

    def test_too_many_examples(self, refused: Refused, nets: Path) -> None:
        nets.write_text(nets.read_text() + "\nmake.example_inputs = (torch.ones(1),) * 3\n")
        assert "3 values, but forward takes 2" in refused(f"{nets}:make").what

    def test_examples_that_raise(self, refused: Refused, nets: Path) -> None:
        nets.write_text(nets.read_text() + "\ndef bad(): raise ValueError('hm')\nmake.example_inputs = bad\n")
        assert "example_inputs() raised: ValueError: hm" in refused(f"{nets}:make").what

    def test_a_shape_that_the_model_does_not_take(self, line_of: LineOf, nets: Path) -> None:
        source = load_source(f"{nets}:make", inputs=("x:float32[1,5]",))
        with pytest.raises(BadInput, match=r"x:float32\[1, 5\]") as caught:
            source.run(source.examples)
        assert caught.value.where == f"{nets}:{line_of('y = self.second')}"


class TestInputsFile:
    def write(self, folder: Path, **arrays: np.ndarray) -> Path:
        np.savez(folder / "in.npz", **arrays)
        return folder / "in.npz"

    def test_gives_values(self, nets: Path, tmp_path: Path) -> None:
        values = np.arange(8, dtype=np.float32).reshape(2, 4)
        source = load_source(f"{nets}:Net", inputs_file=self.write(tmp_path, x=values))
        assert [str(s) for s in source.inputs] == ["x:float32[2,4]"]
        np.testing.assert_array_equal(source.examples["x"], values)

    @pytest.mark.parametrize(
        ("arrays", "reason"),
        [
            ({"x": np.zeros((1, 5), np.float32)}, "x:float32[1,5] doesn't fit the input x:float32[1,4]"),
            ({"x": np.zeros((1, 4))}, "x:float64[1,4] doesn't fit"),
            ({"y": np.zeros((1, 4), np.float32)}, "no input named 'y'"),
            ({"x": np.array([[0, 1, np.nan, 2]], np.float32)}, "not all finite"),
        ],
    )
    def test_that_does_not_fit(
        self, refused: Refused, nets: Path, tmp_path: Path, arrays: dict[str, np.ndarray], reason: str
    ) -> None:
        error = refused(f"{nets}:make", inputs=X, inputs_file=self.write(tmp_path, **arrays))
        assert reason in error.what
        assert "in.npz" in str(error.where)

    @pytest.mark.parametrize("damage", ["missing", "empty", "cut off", "text", "pickle", "npy"])
    def test_that_cannot_be_read(self, refused: Refused, nets: Path, tmp_path: Path, damage: str) -> None:
        path = self.write(tmp_path, x=np.random.default_rng(0).standard_normal((100, 4)).astype(np.float32))
        if damage == "missing":
            path.unlink()
        elif damage == "empty":
            path.write_bytes(b"")
        elif damage == "cut off":
            path.write_bytes(path.read_bytes()[:-30])
        elif damage == "text":
            path.write_text("1, 2, 3")
        elif damage == "pickle":
            self.write(tmp_path, x=np.array([{}], dtype=object))
        else:
            with path.open("wb") as file:
                np.save(file, np.zeros(3))
        assert refused(f"{nets}:make", inputs_file=path).remedy

    def test_cut_off_inside_an_array(self, refused: Refused, nets: Path, tmp_path: Path) -> None:
        path = self.write(tmp_path, x=np.zeros((1, 4), np.float32))
        data = bytearray(path.read_bytes())
        data[data.index(b"NUMPY") + 90] ^= 0xFF
        path.write_bytes(data)
        refused(f"{nets}:make", inputs_file=path)
