"""How a file's inside is shown."""

from __future__ import annotations

import sys

import pytest

from edgeworthy.cli.anatomy import anatomy
from edgeworthy.cli.console import Console
from edgeworthy.pipeline.anatomy import Anatomy, Delegated, Island, LeftNode, ModuleShare, TransposeFound


def share(module: str, ops: dict[str, int], flops: int = 10) -> ModuleShare:
    return ModuleShare(
        module=module, depth=module.count(".") + 1 if module else 0, ops=ops, weight_bytes=4, flops=flops
    )


def shown(found: Anatomy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    console = Console()
    console._stdout = sys.stdout
    anatomy(console, found)
    return capsys.readouterr().out


def layers(count: int) -> Anatomy:
    all_ops = {"CONV_2D": 2 * count}
    modules = [share("", all_ops | {"ADD": 1}, 20 * count), share("net", all_ops), share("net.layers", all_ops)]
    for i in range(count):
        modules += [share(f"net.layers.{i}", {"CONV_2D": 2}, 20)]
        modules += [share(f"net.layers.{i}.{name}", {"CONV_2D": 1}) for name in ("a", "b")]
    left = LeftNode(op="GATHER", tensor="g", source="net.py:3", why="it looks up", instead="slice it")
    islands = [Island(nodes=[left, left.model_copy(update={"tensor": "h"})], partitions=1)]
    islands += [Island(nodes=[LeftNode(op="ARG_MAX", tensor="y")], partitions=2)]
    turn = TransposeFound(tensor="t", bytes=2_000_000, axes=[0, 2, 3, 1], why="for CONV_2D", instead="--io-layout nhwc")
    return Anatomy(
        modules=modules,
        modules_from="the run's report",
        transposed=[turn],
        xnnpack=Delegated(runtime="LiteRT 2.3.0", nodes=9, delegated=6, partitions=2, islands=islands),
    )


def test_a_tree_is_cut_where_it_is_too_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown(layers(3), capsys, monkeypatch, 140).splitlines()
    names = [line.split("  ")[0] if line[0] != " " else line[: len(line) - len(line.lstrip())] + line.split()[0]
             for line in lines[2:13]]  # fmt: skip
    assert names[:5] == ["(the model)", "  net.layers", "    0", "      a", "      b"]
    assert "more, which --json lists" not in "".join(lines)
    cut = shown(layers(12), capsys, monkeypatch, 140)
    assert "(24 modules more, which --json lists)" in cut
    assert "\n      a" not in cut


def test_what_divides_is_said_first(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(layers(2), capsys, monkeypatch, 140)
    assert "XNNPACK takes 6 of 9 nodes, in 2 partitions. It leaves:" in text
    rows = text.partition("It leaves:")[2].splitlines()
    assert rows[3].split("  ")[0] == "GATHER g and 1 more"
    assert "2 → 1 without" in rows[3]
    assert rows[3].endswith("it looks up; slice it")
    assert rows[4].split("  ")[0] == "ARG_MAX y"
    assert "nothing" in rows[4]
    assert "2.00 MB" in text


@pytest.mark.parametrize("width", [40, 80])
def test_it_fits(width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert max(map(len, shown(layers(12), capsys, monkeypatch, width).splitlines())) <= width


def test_where_little_is_known(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = Anatomy(
        modules=[share("", {"ADD": 1}, 2_500_000)], modules_from="", transposed=[], xnnpack=Delegated(runtime="LiteRT")
    )
    found.xnnpack.failure = "it has an operator of its own"
    assert shown(found, capsys, monkeypatch, 80).splitlines() == [
        "One run is 2.5 MFLOPs",
        "✗ LiteRT doesn't run it: it has an operator of its own",
    ]


def test_what_varies_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What extents count as, and, of a file in several partitions, what LiteRT does wrong with it."""
    varying = layers(1).model_copy(update={"extents_vary": True})
    text = shown(varying, capsys, monkeypatch, 200)
    assert "1 counts in FLOPs" in text and "LiteRT 2.3.0 may compute later runs" in text
    whole = varying.model_copy(update={"xnnpack": varying.xnnpack.model_copy(update={"partitions": 1})})
    assert "may compute" not in shown(whole, capsys, monkeypatch, 200)
    assert "counts in FLOPs" not in shown(layers(1), capsys, monkeypatch, 200)
