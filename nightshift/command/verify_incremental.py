"""`nightshift verify-incremental`: whether carrying lists over changes what it must not, and what it saves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nightshift.command.options import Ds, Json
from nightshift.command.terminal import count, line, percent, print_json, screen, table

if TYPE_CHECKING:
    from rich.console import Console

    from nightshift.lookups.incremental import Compared


def verify_incremental(
    *,
    ds: Ds = None,
    idle_days: Annotated[
        int, typer.Option(min=1, help="As scoring.idle_days: who did nothing for so many days is carried over.")
    ] = 1,
    idle_nights: Annotated[int, typer.Option(min=2, help="As scoring.idle_nights: each is scored in one of them.")] = 7,
    as_json: Json = False,
) -> None:
    """A published night once more, in full and with the lists of idle users carried over: are they what they must be?

    Who is scored must get the list of the full night, row for row; whose list is carried over, that of the night that
    scored it. Ends with 1 where a list does not. Nothing is written.

    Examples:
      nightshift verify-incremental
      nightshift verify-incremental --ds 2017-12-24 --idle-days 3 --idle-nights 14
    """
    from contracts.cli import start_log
    from contracts.settings import load_settings
    from nightshift.lookups.incremental import compared

    start_log()
    found = compared(load_settings(), ds, idle_days, idle_nights)
    if as_json:
        print_json(found)
    else:
        draw(screen(), found)
    if not found.holds:
        raise typer.Exit(1)


def draw(console: Console, found: Compared) -> None:
    """What each kind of list had to be, how many are, and the seconds."""
    line(console, f"Night {found.ds}, model {found.model_id}", "bold")
    line(
        console,
        f"Carried over: who did nothing for {found.idle_days} days, but for one night in {found.idle_nights}.",
    )
    rows = [
        ("scored", count(found.scored), "as in the full night", count(found.exact + found.rounded)),
        ("carried over", count(found.carried), "as in the night that scored them", count(found.as_published)),
        ("in one night alone", count(found.alone), "nobody", ""),
    ]
    console.print(table(["lists", "users", "must be", "are"], rows, right=("users", "are")))
    if found.rounded:
        line(
            console,
            f"{found.rounded:,} of them are the same but for rounding: a user's scores depend a little on who stands "
            "in the same batch.",
        )
    line(console, f"Of a carried list {percent(found.overlap)} of the items are those of the full night, on average.")
    line(
        console,
        f"Scoring took {found.seconds:.1f} s, in full {found.seconds_full:.1f} s: "
        f"{percent(found.seconds / found.seconds_full)}, for {percent(found.scored / (found.scored + found.carried))} "
        "of the users.",
    )
    if found.holds:
        line(console, "Every list is as it must be.", "bold green")
    else:
        named = ", ".join(found.wrong)
        line(console, f"There are lists that are not as they must be, among them those of {named}.", "bold red")
