"""The windows of a snapshot: what the model is trained, chosen and tested on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from contracts.interval import midnight_seconds
from contracts.settings import Settings

TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True)
class Windows:
    """What a snapshot is made from."""

    end: date
    window_days: int
    max_history: int
    targets: tuple[str, ...]
    time_zone: str = "UTC"

    @classmethod
    def of(cls, settings: Settings, end: date) -> Windows:
        """The windows that count back from ``end``."""
        splits, targets = settings.splits, tuple(sorted(settings.ingest.targets))
        return cls(end, splits.window_days, splits.max_history, targets, settings.shop.time_zone)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone whose midnights are the windows' borders."""
        return ZoneInfo(self.time_zone)

    @property
    def snapshot_id(self) -> str:
        """Names the end, the windows, the caps and the clock: equal ids of equal events are equal rows."""
        clock = [] if self.time_zone == "UTC" else [self.time_zone]
        told = json.dumps([self.window_days, self.max_history, self.targets, *clock])
        return f"{self.end}-{self.window_days}d-{hashlib.sha256(told.encode()).hexdigest()[:8]}"

    @property
    def validation_start(self) -> int:
        """Start of the validation window, seconds of the shop's clock; what the model is trained on lies before."""
        return midnight_seconds(self.end - timedelta(days=2 * self.window_days))

    @property
    def test_start(self) -> int:
        """Start of the test window, seconds of the shop's clock."""
        return midnight_seconds(self.end - timedelta(days=self.window_days))
