"""The results as a page: NDCG@10 with intervals, and the table."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from models.evaluation import GATE
from nightshift.bench_model.contest import MODEL
from nightshift.bench_model.results import Outcome
from spark_jobs.reporting import plots

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child{text-align:left}"
)


def page(outcome: Outcome, splits: Sequence[str]) -> str:
    """HTML without scripts."""
    results = outcome.results
    marks = [
        plots.Interval(each.name, each.metrics[GATE], *each.interval, strong=each.name == MODEL) for each in results
    ]
    names = list(results[0].metrics)
    head = Markup("").join(
        Markup("<th>{}</th>").format(name) for name in ("", *names, "gain of our model", "fit", "score")
    )
    rows = Markup("").join(
        Markup("<tr><td>{}</td>{}<td>{}</td><td>{:,.0f} s</td><td>{:,.1f} s</td></tr>").format(
            each.name,
            Markup("").join(Markup("<td>{:.4f}</td>").format(each.metrics[name]) for name in names),
            str(each.gain or ""),
            each.fit_seconds,
            each.score_seconds,
        )
        for each in results
    )
    absent = Markup("").join(
        Markup("<p>{} takes no part: {}</p>").format(each.name, each.why) for each in outcome.absent
    )
    return str(
        Markup(
            "<!doctype html><html lang=en><meta charset=utf-8><title>bench-model</title><style>{}</style>"
            "<h1>bench-model</h1><p>{}; {} users.</p>{}<table><tr>{}</tr>{}</table>{}</html>\n"
        ).format(
            Markup(STYLE),
            ", ".join(splits),
            f"{results[0].users:,}",
            plots.intervals("NDCG@10", marks),
            head,
            rows,
            absent,
        )
    )
