"""What a rating says of its item, and which events the model predicts: one rule for Spark, Arrow and NumPy alike.

A rating lies on the shop's scale. An event without one counts as an event of its behaviour, whatever ratings there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts.columns import Columns as C

LIKED = 0.75
"""Where on the scale a rating begins to be a target event unless a shop says it: 4 of 1 to 5, as in most of the
literature (Liang et al., 2018, "Variational Autoencoders for Collaborative Filtering")."""


@dataclass(frozen=True)
class Scale:
    """The ratings that a shop's users can give."""

    lowest: float
    highest: float
    least_target: float  # what is rated lower is no target event

    def part(self, rating: Any) -> Any:
        """Where a rating lies on the scale, 0 at its lowest end and 1 at its highest; of numbers, arrays or columns."""
        return (rating - self.lowest) / (self.highest - self.lowest)


@dataclass(frozen=True)
class TargetEvents:
    """Which events are target events: those of some behaviours, without a rating or with a good one."""

    behaviours: tuple[str, ...]
    least: float | None = None  # rating; None: whatever the rating

    def are(self, column: Callable[[str], Any], is_null: Callable[[Any], Any]) -> Any:
        """The rule as a predicate over events with a behaviour and a rating.

        Args:
            column: What makes a column of a name: `pyspark.sql.functions.col`, `pyarrow.dataset.field`.
            is_null: What says of such a column whether it is null: `Column.isNull`, `Expression.is_null`.
        """
        is_one = column(C.BEHAVIOUR).isin(list(self.behaviours))
        if self.least is None:
            return is_one
        rating = column(C.RATING)
        return is_one & (is_null(rating) | (rating >= self.least))

    def is_one(self, behaviour: str, rating: float | None) -> bool:
        """Whether a single event is one."""
        return behaviour in self.behaviours and (rating is None or self.least is None or rating >= self.least)
