"""Fixtures of the tests in this folder."""

from .sandbox import sandbox as sandbox
from .sandbox import warm as warm
