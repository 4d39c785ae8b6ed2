"""`nightshift rejects`: what was refused of the logs and the catalogue, and why."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from nightshift.command.options import DAY, Ids, Json, day
from nightshift.command.terminal import count, line, percent, print_json, screen, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from nightshift.lookups.rejects import Reason, Rejects


def rejects(
    *,
    ds: Annotated[
        date | None, typer.Option("--ds", parser=day, metavar=DAY, help="The day (default: the newest with a log).")
    ] = None,
    start: Annotated[date | None, typer.Option("--from", parser=day, metavar=DAY, help="First day.")] = None,
    end: Annotated[
        date | None, typer.Option("--to", parser=day, metavar=DAY, help="Last day (default: the newest).")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Only this reason.")] = None,
    ids: Ids = False,
    as_json: Json = False,
) -> None:
    """Records that were refused: reasons, shares of all records, and some examples of each.

    Examples:
      nightshift rejects --ds 2017-12-24
      nightshift rejects --from 2017-12-01 --to 2017-12-24 --reason unknown_item
    """
    from contracts.settings import load_settings
    from nightshift.lookups.rejects import rejects as look_up

    if ds and (start or end):
        raise typer.BadParameter("a day, or --from and --to, not both", param_hint="--ds")
    if end and not start:
        raise typer.BadParameter("needs --from", param_hint="--to")
    if start and end and start > end:
        raise typer.BadParameter(f"lies before --from {start}", param_hint="--to")
    settings = load_settings()
    found = look_up(settings, ds or start, ds or end, reason, ids=ids)
    if reason and not (found.reasons or found.catalogue):
        _require_known(reason)
    if as_json:
        print_json(found)
    else:
        draw(screen(), found)


def _require_known(reason: str) -> None:
    """Ends the program with exit code 2 for a reason that no record can have."""
    from spark_jobs.ingest import events, items

    known = sorted({*events.REASONS, *items.REASONS})
    if reason not in known:
        raise typer.BadParameter(f"there is no reason {reason!r}; there are {', '.join(known)}", param_hint="--reason")


def draw(console: Console, found: Rejects) -> None:
    """The reasons, the days where there are several, then examples."""
    asked = str(found.start) if found.start == found.end else f"{found.start} to {found.end}"
    share = percent(found.rejected / found.raw) if found.raw else "none"
    line(console, f"Logs of {asked}: {found.raw:,} records, {found.rejected:,} rejected ({share})", "bold")
    draw_reasons(console, found.reasons)
    if len(found.days) > 1:
        names = [each.reason for each in found.reasons]
        rows = (
            (each.ds, count(each.raw), count(each.rejected), *(count(each.by_reason.get(name, 0)) for name in names))
            for each in found.days
        )
        columns = ["day", "raw", "rejected", *names]
        line(console)
        console.print(table(columns, rows, right=columns[1:]))
    if found.catalogue:
        line(console)
        line(console, "Catalogue, as of the newest run", "bold")
        draw_reasons(console, found.catalogue)


def draw_reasons(console: Console, reasons: Sequence[Reason]) -> None:
    """A row a reason, and below them the examples."""
    if not reasons:
        line(console, "Nothing was rejected.")
        return
    rows = ((each.reason, count(each.records), percent(each.share)) for each in reasons)
    console.print(table(["reason", "records", "of all"], rows, right=("records", "of all")))
    for each in reasons:
        line(console)
        line(console, f"{each.reason}, for example:")
        for example in each.examples:
            line(console, f"  {example.file}: {example.record}")
