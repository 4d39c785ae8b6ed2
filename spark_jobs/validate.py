"""Validates the events of a run's days and the catalogue; a critical failure stops the night.

    python -m spark_jobs.validate --start 2017-12-23 --end 2017-12-24 --run-id by-hand

Writes one row per expectation to `quality_results`. Warnings are logged and go on the report. A critical
failure is a final error: the same data would fail again. `--allow-empty` lets days without events pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from pyspark.sql import SparkSession

from spark_jobs.contracts.cli import Run, entry, log, parser, run_of
from spark_jobs.contracts.errors import QualityError
from spark_jobs.contracts.settings import Settings
from spark_jobs.quality import gate
from spark_jobs.quality.metrics import events_metrics, items_metrics
from spark_jobs.quality.results import CRITICAL, Result, write
from spark_jobs.quality.suites import events_suite, items_suite
from spark_jobs.session import session


def run(spark: SparkSession, settings: Settings, job: Run, *, allow_empty: bool = False) -> None:
    """Measures, judges, writes; then stops the night if it must.

    Raises:
        QualityError: critical expectations that failed, each with what was expected and found.
    """
    events, items = events_metrics(spark, settings, job.interval), items_metrics(spark, settings)
    expected = events_suite(settings, allow_empty=allow_empty, has_past="volume_ratio" in events)
    judged = {
        "events": gate.judge("events", expected, events),
        "items": gate.judge("items", items_suite(settings), items),
    }
    write(settings, job.interval.ds, job.run_id, judged)
    log_results(judged)
    require_met(judged, job.interval.ds)


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


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    arguments = parser(__doc__)
    arguments.add_argument("--allow-empty", action="store_true", help="let days without events pass")
    parsed = arguments.parse_args(argv)
    # importing GX takes seconds, in which the JVM starts
    with ThreadPoolExecutor(1) as aside:
        imported = aside.submit(gate.quiet_context)
        with session("validate", settings) as spark:
            imported.result()
            run(spark, settings, run_of(parsed), allow_empty=parsed.allow_empty)


if __name__ == "__main__":
    entry(main)
