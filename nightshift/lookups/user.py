"""What a user gets of a published night, and what the user did before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from contracts.columns import Columns as C
from contracts.settings import Settings
from nightshift.lookups.fallback import Fallback, given
from nightshift.lookups.items import Item, known_items
from nightshift.lookups.published import Event, events_of, published


@dataclass(frozen=True)
class Done:
    """An event of the user, with what to call its item."""

    time: datetime
    behaviour: str
    item_id: str
    title: str


@dataclass(frozen=True)
class Listed:
    """An item of the user's list."""

    rank: int
    item_id: str
    title: str
    category: str | None
    score: float
    source: str
    because: str | None
    because_title: str | None


@dataclass(frozen=True)
class UserNight:
    """A user in a night; events are newest first, items best first."""

    ds: date
    user_id: str
    model_id: str
    run_id: str
    scored_ds: date  # night that scored the list: an earlier one where it was carried over
    events: int
    first_event: datetime | None
    last_event: datetime | None
    newest_events: tuple[Done, ...]
    items: tuple[Listed, ...]
    fallback: Fallback | None  # why the list is nobody's own; None: it is the user's


def user_night(settings: Settings, user: str, ds: date | None, newest: int) -> UserNight:
    """What the user gets of a night (None: of the newest published one), and the ``newest`` events that it knew.

    Raises:
        InputError: nothing was published for the night, or it has neither a list of the user nor one to fall back on.
    """
    publication = published(settings, ds)
    night = publication[C.DS]
    found, events = given(settings, night, user), events_of(settings, night, user)
    shown = events[:newest]
    items = known_items(
        settings,
        {each.item_id for each in shown} | {row[key] for row in found.items for key in (C.ITEM_ID, C.BECAUSE)},
        night,
    )
    return UserNight(
        night,
        user,
        publication[C.MODEL_ID],
        publication[C.RUN_ID],
        found.scored_ds,
        len(events),
        events[-1].time if events else None,
        events[0].time if events else None,
        done(shown, items),
        tuple(listed(row, items) for row in found.items),
        found.fallback,
    )


def done(events: Sequence[Event], items: dict[str, Item]) -> tuple[Done, ...]:
    """Events with the names of their items."""
    return tuple(Done(each.time, each.behaviour, each.item_id, items[each.item_id].title) for each in events)


def listed(row: dict[str, Any], items: dict[str, Item]) -> Listed:
    """An item of `recommendations` with what the catalogue says of it."""
    item, because = items[row[C.ITEM_ID]], row[C.BECAUSE]
    return Listed(
        row[C.RANK],
        row[C.ITEM_ID],
        item.title,
        item.category,
        row[C.SCORE],
        row[C.SOURCE],
        because,
        items[because].title if because else None,
    )
