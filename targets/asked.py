"""What a driver says of its devices, asked in a process that it may take down with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TIMEOUT_S = 60.0


def ask(script: Path, *arguments: str, environment: Mapping[str, str], timeout_s: float = _TIMEOUT_S) -> dict[str, Any]:
    """What ``script`` prints as one line of JSON at its end, or ``{"error": …}`` with what became of it.

    Args:
        script: A file of Python that imports nothing of edgeworthy.
        environment: Its whole environment; it finds the packages that are found here.
    """
    try:
        ran = subprocess.run(
            [sys.executable, "-P", str(script), *arguments],
            env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"it didn't answer within {timeout_s:g} s"}
    if ran.returncode == 0 and ran.stdout.strip():
        told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
        return told
    last = next((line for line in reversed(ran.stderr.splitlines()) if line.strip()), "")
    return {"error": f"it ended with {ran.returncode}" + (f": {last.strip()}" if last else "")}
