"""Mutations of constants: their numbers, extents, types and places."""

from __future__ import annotations

from random import Random

import numpy as np
from onnx import ModelProto, TensorProto

from .common import DIMS, DTYPES, FLOATS, INTS, NothingToMutate, any_tensor, array_of, choose, store


def extreme_numbers(rng: Random, model: ModelProto) -> None:
    tensor = any_tensor(rng, model)
    array = array_of(tensor).copy()
    if not array.size or array.dtype.kind not in "iufb":
        raise NothingToMutate
    flat = array.reshape(-1)
    value = choose(rng, FLOATS if array.dtype.kind == "f" else INTS)
    with np.errstate(all="ignore"):
        flat[rng.randrange(flat.size)] = np.asarray(value).astype(array.dtype)
    store(tensor, array)


def resize_constant(rng: Random, model: ModelProto) -> None:
    """Other extents, with data to match."""
    tensor = any_tensor(rng, model)
    array = array_of(tensor)
    shape = list(array.shape)
    if shape and rng.random() < 0.7:
        shape[rng.randrange(len(shape))] = choose(rng, (0, 0, 1, 2, 3, 7))
    elif shape and rng.random() < 0.5:
        del shape[rng.randrange(len(shape))]
    else:
        shape.insert(rng.randrange(len(shape) + 1), choose(rng, (0, 1, 2)))
    store(tensor, np.resize(array, shape))


def retype_constant(rng: Random, model: ModelProto) -> None:
    tensor = any_tensor(rng, model)
    dtype = choose(rng, ("float32", "float64", "float16", "int64", "int32", "int8", "uint8", "uint64", "bool"))
    with np.errstate(all="ignore"):
        store(tensor, array_of(tensor).astype(dtype))


def mislabel_constant(rng: Random, model: ModelProto) -> None:
    """Extents or a type that the data don't have."""
    tensor = any_tensor(rng, model)
    kind = rng.randrange(4)
    if kind == 0:
        tensor.data_type = choose(rng, DTYPES)
    elif kind == 1:
        tensor.dims.append(choose(rng, DIMS))
    elif kind == 2:
        tensor.dims[:] = [choose(rng, DIMS) for _ in range(rng.randrange(4))]
    else:
        tensor.raw_data = bytes(rng.randrange(256) for _ in range(rng.randrange(40)))


def displace_data(rng: Random, model: ModelProto) -> None:
    """External data at another place, or of another length."""
    tensor = any_tensor(rng, model)
    tensor.data_location = TensorProto.EXTERNAL
    if not tensor.external_data:
        tensor.external_data.add(key="location", value="weights")
    entry = choose(rng, tensor.external_data)
    entry.value = choose(rng, ("", "-1", "0", "7", "nope", "../weights", str(2**40), str(2**70), "/etc/passwd", "."))
