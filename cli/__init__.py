"""The command line: ``edgeworthy`` and ``python -m edgeworthy``."""

from .app import main

__all__ = ["main"]
