"""Which list a user gets of a night: their own row, or the one to fall back on; and why it is nobody's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow.dataset as pads

from contracts import lake
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.fallback import FALLBACK_USER
from contracts.settings import Settings
from contracts.tables import EVENTS, FALLBACK, PUBLICATIONS, RECOMMENDATIONS
from nightshift.lookups.published import events_of, published_days

NO_EVENT, NO_EVENT_KNOWN, NO_EVENT_USED, NO_ROW = "no_event", "no_event_known", "no_event_used", "no_row"
"""Why a list is nobody's own: no event names the user, none that the night knew, none that says anything, or there are
such events today, and the night gave the user no row."""


@dataclass(frozen=True)
class Fallback:
    """Why a user gets the list that is nobody's own: a word for machines, a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True)
class Given:
    """What a user gets of a night; ``items`` are those of `recommendations`, best first."""

    items: tuple[dict[str, Any], ...]
    scored_ds: date  # night that scored the list: an earlier one where it was carried over
    fallback: Fallback | None  # None: the list is the user's own


def given(settings: Settings, ds: date, user: str) -> Given:
    """The list that a reader finds for a user of a published night, as the README says to look it up.

    Raises:
        InputError: the user has no row, and the night none to fall back on, as an earlier version published nights;
            the message says whether an event names the user, and which nights there are.
    """
    where = (pads.field(C.DS) == ds) & pads.field(C.USER_ID).isin([user, FALLBACK_USER])
    rows = lake.arrow(settings, RECOMMENDATIONS, [C.USER_ID, C.ITEMS, C.SCORED_DS], where).to_pylist()
    lists = {row[C.USER_ID]: tuple(row[C.ITEMS]) for row in rows}
    scored = {row[C.USER_ID]: row[C.SCORED_DS] or ds for row in rows}
    if user in lists:
        own = lists[user]
        used = user == FALLBACK_USER or not own or any(item[C.SOURCE] != FALLBACK for item in own)
        return Given(own, scored[user], None if used else Fallback(NO_EVENT_USED, _unused(user)))
    events = lake.count(settings, EVENTS, {C.USER_ID: user})
    if FALLBACK_USER in lists:
        return Given(
            lists[FALLBACK_USER], scored[FALLBACK_USER], _fallback(user, ds, events, len(events_of(settings, ds, user)))
        )
    known = f"has {events:,} events, but none that the night knew" if events else "is in no event"
    raise InputError(
        f"User {user!r} has no list of the night {ds}: the user {known}. The night has no list to fall back on either: "
        f"an earlier version published it. Published nights: {published_days(lake.rows(settings, PUBLICATIONS))}."
    )


def _fallback(user: str, ds: date, events: int, known: int) -> Fallback:
    """Why a user has no row: of ``events`` in the table, of which the night ``ds`` would know ``known``."""
    gets = "This is the list for everyone who has none of their own."
    if not events:
        return Fallback(NO_EVENT, f"No event of any day names a user {user!r}. {gets}")
    if not known:
        spoken = "event was" if events == 1 else "events were"
        return Fallback(NO_EVENT_KNOWN, f"The user's {events:,} {spoken} not known to the night {ds}. {gets}")
    text = (
        f"The night {ds} gave the user no list: the events that are there now were taken in later, or left out. {gets}"
    )
    return Fallback(NO_ROW, text)


def _unused(user: str) -> str:
    return (
        f"No event of user {user!r} said anything to the night's model: items that have left the catalogue, or "
        "behaviours of weight 0. The list is the one for everyone who has none of their own, without what the rules "
        "exclude for the user."
    )
