"""The HTML pages: a night's own and the index. Self-contained, without script and without network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import jinja2

from contracts import lake
from contracts.columns import Columns as C
from contracts.notices import Notice, of_night
from contracts.settings import Settings
from contracts.states import PUBLISHED, newest
from contracts.tables import PUBLICATIONS
from spark_jobs.reporting import (
    changes,
    costs,
    decisions,
    drift_section,
    hindsight_section,
    model,
    quality,
    reach,
    tunings,
)
from spark_jobs.reporting.examples import Example, examples
from spark_jobs.reporting.hindsight import Hindsight
from spark_jobs.reporting.night import NightTables, verdict

TEMPLATES = Path(__file__).parent / "templates"


def night_page(settings: Settings, night: NightTables, judged: Sequence[Hindsight]) -> str:
    """The page of a night; ``judged`` is the hindsight of earlier ones, oldest first."""
    own = night.own
    values = {
        "ds": night.ds,
        "day_after": night.ds + timedelta(days=1),
        "run_id": night.run_id,
        "night": night,
        "verdict": verdict(night),
        "notices": notices(settings, night.ds),
        "counts": night.counts.get(night.ds),
        "changes": changes.changes(night),
        "suites": quality.expectations(night),
        "volumes": quality.volumes(night),
        "rejects": quality.rejects(settings, night),
        "costs": costs.costs(settings, night.ds),
        "drift": drift_section.section(settings, night),
        "model": model.model(settings, night),
        "decisions": decisions.decisions(settings, night.ds),
        "tunings": tunings.tunings(settings, night, judged),
        "reach": reach.reach(settings, night),
        "examples": _published_examples(settings, night),
        "hindsight": hindsight_section.section(judged, settings.baselines),
        "versions": sorted(own[C.TABLE_VERSIONS].items()) if own else [],
    }
    return _render("report.html.j2", values)


def notices(settings: Settings, ds: date) -> list[Notice]:
    """What people were told of the night, by any of its runs, oldest first; the same thing once."""
    return list(dict.fromkeys(each.notice for each in of_night(settings, ds)))


def index_page(settings: Settings) -> str:
    """The page that links all nights that have one, newest first, each with what became of it."""
    return _render("index.html.j2", {"nights": _nights(settings)})


def _published_examples(settings: Settings, night: NightTables) -> list[Example]:
    """Users of the night; none of a night that readers cannot see."""
    own = night.own
    return examples(settings, night.ds) if own and own[C.STATUS] == PUBLISHED else []


def _nights(settings: Settings) -> list[tuple[date, str]]:
    """Nights that have a page, newest first, and what became of them."""
    rows = lake.rows(settings, PUBLICATIONS)
    nights = []
    for file in settings.reports.glob("????-??-??.html"):
        ds = date.fromisoformat(file.stem)
        row = newest(row for row in rows if row[C.DS] == ds)
        nights.append((ds, row[C.STATUS] if row else "not published"))
    return sorted(nights, reverse=True)


def _render(template: str, values: Mapping[str, Any]) -> str:
    """Fills a template; every value that is not markup of our own is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)
