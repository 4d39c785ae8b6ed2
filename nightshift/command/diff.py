"""`nightshift diff`: two published nights next to each other."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightshift.command.options import DAY, Ids, Json, day, nights_there
from nightshift.command.terminal import count, line, percent, print_json, screen, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from nightshift.lookups.compare import Difference, ItemChange


def _night(name: str) -> Any:
    """An argument that is a published night."""
    told = f"A published night, {DAY}."
    return typer.Argument(parser=day, metavar=name, autocompletion=nights_there, help=told, show_default=False)


def diff(
    ds1: Annotated[date, _night("DS1")],
    ds2: Annotated[date, _night("DS2")],
    *,
    ids: Ids = False,
    as_json: Json = False,
) -> None:
    """Two published nights: whose lists changed, by how much, and which items won and lost.

    Rank-biased overlap is 1 for the same items in the same order, 0 for none in common (Webber et al. 2010, p = 0.9).

    Examples:
      nightshift diff 2017-12-23 2017-12-24
      nightshift diff 2017-12-23 2017-12-24 --ids --json
    """
    from contracts.settings import load_settings
    from nightshift.lookups.compare import difference

    found = difference(load_settings(), ds1, ds2, ids=ids)
    if as_json:
        print_json(found)
    else:
        draw(screen(), found)


def draw(console: Console, found: Difference) -> None:
    """Both nights, then the changes."""
    before, after = found.before, found.after
    sources = [
        (f"from {name}", percent(before.sources.get(name)), percent(after.sources.get(name))) for name in after.sources
    ]
    rows = [
        ("model", before.model_id, after.model_id),
        ("run", before.run_id, after.run_id),
        ("users", count(before.users), count(after.users)),
        *sources,
        ("content", before.content_hash[:12], after.content_hash[:12]),
    ]
    console.print(table(["", str(before.ds), str(after.ds)], rows))
    line(console)
    line(console, "The content hashes are equal." if found.same_content else "The content hashes differ.")
    line(
        console,
        f"{found.users_in_both:,} users in both, {found.users_only_before:,} only in {before.ds}, "
        f"{found.users_only_after:,} only in {after.ds}; {found.unchanged_lists:,} lists unchanged.",
    )
    if found.new_share is not None and found.rank_biased_overlap is not None:
        line(
            console,
            f"Of a list {percent(found.new_share)} is new on average; "
            f"mean rank-biased overlap {found.rank_biased_overlap:.3f}.",
        )
    draw_items(console, "Items that gained the most users", found.gained)
    draw_items(console, "Items that lost the most users", found.lost)
    if found.most_changed:
        line(console)
        line(console, "Users whose lists changed the most", "bold")
        changed = ((each.user, percent(each.new_share), f"{each.overlap:.3f}") for each in found.most_changed)
        console.print(table(["user", "new", "overlap"], changed, right=("new", "overlap")))


def draw_items(console: Console, heading: str, items: Sequence[ItemChange]) -> None:
    """A row an item; nothing for none."""
    if items:
        line(console)
        line(console, heading, "bold")
        rows = (
            (each.item_id, each.title, count(each.before), count(each.after), f"{each.after - each.before:+,}")
            for each in items
        )
        columns = ["item", "title", "before", "after", "change"]
        console.print(table(columns, rows, right=columns[2:]))
