"""A case: a number from which a mutated model follows, always the same with the same versions of ONNX and this code."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

from .corpus import Corpus, Seed
from .mutations.common import NothingToMutate, choose
from .mutations.table import MUTATIONS
from .mutations.values import freeze

_BYTES_SHARE = 0.2
"""The share of cases whose bytes are mutated; the others keep to protobuf's rules."""
_FROZEN_SHARE = 0.5
"""The share of the others in which some of a node test's inputs are constants, as axes and weights are in models."""
_TRIES = 20


@dataclass(frozen=True)
class Case:
    """A mutated model.

    Attributes:
        number: What it was made from.
        story: The seed's name and what was done to it, in order.
        model: The bytes of the file, which may be no protobuf message any more.
        files: External data beside it.
        inputs: Values that suited the seed.
    """

    number: int
    story: tuple[str, ...]
    model: bytes
    files: dict[str, bytes] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)


def make_case(corpus: Corpus, number: int) -> Case:
    """The case of a number that is not negative."""
    rng = Random(number)
    seed = choose(rng, corpus[choose(rng, sorted(corpus))])
    mutate = _mutate_bytes if rng.random() < _BYTES_SHARE else _mutate_structure
    story, model, files = mutate(rng, seed, corpus)
    return Case(number, (seed.name, *story), model, files, seed.inputs)


Made = tuple[list[str], bytes, dict[str, bytes]]


def _mutate_structure(rng: Random, seed: Seed, corpus: Corpus) -> Made:
    model = onnx.ModelProto.FromString(seed.model)
    story = freeze(rng, model, seed.inputs) if rng.random() < _FROZEN_SHARE else []
    wanted = len(story) + choose(rng, (0, 1, 1, 1, 2, 2, 3))
    for _ in range(_TRIES):
        if len(story) >= wanted:
            break
        mutation = choose(rng, MUTATIONS)
        before = model.SerializeToString()
        try:
            mutation(rng, model)
            model.SerializeToString()
        except (NothingToMutate, EncodeError, ValueError, OverflowError):
            model.ParseFromString(before)
            continue
        story.append(mutation.__name__)
    return story, model.SerializeToString(), seed.files


def _mutate_bytes(rng: Random, seed: Seed, corpus: Corpus) -> Made:
    target = choose(rng, [None, *sorted(seed.files)])
    data = bytearray(seed.model if target is None else seed.files[target])
    story = []
    for _ in range(choose(rng, (1, 1, 2, 4, 8))):
        name = choose(rng, ("flip", "set", "cut", "insert", "repeat", "splice", "end"))
        story.append(name)
        at = rng.randrange(len(data) + 1)
        stop = min(len(data), at + choose(rng, (1, 1, 2, 8, 64)))
        if name == "flip" and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif name == "set" and at < len(data):
            data[at] = choose(rng, (0, 1, 0x7F, 0x80, 0xFF))
        elif name == "cut":
            del data[at:stop]
        elif name == "insert":
            data[at:at] = rng.randbytes(stop - at)
        elif name == "repeat":
            data[at:at] = data[at:stop]
        elif name == "splice":
            other = choose(rng, corpus[choose(rng, sorted(corpus))]).model
            start = rng.randrange(len(other))
            data[at:stop] = other[start : start + choose(rng, (4, 32, 256))]
        elif name == "end":
            del data[at:]
    if target is None:
        return story, bytes(data), seed.files
    return [*story, f"in {target}"], seed.model, {**seed.files, target: bytes(data)}
