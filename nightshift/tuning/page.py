"""A study as a page: the history of its trials, the curves of the defaults and of the best one, and the settings."""

from __future__ import annotations

from itertools import accumulate

from markupsafe import Markup

from nightshift.bench_model.page import STYLE
from nightshift.tuning.found import Found, rows
from nightshift.tuning.study import shown
from spark_jobs.reporting import plots

LINES = (
    ".line{fill:none;stroke-width:2}.grid{stroke:#e8eae7}.tick{font-size:12px;fill:#5c6670}.key{width:10px}"
    ".legend{list-style:none;display:flex;gap:18px;padding:0}"
    ".l1{stroke:#2767b1}.c1{fill:#2767b1}.l2{stroke:#d9772b}.c2{fill:#d9772b}"
)


def page(told: Found) -> str:
    """HTML without scripts."""
    complete = [each for each in told.trials if each.ndcg is not None]
    points = [(float(each.number), each.ndcg or 0.0) for each in complete]
    so_far = list(accumulate((value for _, value in points), max))
    history = {"trial": points, "best so far": [(n, value) for (n, _), value in zip(points, so_far, strict=True)]}
    curves = {
        name: [(float(step), value) for step, value in sorted(each.curve.items())]
        for name, each in (("defaults", told.defaults), (f"trial {told.best.number}", told.best))
    }
    settings = Markup("").join(
        Markup("<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>").format(*row) for row in rows(told)
    )
    trials = Markup("").join(
        Markup("<tr><td>{}</td><td>{}</td><td>{}</td>{}</tr>").format(
            each.number,
            each.state,
            "" if each.ndcg is None else f"{each.ndcg:.4f}",
            Markup("").join(Markup("<td>{}</td>").format(shown(value)) for value in each.values.values()),
        )
        for each in told.trials
    )
    names = Markup("").join(Markup("<th>{}</th>").format(name) for name in told.best.values)
    gained = "" if told.gain is None else f" Gain over the defaults: {told.gain}."
    return str(
        Markup(
            "<!doctype html><html lang=en><meta charset=utf-8><title>{}</title><style>{}</style>"
            "<h1>tune: {}</h1><p>{}; {} users. {}{}</p><h2>NDCG@10 of the trials</h2>{}"
            "<h2>The encoder after each pass</h2>{}<h2>Settings</h2>"
            "<table><tr><th></th><th>default</th><th>best</th><th>mattered</th></tr>{}</table>"
            "<h2>Trials</h2><table><tr><th>trial</th><th></th><th>NDCG@10</th>{}</tr>{}</table></html>\n"
        ).format(
            told.study,
            Markup(STYLE + LINES),
            told.study,
            told.case,
            f"{told.users:,}",
            told.verdict,
            gained,
            plots.lines("NDCG@10", history, show_points=True),
            plots.lines("NDCG@10 on the window before", curves),
            settings,
            names,
            trials,
        )
    )
