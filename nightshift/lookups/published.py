"""Published nights, and the events that a night knew of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pyarrow.dataset as pads

from contracts import lake
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.interval import midnight
from contracts.settings import Settings
from contracts.states import Row, newest_published
from contracts.tables import EVENTS, PUBLICATIONS

NAMED = 10
"""Days that an error names at most."""


@dataclass(frozen=True)
class Event:
    """Something that a user did."""

    time: datetime
    behaviour: str
    item_id: str
    rating: float | None = None


def newest_days(days: Iterable[date]) -> str:
    """Days in words, newest first; of many the newest."""
    ordered = sorted(days, reverse=True)
    more = f", and {len(ordered) - NAMED:,} before" if len(ordered) > NAMED else ""
    return (", ".join(map(str, ordered[:NAMED])) or "none") + more


def published(settings: Settings, ds: date | None) -> Row:
    """The row of `publications` whose lists readers get: of the night ``ds``, or of the newest one.

    Raises:
        InputError: that night was not published, or none; the message names those that were.
    """
    rows = lake.rows(settings, PUBLICATIONS)
    chosen = newest_published(row for row in rows if ds in (None, row[C.DS]))
    if chosen is None and newest_published(rows) is None:
        raise InputError(f"Nothing was published yet (table {lake.path(settings, PUBLICATIONS)}): run a night first.")
    if chosen is None:
        raise InputError(f"The night {ds} was not published. Published nights: {published_days(rows)}.")
    return chosen


def published_days(rows: Iterable[Row]) -> str:
    """The published nights of rows of `publications`, in words."""
    rows = list(rows)
    return newest_days(ds for ds in {row[C.DS] for row in rows} if newest_published(r for r in rows if r[C.DS] == ds))


def events_of(settings: Settings, ds: date, user: str) -> list[Event]:
    """What the night ``ds`` knew of a user, newest first."""
    if not lake.exists(settings, EVENTS):
        return []
    known = lake.known_before(ds + timedelta(days=1), pads.field, settings.shop.zone) & (pads.field(C.USER_ID) == user)
    rows = lake.arrow(settings, EVENTS, [C.EVENT_TIME, C.BEHAVIOUR, C.ITEM_ID, C.RATING], known).to_pylist()
    events = [Event(row[C.EVENT_TIME], row[C.BEHAVIOUR], row[C.ITEM_ID], row[C.RATING]) for row in rows]
    return sorted(sorted(events, key=lambda each: (each.item_id, each.behaviour)), key=lambda e: e.time, reverse=True)


def excluding(settings: Settings, events: Iterable[Event], ds: date) -> list[Event]:
    """Those of a user's events by which `scoring.exclude_seen_days` keeps their items out of the night ``ds``.

    As `spark_jobs.scoring.histories.excluded_items` has it in Spark.
    """
    end, zone = ds + timedelta(days=1), settings.shop.zone
    rules = settings.scoring.exclude_seen_days
    since = {name: midnight(end - timedelta(days=days), zone) for name, days in rules.items()}
    return [each for each in events if each.behaviour in since and each.time >= since[each.behaviour]]
