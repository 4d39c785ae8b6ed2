"""What the user had before, the most and the latest first."""

from __future__ import annotations

import numpy as np

from contracts.settings import Baselines
from models.baselines.base import Baseline, Entries, of_users
from models.behaviours import Known
from models.excluded import Excluded


def own_repeats_name(rules: Baselines) -> str:
    """Name in the tables: another half-life is another baseline."""
    return f"baseline/own_repeats_{rules.repeat_half_life_days:g}_days"


class OwnRepeats(Baseline):
    """Each user's items by decayed count of target events, ``sum 2 ** (-age / half life)``."""

    def __init__(self, rules: Baselines) -> None:
        super().__init__(rules)
        self.name = own_repeats_name(rules)

    def _learn(self, everyone: Known) -> None:
        """Nothing: a user's own events say it all."""

    def _scores(self, known: Known, n: int, excluded: Excluded) -> Entries:  # noqa: ARG002
        targets = known.targets
        return of_users(targets, self.items, np.exp2(-targets.ages(known.now) / self.rules.repeat_half_life_days))
