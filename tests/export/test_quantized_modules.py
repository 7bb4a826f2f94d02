"""Modules that PyTorch's quantizers leave halfway are refused by name; those that they finish keep their scales."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from edgeworthy.errors import BadInput
from edgeworthy.export.quantized_modules import is_packed, refuse_unfinished

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.ao.quantization import (
        disable_observer,
        get_default_qat_qconfig_mapping,
        get_default_qconfig_mapping,
    )
    from torch.ao.quantization.quantize_fx import convert_fx, convert_to_reference_fx, prepare_fx, prepare_qat_fx

pytestmark = pytest.mark.filterwarnings("ignore")
X = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 6, 6)).astype(np.float32))


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))


@pytest.fixture(scope="module")
def prepared() -> torch.nn.Module:
    module: torch.nn.Module = prepare_fx(net().eval(), get_default_qconfig_mapping("fbgemm"), (X,))
    module(X)
    return module


def refused(module: torch.nn.Module) -> BadInput:
    with pytest.raises(BadInput) as caught:
        refuse_unfinished(module, "net.py:make")
    return caught.value


def test_the_reference_form_is_refused(prepared: torch.nn.Module) -> None:
    error = refused(convert_to_reference_fx(copy.deepcopy(prepared)))
    assert "reference form" in error.what and "convert_fx" in (error.remedy or "")
    assert any("reference.modules.conv.Conv2d" in detail for detail in error.details)


def test_what_is_prepared_and_not_converted_is_refused(prepared: torch.nn.Module) -> None:
    error = refused(prepared)
    assert "not converted" in error.what and any("HistogramObserver" in detail for detail in error.details)


def test_fake_quantize_may_stay_once_its_scales_are_settled() -> None:
    module = prepare_qat_fx(net().train(), get_default_qat_qconfig_mapping("fbgemm"), (X,))
    module(X)
    assert any("FakeQuantize" in detail for detail in refused(module).details)
    module.apply(disable_observer)
    refuse_unfinished(module, "net.py:make")


def test_what_is_finished_is_taken(prepared: torch.nn.Module) -> None:
    packed = convert_fx(copy.deepcopy(prepared))
    refuse_unfinished(packed, "net.py:make")
    refuse_unfinished(net(), "net.py:make")
    assert (
        is_packed(packed) and not is_packed(net()) and not is_packed(convert_to_reference_fx(copy.deepcopy(prepared)))
    )
