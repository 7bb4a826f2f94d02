"""`edgeworthy.toml` with a comment on every key, and docs/config.md: both made from the schema's docstrings.

``python -m edgeworthy.cli.template > docs/config.md`` writes the page again.
"""

from __future__ import annotations

import json
import os
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import files
from ..artifact import TensorSpec
from ..config import Config
from ..errors import BadInput
from ..keys import Key, keys
from ..schemes import QUANTIZED
from ..tables import Table
from ..validate.judge import Rules
from .flags import sentence

_WIDTH = 100
_PAGE = """\
# edgeworthy.toml

<!-- Made by `python -m edgeworthy.cli.template`; the text is in config.py. -->

`edgeworthy run edgeworthy.toml` takes everything from the file; `edgeworthy init SOURCE` writes one. A flag wins over
`--set KEY=VALUE`, that over the file, and the file over the default. `--set` takes any key below, as in
`--set gate.sqnr_db.int8=20`. Paths are relative to the file's folder, those on the command line to the working folder.
Every key is optional but `source` (unless it is on the command line) and `output` (or `-o`). Unknown keys and wrong
values are errors that name the key.

```toml
{toml}```

In `[gate]` an artifact goes by its key in the report (`onnx`, `saved_model`, `tflite_{scheme.name}`), by its scheme
(`{scheme.name}`), by the scheme's short name (`{scheme.short_name}`), or by the name of its row
(`TFLite {scheme.title}`). One number is a limit for all artifacts. [gate.md](gate.md) says what passes, fails and can't
be said.

## When parity passes

What `[gate]` calls parity, and what `validate` exits with 1 on, unless `atol` or `rtol` say otherwise:

| what | passes |
| :-- | :-- |
{rules}
"""


def page() -> str:
    """The text of docs/config.md."""
    rules = Rules()
    rows = [
        ("a float output of a float32 file", f"error at most {rules.multiple:g} × the noise floor (`noise_multiple`)"),
        ("an integer or bool output of a float32 file", "every element is equal"),
        *(
            (f"a float output of a `{name}` file", f"SQNR at least {rules.least_sqnr_db(name):g} dB")
            for name in (scheme.name for scheme in QUANTIZED)
        ),
        ("an integer or bool output of a quantized file", f"{rules.equal:.0%} of the elements are equal"),
    ]
    aliased = next(scheme for scheme in QUANTIZED if scheme.alias)
    return _PAGE.format(
        toml=commented({}, examples=True), scheme=aliased, rules="\n".join(f"| {a} | {b} |" for a, b in rows)
    )


def write(source: str, path: Path, tables: Mapping[str, Any], *, force: bool = False) -> None:
    """Write an ``edgeworthy.toml`` for a source, with the inputs that it has.

    Args:
        source: As on the command line.
        path: The file.
        tables: Keys that were given, as nested tables: ``seed``, and those of ``model``.
        force: Overwrite a file that is there.

    Raises:
        BadInput: there is such a file, or the source can't be used (see ``source.load``).
    """
    from ..source.load import load_source

    if path.exists() and not force:
        raise BadInput("the file exists already", where=str(path), remedy="choose another with -o, or add --force")
    given = {name: value for name, value in tables["model"].items() if value is not None}
    loaded = load_source(
        source,
        weights=given.get("weights"),
        weights_key=given.get("weights_key"),
        bind=given.get("bind"),
        inputs=given.get("inputs", ()),
        inputs_file=given.get("inputs_file"),
        seed=tables["seed"] or 0,
    )
    model: dict[str, object] = {
        key: _beside(path, str(given[key])) for key in ("weights", "inputs_file") if key in given
    }
    model |= {key: given[key] for key in ("weights_key", "bind") if key in given}
    model |= {"source": _beside(path, source), "inputs": [str(s) for s in loaded.inputs if _readable(s)]}
    seed = {"seed": tables["seed"]} if tables["seed"] is not None else {}
    files.write_text(path, commented({"output": "out", "model": model} | seed))


def commented(values: Mapping[str, Any], *, examples: bool = False) -> str:
    """All keys of the file in TOML, each with its comment; those without a value are commented out.

    Args:
        values: Nested tables.
        examples: Nothing is commented out: what has no value and no default has its example.
    """
    return "\n".join(_table(Config, (), values, examples)).strip() + "\n"


def _table(table: type[Table], path: tuple[str, ...], values: Mapping[str, Any], examples: bool) -> Iterator[str]:
    own = [key for key in keys(table, path) if len(key.path) == len(path) + 1]
    for key in (key for key in own if key.table is None):
        yield from _key(key, values, examples)
    for key in own:
        if key.table is not None:
            inner = values.get(key.path[-1], {})
            header = f"[{key.name}]"
            yield ""
            about = re.sub(r"^``\S+``: ", "", key.table.__doc__ or "").replace("``", "`")
            yield from _comment(sentence(about))
            # An empty table is not the same as none where None is the default.
            yield header if inner or examples or key.default is not None else f"# {header}"
            yield from _table(key.table, key.path, inner, examples)


def _key(key: Key, values: Mapping[str, Any], examples: bool) -> Iterator[str]:
    name, default = key.path[-1], key.default
    given = name in values
    has_default = default is not None and default not in ([], {})
    value = values[name] if given else default if has_default else (key.field.examples or [default])[0]
    text = key.help
    text += f" [{', '.join(key.choices)}]" if key.choices else ""
    text += f" ({key.flag.name})" if key.flag else ""
    text += "" if given or has_default else ". Example:"
    yield from _comment(sentence(text))
    yield f"{'' if given or examples else '# '}{name} = {_value(value)}"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text.strip(), _WIDTH, break_long_words=False, break_on_hyphens=False)]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{_bare(k)} = {_value(v)}" for k, v in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, (bool, str)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _bare(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _beside(path: Path, spec: str) -> str:
    """A spec of the command line as the file at ``path`` has it: what is a path is relative to the file's folder."""
    head, colon, tail = spec.rpartition(":")
    place, rest = (head, f":{tail}") if colon and head.endswith(".py") else (spec, "")
    return f"{os.path.relpath(place, path.parent)}{rest}" if Path(place).exists() else spec


def _readable(spec: TensorSpec) -> bool:
    """Whether ``--input`` can say it; what it can't, the model says itself."""
    try:
        return TensorSpec.parse(str(spec)) == spec
    except BadInput:
        return False


if __name__ == "__main__":
    print(page(), end="")
