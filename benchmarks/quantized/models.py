"""All models of the benchmark."""

from __future__ import annotations

from .trained import TRAINED
from .untrained import UNTRAINED

SUBJECTS = {subject.name: subject for subject in (*UNTRAINED, *TRAINED)}
