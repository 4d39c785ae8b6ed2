"""How answers are told: tables with colours on a terminal, plain text in a pipe, JSON for machines."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDE = 10_000
"""Characters of a line in a pipe: nothing is cut or wrapped there."""

UNSAFE = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode's categories of what moves the cursor, ends lines, or is no character."""
TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""Characters that turn the direction of what follows them, or are not seen at all."""


def printable(value: object) -> str:
    """A value as text that no terminal obeys: control characters are written out, ``\\x1b`` for example.

    Whatever came from a log goes through here before it is shown. With `text`, Rich sees no markup in it either.
    """
    return "".join(
        ascii(character)[1:-1] if unicodedata.category(character) in UNSAFE or character in TURNS else character
        for character in str(value)
    )


def text(value: object, style: str = "") -> Text:
    """A value for Rich, which takes it literally; nothing for None."""
    from rich.text import Text

    return Text("" if value is None else printable(value), style)


def screen() -> Console:
    """Where answers go: colours and the width of the window on a terminal only."""
    from rich.console import Console

    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    return console


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    right: Collection[str] = (),
    folds: Collection[str] = ("title", "category", "because"),
) -> Table:
    """A table of values, which are taken literally.

    Args:
        columns: Headings.
        rows: Cells: values, or texts of `text` that have a style.
        right: Headings of the columns of figures.
        folds: Headings of the columns that take more lines in a narrow window.
    """
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold underline")
    for name in columns:
        wide = name in folds
        made.add_column(
            text(name),
            justify="right" if name in right else "left",
            no_wrap=not wide,
            overflow="fold" if wide else "ellipsis",
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else text(cell) for cell in row))
    return made


def line(console: Console, value: object = "", style: str = "") -> None:
    """A line of text, in a pipe never broken."""
    console.print(text(value, style), soft_wrap=not console.is_terminal)


def count(value: float | None) -> str:
    """A number of things, for example ``1,236``; nothing for what is not known."""
    return "" if value is None else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """A share, for example ``12.5%``; nothing for what is not known."""
    return "" if value is None else f"{value:.1%}"


def moment(time: datetime | None) -> str:
    """A time to the minute, UTC."""
    return "" if time is None else f"{time:%Y-%m-%d %H:%M}"


def print_json(answer: object) -> None:
    """An answer for machines: the names of its fields are the keys. ASCII, so that no terminal obeys it."""
    print(json.dumps(plain(answer), indent=2, allow_nan=False))


def plain(value: object) -> Any:
    """What JSON has: days and times as ISO 8601, null for what is no number."""
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
