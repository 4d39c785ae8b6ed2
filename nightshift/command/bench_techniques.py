"""`nightshift bench-techniques`: what each technique of the item tower does, by the code that tunes it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightshift.command.bench_model import ONLY
from nightshift.command.options import DAY, Sequences, Texts, both_or_none, day, file, words
from nightshift.command.terminal import line, screen, table

if TYPE_CHECKING:
    from rich.console import Console

    from nightshift.bench_techniques.run import Outcome, Wanted

UNTIL = typer.Option(
    parser=day, metavar=DAY, help="Where the validation window begins (default: the last but one).", show_default=False
)


def bench_techniques(
    *,
    sequences: Sequences = None,
    texts: Texts = None,
    until: Annotated[date | None, UNTIL] = None,
    only: Annotated[str | None, ONLY] = None,
    measure: Annotated[bool, typer.Option(help="Measure what was not measured yet, or tell the rest alone.")] = True,
    as_json: Annotated[Path | None, file("--json", "Write everything there, for machines.")] = None,
    html: Annotated[Path | None, file("--html", "Write a page with a plot there.")] = None,
    docs: Annotated[Path | None, file("--docs", "Write what was measured into the tables of this page.")] = None,
) -> None:
    """What each technique of docs/techniques.md does: the default settings of the item tower with that one change.

    The tower is tuned by the code that trains the model. Then texts alone recommend: the validation window is judged,
    what comes after it is not read. What was measured before on the same data, by the same settings and code, is not
    measured again.

    Examples:
      nightshift bench-techniques --until 2017-10-29 --docs docs/techniques.md
      nightshift bench-techniques --until 2017-10-29 --no-measure
      nightshift bench-techniques --only int8,bfloat16 --html techniques.html
      nightshift bench-techniques --sequences Office.inter.json --texts Office.item.json --json office.json
    """
    from nightshift.bench_techniques.run import Wanted, run

    both_or_none(sequences, texts)
    wanted = Wanted(sequences, texts, until, words(only), as_json, html, docs, measure)
    draw(screen(), run(wanted), wanted)


def draw(console: Console, outcome: Outcome, wanted: Wanted) -> None:
    """A row for each variant, then what was refused, and where the files are."""
    from nightshift.bench_techniques.results import COLUMNS, Refused, Result, cells

    rows = [cells(each) for each in outcome.results if isinstance(each, Result)]
    console.print(table(COLUMNS, rows, right=COLUMNS[1:]))
    line(console)
    line(
        console,
        f"{outcome.split}, {outcome.users:,} users. NDCG@10 of what is new to them, by text alone, gains with the "
        "95% interval of a paired bootstrap; tuning and encoding: time over that of the default.",
    )
    for each in outcome.results:
        if isinstance(each, Refused):
            line(console, f"{each.name} is refused: {each.why}", "yellow")
    for written in (wanted.as_json, wanted.html, wanted.docs):
        if written:
            line(console, f"Written: {written}")
