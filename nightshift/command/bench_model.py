"""`nightshift bench-model`: the model, its parts and the baselines on one split, in one table."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightshift.command.options import DAY, Sequences, Texts, both_or_none, day, file, words
from nightshift.command.terminal import line, screen, table

if TYPE_CHECKING:
    from rich.console import Console

    from nightshift.bench_model.results import Outcome

METRICS = (
    "ndcg@10", "recall@10", "mrr@10", "hit_rate@10", "ndcg@20", "recall@20", "mrr@20", "hit_rate@20", "coverage@10",
    "novelty@10", "diversity@10", "new_share@10",
)  # fmt: skip


UNTIL = typer.Option(
    parser=day, metavar=DAY, help="Where the last window begins (default: the last possible day).", show_default=False
)
ONLY = typer.Option(
    metavar="NAMES", help="Only those whose names hold one of these words, by commas.", show_default=False
)


def bench_model(
    *,
    sequences: Sequences = None,
    texts: Texts = None,
    weeks: Annotated[int, typer.Option(min=1, help="Windows to predict; the model is refitted for each.")] = 1,
    until: Annotated[date | None, UNTIL] = None,
    basket: Annotated[bool, typer.Option("--last-basket", help="Predict each user's last basket, not days.")] = False,
    parts: Annotated[bool, typer.Option(help="Also the parts of the model, each fitted anew.")] = True,
    only: Annotated[str | None, ONLY] = None,
    peers: Annotated[
        bool, typer.Option("--peers", help="Also models of RecTools, in an environment of their own (5 GB, made once).")
    ] = False,
    peer_minutes: Annotated[float, typer.Option(min=0.1, help="How long each peer may take.")] = 60,
    as_json: Annotated[Path | None, file("--json", "Write everything there, for machines.")] = None,
    html: Annotated[Path | None, file("--html", "Write a page with a plot there.")] = None,
) -> None:
    """How good the model is: it, its parts and the baselines on one split, by the code that trains and scores at night.

    Without files, on the shop of the lake: the next days, refitted each week. With files, leave-one-out: each user's
    last item is the test, what they had before is not shown again. All rank the whole catalogue.

    Examples:
      nightshift bench-model --weeks 8 --until 2017-12-18 --no-parts
      nightshift bench-model --weeks 3 --only "our model,warm start"
      nightshift bench-model --last-basket
      nightshift bench-model --sequences user_sequence.txt --texts item_text.txt --json beauty.json
      nightshift bench-model --sequences Office.inter.json --texts Office.item.json --only model,knn,popular
      nightshift bench-model --sequences user_sequence.txt --texts item_text.txt --peers --only peer,item_knn,popular
    """
    from nightshift.bench_model.run import Wanted, run

    both_or_none(sequences, texts)
    wanted = Wanted(
        sequences, texts, weeks, until, basket, parts, words(only), peers, peer_minutes, as_json, html
    )  # fmt: skip
    draw(screen(), run(wanted), wanted)


def draw(console: Console, outcome: Outcome, wanted: Any) -> None:
    """The table of all users, then segments, then who takes no part, and where the files are."""
    from nightshift.bench_model.contest import WARM_START

    results = outcome.results
    columns = ["", *METRICS, "gain", "fit", "score"]
    rows = [
        [
            each.name,
            *(f"{each.metrics[name]:.4f}" if name in each.metrics else "" for name in METRICS),
            str(each.gain or ""),
            f"{each.fit_seconds:,.0f} s",
            f"{each.score_seconds:,.1f} s",
        ]
        for each in results
    ]
    console.print(table(columns, rows, right=columns[1:]))
    line(console)
    line(console, "NDCG@10 by segment", "bold")
    segments = sorted({name for each in results for name in each.segments} - {"all"})
    rows = [
        [name, *(f"{each.segments[name]:.4f}" if name in each.segments else "" for each in results)]
        for name in segments
    ]
    console.print(table(["", *(each.name for each in results)], rows, right=[each.name for each in results]))
    line(console)
    line(
        console,
        f"{results[0].users:,} users. gain: of our model over this one in NDCG@10, with the 95% interval of a paired "
        "bootstrap; fit and score: wall time.",
    )
    if any(each.name == WARM_START for each in results):
        line(console, f"{WARM_START}: the first week is from scratch, each later one goes on from the week before.")
    for each in outcome.absent:
        line(console, f"{each.name} takes no part: {each.why}", "yellow")
    for written in (wanted.as_json, wanted.html):
        if written:
            line(console, f"Written: {written}")
