"""Variants with figures of one's own."""

from __future__ import annotations

from typing import Any

from edgeworthy.validate.advice import RecommendationResult, VariantResult
from edgeworthy.validate.made import Tradeoff
from edgeworthy.validate.ranking import ranked

FLOAT_BYTES = 1_000_000


def variant(
    name: str, latency: float | None, size: float, db: float | None, accuracy: float | None = None, **more: Any
) -> VariantResult:
    """``latency``, ``size``: as shares of float32's; ``db``: None is exact. Latencies are known to 1 %."""
    timed = {
        "latency_ratio": latency,
        "latency_low": latency and latency * 0.99,
        "latency_high": latency and latency * 1.01,
    }
    made = Tradeoff.model_validate({"sqnr_db": db, "exact": db is None, "size_ratio": size} | timed)
    told = {"scheme": "static_wi8_ai8", "status": "pass", "latency_ms": latency} | more
    size_bytes = round(size * FLOAT_BYTES)
    return VariantResult(name=name, size_bytes=size_bytes, tradeoff=made, accuracy=accuracy, **told)


FLOAT32 = variant("float32", 1.0, 1.0, None, 0.980, scheme="float32")
FLOAT16 = variant("float16", 1.0, 0.5, 70.0, 0.980, scheme="float16")
DYNAMIC = variant("dynamic", 0.5, 0.26, 41.0, 0.978, scheme="dynamic_wi8_afp32")
INT8 = variant("int8", 0.3, 0.26, 30.0, 0.975)
SLOW = variant("int16 activations", 9.0, 0.27, 40.0, 0.979, scheme="static_wi8_ai16")
LOW = variant("int4 static", 0.3, 0.14, 9.0, 0.6, status="fail", missed=["9.0 dB is less than 25 dB"])
CRASHED = VariantResult(name="int4 blocks", scheme="dynamic_wi4b32_afp32", status="error", failure="it crashed")
SAME = VariantResult(name="int8, equalized", scheme="static_wi8_ai8", status="pass", same_as="int8")
ALL = [FLOAT32, FLOAT16, DYNAMIC, INT8, SLOW, LOW, CRASHED, SAME]


def recommendation(variants: list[VariantResult] | None = None, **more: Any) -> RecommendationResult:
    """Of these variants, or of all above, by latency."""
    rows = ranked(ALL if variants is None else variants, "latency")
    told: dict[str, Any] = {
        "status": "pass",
        "pick": rows[0].name,
        "said": "Take int8",
        "reasons": ["it is the fastest"],
        "asked": ["25 dB"],
        "prefer": "latency",
        "device": "cpu",
        "timed_on": "this machine",
        "judged_on": "samples held out",
        "samples": 8,
        "metric": "top-1",
        "labelled": "test.npz",
        "left_out": ["int8, repaired"],
        "written": ["model_int8.tflite"],
        "again": "edgeworthy quantize net.py:make --recipe model_int8.recipe.json",
    }
    return RecommendationResult(variants=rows, **(told | more))
