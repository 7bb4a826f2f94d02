"""What the command line sends to a terminal, wide or narrow, and to a pipe: whole words, and no byte too many."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeworthy.cli.terminal import TextColumn, styled, table, wrap

ESCAPE, TAKEN_OVER = b"\x1b", "taken over from an earlier run"
COMMAND = ("--to", "tflite", "--target", "onnxruntime,tflite", "--seconds", "0.05")
STAGES = (
    "load", "export", "convert", "quantize.float16", "quantize.dynamic_wi8_afp32", "analyze.float16",
    "analyze.dynamic_wi8_afp32", "parity", "bench",
)  # fmt: skip


def environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    return kept | {"TERM": "xterm-256color", "OMP_NUM_THREADS": "1"} | more


def on_terminal(folder: Path, *arguments: str, columns: int, **variables: str) -> bytes:
    """What a terminal of so many columns gets from stdout and stderr together."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    command = [sys.executable, "-m", "edgeworthy", *arguments]
    process = subprocess.Popen(command, stdout=slave, stderr=slave, cwd=folder, env=environment(variables))
    os.close(slave)
    got = b""
    while True:
        try:
            part = os.read(master, 1 << 16)
        except OSError:  # EIO: nobody holds the other end any more
            break
        if not part:
            break
        got += part
    os.close(master)
    assert process.wait() == 0, got.decode()
    return got.replace(b"\r\n", b"\n")


def on_pipe(folder: Path, *arguments: str, **variables: str) -> tuple[str, str]:
    """Standard output and standard error."""
    command = [sys.executable, "-m", "edgeworthy", *arguments]
    ran = subprocess.run(command, capture_output=True, cwd=folder, env=environment(variables), check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout.decode(), ran.stderr.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model, and what the first run of it said on a terminal."""
    folder = tmp_path_factory.mktemp("terminal")
    weights = numpy_helper.from_array(np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["m"]), helper.make_node("Relu", ["m"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "m.onnx")
    (folder / "first.txt").write_bytes(on_terminal(folder, "run", "m.onnx", "-o", "out", *COMMAND, columns=60))
    return folder


@pytest.fixture(scope="module")
def wide(folder: Path) -> str:
    """What a later run says where there is room for everything."""
    return on_pipe(folder, "run", "m.onnx", "-o", "out", *COMMAND)[0]


def text_of(got: bytes) -> list[str]:
    """The lines of the results, without colours; what moves before them is gone."""
    shown = got.decode().rpartition("\x1b[?25h")[2]
    return re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()


def test_a_first_run_has_bars_and_colours(folder: Path) -> None:
    got = (folder / "first.txt").read_bytes()
    assert b"\x1b[?25l" in got
    assert b"\x1b[32mpass\x1b[0m" in got
    assert TAKEN_OVER not in "\n".join(text_of(got))


@pytest.mark.parametrize(
    ("columns", "head"),
    [
        (100, "runs as parity hop adds size latency ÷ base"),
        (60, "runs as parity size latency ÷ base"),
        (40, "runs as parity latency"),
        (30, "runs as parity"),
    ],
)
def test_a_narrow_terminal_has_fewer_columns_and_whole_words(folder: Path, wide: str, columns: int, head: str) -> None:
    lines = text_of(on_terminal(folder, "run", "m.onnx", "-o", "out", *COMMAND, columns=columns))
    assert max(map(len, lines)) <= columns
    assert " ".join(lines[0].split()) == head
    rows = {name: cells for name, *cells in (re.split(" {2,}", line) for line in lines[2:6])}
    assert list(rows) == ["ONNX Runtime", "TFLite float32", "TFLite float16", "TFLite dynamic"]
    for name, cells in rows.items():
        assert cells[0] == re.search(rf"^{name} +(exact|\S+ dB)", wide, re.M)[1], "parity"
        assert cells[-1] == "pass"
    said = " ".join(" ".join(lines).split())
    assert re.search(r"✓ The gate passes: (\d+) of \1 lines hold Report: out/report\.html$", said)
    hidden = re.findall(r"\(no room in .*?\)", said)
    assert set(said.replace("".join(hidden), "").split()) - {lines[1]} <= set(wide.split())


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_without_colours_gets_no_escape_at_all(folder: Path, variables: dict[str, str]) -> None:
    got = on_terminal(folder, "run", "m.onnx", "-o", "out", *COMMAND, columns=80, **variables)
    assert ESCAPE not in got
    assert f"bench: {TAKEN_OVER}" in got.decode(), "what the bars show elsewhere"
    assert ESCAPE not in on_terminal(folder, "run", "--help", columns=100, **variables)


def test_an_empty_no_color_is_none(folder: Path) -> None:
    assert ESCAPE in on_terminal(folder, "report", "out", columns=80, NO_COLOR="")


def test_quiet_on_a_terminal_sends_nothing(folder: Path) -> None:
    assert on_terminal(folder, "run", "m.onnx", "-o", "out", *COMMAND, "--quiet", "-v", columns=80) == b""


@pytest.mark.parametrize("arguments", [("report", "out"), ("inspect", "m.onnx"), ("targets",), ("--help",)])
def test_a_pipe_gets_results_alone_without_escapes_or_trailing_blanks(folder: Path, arguments: tuple[str, ...]) -> None:
    out, log = on_pipe(folder, *arguments, FORCE_COLOR="1", GITHUB_ACTIONS="true")
    assert out
    assert "\x1b" not in out
    assert log == ""
    assert [line for line in out.splitlines() if line != line.rstrip()] == []


def test_a_pipe_honours_columns(folder: Path) -> None:
    wide = on_pipe(folder, "report", "out")[0].splitlines()
    narrow = on_pipe(folder, "report", "out", COLUMNS="40")[0].splitlines()
    assert "÷ base" in wide[0]
    assert "hop adds" in wide[0]
    assert "÷ base" not in narrow[0]
    assert max(map(len, narrow)) <= 40 < max(map(len, wide))


def stages(log: str) -> list[str]:
    """The lines of a log without what is doubted before the work."""
    return [line for line in log.splitlines() if not line.startswith("⚠")]


def test_verbose_is_a_log_of_the_stages_on_stderr(folder: Path) -> None:
    results, log = on_pipe(folder, "run", "m.onnx", "-o", "out", *COMMAND, "-v", "--no-cache")
    assert [line.partition(":")[0] for line in stages(log)] == list(STAGES)
    assert all(re.fullmatch(r"\S+: \d+\.\d s(, m\.onnx)?", line) for line in stages(log)), log
    assert TAKEN_OVER not in results
    results, log = on_pipe(folder, "run", "m.onnx", "-o", "out", *COMMAND, "--verbose")
    assert [line.partition(":")[0] for line in stages(log)] == list(STAGES)
    for line in stages(log)[1:]:
        assert re.fullmatch(rf"\S+: {TAKEN_OVER} \(\d+\.\d s then\)", line), line
    assert f"{TAKEN_OVER}, as nothing changed: {', '.join(STAGES[1:])}" in results


def test_verbose_leaves_stdout_to_one_document(folder: Path) -> None:
    out, log = on_pipe(folder, "run", "m.onnx", "-o", "out", *COMMAND, "-v", "--json")
    report = json.loads(out)
    assert report["gate"]["status"] == "pass"
    assert TAKEN_OVER in report["notes"][0]
    assert TAKEN_OVER in (folder / "out/report.html").read_text(encoding="utf-8")
    assert TAKEN_OVER in (folder / "out/report.md").read_text(encoding="utf-8")
    assert len(stages(log)) == len(STAGES)


def test_what_an_earlier_command_measured_is_taken_over_too(folder: Path) -> None:
    """``bench`` shows parity of the files that ``run`` looked at, and says where it comes from."""
    out, _ = on_pipe(folder, "bench", "m.onnx", "-o", "out", *COMMAND)
    assert "parity" in out.splitlines()[0]
    assert re.search(rf"{TAKEN_OVER}, as nothing changed: .*\bbench, parity$", out, re.M)
    out, _ = on_pipe(folder, "convert", "m.onnx", "-o", "out", "--to", "tflite")
    assert "taken over" in out


def test_a_failed_stage_says_so_in_the_log(folder: Path) -> None:
    command = [sys.executable, "-m", "edgeworthy", "run", "none.onnx", "-o", "none", "-v"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment({}), check=False)
    assert re.match(r"load: failed after \d+\.\d s, none\.onnx\nerror: ", ran.stderr)
    assert ran.returncode == 2


# -- tables and text ----------------------------------------------------------------------------------

COLUMNS = (
    TextColumn("name"),
    TextColumn("size", right=True, rank=2),
    TextColumn("why", rank=1),
    TextColumn("time", right=True, rank=9),
)
ROWS = (("TFLite float32", "9 kB", "a long reason", "3 ms"), ("日本語", "12 kB", "–", ""))


def lines_at(width: int | None, *, columns: Sequence[TextColumn] = COLUMNS) -> list[str]:
    return table(columns, ROWS, width, style=False)


def test_columns_go_in_the_order_of_their_rank() -> None:
    assert lines_at(None) == [
        "name             size  why            time",
        "──────────────────────────────────────────",
        "TFLite float32   9 kB  a long reason  3 ms",
        "日本語          12 kB  –",
    ]
    assert lines_at(42) == lines_at(None)
    assert lines_at(41) == [
        "name             size  why",
        "────────────────────────────────────",
        "TFLite float32   9 kB  a long reason",
        "日本語          12 kB  –",
        "(no room in 41 columns for time)",
    ]
    assert lines_at(30)[0].split() == ["name", "why"]
    assert lines_at(28)[0].split() == ["name"]


def test_text_that_stays_continues_below() -> None:
    columns = [TextColumn(c.title, c.right) for c in COLUMNS]
    assert lines_at(34, columns=columns) == [
        "name        size  why         time",
        "──────────────────────────────────",
        "TFLite      9 kB  a long      3 ms",
        "float32           reason",
        "日本語     12 kB  –",
    ]
    assert lines_at(14, columns=columns) == [
        "TFLite float32", "  size: 9 kB", "  why: a long", "    reason", "  time: 3 ms",
        "日本語", "  size: 12 kB", "  why: –", "  time:",
    ]  # fmt: skip


def test_a_word_that_is_too_long_stays_whole() -> None:
    assert wrap("fix: see /a/very/long/path here", 10, hang=2) == ["fix: see", "  /a/very/long/path", "  here"]
    assert wrap("error: x\n  at: a b c", 8, hang=2) == ["error: x", "  at: a", "    b c"]
    assert wrap("as it is, however long", None) == ["as it is, however long"]


def test_marks_and_verdicts_are_coloured() -> None:
    assert styled("✗ parity: no") == "\x1b[1;31m✗\x1b[0m parity: no"
    assert styled("inconclusive") == "\x1b[33minconclusive\x1b[0m"
    assert styled("passes") == "passes"
