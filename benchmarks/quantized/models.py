"""All models of the benchmark, those with trained weights first."""

from __future__ import annotations

from .trained import TRAINED
from .untrained import UNTRAINED

SUBJECTS = {subject.name: subject for subject in (*TRAINED, *UNTRAINED)}
