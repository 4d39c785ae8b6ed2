"""The events of the seven days that end with a night, counted while they are read: in memory are the counts alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.dataset as pads

from contracts import catalogue, lake
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.interval import Interval
from contracts.settings import Settings
from contracts.tables import EVENTS
from models.catalogue import ATTRIBUTES
from models.known_ids import KnownIds, Newcomers
from models.profile import WEEK, Profile
from spark_jobs.quality.drift import Week


def week(settings: Settings, night: date, profile: Profile | None) -> Week:
    """What was taken in of the seven days that end with ``night``, with items as the night's catalogue has them.

    Who and what is new is so to the training that ``profile`` is of; without one, nothing is known of that.

    Raises:
        InputError: there are no events at all.
    """
    days = Interval(night - timedelta(days=WEEK - 1), night + timedelta(days=1))
    where = days.covers(pads.field(C.DS))
    by_day = lake.counts(settings, EVENTS, [C.DS, C.BEHAVIOUR], where)
    by_item = lake.counts(settings, EVENTS, [C.ITEM_ID], where)
    return Week(
        night,
        *_sums(by_day),
        attributes_of(settings, night, by_item),
        _newcomers(profile.items, by_item) if profile else Newcomers(),
        _new_users(settings, where, profile.users) if profile else Newcomers(),
    )


def _newcomers(known: KnownIds, counted: pa.Table) -> Newcomers:
    """Events of new ids, from a table of ids with the events of each."""
    return known.newcomers(counted[0].to_pylist(), counted[1].to_numpy())


def _new_users(settings: Settings, where: pads.Expression, known: KnownIds) -> Newcomers:
    """Events of new users, without a count for each user: that would be as large as the shop."""
    parts = lake.parts(settings, EVENTS, [C.USER_ID], where)
    return sum(
        (_newcomers(known, part.group_by(C.USER_ID).aggregate([([], "count_all")])) for part in parts), Newcomers()
    )


def _sums(by_day: pa.Table) -> tuple[dict[date, int], dict[str, int]]:
    """Events of each day, and of each behaviour."""
    per_day: dict[date, int] = {}
    per_behaviour: dict[str, int] = {}
    for row in by_day.to_pylist():
        day, behaviour, events = row[C.DS], row[C.BEHAVIOUR], row[lake.COUNT]
        per_day[day] = per_day.get(day, 0) + events
        per_behaviour[behaviour] = per_behaviour.get(behaviour, 0) + events
    return per_day, per_behaviour


def attributes_of(settings: Settings, night: date, by_item: pa.Table) -> dict[str, Mapping[str | None, int]]:
    """Events by each attribute's values; those of items that the catalogue does not hold have none."""
    rows = catalogue.arrow(settings, Edition(night), [C.ITEM_ID, *ATTRIBUTES], by_item[C.ITEM_ID].to_pylist())
    known = {row[C.ITEM_ID]: row for row in rows.to_pylist()}
    found: dict[str, dict[str | None, int]] = {name: {} for name in ATTRIBUTES}
    for item, events in zip(by_item[C.ITEM_ID].to_pylist(), by_item[lake.COUNT].to_pylist(), strict=True):
        row = known.get(item, {})
        for name, counts in found.items():
            value = row.get(name)
            counts[value] = counts.get(value, 0) + events
    return dict(found)
