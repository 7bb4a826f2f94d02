"""ONNX files that are damaged or break ONNX's rules: refused with the reason."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeworthy.errors import BadInput
from edgeworthy.formats.onnx.file import read_onnx
from edgeworthy.formats.onnx.summary import describe
from edgeworthy.formats.onnx.wire import LARGE

from .onnx_models import WEIGHT, build, refused, write


class TestBadFiles:
    def test_missing(self, tmp_path: Path) -> None:
        assert "no such file" in str(refused(tmp_path / "none.onnx"))

    def test_folder(self, tmp_path: Path) -> None:
        assert "folder" in str(refused(tmp_path))

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"", "empty"),
            (b"hello, I am a model\n", "text file"),
            ("größer".encode() * 99, "text file"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
            (b"PK\x03\x04" + bytes(99), "zip archive"),
            (bytes(999), "not an ONNX model"),
            (b"\x08\x0a", "no IR version, no opset or no graph"),
        ],
    )
    def test_of_another_kind(self, tmp_path: Path, content: bytes, reason: str) -> None:
        path = tmp_path / "m.onnx"
        path.write_bytes(content)
        assert reason in str(refused(path))

    @pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.999])
    def test_cut_off(self, tmp_path: Path, share: float) -> None:
        whole = build().SerializeToString()
        path = tmp_path / "m.onnx"
        path.write_bytes(whole[: int(len(whole) * share)])
        refused(path)

    def test_opset_too_new(self, tmp_path: Path) -> None:
        error = refused(write(tmp_path / "m.onnx", build(opset=999)))
        assert "opset 999" in error.what
        assert "--opset" in str(error.remedy)

    @pytest.mark.parametrize("size", [LARGE, 16])
    def test_weight_of_a_wrong_size(self, tmp_path: Path, size: int) -> None:
        proto = build()
        index = 0 if size == LARGE else 1
        proto.graph.initializer[index].raw_data = bytes(size)
        assert f"has {size} bytes" in str(refused(write(tmp_path / "m.onnx", proto)))

    @pytest.mark.parametrize("index", [0, 1])
    def test_nan_weight(self, tmp_path: Path, index: int) -> None:
        proto = build()
        values = numpy_helper.to_array(proto.graph.initializer[index]).copy()
        values.flat[7] = np.nan
        name = proto.graph.initializer[index].name
        proto.graph.initializer[index].CopyFrom(numpy_helper.from_array(values, name))
        assert refused(write(tmp_path / "m.onnx", proto)).details == (name,)

    def test_infinite_weight_is_a_mask(self, tmp_path: Path) -> None:
        mask = np.triu(np.full((40, 40), -np.inf, np.float32), 1)
        read_onnx(write(tmp_path / "m.onnx", build(weight=mask)))

    def test_value_that_nothing_computes(self, tmp_path: Path) -> None:
        proto = build(nodes=[helper.make_node("Add", ["ghost", "b"], ["y"], name="adder")])
        error = refused(write(tmp_path / "m.onnx", proto))
        assert error.details == ("'ghost', used by Add 'adder'",)

    def test_output_that_nothing_computes(self, tmp_path: Path) -> None:
        proto = build(nodes=[helper.make_node("Add", ["x", "b"], ["z"])])
        assert "'y', used by an output of the graph" in refused(write(tmp_path / "m.onnx", proto)).details

    def test_cycle(self, tmp_path: Path) -> None:
        nodes = [helper.make_node("Add", ["y", "b"], ["h"]), helper.make_node("Add", ["h", "x"], ["y"])]
        assert "cycle" in str(refused(write(tmp_path / "m.onnx", build(nodes=nodes))))

    def test_two_weights_of_one_name(self, tmp_path: Path) -> None:
        proto = build()
        proto.graph.initializer.append(numpy_helper.from_array(WEIGHT, "w"))
        assert "no name of its own" in str(refused(write(tmp_path / "m.onnx", proto)))


@pytest.mark.parametrize("seed", range(4))
def test_no_damage_gets_past_as_another_exception(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = np.frombuffer(build().SerializeToString(), np.uint8)
    structure = np.r_[0:300, len(whole) - 300 : len(whole)]
    path = tmp_path / "m.onnx"
    outcomes = set()
    for _ in range(150):
        damaged = whole.copy()
        damaged[rng.choice(structure, rng.integers(1, 4))] = rng.integers(0, 256)
        path.write_bytes(damaged.tobytes())
        for read in (read_onnx, describe):
            try:
                read(path)
                outcomes.add("read")
            except BadInput as error:
                outcomes.add(error.what)
    assert len(outcomes) > 3


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([helper.make_node("MatMul", ["w", "x"], ["y"], "product")], "MatMul 'product': Incompatible dimensions"),
        ([helper.make_node("Add", ["x", "i"], ["y"], "sum")], "Add 'sum'"),
        (
            [helper.make_node("Relu", ["x"], ["y"], "relu", slope=2)],
            "Relu 'relu': the operator has no attribute 'slope'",
        ),
    ],
)
def test_a_node_that_breaks_its_operators_rules_is_named(
    tmp_path: Path, nodes: list[onnx.NodeProto], said: str
) -> None:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 40])]
    proto = build(nodes=nodes, inputs=inputs)
    proto.graph.initializer.append(numpy_helper.from_array(np.zeros(40, np.int64), "i"))
    assert said in refused(write(tmp_path / "m.onnx", proto)).details[0]


def test_stale_shapes_inside_the_graph_are_no_fault(tmp_path: Path) -> None:
    """Runtimes go by what they infer, and so do the passes."""
    proto = build()
    proto.graph.value_info.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, [7, 7, 7]))
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8]))
    read_onnx(write(tmp_path / "m.onnx", proto))
