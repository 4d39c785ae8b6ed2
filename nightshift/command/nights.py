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
LISTS = ("night", "status", "users", "coverage", "churn", "repeats", "critical", "warnings")
RECORDS = ("raw", "clean", "rejected", "model", "report")
ONE_TABLE = 150
"""Columns of a window in which all of a night stands in one row."""


def draw(console: Console, found: Nights) -> None:
    """A row a night, in a narrow window two; below why nights were not published, and whom readers follow."""
    rows = [_cells(each, live=each.ds == found.readers_get) for each in found.nights]
    parts = [(*LISTS, *RECORDS)] if console.width >= ONE_TABLE else [LISTS, ("night", *RECORDS)]
    for columns in parts:
        console.print(table(columns, [[row[name] for name in columns] for row in rows], FIGURES, ["status"]))
        if columns != parts[-1]:
            line(console)
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


def _cells(night: Night, *, live: bool) -> dict[str, str | Text]:
    """What stands in each column."""
    status = night.status
    if night.followed and status != "published":
        status += f", readers follow {night.followed.run_id}"
    return {
        "night": text(night.ds, "bold" if live else ""),
        "status": text(status, STYLES.get(night.status, "")),
        "users": count(night.users),
        "coverage": percent(night.coverage),
        "churn": percent(night.churn),
        "repeats": percent(night.repeats),
        "critical": text(night.critical_failures, "red" if night.critical_failures else ""),
        "warnings": text(night.warnings, "yellow" if night.warnings else ""),
        "raw": count(night.raw),
        "clean": count(night.clean),
        "rejected": count(night.rejected),
        "model": text(night.model_id),
        "report": text(night.report.name if night.report else None),
    }
