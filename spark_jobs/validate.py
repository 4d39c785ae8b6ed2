"""Validates the events of a run's days and the catalogue; a critical failure stops the night.

    python -m spark_jobs.validate --start 2017-12-23 --end 2017-12-24 --run-id by-hand

Writes one row per expectation to `quality_results`. Warnings are logged and go on the report. A critical
failure is a final error: the same data would fail again. `--allow-empty` lets days without events pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from pyspark.sql import SparkSession

from contracts.cli import Days, argument, log
from contracts.errors import QualityError
from contracts.settings import Settings
from contracts.states import CRITICAL
from spark_jobs.cluster.step import main
from spark_jobs.quality import gate
from spark_jobs.quality.metrics import events_metrics, items_metrics
from spark_jobs.quality.results import Result, write
from spark_jobs.quality.suites import events_suite, items_suite


@dataclass(frozen=True)
class Arguments(Days):
    """The days that are validated, and the run whose results they are."""

    run_id: str = argument("name of the run in the tables", default="by-hand")


def run(spark: SparkSession, settings: Settings, arguments: Arguments) -> None:
    """Measures, judges, writes; then stops the night if it must.

    Raises:
        QualityError: critical expectations that failed, each with what was expected and observed.
    """
    interval = arguments.interval
    events, items = events_metrics(spark, settings, interval), items_metrics(spark, settings)
    expected = events_suite(settings, allow_empty=arguments.allow_empty, has_past="volume_ratio" in events)
    judged = {
        "events": gate.judge("events", expected, events),
        "items": gate.judge("items", items_suite(settings), items),
    }
    write(settings, interval.ds, arguments.run_id, judged)
    log_results(judged)
    require_met(judged, interval.ds)


def log_results(judged: Mapping[str, Sequence[Result]]) -> None:
    """Logs what failed, and how many did not."""
    for suite, results in judged.items():
        for result in results:
            if not result.success:
                log.warning("%s, %s: %s", suite, result.severity, result)
        log.info("%s: %d of %d expectations met", suite, sum(r.success for r in results), len(results))


def require_met(judged: Mapping[str, Sequence[Result]], night: date) -> None:
    """Raises a QualityError that lists the critical failures, if there are any."""
    failed = [
        f"{suite}: {result}"
        for suite, results in judged.items()
        for result in results
        if result.severity == CRITICAL and not result.success
    ]
    if failed:
        raise QualityError(
            f"The data of {night} failed {len(failed)} critical expectation{'s' * (len(failed) > 1)}. "
            f"{'; '.join(failed)}. Nothing is published. Correct the logs and run the night again, or, if the data "
            "is right, change the bounds under [quality] in nightshift.toml."
        )


if __name__ == "__main__":
    # importing GX takes seconds, in which Java starts
    main("validate", __doc__, Arguments, run, meanwhile=lambda _: gate.quiet_context())
