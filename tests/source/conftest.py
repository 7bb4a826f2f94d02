"""A file of small networks, good ones and bad ones, for the tests of sources."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeworthy.errors import BadInput, EdgeworthyError

NETS = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 3)
            self.second = nn.Linear(3, 2)

        def forward(self, x, mask=None):
            y = self.second(self.first(x))
            return y if mask is None else y * mask

        class Inner(nn.Linear):
            def __init__(self):
                super().__init__(4, 1)

    def make():
        return Net()

    make.example_inputs = {"x": torch.zeros(1, 4)}

    ready = Net()

    def boom():
        raise RuntimeError("no such luck")

    def number():
        return 3

    def leave():
        raise SystemExit("bye")

    def needs(width, depth=2):
        return Net()

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Linear(4, 4, bias=False)
            self.two = nn.Linear(4, 4, bias=False)
            self.two.weight = self.one.weight

        def forward(self, x):
            return self.two(self.one(x))

    def diverged():
        net = Net()
        net.second.weight.data[0, 0] = float("inf")
        net.register_buffer("mask", torch.full((2,), float("-inf")))
        net.register_buffer("scale", torch.tensor([1.0, float("nan")]))
        return net

    class Masked(nn.Module):
        example_inputs = (torch.ones(2, 4),)

        def __init__(self):
            super().__init__()
            self.register_buffer("mask", torch.full((4,), float("-inf")))

        def forward(self, x):
            return torch.minimum(x, self.mask)
"""


@pytest.fixture(autouse=True)
def _paths() -> Iterator[None]:
    """Sources put folders on the path; here they are taken off again."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    """The file."""
    path = tmp_path / "nets.py"
    path.write_text(textwrap.dedent(NETS).lstrip())
    return path


@pytest.fixture
def line_of() -> Callable[[str], int]:
    """Text → the number of the line of ``nets`` that it is in."""
    lines = textwrap.dedent(NETS).lstrip().splitlines()
    return lambda text: next(i for i, line in enumerate(lines, 1) if text in line)


@pytest.fixture
def refused() -> Callable[..., EdgeworthyError]:
    """Spec, kind of error, options → the error that ``load_source`` raises."""

    def refuse(spec: object, kind: type[EdgeworthyError] = BadInput, **options: Any) -> EdgeworthyError:
        from edgeworthy.source.load import load_source

        with pytest.raises(kind) as caught:
            load_source(str(spec), **options)
        return caught.value

    return refuse
