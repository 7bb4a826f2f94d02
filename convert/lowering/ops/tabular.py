"""Operators on tables of features, ``ai.onnx.ml``'s, as scikit-learn's models have them; numbers only."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ....artifact import Array
from ....vocabulary import ML_DOMAIN
from ...builders.tensor import Tensor, Unsupported
from ..context import Context
from ..registry import lowers


@lowers("ArrayFeatureExtractor", domain=ML_DOMAIN)
def lower_array_feature_extractor(ctx: Context, node: ir.Node) -> Tensor:
    """The features of the last axis at the indices; those of a vector are a row. TFLite: GATHER."""
    b, (x, indices) = ctx.b, ctx.inputs(node)
    found = b.gather(x, b.cast(b.reshape(indices, (b.numel(indices),)), "int32"), x.rank - 1)
    return b.expand_dims(found, [0]) if x.rank == 1 else found


@lowers("Binarizer", domain=ML_DOMAIN)
def lower_binarizer(ctx: Context, node: ir.Node) -> Tensor:
    """1 above ``threshold``, else 0."""
    b, x = ctx.b, ctx.input(node, 0)
    return b.cast(b.compare("greater", x, b.like(x, float(ctx.attribute(node, "threshold")))), x.dtype)


@lowers("Scaler", domain=ML_DOMAIN)
def lower_scaler(ctx: Context, node: ir.Node) -> Tensor:
    """(X - offset) · scale, float32; both of all features or one for each."""
    b, x = ctx.b, ctx.b.cast(ctx.input(node, 0), "float32")
    return b.mul(b.sub(x, _floats(ctx, node, "offset", 0)), _floats(ctx, node, "scale", 1))


def _floats(ctx: Context, node: ir.Node, name: str, default: float) -> Tensor:
    values = ctx.attribute(node, name)
    return ctx.b.const(np.asarray([default] if values is None else values, np.float32))


@lowers("Normalizer", domain=ML_DOMAIN)
def lower_normalizer(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,F] over its rows' largest number, sum of absolute values, or Euclidean length, unless that is 0."""
    b, x = ctx.b, ctx.b.cast(ctx.input(node, 0), "float32")
    norm = ctx.attribute(node, "norm")
    if norm == "MAX":
        size = b.reduce("reduce_max", x, [-1], keep_dims=True)
    elif norm == "L2":
        size = b.unary("sqrt", b.reduce("sum", b.mul(x, x), [-1], keep_dims=True))
    else:
        size = b.reduce("sum", b.unary("abs", x), [-1], keep_dims=True)
    return b.div(x, b.select(b.compare("equal", size, b.like(size, 0)), b.like(size, 1), size))


@lowers("Imputer", domain=ML_DOMAIN)
def lower_imputer(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,F] with what is ``replaced_value`` (or NaN) replaced, by one value or one for each feature."""
    b, x = ctx.b, ctx.input(node, 0)
    kind = "float" if x.is_float else "int64"
    values, missing = ctx.attribute(node, f"imputed_value_{kind}s"), ctx.attribute(node, f"replaced_value_{kind}")
    if values is None:
        raise Unsupported(f"no values to impute {x.dtype} with", "export the model again")
    sought = x if missing is not None and np.isnan(missing) else b.const(np.asarray(missing or 0, x.dtype))
    found = b.compare("not_equal" if sought is x else "equal", x, sought)
    return b.select(found, b.const(np.asarray(values, x.dtype)), x)


@lowers("FeatureVectorizer", domain=ML_DOMAIN)
def lower_feature_vectorizer(ctx: Context, node: ir.Node) -> Tensor:
    """The inputs [N,F] side by side, float32."""
    return ctx.b.concat([ctx.b.cast(x, "float32") for x in ctx.inputs(node)], 1)


@lowers("LinearRegressor", domain=ML_DOMAIN)
def lower_linear_regressor(ctx: Context, node: ir.Node) -> Tensor:
    """X [N,F] · coefficients [targets,F] + intercepts. TFLite: FULLY_CONNECTED."""
    x, targets = ctx.b.cast(ctx.input(node, 0), "float32"), int(ctx.attribute(node, "targets"))
    weights: Array = np.asarray(ctx.attribute(node, "coefficients"), np.float32).reshape(targets, -1)
    bias = ctx.attribute(node, "intercepts")
    made = ctx.b.fully_connected(x, ctx.b.const(weights), None if bias is None else ctx.b.const(bias, "float32"))
    return post_transformed(ctx, made, str(ctx.attribute(node, "post_transform")))


def post_transformed(ctx: Context, scores: Tensor, transform: str) -> Tensor:
    """Scores as ``post_transform`` says: NONE, SOFTMAX or LOGISTIC."""
    if transform == "SOFTMAX":
        return ctx.b.unary("softmax", scores, beta=1.0)
    if transform == "LOGISTIC":
        return ctx.b.unary("logistic", scores)
    if transform != "NONE":
        raise Unsupported(f"post_transform={transform}", "export the model with raw scores")
    return scores
