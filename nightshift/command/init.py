"""`nightshift init`: a first mapping.toml and nightshift.toml for a shop's logs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightshift.command.options import Json
from nightshift.command.terminal import line, print_json, screen, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from nightshift.starter.starter import Starter


def init(
    logs: Annotated[Path, typer.Argument(help="A file or a folder of logs.", show_default=False)],
    *,
    items: Annotated[
        Path | None, typer.Option("--items", help="The catalogue (default: the log's own records tell of the items).")
    ] = None,
    time_zone: Annotated[
        str, typer.Option("--time-zone", help="The shop's, such as Europe/London.", show_default=True)
    ] = "UTC",
    as_json: Json = False,
) -> None:
    """Looks at some of the logs, and writes mapping.toml and nightshift.toml with what they seem to be.

    Nothing is taken in: read both files, then run `nightshift check`.

    Examples:
      nightshift init exports/2011.csv --time-zone Europe/London
      nightshift init logs/ --items products.csv
    """
    from contracts.settings import Shop, load_settings
    from nightshift.starter.starter import start

    try:
        Shop(time_zone=time_zone)
    except ValueError as error:
        raise typer.BadParameter(
            f"{time_zone!r} is not the IANA name of a time zone, such as Europe/London", param_hint="--time-zone"
        ) from error
    made = start(load_settings(), logs, items, time_zone)
    if as_json:
        print_json(
            {
                "mapping": made.mapping,
                "settings": made.settings,
                "event": made.event.event,
                "item": made.item,
                "behaviours": made.event.behaviours,
                "missing": made.missing,
            }
        )
    else:
        draw(screen(), made)


def draw(console: Console, made: Starter) -> None:
    """What was seen, what each field is taken from, and what to do next."""
    logs = made.logs
    about = f"{logs.path}: {logs.files:,} {logs.format} file{'s' if logs.files > 1 else ''}, {logs.encoding}"
    line(console, f"{about}, {logs.records:,} records looked at", "bold")
    rows = fields(made.event.event, logs.columns)
    console.print(table(["field of an event", "from", "for example"], rows))
    for name, remark in made.event.remarks.items():
        line(console, f"• {name}: {remark}")
    if made.event.behaviours:
        words = "; ".join(f"{', '.join(words)} = {name}" for name, words in made.event.behaviours.items())
        line(console, f"Behaviours: {words}")
    line(console)
    source = made.catalogue or logs
    line(
        console, f"{source.path}: the catalogue" if made.catalogue else "The catalogue is the log's own records", "bold"
    )
    console.print(table(["field of an item", "from", "for example"], fields(made.item, source.columns)))
    line(console)
    line(console, f"Wrote {made.mapping} and {made.settings}: read them, they are guesses.")
    if made.missing:
        line(console, f"Nothing looks like {', '.join(made.missing)}: fill that in, in {made.mapping.name}.", "bold")
    line(console, "Next: nightshift check")


def fields(found: Mapping[str, str], columns: Mapping[str, Sequence[str]]) -> list[tuple[str, str, str]]:
    """A row a field: its name, its expression, and a value of the column that the expression is of."""
    rows = []
    for name, expression in found.items():
        bare = expression.replace("`", "")
        column = bare if bare in columns else max((each for each in columns if each in bare), key=len, default="")
        rows.append((name, expression, next(iter(columns.get(column, ())), "")))
    return rows
