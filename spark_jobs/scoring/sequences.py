"""The one order of a user's events, for training and for the night: by time, then session, item, behaviour
and rating.

Here the moments of `event_time`, which are UTC, become seconds of the shop's clock. In the hour that is repeated when
summer time ends, the order of a user's events can differ from that in which they happened.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from pyspark.sql import Column, WindowSpec
from pyspark.sql import functions as F
from pyspark.sql.window import Window

from contracts.columns import Columns as C

TIME, SESSION = "time", "session"
"""Fields of `event`, besides the item, the behaviour and the rating."""


def event(zone: ZoneInfo) -> Column:
    """An event of `events` as a struct; sorted, such structs are in order."""
    return F.struct(shop_seconds(zone).alias(TIME), _session().alias(SESSION), C.ITEM_ID, C.BEHAVIOUR, C.RATING)


def newest_first(zone: ZoneInfo, *partition: str) -> WindowSpec:
    """A window over each user's events, and over ``partition`` of them, from the last one on."""
    keys = (shop_seconds(zone), _session(), F.col(C.ITEM_ID), F.col(C.BEHAVIOUR), F.col(C.RATING))
    return Window.partitionBy(C.USER_ID, *partition).orderBy(*(key.desc() for key in keys))


def arrays(events: Column) -> list[Column]:
    """An array of `event` as the columns item_ids, behaviours, times, sessions, ratings."""
    ratings = events[C.RATING].cast("array<float>")
    are_rated = F.exists(ratings, lambda rating: rating.isNotNull())
    return [
        events[C.ITEM_ID].alias(C.ITEM_IDS),
        events[C.BEHAVIOUR].alias(C.BEHAVIOURS),
        events[TIME].alias(C.TIMES),
        events[SESSION].alias(C.SESSIONS),
        F.when(are_rated, ratings).alias(C.RATINGS),
    ]


def shop_time(zone: ZoneInfo) -> Column:
    """`event_time` as the shop's wall clock showed it, as if that were UTC: it compares with `ds`."""
    time = F.col(C.EVENT_TIME)
    return time if zone.key == "UTC" else F.from_utc_timestamp(time, zone.key)


def shop_seconds(zone: ZoneInfo) -> Column:
    """`event_time` in seconds of the shop's clock."""
    return F.unix_seconds(shop_time(zone))


def _session() -> Column:
    """A hash of the session's id, by which sessions of one user differ; 0 where the log names none."""
    return F.when(F.col(C.SESSION_ID).isNotNull(), F.xxhash64(C.SESSION_ID)).otherwise(F.lit(0))
