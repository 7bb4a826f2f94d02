"""``docs/OPS.md``, from the registry of lowerings, ONNX's schemas, the cases and the list of what fails.

``python -m tests.conformance.page > docs/OPS.md``
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import onnx

from edgeworthy.convert.lowering.registry import is_lowered
from edgeworthy.formats.onnx.node_tests import NodeTest, load_node_tests

from . import expectations
from .expectations import Entry

ARTIFACTS = {"tflite": "TFLite", "saved_model": "SavedModel"}
DOMAINS = ("", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training")

HEAD = """# Operators

Every operator of ONNX {onnx}, and how many of ONNX's own node tests of it pass, as TFLite file and as SavedModel. Those
with TFLite's element types count (`tests/conformance/README.md`); float64, float8, strings and the like don't. Files of
opsets 1 to 7 are read in opset 8's terms. A sequence of tensors among the outputs becomes its tensors, `NAME_0`,
`NAME_1`, …, where their number is known.

Made by `python -m tests.conformance.page > docs/OPS.md` from the registry of lowerings and
`tests/conformance/expected_failures.toml`, which every test run holds against what happens.

{totals}

- *lowered*: by a handler of its own; *function*: as ONNX's own function body; –: by none; where its tests
  pass, a pass takes it out of the graph before.
- *why not*: what keeps the cases that don't pass; of several reasons the commonest.
"""


def page() -> str:
    """The whole page, Markdown."""
    cases, failing = load_node_tests().cases, {name: expectations.read().of(name) for name in ARTIFACTS}
    by_operator: dict[str, list[NodeTest]] = defaultdict(list)
    for case in cases:
        by_operator[case.op].append(case)
    totals = [
        f"- {title}: {len(cases) - len(failing[name])} of {len(cases)}"
        f" ({1 - len(failing[name]) / len(cases):.1%}) pass."
        for name, title in ARTIFACTS.items()
    ]
    lines = [HEAD.format(onnx=onnx.__version__, totals="\n".join(totals))]
    for domain in DOMAINS:
        lines += [f"## {domain or 'ai.onnx'}\n", "| operator | version | how | TFLite | SavedModel | why not |"]
        lines.append("| :-- | --: | :-- | --: | --: | :-- |")
        lines += [_row(schema, by_operator.pop(schema.name, []), failing) for schema in _newest(domain)]
        lines.append("")
    return "\n".join(lines)


def _newest(domain: str) -> Iterator[onnx.defs.OpSchema]:
    """The newest version of every operator of a domain, by name."""
    found: dict[str, onnx.defs.OpSchema] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == domain and not schema.deprecated:
            known = found.get(schema.name)
            if known is None or known.since_version < schema.since_version:
                found[schema.name] = schema
    yield from (found[name] for name in sorted(found))


def _row(schema: onnx.defs.OpSchema, cases: list[NodeTest], failing: Mapping[str, Mapping[str, Entry]]) -> str:
    lowered = is_lowered(schema.domain, schema.name, schema.since_version)
    function = schema.has_function or schema.has_context_dependent_function  # type: ignore[attr-defined]
    how = "lowered" if lowered else "function" if function else "–"
    passed = [f"{sum(case.name not in failing[name] for case in cases)} of {len(cases)}" for name in ARTIFACTS]
    reasons = Counter(
        failing[name][case.name].reason for name in ARTIFACTS for case in cases if case.name in failing[name]
    )
    why = reasons.most_common(1)[0][0].replace("|", "\\|") if reasons else ""
    return f"| {schema.name} | {schema.since_version} | {how} | {' | '.join(passed if cases else ['–', '–'])} | {why} |"


if __name__ == "__main__":
    print(page(), end="")
