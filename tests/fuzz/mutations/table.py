"""Every mutation of a model's structure.

Some break ONNX's rules outright (a name that nothing makes, an operator that isn't there), some keep them in form and
go to the limits of what an operator takes (an extent of 0, an axis of 2⁶³ - 1), and some are consistent enough to give
another right model (every float a double, every extent of 3 none at all).
"""

from __future__ import annotations

from . import attributes, constants, nodes, values, whole
from .common import Mutation

MUTATIONS: tuple[Mutation, ...] = (
    nodes.drop_node,
    nodes.repeat_node,
    nodes.chain_node,
    nodes.other_operator,
    nodes.rename_operator,
    nodes.rename_node,
    nodes.rewire_input,
    nodes.blank_input,
    nodes.drop_input,
    nodes.add_input,
    nodes.swap_inputs,
    nodes.change_outputs,
    attributes.extreme_attribute,
    attributes.retype_attribute,
    attributes.drop_attribute,
    attributes.add_attribute,
    values.extreme_dim,
    values.change_rank,
    values.change_type,
    values.wrap_type,
    values.rename_value,
    values.drop_value,
    values.repeat_value,
    values.more_outputs,
    values.state_value,
    values.input_to_constant,
    values.constant_to_input,
    constants.extreme_numbers,
    constants.resize_constant,
    constants.retype_constant,
    constants.mislabel_constant,
    constants.displace_data,
    whole.other_opset,
    whole.other_ir_version,
    whole.change_functions,
    whole.other_extent,
    whole.other_element_type,
    # What comes through the checks most often, and so reaches the conversion, comes more often.
    attributes.extreme_attribute,
    attributes.add_attribute,
    constants.extreme_numbers,
    constants.resize_constant,
    values.input_to_constant,
    whole.other_extent,
    nodes.chain_node,
    nodes.other_operator,
    whole.other_element_type,
)
