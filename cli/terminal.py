"""What a stream can show, and text that fits it. Nothing here breaks a word."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

GAP = 2
_READABLE = 24
"""Columns that a text needs to be read without effort."""
_DUMB = ("dumb", "unknown")
_CODES = {
    "pass": "32", "✓": "32", "fail": "1;31", "error": "1;31", "error:": "1;31", "✗": "1;31", "inconclusive": "33",
    "?": "33", "⚠": "33",
}  # fmt: skip
"""First word of a cell or a line → its colour, as the parameters of SGR (ECMA-48)."""


def is_styled(stream: IO[str]) -> bool:
    """Whether escape codes are welcome: on a terminal that knows them, without NO_COLOR (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "").lower() not in _DUMB


def width_of(stream: IO[str]) -> int | None:
    """Columns of the stream: COLUMNS, else the terminal's; None for a pipe or a file, which have no end of line."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80  # 0: a terminal that nobody has told its size
    except OSError:
        return 80


def wrap(text: str, width: int | None, *, hang: int = 0) -> list[str]:
    """The lines of ``text``, broken between words; what continues one is indented like it, and by ``hang`` more."""
    return [part for line in text.splitlines() for part in _wrap_line(line, width, hang)]


def styled(text: str) -> str:
    """Coloured by its first word: a mark alone, a word such as "fail" with all that follows."""
    mark = text.partition(" ")[0]
    code = _CODES.get(mark)
    if code is None:
        return text
    end = len(mark) if len(mark) == 1 or mark.endswith(":") else len(text)
    return f"\x1b[{code}m{text[:end]}\x1b[0m{text[end:]}"


@dataclass(frozen=True)
class TextColumn:
    """A column of a table.

    Attributes:
        title: Its head.
        right: Whether it holds numbers, which end on one line; else text, which may continue on the next.
        rank: 0 stays whatever happens; of the others the highest goes first, where there is no room for all.
    """

    title: str
    right: bool = False
    rank: int = 0


def table(columns: Sequence[TextColumn], rows: Sequence[Sequence[str]], width: int | None, *, style: bool) -> list[str]:
    """Lines of a table that is no wider than ``width``: by text on several lines as long as that can be read, then by
    fewer columns, then by text as narrow as its longest word.

    What fits in none of these ways is written one cell below the other.
    """
    shown = list(range(len(columns)))
    widths = [max(map(_cells, (c.title, *(row[i] for row in rows)))) for i, c in enumerate(columns)]
    while width is not None and not _squeeze(columns, rows, widths, shown, width, least=_READABLE):
        if not any(columns[i].rank for i in shown):
            break
        shown.remove(max(shown, key=lambda i: (columns[i].rank, i)))
    if width is not None and not _squeeze(columns, rows, widths, shown, width):
        return list(_records(columns, rows, shown, width, style=style))
    lines = [_line([columns[i].title for i in shown], columns, widths, shown, style=False)]
    lines.append("─" * _total(widths, shown))
    for row in rows:
        cells = [wrap(row[i], widths[i]) or [""] for i in shown]
        for at in range(max(map(len, cells))):
            lines.append(_line([c[at] if at < len(c) else "" for c in cells], columns, widths, shown, style=style))
    hidden = [c.title for i, c in enumerate(columns) if i not in shown and c.title]
    if hidden:
        lines += wrap(f"(no room in {width} columns for {', '.join(hidden)})", width)
    return lines


def _squeeze(
    columns: Sequence[TextColumn],
    rows: Sequence[Sequence[str]],
    widths: list[int],
    shown: Sequence[int],
    width: int,
    *,
    least: int = 0,
) -> bool:
    """Take from the widest text column what is missing; False, and nothing taken, when that isn't enough.

    Args:
        least: Columns that text keeps; it always keeps as many as its longest word.
    """
    texts = {i: [columns[i].title, *(row[i] for row in rows)] for i in shown if not columns[i].right}
    words = {i: max(_cells(word) for text in cells for word in text.split(" ")) for i, cells in texts.items()}
    made = list(widths)
    while _total(made, shown) > width:
        able = [i for i in words if made[i] > max(words[i], least)]
        if not able:
            return False
        made[max(able, key=lambda i: made[i])] -= 1
    widths[:] = made
    return True


def _records(
    columns: Sequence[TextColumn], rows: Sequence[Sequence[str]], shown: Sequence[int], width: int, *, style: bool
) -> Iterator[str]:
    """A row's first cell as a heading, and the others below it, each after its column's title."""
    for row in rows:
        yield from wrap(row[shown[0]], width, hang=GAP)
        for i in shown[1:]:
            title = " " * GAP + (f"{columns[i].title}: " if columns[i].title else "")
            first, *more = wrap(title + row[i], width, hang=GAP)
            yield title + styled(first.removeprefix(title)) if style else first
            yield from more


def _line(
    cells: Sequence[str], columns: Sequence[TextColumn], widths: Sequence[int], shown: Sequence[int], *, style: bool
) -> str:
    """Cells side by side, and nothing after the last."""
    padded = []
    for cell, i in zip(cells, shown, strict=True):
        blank, text = " " * (widths[i] - _cells(cell)), styled(cell) if style else cell
        padded.append(blank + text if columns[i].right else text + blank)
    return (" " * GAP).join(padded).rstrip()


def _total(widths: Sequence[int], shown: Sequence[int]) -> int:
    return sum(widths[i] for i in shown) + GAP * (len(shown) - 1)


def _wrap_line(line: str, width: int | None, hang: int) -> Iterator[str]:
    body = line.lstrip(" ")
    indent = " " * (len(line) - len(body))
    current = ""
    for word in body.split(" "):
        longer = f"{current} {word}" if current else indent + word
        if current and width is not None and _cells(longer) > width:
            yield current.rstrip()
            indent = " " * (len(line) - len(body) + hang)
            longer = indent + word
        current = longer
    yield current.rstrip()


def _cells(text: str) -> int:
    """How many columns a terminal gives it: Chinese and emoji take two each."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
