"""`convert --explain`: what every pass, the layout step and the lowering did, and what they left alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ..display import size
from .terminal import TextColumn

if TYPE_CHECKING:
    from ..validate.made import ConversionResult, FormResult, LayoutResult, PassResult
    from .console import Console

_SHOWN = 5
"""Of what is alike; --json has all."""


def explanation(console: Console, made: ConversionResult) -> None:
    """Passes, transposes and forms, each as far as there is something to say."""
    console.say(f"{made.nodes_before} ONNX nodes as exported, {made.nodes_after} when lowering begins")
    _passes(console, made.passes)
    if made.layout is not None:
        _layout(console, made.layout)
    if made.forms_for:
        console.say(f"Of equal forms, those that are fast on {' and '.join(made.forms_for)}")
    _forms(console, made.forms)


def _passes(console: Console, passes: Sequence[PassResult]) -> None:
    changed = [p for p in passes if p.changes]
    rows = [(p.name, str(p.changes), _signed(p.operators) or "what is known of shapes and values") for p in changed]
    if rows:
        console.table(("pass", TextColumn("changes", right=True), "operators"), rows)
    for step in passes:
        if step.refusals:
            console.say(f"{step.name} left alone:")
            _list(console, step.refusals)
    idle = [p.name for p in passes if not p.changes and not p.refusals]
    console.say(f"Nothing to do for {', '.join(idle) or 'none'}")


def _layout(console: Console, layout: LayoutResult) -> None:
    console.say(f"Nodes that are channels-last: {layout.nodes_channels_last}; transposes: {len(layout.remaining)}")
    rows = [
        (turn.tensor, size(turn.bytes), " ".join(filter(None, (turn.module, turn.source))), turn.why)
        for turn in layout.remaining
    ]
    if rows:
        console.table(("transpose", TextColumn("moves", right=True), TextColumn("where", rank=1), "why"), rows)


def _forms(console: Console, forms: Sequence[FormResult]) -> None:
    rows = [
        (f.op, str(f.count), _counted(f.operators) or "nothing of its own", "; ".join(f.reasons))
        for f in sorted(forms, key=lambda form: (not form.reasons, -form.count))
    ]
    if rows:
        console.table(("ONNX operator", TextColumn("nodes", right=True), "became", "because"), rows)
    for form in forms:
        if form.reasons:
            console.say(f"{form.op} because {'; '.join(form.reasons)}:")
            _list(console, [" ".join(filter(None, (n.tensor, n.module, n.source))) for n in form.nodes])


def _list(console: Console, lines: Sequence[str]) -> None:
    for line in lines[:_SHOWN]:
        console.say(f"  {line}")
    if len(lines) > _SHOWN:
        console.say(f"  and {len(lines) - _SHOWN} more, which --json lists")


def _signed(operators: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {'+' if more > 0 else '−'}{abs(more)}" for name, more in operators.items())


def _counted(operators: Mapping[str, int]) -> str:
    return " + ".join(_times(operators))


def _times(operators: Mapping[str, int]) -> Iterator[str]:
    for name, count in operators.items():
        yield name if count == 1 else f"{count} {name}"
