"""What a pair model gained and costs. Kept beside the model's curves, for the report and the log. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from models.artifact import told_of_training

PAIR_MODEL = "pair_model"
"""Its place in the file of the curves."""


@dataclass(frozen=True)
class Gain:
    """What one way of using it does for users that it did not learn from, in the ranker's windows."""

    best: int  # candidates that are reordered
    weight: float  # of its logits
    users: int
    before: float  # NDCG@10 of the ranker's order
    after: float  # … of the new one
    low: float  # paired interval of the difference, 95%
    high: float
    milliseconds: float  # a user, on one core

    def __str__(self) -> str:
        return (
            f"the {self.best} best reordered with weight {self.weight:.2f}: {self.after - self.before:+.4f} "
            f"[{self.low:+.4f}, {self.high:+.4f}] NDCG@10 ({self.after:.4f}, without it {self.before:.4f}) of "
            f"{self.users:,} users that it did not learn from, {self.milliseconds:.2f} ms a user"
        )


@dataclass(frozen=True)
class Gains:
    """Of each way that was measured."""

    use: str  # the night's
    ways: Mapping[str, Gain]

    def to_json(self) -> dict[str, object]:
        """As it stands in the file."""
        return asdict(self)

    @classmethod
    def of_model(cls, folder: Path) -> Gains | None:
        """Of the model in ``folder``; None where its folder is gone, or it has no pair model."""
        told = told_of_training(folder).get(PAIR_MODEL)
        return cls(told["use"], {way: Gain(**gain) for way, gain in told["ways"].items()}) if told else None

    def __str__(self) -> str:
        ways = [
            f"{way} (the night's): {gain}" if way == self.use else f"{way}: {gain}" for way, gain in self.ways.items()
        ]
        return "; ".join(ways)
