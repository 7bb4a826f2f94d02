"""The networks that the tests of sources use."""

from ..source.conftest import _paths, line_of, nets, refused

__all__ = ["_paths", "line_of", "nets", "refused"]
