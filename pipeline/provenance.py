"""What a run was given, by content, and the commit of the user's project."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .. import files
from ..config import Config
from ..validate.made import InputHash, InputRole, Revision
from . import fingerprint
from .inputs import Inputs

_GIT_S = 10.0
"""Git may take a while in a large project; a report doesn't wait for it any longer."""


def given(inputs: Inputs) -> list[InputHash]:
    """The source and the data that a run loaded.

    A file is hashed as it is, so that ``sha256sum`` gives the same, a folder by its names and contents. What Python
    code makes is hashed by its values: a module by its weights and the user's code, data by its arrays.
    """
    config, paths = inputs.config, fingerprint.input_paths(inputs.config)
    made: dict[InputRole, tuple[str, str | None, str]] = {"source": (inputs.spec, inputs.source_hash, "weights, code")}
    if inputs.loaded("calibration_hash"):
        digest, _, described = (inputs.calibration_hash or "").partition(" ")
        made["calibration"] = (config.quantize.calibration or _named(inputs, "calibration"), digest, described)
    if inputs.loaded("labelled_hash") and inputs.labelled is not None:
        name = config.validation.labelled or _named(inputs, "labelled")
        made["labelled"] = (name, inputs.labelled_hash, inputs.labelled.description)
    found = {role: InputHash(role=role, name=n, what=w, sha256=h) for role, (n, h, w) in made.items() if h}
    for role, path in paths.items():
        if path.suffix != ".py" and (role in made or role in ("weights", "inputs")):
            what = "folder" if path.is_dir() else "file"
            found[role] = InputHash(role=role, name=str(path), what=what, sha256=files.sha256(path))
    return list(found.values())


def _named(inputs: Inputs, role: str) -> str:
    """What data is called that has no name: Python handed it over, or the sample brought it."""
    return f"a {type(inputs.handed[role]).__name__}" if role in inputs.handed else inputs.spec


def revision(config: Config) -> Revision | None:
    """Git's HEAD in the folder of the source, or in the current one; None where there is no repository or no git."""
    path = fingerprint.input_paths(config).get("source")
    folder = Path.cwd() if path is None else path.absolute() if path.is_dir() else path.absolute().parent
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return Revision(commit=commit, changed=changes != "")


def _git(folder: Path, *arguments: str) -> str | None:
    """What it prints; None when it fails."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        ran = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=_GIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout.strip() if ran.returncode == 0 else None
