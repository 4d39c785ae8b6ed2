"""A few users of a published night: what they did last, what they are recommended, and why. Needs no Spark.

    python -m spark_jobs.examples --ds 2017-12-23 --users 3

The users are always the same for the same tables: one with much history, one with some, one with little. Outside
the tables a user has a pseudonym: a hash with a key that stays in NIGHTSHIFT_HOME.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any

import pyarrow.dataset as pads

from spark_jobs import storage
from spark_jobs.contracts.cli import entry
from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.errors import InputError
from spark_jobs.contracts.settings import Settings
from spark_jobs.contracts.tables import EVENTS, ITEMS, RECOMMENDATIONS, Table
from spark_jobs.secret_file import secret

CONSIDERED = 1000
"""Users among whom the examples are chosen."""
HISTORY = 8
"""Items of the history shown."""


@dataclass(frozen=True)
class Did:
    """An item that a user took: an event of a target behaviour."""

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
    history: tuple[Did, ...]
    recommendations: tuple[Recommended, ...]


def pseudonym(user_id: str, key: bytes) -> str:
    """A short stable name, for example ``user 3f9a61c0``; who has not the key cannot find the id by trying all."""
    return f"user {blake2b(user_id.encode(), key=key, digest_size=4).hexdigest()}"


def pseudonym_key(settings: Settings) -> bytes:
    """The key of this home's pseudonyms, made once; delete the file and everyone has a new name."""
    # a key of blake2b is at most 64 bytes, which the secret's 64 characters are
    return secret(settings.home / "secrets" / "pseudonym.key").encode()


def examples(settings: Settings, ds: date, users: int = 3) -> list[Example]:
    """``users`` users of the published night ``ds``, from much to little history.

    Raises:
        InputError: nothing was published for the night.
    """
    night = pads.field(C.DS) == ds
    everyone = _rows(settings, RECOMMENDATIONS, [C.USER_ID], night)[C.USER_ID].to_pylist()
    if not everyone:
        raise InputError(
            f"Table {storage.path(settings, RECOMMENDATIONS)} has no lists of {ds}: that night was not published."
        )
    considered = sorted(everyone, key=_shuffled)[:CONSIDERED]
    end = datetime(ds.year, ds.month, ds.day, tzinfo=UTC) + timedelta(days=1)
    known = (pads.field(C.DS) <= ds) & (pads.field(C.EVENT_TIME) < end)
    activity = Counter(dict.fromkeys(considered, 0))
    activity.update(
        _rows(settings, EVENTS, [C.USER_ID], known & pads.field(C.USER_ID).isin(considered))[C.USER_ID].to_pylist()
    )
    chosen = spread(sorted(activity, key=lambda user: (-activity[user], _shuffled(user))), users)
    of_chosen = pads.field(C.USER_ID).isin(chosen)
    lists = {
        row[C.USER_ID]: row[C.ITEMS]
        for row in _rows(settings, RECOMMENDATIONS, [C.USER_ID, C.ITEMS], night & of_chosen).to_pylist()
    }
    taken = known & of_chosen & pads.field(C.BEHAVIOUR).isin(list(settings.ingest.targets))
    events = _rows(settings, EVENTS, [C.USER_ID, C.ITEM_ID, C.EVENT_TIME], taken).to_pylist()
    done = {user: _history([row for row in events if row[C.USER_ID] == user]) for user in chosen}
    wanted = {item for history in done.values() for item in history}
    wanted |= {row[key] for rows in lists.values() for row in rows for key in (C.ITEM_ID, C.BECAUSE) if row[key]}
    texts = item_texts(settings, wanted)
    key = pseudonym_key(settings)
    return [
        Example(
            pseudonym(user, key),
            activity[user],
            tuple(Did(texts[item], times, last) for item, (times, last) in list(done[user].items())[:HISTORY]),
            tuple(
                Recommended(row[C.RANK], texts[row[C.ITEM_ID]], row[C.SOURCE], why(row, done[user], texts, ds))
                for row in lists[user]
            ),
        )
        for user in chosen
    ]


def spread(ranked: Sequence[str], count: int) -> list[str]:
    """``count`` of ``ranked``, evenly spread over it, away from its ends."""
    count = min(count, len(ranked))
    return [ranked[(2 * n + 1) * len(ranked) // (2 * count)] for n in range(count)]


def why(row: Mapping[str, Any], history: Mapping[str, tuple[int, date]], texts: Mapping[str, str], ds: date) -> str:
    """Why an item is on a list, in words and figures that the tables bear out."""
    because = row[C.BECAUSE]
    other = texts[because] if because and because != row[C.ITEM_ID] else None
    if row[C.SOURCE] == "repeat":
        if row[C.ITEM_ID] not in history:
            return "looked at before"
        times, last = history[row[C.ITEM_ID]]
        return f"had it once, {_ago(ds, last)}" if times == 1 else f"had it {times} ×, last {_ago(ds, last)}"
    if row[C.SOURCE] == "together" and other:
        had = f", had {_ago(ds, history[because][1])}" if because in history else ""
        return f"goes with {other}{had}"
    if row[C.SOURCE] == "match":
        return f"close to {other}" if other else "fits what this user does"
    if row[C.SOURCE] == "popular":
        return "popular with everyone now"
    return f"{row[C.SOURCE]}: {other}" if other else str(row[C.SOURCE])


def item_texts(settings: Settings, items: Iterable[str]) -> dict[str, str]:
    """What to call each item; the id where the catalogue has no words for it."""
    columns = [C.ITEM_ID, C.TITLE, C.PRODUCT_TYPE, C.CATEGORY, C.BRAND, C.SIZE]
    wanted = sorted(items)
    texts = {item: f"item {item}" for item in wanted}
    for row in _rows(settings, ITEMS, columns, pads.field(C.ITEM_ID).isin(wanted)).to_pylist():
        name = row[C.TITLE] or row[C.PRODUCT_TYPE] or row[C.CATEGORY]
        if name:
            texts[row[C.ITEM_ID]] = ", ".join(part for part in (name, row[C.BRAND], row[C.SIZE]) if part)
    return texts


def text(found: Sequence[Example], recommendations: int = 8) -> str:
    """The examples for a terminal, with the first ``recommendations`` of each list."""
    lines: list[str] = []
    for example in found:
        lines += [f"{example.user}, {example.events:,} events", "  had last:"]
        lines += [f"    {did.last}  {did.times:>3} ×  {_short(did.text)}" for did in example.history]
        lines.append("  is recommended:")
        lines += [f"    {row.rank:>2}  {_short(row.text):<46}  {row.source:<8}  {_short(row.why, 60)}"
                  for row in example.recommendations[:recommendations]]  # fmt: skip
        lines.append("")
    return "\n".join(lines).rstrip()


def _history(events: Iterable[Mapping[str, Any]]) -> dict[str, tuple[int, date]]:
    """Each item with how often and when last, newest first, ties by how often and item."""
    times: Counter[str] = Counter()
    last: dict[str, datetime] = {}
    for row in events:
        item = row[C.ITEM_ID]
        times[item] += 1
        last[item] = max(last.get(item, row[C.EVENT_TIME]), row[C.EVENT_TIME])
    order = sorted(times, key=lambda item: (-last[item].timestamp(), -times[item], item))
    return {item: (times[item], last[item].date()) for item in order}


def _rows(settings: Settings, table: Table, columns: Sequence[str], where: Any) -> Any:
    return storage.open_table(settings, table).to_pyarrow_dataset().to_table(columns=list(columns), filter=where)


def _shuffled(user: str) -> bytes:
    """A fixed order that has nothing to do with the ids."""
    return blake2b(user.encode(), digest_size=8).digest()


def _ago(ds: date, day: date) -> str:
    """How long ago a day is on the day after the night ``ds``, for which the lists are."""
    days = (ds + timedelta(days=1) - day).days
    return "yesterday" if days == 1 else f"{days} days ago"


def _short(value: str, width: int = 46) -> str:
    return value if len(value) <= width else f"{value[: width - 1]}…"


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ds", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD", help="the night")
    parser.add_argument("--users", type=int, default=3, metavar="N", help="how many (default: 3)")
    arguments = parser.parse_args(argv)
    print(text(examples(settings, arguments.ds, arguments.users)))


if __name__ == "__main__":
    entry(main)
