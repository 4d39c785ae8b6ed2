"""The techniques as a page."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from models.evaluation import GATE
from nightshift.bench_model.page import STYLE
from nightshift.bench_techniques.results import COLUMNS, Refused, Result, cells
from nightshift.bench_techniques.variants import DEFAULT
from spark_jobs.reporting import plots


def page(split: str, users: int, results: Sequence[Result | Refused]) -> str:
    """HTML without scripts."""
    made = [each for each in results if isinstance(each, Result)]
    marks = [plots.Interval(each.name, each.ndcg, *each.interval, strong=each.name == DEFAULT.name) for each in made]
    rows = Markup("").join(_row("td", cells(each)) for each in made)
    refused = Markup("").join(
        Markup("<p>{} is refused: {}</p>").format(each.name, each.why) for each in results if isinstance(each, Refused)
    )
    return str(
        Markup(
            "<!doctype html><html lang=en><meta charset=utf-8><title>bench-techniques</title><style>{}</style>"
            "<h1>bench-techniques</h1><p>{}; {} users.</p>{}<table>{}{}</table>{}</html>\n"
        ).format(Markup(STYLE), split, f"{users:,}", plots.intervals(GATE, marks), _row("th", COLUMNS), rows, refused)
    )


def _row(kind: str, values: Sequence[str]) -> Markup:
    tag = Markup(kind)
    return Markup("<tr>{}</tr>").format(Markup("").join(Markup("<{0}>{1}</{0}>").format(tag, each) for each in values))
