"""A few households of a published night: what they bought, what they are recommended, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as ds

from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.settings import Settings
from spark_jobs.contracts.tables import EVENTS, ITEMS, RECOMMENDATIONS, Table
from spark_jobs.storage import open_table, small_rows

SHARES = (0.1, 0.5, 0.9)
"""The households shown: little, medium and much active, as shares of all households by number of events."""

SHOWN = 5
WIDTH = 62


def examples(settings: Settings, night: date) -> str:
    """The households as text."""
    published = small_rows(settings, RECOMMENDATIONS, {C.DS: night})
    published = small_rows(settings, RECOMMENDATIONS, {C.DS: night})
    lists = {row[C.USER_ID]: row[C.ITEMS] for row in published}
    activity = user_activity(settings, lists, night)
    ranked = sorted(activity, key=lambda user: (activity[user], user))
    users = [ranked[int(share * len(ranked))] for share in SHARES] if ranked else []
    histories = {user: last_items(settings, user, night) for user in users}
    wanted = {item for history in histories.values() for _, item in history}
    for entry in (entry for user in users for entry in lists[user][:SHOWN]):
        wanted |= {entry[C.ITEM_ID], entry[C.BECAUSE]} - {None}
    texts = item_texts(settings, wanted)
    return "\n\n".join(
        household(user, activity[user], histories[user], lists[user][:SHOWN], texts, night) for user in users
    )


def user_activity(settings: Settings, users: Iterable[str], night: date) -> dict[str, int]:
    """Number of events up to the night of each of ``users``."""
    counts = _rows(settings, EVENTS, [C.USER_ID], ds.field(C.DS) <= night).group_by(C.USER_ID)
    table = counts.aggregate([(C.USER_ID, "count")])
    found = dict(zip(table[C.USER_ID].to_pylist(), table[f"{C.USER_ID}_count"].to_pylist(), strict=True))
    return {user: found.get(user, 0) for user in users}


def last_items(settings: Settings, user: str, night: date) -> list[tuple[date, str]]:
    """The last different items that a user bought, newest first, each with its day."""
    bought = (ds.field(C.USER_ID) == user) & (ds.field(C.DS) <= night) & (ds.field(C.BEHAVIOUR) == "purchase")
    rows = _rows(settings, EVENTS, [C.EVENT_TIME, C.ITEM_ID], bought)
    order = pc.sort_indices(rows, [(C.EVENT_TIME, "descending"), (C.ITEM_ID, "ascending")])
    newest: dict[str, date] = {}
    for row in rows.take(order).to_pylist():
        newest.setdefault(row[C.ITEM_ID], row[C.EVENT_TIME].date())
    return [(day, item) for item, day in list(newest.items())[:SHOWN]]


def item_texts(settings: Settings, items: Iterable[str]) -> dict[str, str]:
    """The text of each item."""
    rows = _rows(settings, ITEMS, [C.ITEM_ID, C.TEXT], ds.field(C.ITEM_ID).isin(sorted(items)))
    return dict(zip(rows[C.ITEM_ID].to_pylist(), rows[C.TEXT].to_pylist(), strict=True))


def _rows(settings: Settings, table: Table, columns: Sequence[str], where: Any) -> Any:
    return open_table(settings, table).to_pyarrow_dataset().to_table(columns=list(columns), filter=where)


def household(user: str, events: int, history: Sequence[tuple[date, str]],
              entries: Sequence[Mapping[str, Any]], texts: Mapping[str, str], night: date) -> str:
    """One household as text."""
    lines = [f"Household {user} ({events} events) bought last"]
    lines += [f"    {day}  {short(texts.get(item, item))}" for day, item in history]
    lines.append(f"  and is recommended for {night + timedelta(days=1)}")
    for entry in entries:
        item = entry[C.ITEM_ID]
        lines.append(f"    {entry[C.RANK]:>2}. {short(texts.get(item, item)):<{WIDTH}} {why(entry, texts)}")
    return "\n".join(lines)


def why(entry: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """Why an item is on the list, in words."""
    because = entry[C.BECAUSE]
    reason = short(texts.get(because, because)) if because else ""
    words = {
        "repeat": "bought before",
        "together": f"often bought with {reason}",
        "match": f"like {reason}" if reason else "close to what it buys",
        "popular": "popular now",
    }
    return words.get(entry[C.SOURCE], f"{entry[C.SOURCE]} {reason}".strip())


def short(text: str) -> str:
    """A text that fits on a line."""
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
