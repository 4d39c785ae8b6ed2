"""What the gate costs: Great Expectations over metrics, and over the data itself, against one aggregate pass.

    python -m spark_jobs.quality.bench        (make bench-quality)

Reads `events` and `items` of all days that were taken in, writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from time import perf_counter

from pyspark.sql import DataFrame, SparkSession

from contracts import lake
from contracts.cli import NoArguments
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.interval import Interval
from contracts.settings import Settings
from contracts.tables import INGEST_COUNTS
from spark_jobs.cluster.step import main
from spark_jobs.ingest.acceptance import batch
from spark_jobs.quality import gate
from spark_jobs.quality.metrics import aggregate, catalogue_rows, events_aggregates, events_metrics, known_items
from spark_jobs.quality.suites import events_suite

NAIVE = 10
"""Expectations of `naive`."""


def naive(events: DataFrame, settings: Settings) -> None:
    """GX on the frame itself, as its guide shows, with expectations that stand for those of the suite."""
    context = gate.quiet_context()
    import great_expectations as gx
    import great_expectations.expectations as gxe

    keys = (C.USER_ID, C.ITEM_ID, C.BEHAVIOUR, C.EVENT_TIME)
    expectations = gx.ExpectationSuite(
        "naive",
        expectations=[
            gxe.ExpectTableRowCountToBeBetween(min_value=1),
            gxe.ExpectColumnValuesToBeUnique(column=C.EVENT_ID),
            *(gxe.ExpectColumnValuesToNotBeNull(column=key) for key in keys),
            gxe.ExpectColumnValuesToNotBeNull(column="known"),
            gxe.ExpectColumnValuesToBeInSet(column=C.BEHAVIOUR, value_set=list(settings.ingest.behaviours)),
            gxe.ExpectColumnValuesToBeBetween(column=C.QUANTITY, min_value=0, strict_min=True),
            gxe.ExpectColumnValuesToBeBetween(column=C.PRICE, min_value=0),
        ],
    )
    definition = (
        context.data_sources.add_spark("naive")
        .add_dataframe_asset("events")
        .add_batch_definition_whole_dataframe("events")
    )
    outcome = definition.get_batch({"dataframe": events}).validate(expectations)
    assert len(outcome.results) == NAIVE


def timed(what: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = perf_counter()
    what()
    return perf_counter() - start


def ingested(settings: Settings) -> Interval:
    """From the first to the last day that was taken in.

    Raises:
        InputError: there is none.
    """
    days = [row[C.DS] for row in lake.rows(settings, INGEST_COUNTS)]
    if not days:
        raise InputError(f"No day was taken in yet: {lake.path(settings, INGEST_COUNTS)} is empty. Run `make run`.")
    return Interval(min(days), max(days) + timedelta(days=1))


def run(spark: SparkSession, settings: Settings, _: NoArguments) -> None:
    """Prints the times of one pass, of the gate, and of GX on the data."""
    interval = ingested(settings)
    items, taken_in = catalogue_rows(spark, settings, interval.ds), batch(spark, settings, interval.ds, interval)
    events = taken_in.events.join(known_items(items.items), C.ITEM_ID, "left")
    imported = timed(gate.quiet_context)
    aggregates = events_aggregates(settings)
    timed(lambda: aggregate(events, aggregates))  # compiles, fills the file cache
    metrics = events_metrics(items, settings, taken_in)
    checks = events_suite(settings, allow_empty=False, has_past="volume_ratio" in metrics)
    one_pass = timed(lambda: aggregate(events, aggregates))
    judged = timed(lambda: gate.judge("events", checks, metrics))
    print(f"{metrics['rows']:,.0f} events of [{interval.start}, {interval.end}); import of GX {imported:.1f} s")
    print(f"one aggregate pass                     {one_pass:6.1f} s   1.0 ×")
    total = one_pass + judged
    print(f"the gate: that pass, {len(checks)} expectations   {total:6.1f} s  {total / one_pass:4.1f} ×")
    seconds = timed(lambda: naive(events, settings))
    print(f"GX on the data, {NAIVE} expectations        {seconds:6.1f} s  {seconds / one_pass:4.1f} ×")


if __name__ == "__main__":
    main("bench quality", __doc__, NoArguments, run)
