"""`nightshift plan`: hours, memory and cost of a night of any shop, and when approximate search would pay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightshift.command.options import Json, file
from nightshift.command.terminal import count, line, percent, print_json, screen, table

if TYPE_CHECKING:
    from rich.console import Console

    from nightshift.plan.predict import Plan


def plan(
    *,
    users: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Users with a list.", show_default=False)
    ] = None,
    items: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Items of the catalogue.", show_default=False)
    ] = None,
    cores: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Cores that Spark has.", show_default=False)
    ] = None,
    events_per_user: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="N", help="In the history (default: as in this shop, else 30).", show_default=False
        ),
    ] = None,
    price_per_hour: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="X", help="Of the machines (default: \\[costs] price_per_hour).", show_default=False
        ),
    ] = None,
    against: Annotated[
        Path | None, file("--against", "JSON of nightshift bench-night: predicts its nights, beside what they took.")
    ] = None,
    like: Annotated[
        Path | None, file("--like", "With --against: JSON of other such nights, which count as the shop's own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """How long a night would take, with how much memory, what it would cost, and when approximate search would pay.

    From this shop's own nights (table night_steps), where there are any; else from what a user costs on this machine,
    measured on the spot in half a minute, and from fixed costs that are written down with the command that measured
    them. Which rate came from where stands beside each figure.

    Examples:
      nightshift plan --users 1000000 --items 100000 --cores 16
      nightshift plan --users 1000000 --items 100000 --cores 16 --events-per-user 50 --price-per-hour 1.20
      nightshift plan --against night.json
      nightshift plan --against large.json --like small.json
    """
    if against is None and not (users and items and cores):
        raise typer.BadParameter("give --users, --items and --cores, or --against FILE.")
    if against is not None and (users or items or events_per_user):
        raise typer.BadParameter("--against takes users, items and events from its file: leave the others out.")
    if like is not None and against is None:
        raise typer.BadParameter("--like belongs to --against.")
    from contracts.settings import load_settings
    from nightshift.plan import predict

    settings = load_settings()
    price = settings.costs.price_per_hour if price_per_hour is None else price_per_hour
    if against is not None:
        plans = predict.against(settings, against, like, cores, price)
    else:
        wanted = predict.Wanted(users or 0, items or 0, cores or 0, events_per_user, price)
        plans = [predict.plan(settings, wanted)]
    if as_json:
        print_json(plans if against else plans[0])
        return
    for each in plans:
        draw(screen(), each)


def draw(console: Console, plan: Plan) -> None:
    """The steps, what is inside scoring, memory, cost, approximate search, and where the rates come from."""
    shop = plan.shop
    line(
        console,
        f"{shop.users:,} users, {shop.items:,} items, {shop.events:,.0f} events in {shop.days:,.0f} days, "
        f"{shop.cores:,} cores",
    )
    columns = ["part", "seconds", "share", "rate from"]
    rows = [
        [each.name, f"{each.seconds:,.1f}", percent(each.seconds / plan.seconds), each.source] for each in plan.steps
    ]
    rows.append(["night", f"{plan.seconds:,.1f}", percent(1), ""])
    if plan.measured is not None:
        columns += ["took", "predicted / took"]
        for row, part in zip(rows, plan.steps, strict=False):
            row += (
                ["", ""] if part.measured is None else [f"{part.measured:,.1f}", f"{part.seconds / part.measured:.2f}"]
            )
        rows[-1] += [f"{plan.measured:,.1f}", f"{plan.seconds / plan.measured:.2f}"]
    console.print(table(columns, rows, right=[name for name in columns if name not in ("part", "rate from")]))
    line(console)
    line(console, "Inside score_users, by its workers:")
    inside = [(each.name, f"{each.seconds:,.1f}", percent(each.seconds / plan.seconds)) for each in plan.inside]
    console.print(table(("part", "seconds", "of the night"), inside, right=("seconds", "of the night")))
    line(console)
    paid = "" if plan.cost is None else f", which costs {plan.cost:,.2f}"
    line(console, f"A night: {plan.hours:,.2f} hours{paid}.")
    line(console, f"Memory at its highest: {', '.join(memory(plan))}.")
    draw_search(console, plan)
    line(console, f"Rates: {where_from(plan)}")
    line(console)


def memory(plan: Plan) -> list[str]:
    """Each kind of process: ``driver's Java 1.9 GB``, and what it took where a night is compared."""
    took = plan.measured_memory
    return [
        f"{kind} {size / 1e9:,.1f} GB" + (f" (took {took[kind] / 1e9:,.1f})" if kind in took else "")
        for kind, size in plan.memory.items()
    ]


def draw_search(console: Console, plan: Plan) -> None:
    """What approximate search would do to this night, and from where on it would pay."""
    from nightshift.plan.model import PAYS

    found = plan.search
    from_where = "with no catalogue" if found.pays_from is None else f"from about {count(found.pays_from)} items on"
    would = "save" if found.saving >= 0 else "cost"
    told = (
        f"Approximate search: exact matching takes {percent(found.share)} of this night;",
        f"lists are {found.speed_up:.1f} times as fast and take {found.making:,.0f} s to make,",
        f"so that they would {would} {abs(found.saving):,.0f} s.",
        f"With so many users and cores they save {percent(PAYS)} of a night {from_where}.",
    )
    line(console, " ".join(told))


def where_from(plan: Plan) -> str:
    """Which figures are whose."""
    if plan.nights:
        nights = ", ".join(plan.nights)
        return f"how much slower than the model the nights {nights} were, step by step (the median); else {plan.origin}"
    return f"what a user costs in score_users was measured now, on one core; all else is {plan.origin}"
