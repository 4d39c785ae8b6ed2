"""How long a night waits for its logs, and the weekly model for its night; how that is said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from contracts.interval import day_ends, midnight
from contracts.settings import Settings

WAITS = "Waits for "
"""How the line of a task's log starts that says what the task waits for, why, and until when."""

AHEAD = timedelta(days=1)
"""So long before its end a day may be asked for, and is waited for; asked for earlier, the day is a mistake."""


@dataclass(frozen=True)
class Patience:
    """Until when a night waits for its logs: moments in UTC."""

    day_ends: datetime
    alert_at: datetime
    give_up_at: datetime

    @classmethod
    def of(cls, settings: Settings, ds: date) -> Patience:
        """That of the night ``ds``."""
        end = day_ends(ds, settings.shop.zone)
        rule = settings.delivery
        alert, give_up = (timedelta(minutes=after) for after in (rule.alert_after_minutes, rule.give_up_after_minutes))
        return cls(end, end + alert, end + give_up)


def model_waits_until(settings: Settings, as_of: date, started: datetime | None = None) -> datetime:
    """Until when the weekly model as of a day waits for the night of the day before.

    A run that ``started`` late, because no scheduler ran, did so beside its night, which is late as well.
    """
    begins = midnight(as_of, settings.shop.zone)
    return max(begins, started or begins) + timedelta(minutes=settings.weekly.wait_minutes)


def clock(settings: Settings, moment: datetime) -> str:
    """A moment as the shop's clock shows it."""
    return f"{moment.astimezone(settings.shop.zone):%Y-%m-%d %H:%M} ({settings.shop.time_zone})"
