"""Prints what a day still lacks before its events can be trained on; nothing if they were taken in.

    python -m spark_jobs.taken_in --ds 2017-12-22

The tables tell it, not Airflow: a day that was taken in by hand counts as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from contracts import lake
from contracts.cli import argument, main
from contracts.columns import Columns as C
from contracts.settings import Settings
from contracts.states import is_critical_failure
from contracts.tables import INGEST_COUNTS, QUALITY_RESULTS

SUITES = ("events", "items")
"""Suites of expectations that a day's events have to meet."""


@dataclass(frozen=True)
class Arguments:
    """The day that is asked for."""

    ds: date = argument("the day whose events are to be there")


def run(settings: Settings, arguments: Arguments) -> None:
    """Prints what is lacking."""
    if why := lacking(settings, arguments.ds):
        print(why)


def lacking(settings: Settings, ds: date) -> str | None:
    """What a day lacks, in words; None if its events were taken in, as only those are that passed the gate."""
    if lake.count(settings, INGEST_COUNTS, {C.DS: ds}):
        return None
    results = [row for row in lake.rows(settings, QUALITY_RESULTS, {C.DS: ds}) if row[C.SUITE] in SUITES]
    if failed := sum(map(is_critical_failure, results)):
        return f"its data failed {failed} critical expectation{'s' * (failed > 1)}"
    return "its logs have not been taken in"


if __name__ == "__main__":
    main(__doc__, Arguments, run)
