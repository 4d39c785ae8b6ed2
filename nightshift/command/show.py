"""`nightshift show`: a user's list, and what the user did last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nightshift.command.options import Ds, Json, User
from nightshift.command.terminal import line, moment, print_json, screen, table

if TYPE_CHECKING:
    from rich.console import Console

    from nightshift.lookups.user import Done, UserNight

NEWEST = 10
"""Events shown."""


def show(user: User, *, ds: Ds = None, as_json: Json = False) -> None:
    """What a user gets of a published night, and the newest events that it knew.

    A user who has no list gets the one for everyone who has none; it says so, and why.

    Examples:
      nightshift show 1228
      nightshift show 1228 --ds 2017-12-23 --json
    """
    from contracts.settings import load_settings
    from nightshift.lookups.user import user_night

    found = user_night(load_settings(), user, ds, NEWEST)
    if as_json:
        print_json(found)
    else:
        draw(screen(), found)


def draw(console: Console, found: UserNight) -> None:
    """First the events, then the list."""
    line(console, f"User {found.user_id}, night {found.ds}, model {found.model_id}", "bold")
    line(console)
    if found.events:
        spoken = f"{found.events:,} events, {moment(found.first_event)} to {moment(found.last_event)} UTC"
        newest = f"; the newest {len(found.newest_events)}" if found.events > len(found.newest_events) else ""
        line(console, f"{spoken}{newest}:")
        draw_events(console, found.newest_events)
    else:
        line(console, "No events before the night's end.")
    if found.fallback:
        line(console, found.fallback.text)
    if found.scored_ds != found.ds:
        line(console, f"The night {found.scored_ds} scored the list; it was carried over since ([scoring] idle_days).")
    line(console)
    console.print(
        table(
            ["rank", "item", "title", "category", "score", "source", "because"],
            (
                (
                    each.rank,
                    each.item_id,
                    each.title,
                    each.category,
                    f"{each.score:.3f}",
                    each.source,
                    _because(each.because, each.because_title, itself=each.because == each.item_id),
                )
                for each in found.items
            ),
            right=("rank", "score"),
        )
    )


def draw_events(console: Console, events: Iterable[Done]) -> None:
    """A row an event."""
    rows = ((moment(each.time), each.behaviour, each.item_id, each.title) for each in events)
    console.print(table(["time (UTC)", "behaviour", "item", "title"], rows))


def _because(item: str | None, title: str | None, *, itself: bool) -> str:
    """The item of the history behind a recommendation."""
    if item is None:
        return ""
    return "itself" if itself else f"{item}: {title}"
