"""The events of the seven days that end with a night, counted while they are read: in memory are the counts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.dataset as pads
from pyarrow import acero

from contracts import catalogue, lake
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.interval import Interval
from contracts.settings import Settings
from contracts.tables import EVENTS
from models.catalogue import ATTRIBUTES
from models.profile import WEEK
from spark_jobs.quality.drift import Week

EVENTS_OF_EACH = "events"
"""Column with the number of a group's events."""

GROUPS = ((C.DS, C.BEHAVIOUR), (C.ITEM_ID,), (C.USER_ID,))
"""What is counted."""


def week(settings: Settings, night: date) -> Week:
    """What was taken in of the seven days that end with ``night``, with items as the night's catalogue has them.

    Raises:
        InputError: there are no events at all.
    """
    days = Interval(night - timedelta(days=WEEK - 1), night + timedelta(days=1))
    data, where = lake.dataset(settings, EVENTS), days.covers(pads.field(C.DS))
    by_day, by_item, by_user = (_counted(data, where, names) for names in GROUPS)
    return Week(
        night,
        *_sums(by_day),
        attributes_of(settings, night, by_item),
        *(
            (each[name].to_pylist(), each[EVENTS_OF_EACH].to_numpy())
            for name, each in ((C.ITEM_ID, by_item), (C.USER_ID, by_user))
        ),
    )


def _counted(data: pads.Dataset, where: pads.Expression, names: Sequence[str]) -> pa.Table:
    """Number of events by ``names``."""
    plan = acero.Declaration.from_sequence(
        [
            acero.Declaration("scan", acero.ScanNodeOptions(data, columns=list(names), filter=where)),
            # a scan filters whole files only
            acero.Declaration("filter", acero.FilterNodeOptions(where)),
            acero.Declaration(
                "aggregate",
                acero.AggregateNodeOptions([([], "hash_count_all", None, EVENTS_OF_EACH)], keys=list(names)),
            ),
        ]
    )
    return plan.to_table()


def _sums(by_day: pa.Table) -> tuple[dict[date, int], dict[str, int]]:
    """Events of each day, and of each behaviour."""
    per_day: dict[date, int] = {}
    per_behaviour: dict[str, int] = {}
    for row in by_day.to_pylist():
        day, behaviour, events = row[C.DS], row[C.BEHAVIOUR], row[EVENTS_OF_EACH]
        per_day[day] = per_day.get(day, 0) + events
        per_behaviour[behaviour] = per_behaviour.get(behaviour, 0) + events
    return per_day, per_behaviour


def attributes_of(settings: Settings, night: date, by_item: pa.Table) -> dict[str, Mapping[str | None, int]]:
    """Events by each attribute's values; those of items that the catalogue does not hold have none."""
    rows = catalogue.arrow(settings, Edition(night), [C.ITEM_ID, *ATTRIBUTES], by_item[C.ITEM_ID].to_pylist())
    known = {row[C.ITEM_ID]: row for row in rows.to_pylist()}
    found: dict[str, dict[str | None, int]] = {name: {} for name in ATTRIBUTES}
    for item, events in zip(by_item[C.ITEM_ID].to_pylist(), by_item[EVENTS_OF_EACH].to_pylist(), strict=True):
        row = known.get(item, {})
        for name, counts in found.items():
            value = row.get(name)
            counts[value] = counts.get(value, 0) + events
    return dict(found)
