"""The command that makes a file again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..config import Config
from ..keys import Key, keys

_TABLES = ("seed", "model", "export", "convert", "data")
_KEYS = ("quantize.calibration", "quantize.preprocess")
"""What else than the recipe decides what a quantized file holds."""


def quantize(config: Config, spec: str, recipe: Path, samples: int | None) -> str:
    """``edgeworthy quantize SOURCE -o again --recipe …`` with the flags that were given.

    Args:
        spec: The source.
        recipe: The recipe's file.
        samples: How many calibration samples; None: none are needed.
    """
    words = ["edgeworthy", "quantize", spec, "-o", "again", "--recipe", str(recipe)]
    for key in keys():
        if key.path[0] in _TABLES or (samples is not None and key.name.startswith(_KEYS)):
            words += _flag(key, _value(config, key))
    if samples is not None:
        calibration = [] if config.quantize.calibration else ["--calibration", spec]  # a sample's own
        words += [*(calibration if spec.startswith("sample:") else []), "--samples", str(samples)]
    return shlex.join(words)


def _value(config: Config, key: Key) -> Any:
    found: Any = config.model_dump(by_alias=True)
    for part in key.path:
        found = found[part] if found is not None else None
    return found


def _flag(key: Key, value: Any) -> Iterator[str]:
    if key.flag is None or value is None or value == key.default:
        return
    name = key.flag.name
    if isinstance(value, bool):
        yield name if value else f"--no-{name.removeprefix('--')}"
    elif key.flag.repeat:
        texts = [f"{k}={v}" for k, v in value.items()] if isinstance(value, dict) else value
        for text in texts:
            yield from (name, str(text))
    else:
        yield from (name, ",".join(map(str, value)) if isinstance(value, list) else str(value))
