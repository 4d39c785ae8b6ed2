"""`nightshift bench-scoring`: the scoring kernel next to its peers, and to the product that bounds them all."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.errors import InputError
from nightshift.command.bench_model import ONLY
from nightshift.command.options import file, words
from nightshift.command.terminal import line, percent, screen, table

if TYPE_CHECKING:
    from rich.console import Console

    from nightshift.bench_scoring.run import Outcome


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers from 1 between commas; anything else ends the program with exit code 2."""
    found = words(text.replace("_", ""))
    if not found or not all(each.isdecimal() and int(each) for each in found):
        raise typer.BadParameter(f"expected whole numbers from 1, by commas, found {text!r}")
    return tuple(map(int, found))


def _numbers(told: str) -> Any:
    return typer.Option(metavar="NUMBERS", help=f"{told}, by commas.")


def bench_scoring(
    *,
    items: Annotated[str, _numbers("Sizes of the catalogue")] = "28000,92331,200000,1000000",
    dimensions: Annotated[str, _numbers("Sizes of the vectors")] = "64,128",
    k: Annotated[str, _numbers("How many of the best")] = "20,150",
    threads: Annotated[str, _numbers("Threads")] = "1,2",
    events: Annotated[str, _numbers("Events of the users whose whole cost is told")] = "50,600",
    only: Annotated[str | None, ONLY] = None,
    spark: Annotated[bool, typer.Option(help="Also Spark's ALS against ours, with the table written.")] = True,
    as_json: Annotated[Path | None, file("--json", "Write everything there, for machines.")] = None,
) -> None:
    """How fast the best items of users are found: the night's kernel, faiss, implicit, torch, Spark's ALS.

    All search the same vectors in one run, in turns, and the best of three turns counts. The bound is the fp32 product
    of the same shape, with nothing done to its scores; approximate search does not make all products, so that it can
    be above it. The vectors are random, the worst case for approximate search: it misses more of them than of a shop's.
    Then what a whole user costs, ranker and all.

    Examples:
      nightshift bench-scoring
      nightshift bench-scoring --items 92331 --dimensions 64 --k 20,150,500 --threads 1 --no-spark
      nightshift bench-scoring --only faiss --json scoring.json
    """
    shapes = tuple(product(numbers(items), numbers(dimensions), numbers(k), numbers(threads)))
    try:
        from nightshift.bench_scoring.run import Wanted, run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise InputError(
            f"bench-scoring compares with other libraries, and {missing} is not installed: "
            "pip install -r requirements-dev.txt -c constraints.txt"
        ) from error

    draw(screen(), run(Wanted(shapes, words(only), numbers(events), spark, as_json)))
    if as_json:
        line(screen(), f"Written: {as_json}")


COLUMNS = ("items", "dimensions", "k", "threads", "", "pairs/s", "of the bound", "memory", "same items", "made ready")


def draw(console: Console, outcome: Outcome) -> None:
    """A row for each contender on each shape, then the two ways through Spark."""
    rows = [
        (
            f"{each.shape.items:,}",
            each.shape.size,
            each.shape.k,
            each.shape.threads,
            each.name,
            f"{each.pairs_per_second:.2e}",
            percent(each.of_bound),
            f"{each.peak_bytes / 1e6:,.0f} MB",
            percent(each.same),
            f"{each.preparing:.1f} s",
        )
        for each in outcome.cells
    ]
    console.print(table(COLUMNS, rows, right=[name for name in COLUMNS if name]))
    if outcome.users:
        parts = list(outcome.users[0].milliseconds)
        columns = ["events", "candidates", *parts, "users/s"]
        costs = [
            (
                each.events,
                f"{each.candidates:.0f}",
                *(f"{each.milliseconds[part]:.2f}" for part in parts),
                f"{each.users_per_second:,.0f}",
            )
            for each in outcome.users
        ]
        line(console)
        line(console, "Milliseconds of a user on one core, of 92,331 items; all candidates hold the four parts before:")
        console.print(table(columns, costs, right=columns))
    for way in outcome.spark:
        line(console, f"{way.name}: {way.seconds:.1f} s with the table written, {way.pairs_per_second:.2e} pairs/s")
