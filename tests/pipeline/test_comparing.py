"""Routes side by side: what each came to, and which file is picked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from edgeworthy import files
from edgeworthy.errors import BadInput, CheckFailed, NotAvailable
from edgeworthy.formats.tflite.summary import summarize
from edgeworthy.pipeline.comparing import _chosen, best, compare
from edgeworthy.settings import load_config
from edgeworthy.validate.routes import RouteComparison, RouteRow

from . import other_converters as others


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("net")
    others.save(folder, "net", (1, 3, 8, 6))
    return folder / "net.onnx"


def compared(net: Path, out: Path, *routes: str, quantize: Any = None, **options: Any) -> RouteComparison:
    tables: dict[str, Any] = {"model": {"source": str(net)}, "output": out, "targets": ["onnxruntime", "tflite"]}
    tables |= {"quantize": quantize} if quantize else {}
    return compare(load_config(None, tables | {"bench": {"seconds": 0.05}}), routes=routes, **options)


def test_one_row_a_route_and_the_best_is_picked(package: Path, net: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = compared(net, out, "direct", "flow", "scaled", "raises", pick="size")
    rows = {row.route: row for row in found.rows}
    assert {name: row.status for name, row in rows.items()} == {
        "direct": "pass", "flow": "pass", "scaled": "fail", "raises": "error",
    }  # fmt: skip
    assert rows["raises"].cause == "converter raises raised in convert: ValueError: no rule for Conv"
    assert not rows["raises"].converted and rows["raises"].size_bytes is None
    assert rows["scaled"].converted and rows["scaled"].cause
    assert found.exit_code == 0
    for name in ("direct", "flow"):
        row, path = rows[name], out / rows[name].path
        assert (row.size_bytes, row.sha256) == (path.stat().st_size, files.sha256(path))
        interpreter = Interpreter(
            str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        ops = [op["op_name"] for op in interpreter._get_ops_details()]
        assert (row.operators, row.transposes) == (len(ops), ops.count("TRANSPOSE"))
        assert row.noise_ratio is not None and row.noise_ratio < 10 and row.partitions
        assert row.p50_low_ms and row.p50_ms and row.p50_high_ms
        assert row.p50_low_ms <= row.p50_ms <= row.p50_high_ms
        assert row.seconds and row.peak_bytes and row.peak_bytes > 20e6
    smallest = min((rows["direct"], rows["flow"]), key=lambda row: row.size_bytes or 0)
    assert (found.pick, found.picked) == ("size", smallest.route)
    assert (out / "picked.tflite").read_bytes() == (out / smallest.path).read_bytes()
    page = (out / "compare.html").read_text()
    for row in found.rows:
        assert f"<td>{row.route}<small>" in page and f'class="s {row.status}">{row.status}' in page
    assert page.count("<svg") == 2 and f"{smallest.route} is the best by size" in page and "no rule for Conv" in page
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["tools"]["picked.tflite"] == f"route:{smallest.route}, {smallest.made_by}"
    assert {"picked.tflite": smallest.sha256}.items() <= {a["path"]: a["sha256"] for a in manifest["artifacts"]}.items()
    assert RouteComparison.model_validate_json((out / "compare.json").read_bytes()) == found
    again = compared(net, out, "direct", "flow", "scaled", "raises", pick="parity")
    assert again.picked in ("direct", "flow")
    compared(net, out, "scaled")  # of which nobody asked to pick: no file stays that nothing vouches for
    assert not (out / "picked.tflite").exists()
    assert compared(net, out, "direct", pick="size").picked == "direct"
    assert "plain can't be told from direct by size" in compared(net, out, "direct", "plain", pick="size").notes


def test_what_no_route_starts_from_is_told_of_the_source_and_not_of_an_option_that_nobody_gave(
    package: Path, net: Path, tmp_path: Path
) -> None:
    compared(net, tmp_path / "made", "direct")
    theirs = tmp_path / "made" / "route_direct.tflite"
    with pytest.raises(BadInput, match="nothing to compare: the source is converted already") as raised:
        compared(theirs, tmp_path / "out")
    assert raised.value.where == str(theirs) and "--artifact OTHER.tflite" in raised.value.remedy
    for route, why in (("litert-torch", "starts from PyTorch"), ("nosuch", "no converter 'nosuch'")):
        with pytest.raises((BadInput, NotAvailable)) as named:
            compared(net, tmp_path / "out", "direct", route)
        assert named.value.where == "--route"
        assert why in named.value.what or isinstance(named.value, NotAvailable)  # its kit may be missing here
    assert not (tmp_path / "out").exists()


def test_where_none_passes_nothing_is_picked(package: Path, net: Path, tmp_path: Path) -> None:
    found = compared(net, tmp_path / "out", "scaled", "raises")
    assert found.exit_code == 1 and not found.picked
    found = compared(net, tmp_path / "out", "scaled", "raises", pick="latency")
    assert found.exit_code == 1 and not found.picked and "there is nothing to pick by latency" in found.notes[-1]
    assert [row.status for row in found.rows] == ["fail", "error"]
    assert not (tmp_path / "out/picked.tflite").exists()
    (tmp_path / "out/picked.tflite").write_bytes(b"mine")
    with pytest.raises(BadInput, match="isn't edgeworthy's"):
        compared(net, tmp_path / "out", "direct", pick="size")
    assert (tmp_path / "out/picked.tflite").read_bytes() == b"mine"


def test_the_routes_that_nobody_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEWORTHY_HOME", str(tmp_path))
    for source in ("net.py:make", "net.onnx"):
        names, skipped = _chosen(load_config(None, {"model": {"source": source}}), ())
        assert names == ["direct", "tf"]
        assert {row.route for row in skipped} == {"onnx2tf", "onnx2tf-1", "litert-torch", "onnx-tf"}
        assert all("edgeworthy routes install" in row.cause for row in skipped)


def _row(route: str, low: float, middle: float, high: float, **more: Any) -> RouteRow:
    return RouteRow(
        route=route,
        status="pass",
        path="x",
        p50_low_ms=low,
        p50_ms=middle,
        p50_high_ms=high,
        **{"size_bytes": 9} | more,
    )


def test_what_cannot_be_told_apart_is_said() -> None:
    a, b, c = _row("a", 1.0, 1.1, 1.3), _row("b", 1.2, 1.4, 1.5), _row("c", 1.31, 1.4, 1.5, size_bytes=8)
    failed = a.model_copy(update={"route": "failed", "status": "fail", "p50_ms": 0.1, "size_bytes": 1})
    assert best([c, failed, b, a], "latency") == (a, ["b"])
    assert best([failed, a, b, c], "size") == (c, [])
    assert best([a, b], "size") == (a, ["b"])
    exact = b.model_copy(update={"parity": "exact"})
    assert best([a.model_copy(update={"noise_ratio": 0.1}), exact], "parity") == (exact, [])
    with pytest.raises(CheckFailed):
        best([a], "parity")


def test_int8_of_every_route_by_one_quantizer(package: Path, net: Path, tmp_path: Path) -> None:
    """Each float file in int8, whatever its layout; one that computes something else does so in int8 too."""
    images = np.random.default_rng(3).normal(size=(8, 3, 8, 6)).astype(np.float32)
    np.savez(tmp_path / "data.npz", image=images)
    out = tmp_path / "out"
    found = compared(
        net, out, "direct", "flow", "scaled", "raises", quantize={"calibration": str(tmp_path / "data.npz")}
    )
    rows = {row.route: row for row in found.rows}
    session = ort.InferenceSession(net, providers=["CPUExecutionProvider"])
    truth = np.concatenate([session.run(None, {"image": image[None]})[0] for image in images])
    for name, axes in (("direct", (0, 1, 2, 3)), ("flow", (0, 2, 3, 1))):
        path = out / f"route_{name}_int8.tflite"
        assert summarize(path).op_counts["CONV_2D"] == 2 and "int8" in summarize(path).activation_dtypes
        interpreter = Interpreter(str(path))
        interpreter.allocate_tensors()
        (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
        results = []
        for image in images:
            interpreter.set_tensor(given["index"], image[None].transpose(axes))
            interpreter.invoke()
            results.append(interpreter.get_tensor(made["index"]).transpose(np.argsort(axes)))
        error = np.concatenate(results) - truth
        expected = 10 * np.log10((truth**2).sum() / (error**2).sum())
        assert rows[name].int8_sqnr_db == pytest.approx(expected, abs=1.0) and expected > 25
        assert rows[name].status == "pass" and not rows[name].int8_cause
    assert rows["scaled"].int8_sqnr_db is not None and rows["scaled"].int8_sqnr_db < 10
    assert rows["raises"].int8_sqnr_db is None
    assert not (out / "model_float32.tflite").exists()  # nobody asked for edgeworthy's own


def test_a_wrong_setting_of_int8_is_the_users(package: Path, net: Path, tmp_path: Path) -> None:
    """And no failure of the converter, whose file is made by then."""
    np.savez(tmp_path / "data.npz", image=np.zeros((2, 3, 8, 6), np.float32))
    settings = {"calibration": str(tmp_path / "data.npz"), "device": "armm"}
    with pytest.raises(BadInput, match="nothing is known of a device 'armm'"):
        compared(net, tmp_path / "out", "direct", quantize=settings)
