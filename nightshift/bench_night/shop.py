"""The logs of a shop of any size that does not exist: the same for the same size."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.columns import Columns as C
from contracts.interval import Interval
from models.ragged import Ints, Longs

DAYS = 56
"""Days of logs, the night's among them: whole weeks."""
NIGHT = date(2026, 3, 1)
HEAVY_EVENTS = 100_000
"""Events of user 0, of a smaller shop a third of all: evenly over all hours, or it would be taken for a bot."""
NEW_TEXTS = 100
"""One of so many items has another text in the night's catalogue, so that there is something to embed."""
FAVOURITES, AGAIN = 6, 0.4
"""Items that a user comes back to, and the share of the events that are of these."""
BEHAVIOURS, CHANCES = ("view", "cart", "purchase"), (0.6, 0.15, 0.25)
DEPARTMENTS, CATEGORIES, TYPES, BRANDS = 20, 200, 1_500, 2_500
LOOKS = ("red", "dark", "light", "small", "large", "soft", "dry", "fresh", "salted", "plain")
KINDS = ("tea", "coffee", "pasta", "cheese", "soap", "shampoo", "candles", "shoes", "novels", "headphones", "apples")
SECONDS = 86_400


@dataclass(frozen=True)
class Size:
    """How large the shop is."""

    users: int
    items: int
    events: int

    @property
    def heavy(self) -> int:
        """Events of the user who has far more than all others."""
        return min(HEAVY_EVENTS, self.events // 3)


@dataclass(frozen=True)
class Events:
    """All events, ordered by time, [events] each."""

    users: Ints
    items: Ints
    times: Longs  # seconds since the first midnight
    behaviours: Ints  # of BEHAVIOURS


def days() -> Interval:
    """The days that have logs; the last one is the night's."""
    return Interval(NIGHT - timedelta(days=DAYS - 1), NIGHT + timedelta(days=1))


def draw(size: Size) -> Events:
    """Events of everyone, one at least: few of most users, many of some, of items by Zipf's law."""
    random = np.random.default_rng(0)
    activity = random.lognormal(0, 1.3, size.users)
    others = random.choice(size.users, size.events - size.heavy - size.users, p=activity / activity.sum())
    users = np.concatenate([np.arange(size.users), np.zeros(size.heavy, np.int64), others]).astype(np.int32)
    popularity = popularity_of(size.items)
    own = random.choice(size.items, (size.users, FAVOURITES), p=popularity).astype(np.int32)
    items = random.choice(size.items, len(users), p=popularity).astype(np.int32)
    again = random.random(len(users)) < AGAIN
    items[again] = own[users[again], random.integers(0, FAVOURITES, int(again.sum()))]
    times = random.integers(0, DAYS * SECONDS, len(users))
    behaviours = random.choice(len(BEHAVIOURS), len(users), p=CHANCES).astype(np.int32)
    order = np.argsort(times, kind="stable")
    return Events(users[order], items[order], times[order], behaviours[order])


def draw_day_after(size: Size, share: float) -> Events:
    """The events of the day after the night, as many as of any day, but all of them of a ``share`` of the users."""
    random = np.random.default_rng(1)
    count = size.events // DAYS
    active = random.permutation(size.users)[: max(1, round(share * size.users))]
    users = random.choice(active, count).astype(np.int32)
    items = random.choice(size.items, count, p=popularity_of(size.items)).astype(np.int32)
    times = np.sort(random.integers(DAYS * SECONDS, (DAYS + 1) * SECONDS, count))
    return Events(users, items, times, random.choice(len(BEHAVIOURS), count, p=CHANCES).astype(np.int32))


def popularity_of(items: int) -> NDArray[np.float64]:
    """Chances by Zipf's law, [items]."""
    chances = 1 / np.arange(1, items + 1) ** 0.9
    popularity: NDArray[np.float64] = chances / chances.sum()
    return popularity


def write_day_after(landing: Path, size: Size, share: float) -> None:
    """Writes the log of that day; the catalogue stays as it is."""
    write_log(landing, NIGHT + timedelta(days=1), records(draw_day_after(size, share), slice(None)))


def write_log(landing: Path, day: date, events: pd.DataFrame) -> None:
    """Writes the log of a day."""
    folder = landing / "events" / f"ds={day}"
    folder.mkdir(parents=True)
    events.to_json(folder / "events.jsonl", orient="records", lines=True)


def write(landing: Path, size: Size) -> None:
    """Writes a log of JSON lines a day, the catalogue of the first day, and that of the night."""
    events = draw(size)
    first = days().start
    ends = np.searchsorted(events.times, np.arange(DAYS + 1) * SECONDS)
    for number, day in enumerate(days().days):
        write_log(landing, day, records(events, slice(ends[number], ends[number + 1])))
    for day in (first, NIGHT):
        folder = landing / "items" / f"ds={day}"
        folder.mkdir(parents=True)
        catalogue(size, changed=day == NIGHT).to_json(folder / "catalogue.jsonl", orient="records", lines=True)


def records(events: Events, part: slice) -> pd.DataFrame:
    """Some events as the records of a log."""
    moments = np.datetime64(days().start, "s") + events.times[part].astype("timedelta64[s]")
    behaviour = np.array(BEHAVIOURS, dtype=object)[events.behaviours[part]]
    bought = behaviour == "purchase"
    return pd.DataFrame(
        {
            C.EVENT_TIME: np.char.add(np.datetime_as_string(moments), "Z").astype(object),
            C.EVENT_TYPE: behaviour,
            C.USER_ID: np.char.add("user-", events.users[part].astype(str)).astype(object),
            C.ITEM_ID: np.char.add("item-", events.items[part].astype(str)).astype(object),
            C.QUANTITY: np.where(bought, 1.0, np.nan),
            C.PRICE: np.where(bought, 1.99, np.nan),
            C.SESSION_ID: None,
        }
    )


def catalogue(size: Size, *, changed: bool) -> pd.DataFrame:
    """The items, each with a text of its own; ``changed`` ones have another."""
    number = np.arange(size.items)
    is_other = (number % NEW_TEXTS == 0) & changed
    return pd.DataFrame(
        {
            C.ITEM_ID: [f"item-{each}" for each in number],
            C.TITLE: [
                f"{LOOKS[each % len(LOOKS)]} {KINDS[each % TYPES % len(KINDS)]}{' new' * other} no {each}"
                for each, other in zip(number.tolist(), is_other.tolist(), strict=True)
            ],
            C.DEPARTMENT: [f"department {each % DEPARTMENTS}" for each in number],
            C.CATEGORY: [f"category {each % CATEGORIES}" for each in number],
            C.PRODUCT_TYPE: [f"type {each % TYPES}" for each in number],
            C.BRAND: [f"brand {each % BRANDS}" for each in number],
        }
    )
