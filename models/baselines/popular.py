"""The same popular items for everyone."""

from __future__ import annotations

from contracts.settings import Baselines
from models.baselines.base import Baseline, Entries, joined
from models.behaviours import Known
from models.excluded import Excluded


def popular_name(rules: Baselines) -> str:
    """Name in the tables: other days are another baseline."""
    return f"baseline/popular_{rules.popular_days}_days"


class Popular(Baseline):
    """Items with most target events in the last days."""

    def __init__(self, rules: Baselines) -> None:
        super().__init__(rules)
        self.name = popular_name(rules)

    def _learn(self, everyone: Known) -> None:
        """The popular items are what every baseline knows."""

    def _scores(self, known: Known, n: int, excluded: Excluded) -> Entries:  # noqa: ARG002
        return joined([])
