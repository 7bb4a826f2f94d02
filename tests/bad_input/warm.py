"""Runs edgeworthy's commands in children of one process, which has imported PyTorch already.

Reads requests from stdin, a JSON object a line, and answers each with its exit code.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile

import torch  # noqa: F401

from edgeworthy.cli import main


def run(request: dict[str, object]) -> None:
    """Become the command; doesn't return."""
    os.chdir(str(request["folder"]))
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    tempfile.tempdir = None
    for number, path in enumerate(request["files"], 1):  # type: ignore[call-overload]
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = ["edgeworthy", *request["arguments"]]  # type: ignore[misc]
    sys.path.insert(0, "")
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    sys.stdout.flush()
    os._exit(code)


for line in sys.stdin:
    child = os.fork()
    if child == 0:
        run(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
