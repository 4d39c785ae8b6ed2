"""Validates the events of a run's days and the catalogue, and takes in what passes; a critical failure stops the night.

    python -m spark_jobs.validate --start 2017-12-23 --end 2017-12-24 --run-id by-hand

Writes one row per expectation to `quality_results`. Warnings are logged and go on the report. A critical failure is a
final error: the same data would fail again. Until a day passes, `events` and `items` are as they were before it; an
earlier day of `--also` that does not pass is left out, and the night goes on. Days without events pass when the shop's
calendar says that it was closed, and with `--allow-empty`. What was taken in already is judged as it is in the tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pyspark.sql import SparkSession

from contracts import intake
from contracts.cli import Days, argument, log
from contracts.errors import QualityError
from contracts.night_steps import Counts
from contracts.notices import Notice, tell
from contracts.settings import Settings
from contracts.states import CRITICAL
from spark_jobs.cluster.step import main
from spark_jobs.ingest.acceptance import Batch, accept, batch, settle
from spark_jobs.quality import gate, rejects
from spark_jobs.quality.metrics import CatalogueRows, Metrics, catalogue_rows, events_metrics, items_metrics
from spark_jobs.quality.results import Result, write
from spark_jobs.quality.suites import REJECTED_EVENTS, REJECTED_ITEMS, events_suite, items_suite
from spark_jobs.reporting.pseudonyms import masked, pseudonym_key


@dataclass(frozen=True)
class Arguments(Days):
    """The days that are validated, and the run whose results they are."""

    run_id: str = argument("name of the run in the tables", default="by-hand")


def run(spark: SparkSession, settings: Settings, arguments: Arguments) -> Counts:
    """Measures, judges, writes the results, takes in what passes; then stops the night if it must.

    Raises:
        QualityError: critical expectations that failed, each with what was expected and observed.
    """
    night = arguments.interval.ds
    items = catalogue_rows(spark, settings, night)
    measured_items = items_metrics(settings, items)
    of_items = gate.judge("items", items_suite(settings), measured_items)
    items_failed = critical_failures({"items": of_items})
    cleaned, accepted = intake.waiting(settings, night), []
    for days in arguments.batches:
        is_night = days == arguments.interval
        if not is_night and (items_failed or days.ds not in cleaned):
            continue
        spark.catalog.clearCache()  # of the batch before: there may be a week of them
        each = batch(spark, settings, night, days)
        measured = {"events": events_metrics(items, settings, each)}
        may_be_empty = (arguments.allow_empty and is_night) or all(map(settings.shop.is_closed, days.days))
        suite = events_suite(settings, allow_empty=may_be_empty, has_past="volume_ratio" in measured["events"])
        judged = {"events": gate.judge("events", suite, measured["events"])}
        if is_night:
            judged["items"], measured["items"] = of_items, measured_items
        write(settings, days.ds, arguments.run_id, judged)
        log_results(judged)
        failed = critical_failures(judged)
        if not failed:
            accept(spark, settings, night, each)
            accepted.append(days)
            continue
        told = message(each, failed, list(explained(settings, each, items, measured, failed)))
        if is_night:
            settle(settings, night, accepted)
            raise QualityError(told)
        log.warning("%s is left out. %s", days.ds, told)
        what = f"{days.ds} is left out, and stays so until its logs pass. {told}"
        tell(settings, arguments.run_id, Notice("hole", night, what, "Correct its logs: the next night tries again."))
    settle(settings, night, accepted)
    return {"days taken in": sum(len(days.days) for days in accepted)}


def log_results(judged: Mapping[str, Sequence[Result]]) -> None:
    """Logs what failed, and how many did not."""
    for suite, results in judged.items():
        for result in results:
            if not result.success:
                log.warning("%s, %s: %s", suite, result.severity, result)
        log.info("%s: %d of %d expectations met", suite, sum(r.success for r in results), len(results))


def critical_failures(judged: Mapping[str, Sequence[Result]]) -> list[tuple[str, Result]]:
    """What stops the night, each with its suite."""
    return [
        (suite, result)
        for suite, results in judged.items()
        for result in results
        if result.severity == CRITICAL and not result.success
    ]


def explained(
    settings: Settings,
    days: Batch,
    items: CatalogueRows,
    measured: Mapping[str, Metrics],
    failed: Sequence[tuple[str, Result]],
) -> Iterator[str]:
    """Of rejected records that stop the night: why they were rejected, one of them, and what would let them pass."""
    names = {(suite, result.expectation) for suite, result in failed}
    hide_user = partial(masked, key=pseudonym_key(settings))
    if ("events", REJECTED_EVENTS) in names and (found := rejects.of_events(settings, days.days, days.rejected)):
        yield (
            f"{found.text(measured['events']['raw'], hide_user)}. If the log is right, raise [quality] "
            "max_rejected_share, or list the reason in [ingest] expected_rejects if this shop's logs bring it by "
            "their nature"
        )
    if ("items", REJECTED_ITEMS) in names and (found := rejects.of_items(settings, items.rejected, items.day)):
        yield (
            f"{found.text(measured['items']['raw'], hide_user)}. If the catalogue is right, raise [quality] "
            "max_rejected_item_share"
        )


def message(days: Batch, failed: Sequence[tuple[str, Result]], explanations: Sequence[str]) -> str:
    """What the person reads who looks why the night stopped."""
    nothing = "Nothing is published" if days.records is None else "Nothing of it is taken in or published"
    whats = "; ".join(f"{suite}: {result}" for suite, result in failed)
    return " ".join(
        [
            f"The data of {days.days.ds} failed {len(failed)} critical expectation{'s' * (len(failed) > 1)}. {whats}.",
            *(f"{explanation}." for explanation in explanations),
            f"{nothing}. Correct the logs and run the night again, or, if the data is right, change the setting named "
            "behind the bound, in nightshift.toml.",
        ]
    )


if __name__ == "__main__":
    # importing GX takes seconds, in which Java starts
    main("validate", __doc__, Arguments, run, meanwhile=lambda _: gate.quiet_context())
