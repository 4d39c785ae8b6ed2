"""Arguments and options that several commands take, once."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer


def day(text: str) -> date:
    """A day of an argument; anything else ends the program with exit code 2."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"expected a day, YYYY-MM-DD, found {text!r}") from error


def nights_there(incomplete: str) -> list[str]:
    """Nights with lists, newest first, for the completion of a shell: from names of folders, which takes no time."""
    from contracts.places import names
    from contracts.settings import load_settings
    from contracts.tables import RECOMMENDATIONS

    there = (name.removeprefix("ds=") for name in names(load_settings().lake / RECOMMENDATIONS.name) if "=" in name)
    return sorted((ds for ds in there if ds.startswith(incomplete)), reverse=True)


def file(name: str, told: str) -> Any:
    """An option that names a file."""
    return typer.Option(name, metavar="FILE", help=told, show_default=False)


def words(text: str | None) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


def both_or_none(sequences: Path | None, texts: Path | None) -> None:
    """Refuses one of the two files without the other."""
    if (sequences is None) != (texts is None):
        raise typer.BadParameter("--sequences and --texts belong together: give both files, or none for the lake.")


DAY = "YYYY-MM-DD"

Sequences = Annotated[Path | None, file("--sequences", "Lines of USER ITEM ITEM …, or JSON {user: \\[item, …]}.")]
Texts = Annotated[Path | None, file("--texts", "Lines of ITEM text, or JSON {item: {title, …}}.")]

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Ds = Annotated[
    date | None,
    typer.Option(
        "--ds",
        parser=day,
        metavar=DAY,
        autocompletion=nights_there,
        help="The night (default: the newest published one).",
    ),
]
User = Annotated[str, typer.Argument(help="Id of the user, as in the logs.", show_default=False)]
Ids = Annotated[bool, typer.Option("--ids", help="Name users by their ids, not by pseudonyms.")]
