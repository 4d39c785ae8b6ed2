"""`nightshift bench-night`: what a night of a seeded shop takes, step by step, in time and memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import InputError
from nightshift.command.options import file
from nightshift.command.terminal import count, line, percent, screen, table
from nightshift.command.verify_incremental import draw as draw_comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from nightshift.bench_night.run import Again, Night


def bench_night(
    *,
    users: Annotated[int, typer.Option(min=100, help="Users of the shop.")] = 10_000,
    items: Annotated[int, typer.Option(min=100, help="Items of its catalogue.")] = 5_000,
    events: Annotated[
        int, typer.Option(min=1_000, help="Events of eight weeks, the night's day among them.")
    ] = 300_000,
    compare_users: Annotated[
        int | None,
        typer.Option(
            min=100, help="Then another shop with so many users, and events as many for each.", show_default=False
        ),
    ] = None,
    master: Annotated[
        str, typer.Option(help="Where Spark runs; two executors of a core: local-cluster\\[2,1,2048].")
    ] = "local[*]",
    executors: Annotated[
        bool,
        typer.Option("--executors", help="Then score everyone again by one executor on one core, and by two on two."),
    ] = False,
    changed: Annotated[
        float | None,
        typer.Option(
            min=0.0001,
            max=1.0,
            help="Then run the night after, in which this share of the users did something, and score it in full and "
            "with the lists of all others carried over.",
            show_default=False,
        ),
    ] = None,
    driver_memory: Annotated[str, typer.Option(help="Memory of the driver's Java.")] = "4g",
    as_json: Annotated[Path | None, file("--json", "Write everything there, for machines.")] = None,
) -> None:
    """A night from log files to the published table, on a shop of any size: users a second, shares, memory.

    The shop is made with a seed: items by Zipf's law, users of few and of many events, one of 100,000. Its history is
    taken in and a model trained cheaply, both outside of the time. Then the steps of the DAG run one after the other by
    spark-submit, without Airflow, in bench-night/ below NIGHTSHIFT_HOME; what is there from a run before is deleted.

    Examples:
      nightshift bench-night
      nightshift bench-night --users 100000 --items 50000 --events 3000000 --json night.json
      nightshift bench-night --users 1000000 --items 100000 --events 20000000 --driver-memory 8g
      nightshift bench-night --compare-users 40000
      nightshift bench-night --users 100000 --items 50000 --events 3000000 --executors --changed 0.05
    """
    if events < 2 * users:
        raise InputError(f"{users:,} users need {2 * users:,} events at least, not {events:,}: raise --events.")
    from nightshift.bench_night.run import HOW_TRAINED, Wanted, run
    from nightshift.bench_night.shop import Size

    first = Size(users, items, events)
    others = [replace(first, users=compare_users, events=events * compare_users // users)] if compare_users else []
    nights = run(Wanted((first, *others), master, driver_memory, as_json, executors, changed))
    for each in nights:
        draw(screen(), each)
    if len(nights) > 1:
        draw_growth(screen(), *nights)
    line(screen(), HOW_TRAINED)
    if as_json:
        line(screen(), f"Written: {as_json}")


def draw(console: Console, night: Night) -> None:
    """A row for each step, then for each part of scoring."""
    from nightshift.bench_night.steps import KINDS

    size = night.size
    line(console, f"{size.users:,} users, {size.items:,} items, {size.events:,} events; one user has {size.heavy:,}")
    shown = [kind for kind in KINDS if any(kind in step.peaks for step in night.steps)]
    columns = ("step", "seconds", "share", "users/s", *(f"{kind}, MB" for kind in shown))
    rows = [
        (
            step.name,
            f"{step.seconds:.1f}",
            percent(step.seconds / night.seconds),
            count(night.users / step.seconds),
            *(count(step.peaks[kind] / 1e6 if kind in step.peaks else None) for kind in shown),
        )
        for step in night.steps
    ]
    whole = ("night", f"{night.seconds:.1f}", percent(1), count(night.users / night.seconds))
    most = [max(step.peaks.get(kind, 0) for step in night.steps) / 1e6 for kind in shown]
    console.print(table(columns, [*rows, (*whole, *map(count, most))], right=columns[1:]))
    line(console)
    inside = night.scoring_parts
    total = sum(inside.values())
    parts = [(name, f"{seconds:.1f}", percent(seconds / total)) for name, seconds in inside.items()]
    line(
        console,
        f"Inside score_users, seconds of cores ({total:.1f} in all; the start of Java and the commit are none):",
    )
    console.print(table(("part", "seconds", "share"), parts, right=("seconds", "share")))
    scoring = night.scoring
    if night.after:
        draw_comparison(console, night.after)
        line(console)
    if night.again:
        draw_again(console, night.again)
    line(console, f"The longest task that scores took {scoring.longest:.1f} s, the median one {scoring.median:.1f} s.")
    line(console)


def draw_again(console: Console, again: Sequence[Again]) -> None:
    """What more executors give."""
    from nightshift.bench_night.steps import EXECUTORS, WORKERS

    line(console)
    line(console, "score_users once more, by executors of a core each, with as many cores for all of Spark:")
    columns = ("executors", "step, s", "tasks that score, s", "times as fast", f"{EXECUTORS}, MB", f"{WORKERS}, MB")
    one = again[0].scoring.wall
    rows = [
        (
            str(each.executors),
            f"{each.taken.seconds:.1f}",
            f"{each.scoring.wall:.1f}",
            f"{one / each.scoring.wall:.2f}",
            *(count(each.taken.peaks.get(kind, 0) / 1e6) for kind in (EXECUTORS, WORKERS)),
        )
        for each in again
    ]
    console.print(table(columns, rows, right=columns))


def draw_growth(console: Console, first: Night, second: Night) -> None:
    """How time and the driver's memory grow with the users."""
    from nightshift.bench_night.steps import DRIVER, DRIVER_PYTHON

    line(console, f"{second.users / first.users:.1f} times as many users:")
    columns = ("step", "seconds", "times", "driver, MB", "times")
    rows = []
    for before, after in zip(first.steps, second.steps, strict=True):
        driver = [sum(step.peaks.get(kind, 0) for kind in (DRIVER, DRIVER_PYTHON)) / 1e6 for step in (before, after)]
        rows.append((before.name, *_growth(before.seconds, after.seconds, 1), *_growth(driver[0], driver[1], 0)))
    rows.append(("night", *_growth(first.seconds, second.seconds, 1), "", ""))
    console.print(table(columns, rows, right=columns[1:]))


def _growth(before: float, after: float, digits: int) -> tuple[str, str]:
    return f"{before:,.{digits}f} → {after:,.{digits}f}", f"{after / before:.1f}" if before else ""
