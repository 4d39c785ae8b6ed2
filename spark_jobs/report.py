"""Writes the page of a night: one self-contained HTML file, without script and without network. Needs no Spark.

    python -m spark_jobs.report --start 2017-12-23 --end 2017-12-24 --run-id manual__2017-12-23

Writes `reports/2017-12-23.html` and `reports/index.html` below NIGHTSHIFT_HOME. Works for a published night, for one
that was held, and for one that stopped at any step: it shows what the tables know. The same tables give the same page.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import jinja2

from spark_jobs import report_sections as sections
from spark_jobs import storage
from spark_jobs.contracts.cli import Run, entry, log, parser, run_of
from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.settings import Settings
from spark_jobs.contracts.tables import PUBLICATIONS
from spark_jobs.examples import Example, examples
from spark_jobs.hindsight import write_atomically

TEMPLATES = Path(__file__).parent / "templates"


def page(settings: Settings, run: Run) -> dict[str, Any]:
    """Everything that the template shows."""
    night = sections.load(settings, run.interval.ds, run.run_id)
    return {
        "ds": night.ds,
        "day_after": night.ds + timedelta(days=1),
        "run_id": night.run_id,
        "night": night,
        "verdict": sections.verdict(night),
        "counts": night.counts.get(night.ds),
        "changes": sections.changes(night),
        "suites": sections.expectations(night),
        "volumes": sections.volumes(night),
        "rejects": sections.rejects(settings, night),
        "model": sections.model(settings, night),
        "reach": sections.reach(settings, night),
        "examples": published_examples(settings, night),
        "looks": sections.looks(settings, night),
        "versions": sorted(night.own["table_versions"].items()) if night.own else [],
    }


def published_examples(settings: Settings, night: sections.Night) -> list[Example]:
    """Users of the night; none of a night that readers cannot see."""
    own = night.own
    return examples(settings, night.ds) if own and own["status"] == sections.PUBLISHED else []


def nights(settings: Settings) -> list[tuple[date, str]]:
    """Nights that have a page, newest first, each with what became of it."""
    rows = storage.small_rows(settings, PUBLICATIONS)
    found = []
    for file in settings.reports.glob("????-??-??.html"):
        ds = date.fromisoformat(file.stem)
        row = sections.newest(row for row in rows if row[C.DS] == ds)
        found.append((ds, row["status"] if row else "not published"))
    return sorted(found, reverse=True)


def render(template: str, values: dict[str, Any]) -> str:
    """Fills a template; every value that is not markup of our own is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(values)


def write(settings: Settings, run: Run) -> Path:
    """Writes the night's page and the index."""
    file = settings.reports / f"{run.interval.ds}.html"
    write_atomically(file, render("report.html.j2", page(settings, run)))
    write_atomically(settings.reports / "index.html", render("index.html.j2", {"nights": nights(settings)}))
    return file


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    log.info("Report: %s", write(settings, run_of(parser(__doc__).parse_args(argv))))


if __name__ == "__main__":
    entry(main)
