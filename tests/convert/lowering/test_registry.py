import inspect

import onnx
import pytest

from edgeworthy.convert.lowering import registry
from edgeworthy.vocabulary import NHWC_DOMAIN


def entries():
    registry.supported()
    return [(key, entry) for key, found in registry._REGISTRY.items() for entry in found]


def test_every_handler_says_what_it_computes():
    undocumented = {e.handler.__name__ for _, e in entries() if not inspect.getdoc(e.handler)}
    assert not undocumented


def test_every_onnx_operator_that_is_lowered_exists():
    known = {s.name for s in onnx.defs.get_all_schemas()}
    unknown = {op for (domain, op), _ in entries() if domain in ("", NHWC_DOMAIN) and op not in known}
    assert not unknown


@pytest.mark.parametrize(
    ("op", "version", "found"), [("Relu", 14, True), ("Gelu", 19, False), ("Gelu", 20, True), ("Relu", 99, False)]
)
def test_versions_outside_a_handlers_range_are_refused(op, version, found):
    assert registry.is_lowered("", op, version) is found


def test_no_two_handlers_claim_the_same_version():
    claims = [(key, entry.since) for key, entry in entries()]
    assert len(claims) == len(set(claims))
