"""What a quantized file has to reach, and what one reaches."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

MARGIN_DB = 3.5
"""What a search asks beyond the budget: on the samples that a file was chosen by it does better than on others."""

STEP_DB = 3.0
"""What a search asks more, at least, where the file that it ended with misses the budget on others."""


@dataclass(frozen=True)
class Quality:
    """How near a file is to the float one on the samples that it is judged by.

    Attributes:
        sqnr_db: Of the worst group of channels of the worst output.
        agreement: Share of the samples with the same top-1 class, of the worst output; None without classes.
        accuracy_drop: Accuracy of the float file less that of this one; None without labels.
    """

    sqnr_db: float
    agreement: float | None = None
    accuracy_drop: float | None = None

    def worse(self, other: Quality) -> Quality:
        """The worse of both in everything; classes that one of them doesn't know are the other's."""
        agreements = [q.agreement for q in (self, other) if q.agreement is not None]
        drops = [q.accuracy_drop for q in (self, other) if q.accuracy_drop is not None]
        return Quality(min(self.sqnr_db, other.sqnr_db), min(agreements, default=None), max(drops, default=None))

    def __str__(self) -> str:
        said = ["exact" if self.sqnr_db == math.inf else f"{self.sqnr_db:.1f} dB"]
        if self.agreement is not None:
            said.append(f"{self.agreement:.1%} the same class")
        if self.accuracy_drop is not None:
            said.append(f"accuracy {-self.accuracy_drop:+.1%}")
        return ", ".join(said)


@dataclass(frozen=True)
class Budget:
    """What must hold; None asks nothing.

    Attributes:
        min_sqnr_db: Least SQNR.
        min_agreement: Least share of samples with the same top-1 class.
        max_accuracy_drop: Most that accuracy may fall, as a share of the samples.
    """

    min_sqnr_db: float | None = 25.0
    min_agreement: float | None = None
    max_accuracy_drop: float | None = None

    def met(self, quality: Quality) -> bool:
        """Whether all of it holds. What can't be measured (classes that there aren't) is not met."""
        return not self.missed(quality)

    def with_margin(self) -> Budget:
        """What a search aims at."""
        return self if self.min_sqnr_db is None else replace(self, min_sqnr_db=self.min_sqnr_db + MARGIN_DB)

    def raised(self, reached: Quality, asked: Budget, confirmed: Quality) -> Budget:
        """What a search aims at where the last one's file, of this aim, misses what was asked on other samples.

        Args:
            reached: On the samples that it was chosen by.
            asked: What has to hold.
            confirmed: What does, on others.
        """
        short = 0.0 if asked.min_sqnr_db is None else asked.min_sqnr_db - confirmed.sqnr_db
        aim = reached.sqnr_db if self.min_sqnr_db is None else self.min_sqnr_db
        return replace(self, min_sqnr_db=aim + max(short, STEP_DB))

    def asked(self) -> list[str]:
        """What it asks, a phrase each."""
        found = []
        if self.min_sqnr_db is not None:
            found.append(f"{self.min_sqnr_db:g} dB")
        if self.min_agreement is not None:
            found.append(f"the same class in {self.min_agreement:.1%} of the samples")
        if self.max_accuracy_drop is not None:
            found.append(f"accuracy within {self.max_accuracy_drop:.1%}")
        return found

    def missed(self, quality: Quality) -> list[str]:
        """What doesn't hold, a phrase each."""
        found = []
        if self.min_sqnr_db is not None and quality.sqnr_db < self.min_sqnr_db:
            found.append(f"{quality.sqnr_db:.1f} dB is less than {self.min_sqnr_db:g} dB")
        if self.min_agreement is not None and (quality.agreement is None or quality.agreement < self.min_agreement):
            share = "no output has classes" if quality.agreement is None else f"{quality.agreement:.1%} of the samples"
            found.append(f"the same class in {self.min_agreement:.1%} of the samples: {share}")
        drop = quality.accuracy_drop
        if self.max_accuracy_drop is not None and (drop is None or drop > self.max_accuracy_drop):
            fell = "there are no labels" if drop is None else f"it falls by {drop:.1%}"
            found.append(f"accuracy may fall by {self.max_accuracy_drop:.1%}: {fell}")
        return found
