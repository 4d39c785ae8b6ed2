"""What the gate costs: Great Expectations over metrics, and over the data itself, against one aggregate pass.

    python -m spark_jobs.quality.bench --start 2017-01-01 --end 2017-12-23

Reads `events` and `items`, writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs import storage
from spark_jobs.contracts.cli import entry, parser, run_of
from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.settings import Settings
from spark_jobs.contracts.tables import EVENTS, ITEMS
from spark_jobs.quality import gate
from spark_jobs.quality.metrics import aggregate, events_aggregates, events_metrics, known_items
from spark_jobs.quality.suites import events_suite
from spark_jobs.session import session

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


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    interval = run_of(parser(__doc__).parse_args(argv)).interval
    with session("bench quality", settings) as spark:
        events = (
            storage.read(spark, settings, EVENTS)
            .where((F.col(C.DS) >= F.lit(interval.start)) & (F.col(C.DS) < F.lit(interval.end)))
            .join(known_items(storage.read(spark, settings, ITEMS)), C.ITEM_ID, "left")
        )
        imported = timed(gate.quiet_context)
        aggregates = events_aggregates(settings.ingest)
        timed(lambda: aggregate(events, aggregates))  # compiles, fills the file cache
        metrics = events_metrics(spark, settings, interval)
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
    entry(main)
