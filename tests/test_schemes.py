from __future__ import annotations

import pytest

from edgeworthy.errors import BadInput
from edgeworthy.schemes import ALIASES, SCHEMES, get_scheme


def test_int8_is_short_for_the_static_scheme() -> None:
    assert get_scheme("int8") is SCHEMES["static_wi8_ai8"]


@pytest.mark.parametrize("name", SCHEMES)
def test_names_tell_what_the_scheme_does(name: str) -> None:
    scheme = get_scheme(name)
    assert scheme.name == name
    assert scheme.needs_calibration == name.startswith("static_")
    assert (scheme.weights == "int8") == ("_wi8_" in name)
    assert (scheme.activations == "int8") == name.endswith("_ai8")


def test_an_unknown_scheme_lists_those_that_exist() -> None:
    with pytest.raises(BadInput) as caught:
        get_scheme("dynamic_wi8")
    text = str(caught.value)
    assert all(name in text for name in [*SCHEMES, *ALIASES])
    assert "did you mean 'dynamic_wi8_afp32'?" in text
