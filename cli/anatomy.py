"""What `inspect` shows of a TFLite file's inside: modules, transposes, and what XNNPACK leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from ..display import number, percent, size
from .terminal import TextColumn

if TYPE_CHECKING:
    from ..pipeline.anatomy import Anatomy, Delegated, Island, LeftNode, ModuleShare, TransposeFound
    from .console import Console

_ROWS = 24
"""Modules that are shown, if that is any depth of the tree; --json has all."""
_KINDS = 4
_REFIT = (
    "· {} may compute later runs of several partitions wrongly, once extents changed: resize the inputs to others and "
    "back after the first run, as edgeworthy does, or take kernels=builtin"
)
_UNITS = ("", "k", "M", "G", "T")


def anatomy(console: Console, found: Anatomy) -> None:
    """Three tables, each where there is something to show."""
    if found.modules_from:
        _modules(console, found.modules, found.modules_from)
    elif found.modules:
        console.say(f"One run is {_flops(found.modules[0].flops)}FLOPs")
    if found.transposed:
        _transposes(console, found.transposed)
    if found.extents_vary:
        console.say("· of extents that vary, 1 counts in FLOPs and in what transposes move")
    _delegated(console, found.xnnpack, found.extents_vary)


def _modules(console: Console, modules: Sequence[ModuleShare], source: str) -> None:
    tree = list(_tree(modules))
    deepest = max(depth for depth, _, _ in tree)
    depth = max((d for d in range(1, deepest + 1) if sum(row[0] <= d for row in tree) <= _ROWS), default=1)
    shown = [row for row in tree if row[0] <= depth]
    if len(shown) > _ROWS:
        heaviest = sorted((m for _, _, m in shown[1:]), key=lambda m: (-m.flops, -m.weight_bytes))[: _ROWS - 1]
        shown = [row for row in shown if row[0] == 0 or row[2] in heaviest]
    whole = modules[0]
    rows = [
        (
            "  " * depth + name,
            str(sum(m.ops.values())),
            size(m.weight_bytes),
            _flops(m.flops),
            percent(m.flops / whole.flops if whole.flops else None),
            _kinds(m.ops),
        )
        for depth, name, m in shown
    ]
    numbers = (("operators", 2), ("weights", 0), ("FLOPs", 0), ("share", 1))
    heads = [TextColumn(title, right=True, rank=rank) for title, rank in numbers]
    console.table((TextColumn("module"), *heads, TextColumn("of them", rank=3)), rows)
    if left := len(tree) - len(shown):
        console.say(f"({left} modules more, which --json lists)")
    console.say(f"· modules are known from {source}")


def _tree(modules: Sequence[ModuleShare]) -> Iterator[tuple[int, str, ModuleShare]]:
    """Depth, name within the module above, and the module; one that holds another and nothing else goes with it."""
    above: list[tuple[int, str]] = []
    for m, following in zip(modules, [*modules[1:], None], strict=True):
        while above and above[-1][0] >= m.depth:
            above.pop()
        if m.depth and following is not None and following.depth > m.depth and following.ops == m.ops:
            continue
        name = m.module.removeprefix(above[-1][1]).lstrip("./") if above else "(the model)"
        yield len(above), name, m
        above.append((m.depth, m.module))


def _flops(count: int) -> str:
    power = 0
    while count >= 1000 ** (power + 1) and power < len(_UNITS) - 1:
        power += 1
    return f"{number(count / 1000**power)} {_UNITS[power]}"


def _kinds(ops: Mapping[str, int]) -> str:
    first = sorted(ops.items(), key=lambda item: -item[1])
    more = ["…"] if len(first) > _KINDS else []
    return ", ".join([op if n == 1 else f"{n} {op}" for op, n in first[:_KINDS]] + more)


def _transposes(console: Console, found: Sequence[TransposeFound]) -> None:
    rows = [
        (turn.tensor, size(turn.bytes), _place(turn.module, turn.source), _advised(turn.why, turn.instead))
        for turn in sorted(found, key=lambda turn: -turn.bytes)[:_ROWS]
    ]
    console.table(("transpose", TextColumn("moves", right=True), TextColumn("where", rank=1), "why"), rows)
    if len(found) > _ROWS:
        console.say(f"({len(found) - _ROWS} smaller ones, which --json lists)")


def _delegated(console: Console, found: Delegated, vary: bool) -> None:
    if found.failure:
        console.say(f"✗ {found.runtime} doesn't run it: {found.failure}")
        return
    if not found.islands:
        console.say(f"✓ {found.runtime}: XNNPACK takes all {found.nodes} nodes, in {_parts(found.partitions)}")
        return
    taken = f"XNNPACK takes {found.delegated} of {found.nodes} nodes, in {_parts(found.partitions)}"
    console.say(f"{found.runtime}: {taken}. It leaves:")
    rows = [row for island in found.islands for row in _island(island, found.partitions)]
    heads = ("node", TextColumn("where", rank=1), "it divides", "why")
    console.table(heads, rows[:_ROWS])
    if len(rows) > _ROWS:
        console.say(f"({len(rows) - _ROWS} more, which --json lists)")
    if vary and found.partitions > 1:
        console.say(_REFIT.format(found.runtime))


def _island(island: Island, partitions: int) -> list[tuple[str, str, str, str]]:
    """A row for each kind of node, the first with what they all divide."""
    divided = "–"
    if island.partitions is not None:
        divided = f"{partitions} → {island.partitions} without" if island.partitions < partitions else "nothing"
    rows: list[tuple[str, str, str, str]] = []
    for key, group in groupby(sorted(island.nodes, key=_kind), key=_kind):
        first, *more = group
        named = f"{first.op} {first.tensor}" + (f" and {len(more)} more" if more else "")
        rows.append((named, _place(first.module, first.source), "" if rows else divided, _advised(key[1], key[2])))
    return rows


def _kind(node: LeftNode) -> tuple[str, str, str]:
    return node.op, node.why, node.instead


def _place(module: str, source: str) -> str:
    return " ".join(filter(None, (module, source)))


def _advised(why: str, instead: str) -> str:
    return "; ".join(filter(None, (why, instead)))


def _parts(count: int) -> str:
    return f"{count} partition{'s' if count != 1 else ''}"
