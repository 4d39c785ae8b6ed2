"""The windows of a snapshot: what the model is trained, chosen and tested on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from contracts.interval import midnight_seconds
from contracts.ratings import TargetEvents
from contracts.settings import Settings

TRAIN, VALIDATION, TEST, LATEST = "train", "validation", "test", "latest"
"""The splits of a snapshot. The last one has all that is known at its end: what a promoted model is refitted on."""

WINDOWS_IN_HISTORY = 8
"""A history that is so many windows long has half of it before those that are learnt from, chosen and tested on."""
LONGER_DAYS = (7, 14, 28)
"""Windows of whole weeks, so that weekdays weigh the same: the shortest one in which enough users have targets."""
ENOUGH_USERS = 200
"""Users with a target event in a window: with fewer, an NDCG@10 of .1 is known to no better than .02."""


def horizon_days(history_days: int, users_within: Mapping[int, int], target_ages: Collection[int]) -> int:
    """How far ahead a model should predict, which is the length of its windows, from the history that there is.

    Args:
        history_days: Days from the first event to the end.
        users_within: Of each of `LONGER_DAYS`, users with a target event in so many days before the end.
        target_ages: How many days before the end there are target events, 0 for the last day.
    """
    longest = max(1, history_days // WINDOWS_IN_HISTORY)
    fitting = [days for days in LONGER_DAYS if days <= longest]
    chosen = next((days for days in fitting if users_within[days] >= ENOUGH_USERS), max(fitting, default=longest))
    # a shop that sells on few days needs windows that hold some of them
    longer = (days for days in (chosen, *LONGER_DAYS) if chosen <= days < history_days / 2)
    return next((days for days in longer if {0, 1} <= {age // days for age in target_ages}), chosen)


@dataclass(frozen=True)
class Windows:
    """What a snapshot is made from."""

    end: date
    window_days: int
    max_history: int
    targets: TargetEvents
    time_zone: str = "UTC"

    @classmethod
    def of(cls, settings: Settings, end: date, window_days: int) -> Windows:
        """The windows of so many days that count back from ``end``."""
        return cls(
            end, window_days, settings.splits.max_history, settings.ingest.target_events, settings.shop.time_zone
        )

    @property
    def zone(self) -> ZoneInfo:
        """The time zone whose midnights are the windows' borders."""
        return ZoneInfo(self.time_zone)

    @property
    def snapshot_id(self) -> str:
        """Names the end, windows, caps, target events and clock: equal ids of equal events are equal rows."""
        clock = [] if self.time_zone == "UTC" else [self.time_zone]
        rated = [] if self.targets.least is None else [self.targets.least]
        told = json.dumps([self.window_days, self.max_history, self.targets.behaviours, *clock, *rated])
        return f"{self.end}-{self.window_days}d-{hashlib.sha256(told.encode()).hexdigest()[:8]}"

    @property
    def validation_start(self) -> int:
        """Start of the validation window, seconds of the shop's clock; what the model is trained on lies before."""
        return midnight_seconds(self.end - timedelta(days=2 * self.window_days))

    @property
    def test_start(self) -> int:
        """Start of the test window, seconds of the shop's clock."""
        return midnight_seconds(self.end - timedelta(days=self.window_days))
