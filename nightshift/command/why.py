"""`nightshift why`: why an item is, or is not, in a user's list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nightshift.command.options import Ds, Json, User
from nightshift.command.show import draw_events
from nightshift.command.terminal import line, plain, print_json, screen, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from nightshift.lookups.reasons import Why
    from nightshift.lookups.rescoring import Rescored
    from nightshift.lookups.user import Done

SHOWN = 10
"""Events shown of each item."""


def why(
    user: User,
    item: Annotated[str, typer.Argument(help="Id of the item, as in the catalogue.", show_default=False)],
    *,
    ds: Ds = None,
    score: Annotated[
        bool, typer.Option("--score", help="Score the user again with the night's model (some seconds).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Why an item is, or is not, in a user's list of a published night.

    The tables alone tell of events and rules; with --score, the night's model tells of candidates and features.

    Examples:
      nightshift why 1228 1082185
      nightshift why 1228 1082185 --ds 2017-12-23 --score
    """
    from contracts.settings import load_settings
    from nightshift.lookups.reasons import why as look_up

    settings = load_settings()
    found = look_up(settings, user, item, ds)
    again = None
    if score:
        from nightshift.lookups.rescoring import rescored

        again = rescored(settings, user, item, found.ds)
    if as_json:
        print_json({**plain(found), "rescored": again})
    else:
        draw(screen(), found)
        if again:
            draw_rescored(console=screen(), found=again)


def draw(console: Console, found: Why) -> None:
    """The answer first, then the events behind it."""
    line(console, f"User {found.user_id}, item {found.item_id}: {found.title}", "bold")
    line(console, f"Category {found.category or 'unknown'}; night {found.ds}, model {found.model_id}")
    line(console)
    if found.fallback:
        line(console, found.fallback.text)
    if found.listed:
        own = found.listed
        line(console, f"In the list: rank {own.rank} of {found.list_length}, score {own.score:.3f}.")
    else:
        line(console, "Not in the list.")
    for finding in found.findings:
        line(console, f"- {finding.text}")
    for note in found.notes:
        line(console, f"Note: {note}")
    line(console)
    _draw_done(console, "this item", found.events_with_item)
    if found.listed and found.listed.because and found.listed.because != found.item_id:
        _draw_done(console, f"{found.listed.because}: {found.listed.because_title}", found.events_with_because)


def _draw_done(console: Console, what: str, events: Sequence[Done]) -> None:
    """What the user did with an item."""
    if not events:
        line(console, f"The user has no event with {what}.")
        return
    newest = f", the newest {SHOWN}" if len(events) > SHOWN else ""
    line(console, f"{len(events):,} event{'s' if len(events) > 1 else ''} with {what}{newest}:")
    draw_events(console, events[:SHOWN])


def draw_rescored(console: Console, found: Rescored) -> None:
    """The item among the candidates, and what its score is made of."""
    line(console)
    line(console, "Scored again", "bold")
    if not found.as_published:
        line(
            console,
            "The list comes out other than published: logs, catalogue, settings or code have changed since. "
            "What follows is of today.",
        )
    if not found.sources:
        line(console, f"No source brings it: it is none of the user's {found.candidates:,} candidates.")
        return
    sources = " and ".join(found.sources)
    if found.score is None:
        line(console, f"A candidate from {sources}; without events that say anything the popular list stands as it is.")
        return
    last = "" if found.last_score is None else f"; the last that fits into the list scores {found.last_score:.3f}"
    line(
        console,
        f"A candidate from {sources}: rank {found.rank} of {found.candidates:,} before the rules, "
        f"score {found.score:.3f}{last}.",
    )
    rows = ((each.feature, f"{each.value:.4g}", f"{each.contribution:+.3f}") for each in found.contributions)
    console.print(table(["feature", "value", "moves the score by"], rows, ["value", "moves the score by"]))
