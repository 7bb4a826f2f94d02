"""The lint of a quantized file: a table of rules, and what they find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...analysis import SEVERITIES, Finding
from . import file_rules, sample_rules
from .pair import FilePair
from .rules import Linted, LintRule

if TYPE_CHECKING:
    from ..recipe import Recipe
    from .per_layer import Layer

RULES: dict[str, LintRule] = {
    rule.id: rule
    for rule in (
        LintRule(
            "absurd_scale",
            "error",
            "a scale is zero, subnormal or not finite, or a million times larger than its neighbours",
            "look for an outlier in the calibration data or in the weights of this operator, or keep it in float",
            (file_rules.absurd_scales,),
        ),
        LintRule(
            "mixed_ranges",
            "error",
            "channels of one scale differ so much that the small ones have fewer than 16 levels",
            "keep the operator that joins them in float with --exclude, or make them two outputs; for weights, take "
            "one scale a channel",
            (sample_rules.mixed_activations, file_rules.mixed_weights),
        ),
        LintRule(
            "dead_channel",
            "error",
            "a channel's weights became all equal, or it no longer moves",
            "look at its scale and bias, or keep the operator in float; a channel that is zero in the float file can "
            "be pruned",
            (file_rules.dead_weights, sample_rules.constant_activations),
        ),
        LintRule(
            "saturated",
            "warning",
            "more than 1 % of a tensor's values lie beyond its range",
            "calibrate on samples that reach what these do, or take a wider range",
            (sample_rules.saturated_activations,),
        ),
        LintRule(
            "unused_range",
            "warning",
            "a tensor's values use fewer than 16 levels of its range",
            "look for an outlier in the calibration data, or take a range by percentile",
            (sample_rules.wide_ranges,),
        ),
        LintRule(
            "outlier_weight",
            "warning",
            "a few weights take the scale, and fewer than 16 levels are left to all others",
            "keep the operator in float, clip the outlier, or equalize it with its neighbours",
            (file_rules.outlier_weights,),
        ),
        LintRule(
            "bias_overflow",
            "error",
            "a bias is at the end of int32, near it, or no longer that of the float file",
            "the weights of its channel are nearly zero: prune the channel, or keep the operator in float",
            (file_rules.overflowing_biases,),
        ),
        LintRule(
            "bias_scale",
            "error",
            "a bias has another scale than input scale × weight scale, in which it is added",
            "make the file again; whoever wrote it lost a scale",
            (file_rules.foreign_bias_scales,),
        ),
        LintRule(
            "fixed_scale",
            "error",
            "a SOFTMAX, LOGISTIC, TANH … isn't in the scale that its kernel has built in",
            "make the file again, or keep the operator in float",
            (file_rules.fixed_scales,),
        ),
        LintRule(
            "softmax_sum",
            "error",
            "the shares of a SOFTMAX don't sum to about 1",
            "of many classes most shares are less than a step: keep SOFTMAX in float, or end in the logits",
            (sample_rules.softmax_sums,),
        ),
        LintRule(
            "ping_pong",
            "note",
            "a cast is cast again at once: DEQUANTIZE → QUANTIZE, QUANTIZE → QUANTIZE",
            "quantize the operators on both sides alike",
            (file_rules.ping_pong,),
        ),
        LintRule(
            "silent_float",
            "note",
            "operators inside an integer file compute in float; the share of the arithmetic says what it costs",
            "what kept them is listed with the file; a target that computes integers alone won't take them",
            (file_rules.silent_float,),
        ),
    )
}
"""Every rule, by id."""


def lint(pair: FilePair, layers: Sequence[Layer] = (), recipe: Recipe | None = None) -> list[Finding]:
    """What the rules find, worst first; those about samples find nothing without ``layers``.

    Args:
        recipe: What the file was made by: it says what is in float on purpose.
    """
    subject = Linted(pair, layers, recipe)
    found = [
        Finding(
            rule=rule.id,
            severity=said.severity or rule.severity,
            place=said.place,
            message=said.message,
            remedy=rule.remedy,
        )
        for rule in RULES.values()
        for check in rule.checks
        for said in check(subject)
    ]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
