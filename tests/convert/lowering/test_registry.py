import inspect

import onnx
import pytest

from edgeworthy.convert.layout.spatial import resize, spatial
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


def test_an_operator_has_one_layout_rule_at_most():
    ruled = [("" if domain == NHWC_DOMAIN else domain, op) for (domain, op), entry in entries() if entry.layout]
    assert len(ruled) == len(set(ruled)) == len(registry.layout_rules())


def test_a_layout_rule_belongs_to_the_lowering_that_its_result_needs():
    """Rules that move an operator to the channels-last domain stand at its lowering there; others at ONNX's own."""
    moving = {spatial, resize}
    for (domain, op), entry in entries():
        if entry.layout is not None:
            assert (domain == NHWC_DOMAIN) == (entry.layout in moving), op
        else:
            assert domain != NHWC_DOMAIN, f"{op} has a lowering with channels-last activations that nothing leads to"
