"""A few users of a published night: what they did last, what they are recommended, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

import pyarrow.dataset as pads

from contracts import lake
from contracts.columns import Columns as C
from contracts.sampling import shuffled
from contracts.settings import Settings
from contracts.tables import EVENTS, FALLBACK, RECOMMENDATIONS
from spark_jobs.reporting.item_texts import item_texts
from spark_jobs.reporting.pseudonyms import pseudonym, pseudonym_key
from spark_jobs.reporting.sampling import users_of

CONSIDERED = 1000
"""Users among whom the examples are chosen."""
HISTORY = 8
"""Items of the history shown."""

Past = dict[str, tuple[int, date]]
"""Items of a user's target events, newest first: how often, and when last."""


@dataclass(frozen=True)
class PastItem:
    """An item of a user's target events."""

    text: str
    times: int
    last: date


@dataclass(frozen=True)
class Recommended:
    """An item of a user's list."""

    rank: int
    text: str
    source: str
    why: str


@dataclass(frozen=True)
class Example:
    """A user of a night; items of the history are newest first."""

    user: str  # a pseudonym
    events: int
    history: tuple[PastItem, ...]
    recommendations: tuple[Recommended, ...]


def examples(settings: Settings, ds: date, users: int = 3) -> list[Example]:
    """``users`` users of the published night ``ds``, from much to little history.

    Raises:
        InputError: nothing was published for the night.
    """
    known = lake.known_before(ds + timedelta(days=1), pads.field, settings.shop.zone)
    activity = _activity(settings, ds, known)
    chosen = spread(sorted(activity, key=lambda user: (-activity[user], shuffled(user))), users)
    lists = _lists(settings, ds, chosen)
    past = _past(settings, known, chosen)
    shown = {item for items in past.values() for item in items}
    shown |= {row[key] for rows in lists.values() for row in rows for key in (C.ITEM_ID, C.BECAUSE) if row[key]}
    texts = item_texts(settings, shown, ds)
    key = pseudonym_key(settings)
    return [
        Example(
            pseudonym(user, key),
            activity[user],
            tuple(PastItem(texts[item], times, last) for item, (times, last) in list(past[user].items())[:HISTORY]),
            tuple(
                Recommended(row[C.RANK], texts[row[C.ITEM_ID]], row[C.SOURCE], why(row, past[user], texts, ds))
                for row in lists[user]
            ),
        )
        for user in chosen
    ]


def spread(ranked: Sequence[str], count: int) -> list[str]:
    """``count`` of ``ranked``, evenly spread over it, away from its ends."""
    count = min(count, len(ranked))
    return [ranked[(2 * n + 1) * len(ranked) // (2 * count)] for n in range(count)]


def why(row: Mapping[str, Any], past: Mapping[str, tuple[int, date]], texts: Mapping[str, str], ds: date) -> str:
    """Why an item is on a list, in words and figures that the tables bear out."""
    because = row[C.BECAUSE]
    other = texts[because] if because and because != row[C.ITEM_ID] else None
    if row[C.SOURCE] == "repeat":
        if row[C.ITEM_ID] not in past:
            return "looked at before"
        times, last = past[row[C.ITEM_ID]]
        return f"once, {_ago(ds, last)}" if times == 1 else f"{times} ×, last {_ago(ds, last)}"
    if row[C.SOURCE] == "together" and other:
        last_time = f", last {_ago(ds, past[because][1])}" if because in past else ""
        return f"goes with {other}{last_time}"
    if row[C.SOURCE] == "match":
        return f"close to {other}" if other else "fits what this user does"
    if row[C.SOURCE] == "text" and other:
        return f"reads like {other}"
    if row[C.SOURCE] in ("popular", FALLBACK):
        return "popular with everyone now"
    return f"{row[C.SOURCE]}: {other}" if other else str(row[C.SOURCE])


def text(chosen: Sequence[Example], recommendations: int = 8) -> str:
    """The examples for a terminal, with the first ``recommendations`` of each list."""
    lines: list[str] = []
    for example in chosen:
        lines += [f"{example.user}, {example.events:,} events", "  history, newest first:"]
        lines += [f"    {item.last}  {item.times:>3} ×  {_short(item.text)}" for item in example.history]
        lines.append("  is recommended:")
        lines += [
            f"    {row.rank:>2}  {_short(row.text):<46}  {row.source:<8}  {_short(row.why, 60)}"
            for row in example.recommendations[:recommendations]
        ]
        lines.append("")
    return "\n".join(lines).rstrip()


def _activity(settings: Settings, ds: date, known: pads.Expression) -> dict[str, int]:
    """Users of the night that come into question, each with the number of known events."""
    considered = users_of(settings, ds, CONSIDERED).users
    events = lake.counts(settings, EVENTS, [C.USER_ID], known & pads.field(C.USER_ID).isin(considered))
    counted = dict(zip(events[C.USER_ID].to_pylist(), events[lake.COUNT].to_pylist(), strict=True))
    return {user: counted.get(user, 0) for user in considered}


def _lists(settings: Settings, ds: date, users: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """The night's lists of some users."""
    theirs = (pads.field(C.DS) == ds) & pads.field(C.USER_ID).isin(users)
    rows = lake.few(settings, RECOMMENDATIONS, [C.USER_ID, C.ITEMS], theirs).to_pylist()
    return {row[C.USER_ID]: row[C.ITEMS] for row in rows}


def _past(settings: Settings, known: pads.Expression, users: Sequence[str]) -> dict[str, Past]:
    """Items of the known target events of some users."""
    is_target = settings.ingest.target_events.are(pads.field, pads.Expression.is_null)
    theirs = known & is_target & pads.field(C.USER_ID).isin(users)
    events = lake.few(settings, EVENTS, [C.USER_ID, C.ITEM_ID, C.EVENT_TIME], theirs).to_pylist()
    zone = settings.shop.zone
    return {user: _by_item((row for row in events if row[C.USER_ID] == user), zone) for user in users}


def _by_item(events: Iterable[Mapping[str, Any]], zone: tzinfo) -> Past:
    """Each item with how often and on which day of the shop last, newest first, ties by how often and item."""
    times: Counter[str] = Counter()
    last: dict[str, datetime] = {}
    for row in events:
        item = row[C.ITEM_ID]
        times[item] += 1
        last[item] = max(last.get(item, row[C.EVENT_TIME]), row[C.EVENT_TIME])
    order = sorted(times, key=lambda item: (-last[item].timestamp(), -times[item], item))
    return {item: (times[item], last[item].astimezone(zone).date()) for item in order}


def _ago(ds: date, day: date) -> str:
    """How long ago a day is on the day after the night ``ds``, for which the lists are."""
    days = (ds + timedelta(days=1) - day).days
    return "yesterday" if days == 1 else f"{days} days ago"


def _short(value: str, width: int = 46) -> str:
    """``value`` cut to ``width`` characters."""
    return value if len(value) <= width else f"{value[: width - 1]}…"
