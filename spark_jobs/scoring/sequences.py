"""The one order of a user's events, for training and for the night: by time, then session, item and behaviour."""

from __future__ import annotations

from pyspark.sql import Column, WindowSpec
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from contracts.columns import Columns as C

TIME, SESSION = "time", "session"
"""Fields of `event`, besides the item and the behaviour."""


def event() -> Column:
    """An event of `events` as a struct; sorted, such structs are in order."""
    return F.struct(_seconds().alias(TIME), _session().alias(SESSION), C.ITEM_ID, C.BEHAVIOUR)


def newest_first(*partition: str) -> WindowSpec:
    """A window over each user's events, and over ``partition`` of them, from the last one on."""
    keys = (_seconds(), _session(), F.col(C.ITEM_ID), F.col(C.BEHAVIOUR))
    return Window.partitionBy(C.USER_ID, *partition).orderBy(*(key.desc() for key in keys))


def arrays(events: Column) -> list[Column]:
    """An array of `event` as the columns item_ids, behaviours, times, sessions."""
    return [
        events[C.ITEM_ID].alias(C.ITEM_IDS),
        events[C.BEHAVIOUR].alias(C.BEHAVIOURS),
        events[TIME].alias(C.TIMES),
        events[SESSION].alias(C.SESSIONS),
    ]


def _seconds() -> Column:
    return F.unix_seconds(C.EVENT_TIME)


def _session() -> Column:
    """A hash of the session's id, by which sessions of one user differ; 0 where the log names none."""
    return F.when(F.col(C.SESSION_ID).isNotNull(), F.xxhash64(C.SESSION_ID)).otherwise(F.lit(0))
