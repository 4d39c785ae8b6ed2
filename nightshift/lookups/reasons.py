"""Why an item is, or is not, in a user's list of a night, as far as the tables tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from contracts import catalogue
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.settings import Scoring, Settings
from models.catalogue import CATALOGUE_COLUMNS, Catalogue
from nightshift.lookups.fallback import Fallback, given
from nightshift.lookups.items import Item, known_items
from nightshift.lookups.published import Event, events_of, excluding, published
from nightshift.lookups.user import Done, Listed, done, listed
from spark_jobs.reporting import examples

LISTED = "listed"
UNKNOWN_ITEM, NOT_AVAILABLE, BLOCKED_ITEM, BLOCKED_CATEGORY, EXCLUDED = (
    "unknown_item",
    "not_available",
    "blocked_item",
    "blocked_category",
    "excluded_by_exclude_seen_days",
)
"""What alone keeps an item out of a list."""
CATEGORY_FULL, NOT_CHOSEN = "category_full", "outranked_or_no_candidate"
"""What the tables cannot tell apart from being outranked."""


@dataclass(frozen=True)
class Finding:
    """One thing that decides it: a word for machines, a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True)
class Why:
    """An item and a user in a night; events are newest first."""

    ds: date
    model_id: str
    user_id: str
    item_id: str
    title: str
    category: str | None
    listed: Listed | None  # None: it is not in the list
    list_length: int
    last_score: float | None  # of the list's last item
    events_with_item: tuple[Done, ...]
    events_with_because: tuple[Done, ...]  # with the item of the history behind it, where that is another one
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]  # what may have changed since the night
    fallback: Fallback | None  # why the list is nobody's own; None: it is the user's


SETTINGS_NOW = "No table keeps a night's settings: the rules are those of the settings as they are now."


def why(settings: Settings, user: str, item: str, ds: date | None) -> Why:
    """Why an item is, or is not, in the user's list of a night (None: of the newest published one).

    Raises:
        InputError: nothing was published for the night, or it has neither a list of the user nor one to fall back on.
    """
    publication = published(settings, ds)
    night = publication[C.DS]
    found, events = given(settings, night, user), events_of(settings, night, user)
    rows = found.items
    own = next((row for row in rows if row[C.ITEM_ID] == item), None)
    because = own[C.BECAUSE] if own and own[C.BECAUSE] != item else None
    items = known_items(settings, {item, because, *(row[C.ITEM_ID] for row in rows)}, night)
    with_item = [each for each in events if each.item_id == item]
    with_because = [each for each in events if because and each.item_id == because]
    if own:
        findings = [Finding(LISTED, _reason(settings, own, [*with_item, *with_because], items, night))]
    else:
        findings = list(_hindrances(settings, item, with_item, night)) or list(
            _undecided(rows, items, items[item].category, settings.scoring)
        )
    return Why(
        night,
        publication[C.MODEL_ID],
        user,
        item,
        items[item].title,
        items[item].category,
        listed(own, items) if own else None,
        len(rows),
        rows[-1][C.SCORE] if rows else None,
        done(with_item, items),
        done(with_because, items),
        tuple(findings),
        (SETTINGS_NOW,) if own is None else (),
        found.fallback,
    )


def _reason(settings: Settings, own: dict[str, Any], events: Sequence[Event], items: dict[str, Item], ds: date) -> str:
    """Why it is in the list, in the words of the night's page."""
    past: dict[str, tuple[int, date]] = {}
    for each in reversed(events):
        if settings.ingest.target_events.is_one(each.behaviour, each.rating):
            past[each.item_id] = (past.get(each.item_id, (0, None))[0] + 1, each.time.date())
    told = examples.why(own, past, {name: each.title for name, each in items.items()}, ds)
    return f"From {own[C.SOURCE]}: {told}."


def _hindrances(settings: Settings, item: str, events: Sequence[Event], ds: date) -> Iterator[Finding]:
    """What alone keeps the item out of the list."""
    found = catalogue.arrow(settings, Edition(ds), CATALOGUE_COLUMNS, [item])
    if not found.num_rows:
        yield Finding(UNKNOWN_ITEM, "The catalogue does not hold this item.")
        return
    scoring, one = settings.scoring, Catalogue.from_arrow(found)
    if not one.available[0]:
        yield Finding(NOT_AVAILABLE, "The catalogue says that it is not available.")
    if one.is_one_of(scoring.blocked_items, ())[0]:
        yield Finding(BLOCKED_ITEM, "The setting scoring.blocked_items names it.")
    if one.is_one_of((), scoring.blocked_categories)[0]:
        yield Finding(BLOCKED_CATEGORY, f"The setting scoring.blocked_categories names {found[C.CATEGORY][0].as_py()}.")
    yield from _excluded(settings, events, ds)


def _excluded(settings: Settings, events: Sequence[Event], ds: date) -> Iterator[Finding]:
    """The newest event of each behaviour by which the rules on seen items exclude it."""
    told: set[str] = set()
    for each in excluding(settings, events, ds):
        if each.behaviour in told:
            continue
        told.add(each.behaviour)
        days = settings.scoring.exclude_seen_days[each.behaviour]
        yield Finding(
            EXCLUDED,
            f"The user's {each.behaviour} of {each.time:%Y-%m-%d %H:%M} UTC lies within the {days} days of "
            f"scoring.exclude_seen_days.{each.behaviour}.",
        )


def _undecided(
    rows: Sequence[dict[str, Any]], items: dict[str, Item], category: str | None, scoring: Scoring
) -> Iterator[Finding]:
    """What may have kept it out; the tables hold no scores of what is in no list."""
    cap = scoring.max_per_category
    same = [row for row in rows if items[row[C.ITEM_ID]].category == category]
    if cap is not None and len(same) >= cap:
        yield Finding(
            CATEGORY_FULL,
            f"The list holds {len(same)} items of {category or 'no category'} (scoring.max_per_category is {cap}), "
            f"the last one at rank {same[-1][C.RANK]} with score {same[-1][C.SCORE]:.3f}: "
            "the item scored less than that one, or was no candidate.",
        )
        return
    than = f"the list's last item (rank {rows[-1][C.RANK]}, score {rows[-1][C.SCORE]:.3f})" if rows else "all others"
    yield Finding(
        NOT_CHOSEN,
        f"No rule keeps it out: either it scored less than {than}, or no source brought it as a candidate. "
        "The tables cannot tell these apart; --score scores the user again.",
    )
