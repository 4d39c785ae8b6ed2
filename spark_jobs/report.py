"""Writes the page of a night: one self-contained HTML file, without script and without network. Needs no Spark.

    python -m spark_jobs.report --ds 2017-12-23 --run-id manual__2017-12-23

Writes `reports/2017-12-23.html` and `reports/index.html` below NIGHTSHIFT_HOME, and into the table `hindsight_results`
how earlier nights fared whose 7 days are over. Works for a published night, for one that was held, and for one that
stopped at any step: it shows what the tables know. The same tables give the same page.
"""

from __future__ import annotations

from contracts.cli import Night, log, main
from contracts.files import write_atomically
from contracts.settings import Settings
from spark_jobs.reporting.hindsight_section import judged_nights
from spark_jobs.reporting.night import load
from spark_jobs.reporting.page import index_page, night_page


def run(settings: Settings, arguments: Night) -> None:
    """Reads the night, judges the earlier ones that were not yet, and writes the night's page and the index."""
    night = load(settings, arguments.ds, arguments.run_id)
    page = night_page(settings, night, judged_nights(settings, night))
    file = settings.reports / f"{arguments.ds}.html"
    write_atomically(file, page)
    write_atomically(settings.reports / "index.html", index_page(settings))
    log.info("Report: %s", file)


if __name__ == "__main__":
    main(__doc__, Night, run)
