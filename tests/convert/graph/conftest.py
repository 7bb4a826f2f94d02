"""The models and runs that the tests of passes use."""

from ..passes.conftest import apply, ort_outputs

__all__ = ["apply", "ort_outputs"]
