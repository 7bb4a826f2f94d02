"""What a recommended file has to keep to: the budget of ``--repair``, and the limits of ``[recommend]``."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config import Config
from ..display import percent
from ..errors import BadInput
from ..quantize.repair.budget import Budget, Quality
from ..quantize_tables import RecommendTable

if TYPE_CHECKING:
    from ..validate.advice import VariantResult

_DROP = 0.01
"""What accuracy on labelled data may fall by, where nobody says."""

_HERE = {"x86_64": "x86", "AMD64": "x86", "aarch64": "arm", "arm64": "arm"}
"""What Python calls a processor → the device that it is."""


@dataclass(frozen=True)
class RecommendationLimits:
    """All limits of a recommendation.

    With labelled data accuracy is held, within 1 % of float32's where nobody says, and the SQNR only where it is given;
    without, the SQNR.
    """

    budget: Budget
    table: RecommendTable

    @classmethod
    def of(cls, config: Config, *, labelled: bool) -> RecommendationLimits:
        """Those of a configuration.

        Raises:
            BadInput: accuracy is limited, and there is no labelled data.
        """
        table, own = config.quantize.budget, config.recommend
        for flag, value in (("--max-accuracy-drop", table.max_accuracy_drop), ("--min-accuracy", own.min_accuracy)):
            if value is not None and not labelled:
                raise BadInput(
                    "accuracy can't be held without labelled data",
                    where=flag,
                    remedy="give --labelled data.npz, with an array for each input and one called labels",
                )
        least, drop = table.min_sqnr_db, table.max_accuracy_drop
        if labelled and "min_sqnr_db" not in table.model_fields_set:
            least = None
        if labelled and drop is None and own.min_accuracy is None:
            drop = _DROP
        return cls(Budget(least, table.min_agreement, drop), own)

    def asked(self) -> list[str]:
        """The limits, a phrase each."""
        own, found = self.table, self.budget.asked()
        if own.min_accuracy is not None:
            found.append(f"accuracy at least {percent(own.min_accuracy)}")
        if own.max_size_mb is not None:
            found.append(f"at most {own.max_size_mb:g} MB")
        if own.max_latency_ratio is not None:
            found.append(f"at most {own.max_latency_ratio:g}× the time of float32")
        return found

    def missed(self, one: VariantResult) -> list[str]:
        """What an variant doesn't keep to, a phrase each; what could not be measured is not kept."""
        own, made = self.table, one.tradeoff
        if made is None:
            return ["nothing could be measured"]
        agreement = 1.0 if made.exact else made.top1_agreement
        drop = 0.0 if one.drop is None and made.exact and one.accuracy is not None else one.drop
        found = self.budget.missed(Quality(made.quality_db, agreement, drop))
        if own.min_accuracy is not None and (one.accuracy is None or one.accuracy < own.min_accuracy):
            found.append(f"accuracy {percent(one.accuracy)} is less than {percent(own.min_accuracy)}")
        megabytes = (one.size_bytes or 0) / 1e6
        if own.max_size_mb is not None and megabytes > own.max_size_mb:
            found.append(f"{megabytes:.3g} MB is more than {own.max_size_mb:g} MB")
        ratio, most = made.latency_ratio, own.max_latency_ratio
        if most is not None and (ratio is None or ratio > most):
            took = "no time was taken" if ratio is None else f"it takes {ratio:.2f}×"
            found.append(f"at most {most:g}× the time of float32: {took}")
        return found


def timed_here(device: str) -> bool:
    """Whether this machine's times, on XNNPACK, tell something of a device of ``[quantize]``."""
    return device in ("cpu", _HERE.get(platform.machine()))
