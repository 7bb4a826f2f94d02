"""Which files an earlier export wrote, and still are as it wrote them; all others are the user's."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import files

MADE_BY = "edgeworthy export-android"
INDEX = "index.json"
_HEADER = re.compile(rf"^// Made by `{MADE_BY}`\. SHA-256 of the lines below: ([0-9a-f]{{64}})\n")


def sealed_source(body: str) -> str:
    """A source file with a first line that tells whether the rest was changed."""
    return f"// Made by `{MADE_BY}`. SHA-256 of the lines below: {_digest(body)}\n{body}"


def is_our_source(path: Path) -> bool:
    """Whether a file is as `sealed_source` made it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    found = _HEADER.match(text)
    return not path.is_symlink() and found is not None and _digest(text[found.end() :]) == found[1]


def sealed_index(content: Mapping[str, Any], folder: Path) -> str:
    """The text of an index, with the hashes of all that lies in ``folder`` and of itself."""
    hashes = {path.name: files.sha256(path) for path in sorted(folder.iterdir())}
    index = {"made_by": MADE_BY, "format": 1, **content, "files": hashes}
    return json.dumps(index | {"sha256": _digest_of(index)}, indent=1, ensure_ascii=False) + "\n"


def our_files(folder: Path) -> frozenset[str]:
    """Names in ``folder`` that an export wrote and nobody changed since."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        ours = index["made_by"] == MADE_BY and index.pop("sha256") == _digest_of(index)
        hashes = {str(name): str(digest) for name, digest in index["files"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return frozenset()
    if not ours:
        return frozenset()
    kept = [n for n, h in hashes.items() if (folder / n).is_file() and files.sha256(folder / n) == h]
    return frozenset(n for n in (INDEX, *kept) if not (folder / n).is_symlink())


def _digest_of(index: Mapping[str, Any]) -> str:
    return _digest(json.dumps(index, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
