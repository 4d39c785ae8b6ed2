"""`nightshift tune`: a study of the settings of training, on the validation window."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from nightshift.command.options import DAY, Sequences, Texts, both_or_none, day, file, words
from nightshift.command.terminal import line, screen, table

if TYPE_CHECKING:
    from rich.console import Console

    from nightshift.tuning.found import Found

UNTIL = typer.Option(
    parser=day,
    metavar=DAY,
    help="Where the test window begins, which is not read (default: the last possible day).",
    show_default=False,
)
ONLY = typer.Option(
    metavar="GROUPS",
    help="Vary only these, by commas: encoder, tower, cooccurrence, ranker (default: all that can change the result).",
    show_default=False,
)


def tune(
    *,
    sequences: Sequences = None,
    texts: Texts = None,
    until: Annotated[date | None, UNTIL] = None,
    stage: Annotated[
        Literal["model", "encoder"],
        typer.Option(help="What is measured: the whole model, or the user encoder's matches alone, which is cheaper."),
    ] = "model",
    only: Annotated[str | None, ONLY] = None,
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of earlier starts among them.")] = 20,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Begin no trial after so many minutes.", show_default=False)
    ] = None,
    html: Annotated[Path | None, file("--html", "Write a page with plots there.")] = None,
) -> None:
    """Looks for better settings of training, on the validation window alone; the test window is never read.

    The defaults are the first trial. Started again, it goes on where it was stopped or killed. Trials are in MLflow,
    the best settings in NIGHTSHIFT_HOME/tuning.

    Examples:
      nightshift tune --trials 30 --minutes 480
      nightshift tune --until 2017-12-18 --only ranker,cooccurrence
      nightshift tune --sequences Office.inter.json --texts Office.item.json --stage encoder --html office.html
    """
    from nightshift.tuning.run import Wanted, run
    from nightshift.tuning.space import Group

    both_or_none(sequences, texts)
    groups = words(only)
    if unknown := sorted(set(groups) - set(get_args(Group))):
        raise typer.BadParameter(f"--only expects some of {', '.join(get_args(Group))}, found {', '.join(unknown)}.")
    wanted = Wanted(sequences, texts, until, stage, groups, trials, minutes, html)  # type: ignore[arg-type]
    draw(screen(), *run(wanted))
    if html:
        line(screen(), f"Written: {html}")


def draw(console: Console, told: Found, best: Path) -> None:
    """The best trial next to the defaults, setting by setting, and what that means."""
    from nightshift.tuning.found import rows

    columns = ["", "defaults", f"trial {told.best.number}", "mattered"]
    head = ("NDCG@10", f"{told.defaults.ndcg:.4f}", f"{told.best.ndcg:.4f}", "")
    console.print(table(columns, [head, *rows(told)], right=columns[1:]))
    line(console)
    states = [each.state for each in told.trials]
    line(
        console,
        f"Study {told.study}: {len(states)} trials, {states.count('pruned')} pruned, {states.count('failed')} failed; "
        f"{told.case}, {told.users:,} users.",
    )
    if told.gain:
        line(console, f"Gain of trial {told.best.number} over the defaults: {told.gain}, paired bootstrap.")
    line(console, told.verdict, "bold")
    line(console, f"For nightshift.toml: {best}")
