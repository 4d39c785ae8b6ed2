"""`nightshift nights`: what became of the newest nights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nightshift.command.options import Json
from nightshift.command.terminal import count, line, percent, print_json, screen, table, text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from nightshift.lookups.nights import Night, Nights

STYLES = {"published": "green", "held": "yellow", "failed gate": "red"}


def nights(
    *, last: Annotated[int, typer.Option(min=1, metavar="N", help="How many nights.")] = 10, as_json: Json = False
) -> None:
    """The newest nights, newest first: state, model, coverage, churn, quality, records.

    Examples:
      nightshift nights --last 3
      nightshift nights --json
    """
    from contracts.settings import load_settings
    from nightshift.lookups.nights import nights as look_up

    found = look_up(load_settings(), last)
    if as_json:
        print_json(found)
    else:
        draw(screen(), found)


FIGURES = ("users", "coverage", "churn", "repeats", "critical", "warnings", "raw", "clean", "rejected")


def draw(console: Console, found: Nights) -> None:
    """A row a night; below it why nights were not published, and whom readers follow."""
    console.print(
        table(
            console,
            ["night", "status", "model", *FIGURES, "report"],
            (_row(each, live=each.ds == found.readers_get) for each in found.nights),
            right=FIGURES,
        )
    )
    folders = {each.report.parent for each in found.nights if each.report}
    for folder in sorted(folders):
        line(console, f"Reports are in {folder}.")
    for each in found.nights:
        for reason in each.reasons:
            line(console, f"{each.ds} {each.status}: {reason}")
        if each.followed and each.status != "published":
            followed = each.followed
            line(
                console,
                f"{each.ds} was published before: its readers follow run {followed.run_id} "
                f"({followed.users:,} users, model {followed.model_id}).",
            )
    line(
        console, f"Readers get the lists of {found.readers_get}." if found.readers_get else "Nothing was published yet."
    )


def _row(night: Night, *, live: bool) -> list[str | Text]:
    status = night.status
    if night.followed and status != "published":
        status += f", readers follow {night.followed.run_id}"
    return [
        text(night.ds, "bold" if live else ""),
        text(status, STYLES.get(night.status, "")),
        text(night.model_id),
        count(night.users),
        percent(night.coverage),
        percent(night.churn),
        percent(night.repeats),
        text(night.critical_failures, "red" if night.critical_failures else ""),
        text(night.warnings, "yellow" if night.warnings else ""),
        count(night.raw),
        count(night.clean),
        count(night.rejected),
        text(night.report.name if night.report else None),
    ]
