"""Reading ONNX files: what is right is read once and whole."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeworthy.errors import BadInput, UnsupportedNodes
from edgeworthy.formats.onnx import file as onnx_file
from edgeworthy.formats.onnx.file import read_onnx, save_onnx
from edgeworthy.formats.onnx.summary import describe, summarize
from edgeworthy.formats.onnx.wire import LARGE

from .onnx_models import ANY_WEIGHT, BIAS, WEIGHT, arrays, build, refused, write


def test_reads_weights_and_graph(tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", build())
    model = read_onnx(path)
    path.unlink()  # nothing of the file is needed any more
    np.testing.assert_array_equal(arrays(model)["w"], WEIGHT)
    np.testing.assert_array_equal(arrays(model)["b"], BIAS)
    assert [n.op_type for n in model.graph] == ["MatMul", "Add"]


@pytest.mark.parametrize("beside", [False, True])
def test_mapped_weights_are_the_same_and_stay_in_their_file(tmp_path: Path, beside: bool) -> None:
    weight = np.random.default_rng(1).standard_normal((600, 600)).astype(np.float32)
    path = tmp_path / "m.onnx"
    onnx.save(build(weight=weight, nodes=ANY_WEIGHT), path, save_as_external_data=beside, location="m.data")
    found = arrays(read_onnx(path, mapping=True))
    np.testing.assert_array_equal(found["w"], weight)
    assert not found["w"].flags.writeable
    assert arrays(read_onnx(path))["w"].flags.writeable


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.int64, np.uint8, np.bool_])
def test_every_dtype_of_a_large_weight_survives(tmp_path: Path, dtype: type) -> None:
    weight: np.ndarray = (np.abs(np.random.default_rng(1).standard_normal((90, 90))) * 9).astype(dtype)
    path = write(tmp_path / "m.onnx", build(weight=weight, nodes=ANY_WEIGHT))
    np.testing.assert_array_equal(arrays(read_onnx(path))["w"], weight)


def test_packed_and_half_types_survive(tmp_path: Path) -> None:
    proto = build()
    for name, kind in (("packed", TensorProto.INT4), ("half", TensorProto.BFLOAT16)):
        values = np.arange(LARGE * 2) % 7
        proto.graph.initializer.append(helper.make_tensor(name, kind, [LARGE * 2], values, raw=False))
        proto.graph.initializer[-1].CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(proto.graph.initializer[-1]), name)
        )
        assert proto.graph.initializer[-1].HasField("raw_data")
    loaded = arrays(read_onnx(write(tmp_path / "m.onnx", proto)))
    np.testing.assert_array_equal(loaded["packed"].astype(int), np.arange(LARGE * 2) % 7)
    np.testing.assert_array_equal(loaded["half"].astype(int), np.arange(LARGE * 2) % 7)


def test_written_and_read_again_is_the_same(tmp_path: Path) -> None:
    model = read_onnx(write(tmp_path / "m.onnx", build()))
    save_onnx(model, tmp_path / "a" / "n.onnx")
    save_onnx(model, tmp_path / "b" / "n.onnx")
    assert (tmp_path / "a" / "n.onnx").read_bytes() == (tmp_path / "b" / "n.onnx").read_bytes()
    again = read_onnx(tmp_path / "a" / "n.onnx")
    np.testing.assert_array_equal(arrays(again)["w"], WEIGHT)
    onnx.checker.check_model(onnx.load(tmp_path / "a" / "n.onnx"))


def test_reading_costs_one_copy_of_the_weights(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).standard_normal((4096, 4096)).astype(np.float32)
    path = write(tmp_path / "m.onnx", build(weight=weight, nodes=ANY_WEIGHT))
    code = (
        "import re, sys; from pathlib import Path; from edgeworthy.formats.onnx.file import read_onnx;"
        "status = Path('/proc/self/status');"
        "peak = lambda: 1024 * int(re.search(r'VmHWM:\\s+(\\d+)', status.read_text())[1]); before = peak();"
        "model = read_onnx(Path(sys.argv[1])); print(peak() - before);"
        "sys.exit('torch' in sys.modules or 'onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or "torch or onnxruntime was imported"
    assert weight.nbytes * 0.9 < int(done.stdout) < weight.nbytes * 1.4


def test_inputs_with_an_initializer_are_constants(tmp_path: Path) -> None:
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 40]),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [40, 40]),
    ]
    path = write(tmp_path / "m.onnx", build(inputs=inputs))
    assert [v.name for v in read_onnx(path).graph.inputs] == ["x"]
    assert [str(s) for s in describe(path).inputs] == ["x:float32[n,40]"]


def test_nodes_out_of_order_are_sorted(tmp_path: Path) -> None:
    proto = build()
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend(reversed(nodes))
    assert [n.op_type for n in read_onnx(write(tmp_path / "m.onnx", proto)).graph] == ["MatMul", "Add"]


class TestSignature:
    def test_names_what_has_no_name(self, tmp_path: Path) -> None:
        proto = build(inputs=[helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 40])])
        model = describe(write(tmp_path / "m.onnx", proto))
        assert [str(s) for s in model.inputs] == ["x:float32[x_dim0,40]"]
        assert [str(s) for s in model.outputs] == ["y:float32[n,40]"]

    def test_infers_the_outputs_shape(self, tmp_path: Path) -> None:
        proto = build()
        proto.graph.output[0].type.tensor_type.ClearField("shape")
        assert [str(s) for s in describe(write(tmp_path / "m.onnx", proto)).outputs] == ["y:float32[n,40]"]

    def test_lists_unknown_nodes_where_they_hide_a_shape(self, tmp_path: Path) -> None:
        proto = build(
            nodes=[
                helper.make_node("MatMul", ["x", "w"], ["h"]),
                helper.make_node("Wobble", ["h", "b"], ["y"], name="odd", domain="com.acme"),
            ]
        )
        proto.opset_import.append(helper.make_opsetid("com.acme", 1))
        proto.graph.output[0].type.tensor_type.ClearField("shape")
        path = write(tmp_path / "m.onnx", proto)
        with pytest.raises(UnsupportedNodes, match=r"com\.acme::Wobble") as caught:
            describe(path)
        assert [n.node for n in caught.value.nodes] == ["odd"]
        read_onnx(path)  # left to the preflight

    def test_refuses_what_is_no_tensor(self, tmp_path: Path) -> None:
        sequence = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)
        with pytest.raises(BadInput, match="not a tensor"):
            describe(write(tmp_path / "m.onnx", build(inputs=[sequence])))


class TestExternalData:
    def save(self, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        onnx.save(build(), folder / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=100)
        return folder / "m.onnx"

    def relocate(self, path: Path, location: str, **keys: str) -> Path:
        proto = onnx.load(path, load_external_data=False)
        for tensor in proto.graph.initializer:
            for entry in tensor.external_data:
                entry.value = {"location": location, **keys}.get(entry.key, entry.value)
        return write(path, proto)

    def test_is_read(self, tmp_path: Path) -> None:
        path = self.save(tmp_path)
        assert summarize(path).external == (tmp_path / "m.data",)
        loaded = read_onnx(path)
        (tmp_path / "m.data").unlink()
        np.testing.assert_array_equal(arrays(loaded)["w"], WEIGHT)
        np.testing.assert_array_equal(arrays(loaded)["b"], BIAS)

    def test_of_a_constant_node_is_read(self, tmp_path: Path) -> None:
        value = numpy_helper.from_array(WEIGHT, "v")
        proto = build(
            nodes=[
                helper.make_node("Constant", [], ["h"], value=value),
                helper.make_node("MatMul", ["x", "h"], ["y"]),
            ]
        )
        path = tmp_path / "m.onnx"
        onnx.save(proto, path, save_as_external_data=True, location="d", size_threshold=0, convert_attribute=True)
        constant = next(iter(read_onnx(path).graph))
        (tmp_path / "d").unlink()
        np.testing.assert_array_equal(constant.attributes["value"].as_tensor().numpy(), WEIGHT)

    def test_missing(self, tmp_path: Path) -> None:
        path = self.save(tmp_path)
        (tmp_path / "m.data").unlink()
        assert "missing: 'm.data'" in str(refused(path))

    def test_too_short(self, tmp_path: Path) -> None:
        path = self.save(tmp_path)
        data = tmp_path / "m.data"
        data.write_bytes(data.read_bytes()[:-1])
        assert "the file has" in str(refused(path))

    @pytest.mark.parametrize("location", ["../m.data", "/etc/passwd", "inner/../../m.data", "..\\m.data"])
    def test_outside_the_folder(self, tmp_path: Path, location: str) -> None:
        path = self.save(tmp_path / "model")
        (tmp_path / "m.data").write_bytes(bytes(1 << 16))
        assert "outside the model's folder" in str(refused(self.relocate(path, location)))

    def test_a_link_that_leaves_the_folder(self, tmp_path: Path) -> None:
        path = self.save(tmp_path / "model")
        (tmp_path / "model" / "m.data").rename(tmp_path / "elsewhere.data")
        (tmp_path / "model" / "m.data").symlink_to(tmp_path / "elsewhere.data")
        assert "outside the model's folder" in str(refused(path))

    def test_model_and_data_both_linked_from_a_cache(self, tmp_path: Path) -> None:
        self.save(tmp_path / "blobs")
        cache = tmp_path / "snapshot"
        cache.mkdir()
        for name in ("m.onnx", "m.data"):
            (cache / name).symlink_to(tmp_path / "blobs" / name)
        np.testing.assert_array_equal(arrays(read_onnx(cache / "m.onnx"))["w"], WEIGHT)

    def test_is_written_beside_a_large_model(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(onnx_file, "EXTERNAL_FROM", WEIGHT.nbytes)
        path = tmp_path / "out" / "big.onnx"
        save_onnx(read_onnx(write(tmp_path / "m.onnx", build())), path)
        assert sorted(p.name for p in path.parent.iterdir()) == ["big.onnx", "big.onnx.data"]
        assert path.stat().st_size < WEIGHT.nbytes
        np.testing.assert_array_equal(arrays(read_onnx(path))["w"], WEIGHT)
