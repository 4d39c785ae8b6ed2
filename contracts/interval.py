"""The half-open interval [start, end) of days that a run owns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from contracts.errors import SettingsError

YEARS = range(1980, 2200)
"""Years of shops' logs: year 1, 1970 and 9999 are what programs write where they know no time."""


@dataclass(frozen=True)
class Interval:
    """Days from ``start`` up to, not including, ``end``. A night owns one day; a first load owns many."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise SettingsError(
                f"The interval [{self.start}, {self.end}) is empty: --end is the day after the last day."
            )

    @property
    def ds(self) -> date:
        """The night: the last day of the interval. Recommendations made from it are for the day after."""
        return self.end - timedelta(days=1)

    @property
    def days(self) -> list[date]:
        """All days of the interval, in order."""
        return [self.start + timedelta(days=n) for n in range((self.end - self.start).days)]

    def covers(self, ds: Any) -> Any:
        """Whether a day lies in the interval, as a predicate: ``ds`` is a column of Spark or of Arrow, or a date."""
        return (ds >= self.start) & (ds < self.end)

    def bounds(self, zone: tzinfo) -> tuple[datetime, datetime]:
        """The moments at which it begins and ends in the time zone ``zone``, in UTC."""
        return midnight(self.start, zone), midnight(self.end, zone)

    @property
    def end_seconds(self) -> int:
        """The interval's end in seconds of the shop's clock."""
        return midnight_seconds(self.end)

    @classmethod
    def of_night(cls, ds: date) -> Interval:
        """The interval of the night ``ds``.

        Raises:
            SettingsError: it has no day after it.
        """
        if ds == date.max:
            raise SettingsError(f"There is no night {ds}: expected one of the years {YEARS.start} to {YEARS.stop - 1}.")
        return cls(ds, ds + timedelta(days=1))


def midnight(day: date, zone: tzinfo) -> datetime:
    """The moment at which ``day`` begins in a time zone, in UTC as `event_time` is."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def day_ends(day: date, zone: tzinfo) -> datetime:
    """The moment at which ``day`` is over in a time zone, in UTC.

    Raises:
        SettingsError: it has no day after it.
    """
    return Interval.of_night(day).bounds(zone)[1]


def midnight_seconds(day: date) -> int:
    """The start of ``day`` in seconds of the shop's clock, on which every day has 86,400: plain calendar arithmetic."""
    return int(midnight(day, UTC).timestamp())


def clock_seconds(times: Any, zone: tzinfo) -> Any:
    """Moments of an Arrow column in seconds of the clock in ``zone``: since 1970 of its wall clock, as int64 [rows]."""
    import pyarrow as pa
    import pyarrow.compute as pc

    local = pc.local_timestamp(pc.cast(times, pa.timestamp("s", str(zone)), safe=False))
    return local.cast(pa.int64()).to_numpy()
