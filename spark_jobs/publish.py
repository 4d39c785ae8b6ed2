"""Audits a night's lists and publishes them in one commit, or holds the night and leaves the last one alone.

    python -m spark_jobs.publish --ds 2017-12-23 --run-id manual__2017-12-23

Reads the staging table of the night, writes `quality_results` (suite recommendations), `recommendations` and, last,
the `publications` row that readers follow. Running it again changes nothing; killed after the commit, the next run
writes the missing row. The staging table stays, so that publishing can run again without scoring.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts import catalogue, lake
from contracts.catalogue import Edition
from contracts.cli import Night, argument, log
from contracts.columns import Columns as C
from contracts.errors import HeldError
from contracts.fallback import is_own
from contracts.model_ids import as_of
from contracts.night_steps import Counts
from contracts.notices import Notice, tell
from contracts.settings import Settings
from contracts.states import HELD, PUBLISHED, Row, is_early, newest, newest_published, readers_get
from contracts.tables import (
    DRIFT_RESULTS,
    EVENTS,
    HINDSIGHT_RESULTS,
    NIGHT_STEPS,
    PUBLICATIONS,
    QUALITY_RESULTS,
    RECOMMENDATIONS,
    TABLES,
    staging,
)
from spark_jobs.cluster.step import main
from spark_jobs.quality import audit, results
from spark_jobs.quality.lists import histories, measure_faults, measure_lists, measure_shown
from spark_jobs.quality.results import Result
from spark_jobs.scoring.carried import RULES


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Arguments(Night):
    """The night that is published; the clock is asked here and nowhere else."""

    published_at: datetime = argument("time written into the row of publications (default: now)", default_factory=_now)


def run(spark: SparkSession, settings: Settings, arguments: Arguments) -> Counts:
    """Audits the night's staging table and publishes it, or holds it.

    Raises:
        InputError: the night was not scored.
        HeldError: a critical check failed; the message carries every reason.
    """
    night = arguments.ds
    lists = lake.read(spark, settings, staging(RECOMMENDATIONS, night))
    content = measure_lists(lists, night)
    live_hash = hash_of_live(spark, settings, night)
    past_rows = lake.rows(settings, PUBLICATIONS)
    standing = newest(row for row in past_rows if row[C.DS] == night)
    if (
        standing
        and standing[C.STATUS] == PUBLISHED
        and standing[C.CONTENT_HASH] == content.content_hash == live_hash
        and not is_early(standing, settings.shop.zone)
    ):
        log.info("Night %s is published already, by %s: unchanged.", night, standing[C.RUN_ID])
        return {"users published": content.users}

    last = newest_published(row for row in past_rows if row[C.DS] < night)
    measured = measure(spark, settings, arguments, lists, content, last)
    checked = audit.checks(measured, settings.audit, settings.scoring.n, settings.scoring.max_per_category)
    results.write(settings, night, arguments.run_id, {audit.SUITE: checked})
    log_results(checked)
    why = audit.reasons(checked)
    if not why and live_hash != content.content_hash:
        commit(settings, arguments, lists, content)
    # told before the row, after which a run that was killed has nothing left to do
    tell_of_coverage(settings, arguments, checked)
    write_publication(settings, publication(settings, arguments, measured, why))
    if why:
        live = newest_published(past_rows)
        # a run that was killed between the commit and its row
        replaced = live is not None and live[C.DS] == night and live[C.CONTENT_HASH] != live_hash
        raise HeldError(
            f"The night {night} is held: {readers_get(past_rows, night, replaced=replaced)}. Why: {'; '.join(why)}. "
            "Correct the cause and run the night again."
        )
    log.info("Published %s: lists of %s users from model %s.", night, f"{content.users:,}", content.models[0])
    return {"users published": content.users}


def hash_of_live(spark: SparkSession, settings: Settings, night: date) -> str | None:
    """Content hash of the rows that readers get of the night; None where there are none."""
    if not lake.count(settings, RECOMMENDATIONS, {C.DS: night}):
        return None
    live = lake.read(spark, settings, RECOMMENDATIONS).where(F.col(C.DS) == F.lit(night))
    return measure_lists(live, night).content_hash


def measure(
    spark: SparkSession,
    settings: Settings,
    arguments: Night,
    lists: DataFrame,
    content: audit.Lists,
    last: Row | None,
) -> audit.Measured:
    """All that the audit looks at; ``last`` is the row of the last published night."""
    items = catalogue.frame(spark, settings, Edition(arguments.ds))
    past = histories(lake.read(spark, settings, EVENTS), arguments.interval.end, settings)
    before = None
    if last:
        old = lake.read(spark, settings, RECOMMENDATIONS).where((F.col(C.DS) == F.lit(last[C.DS])) & is_own(F.col))
        before = old.select(C.USER_ID, F.col("items.item_id").alias("before"))
    quality = lake.rows(settings, QUALITY_RESULTS, {C.DS: arguments.ds})
    return audit.Measured(
        content,
        measure_faults(lists, past, before, items, settings.scoring),
        measure_shown(lists, items, settings.scoring),
        audit.validated(quality, arguments.run_id),
        last[C.DS] if last else None,
        last[C.MEASURES] if last else {},
    )


def log_results(checked: Sequence[Result]) -> None:
    """Logs every check."""
    for result in checked:
        level = logging.INFO if result.success else logging.WARNING
        log.log(level, "%s %s: %s", "ok" if result.success else "FAILED", result.expectation, result.observed)


def tell_of_coverage(settings: Settings, arguments: Night, checked: Sequence[Result]) -> None:
    """Leaves a notice of a drop in coverage, unless that holds the night: then people are told so."""
    failed = {result.expectation: str(result) for result in checked if not result.success}
    if audit.KEEPS_USERS in failed and audit.COVERS_USERS not in failed:
        to_do = "Find out why: events that are missing, or lists that the rules empty. If it is right, nothing."
        tell(settings, arguments.run_id, Notice("coverage", arguments.ds, failed[audit.KEEPS_USERS], to_do))


def commit(settings: Settings, arguments: Night, lists: DataFrame, content: audit.Lists) -> None:
    """Replaces exactly the night's rows of `recommendations`."""
    note = {
        C.DS: arguments.ds,
        C.RUN_ID: arguments.run_id,
        C.MODEL_ID: content.models[0],
        C.CONTENT_HASH: content.content_hash,
        RULES: settings.scoring.rules_hash,
    }
    # files ordered by user: the app's point look-ups skip all but one
    sorted_lists = lists.repartitionByRange(C.USER_ID).sortWithinPartitions(C.USER_ID)
    lake.replace(sorted_lists, settings, RECOMMENDATIONS, f"ds = '{arguments.ds}'", note)


def publication(
    settings: Settings, arguments: Arguments, measured: audit.Measured, why: Sequence[str]
) -> dict[str, Any]:
    """The night's row of `publications`, held where there are reasons ``why``."""
    content = measured.lists
    return {
        C.DS: arguments.ds,
        C.RUN_ID: arguments.run_id,
        C.STATUS: HELD if why else PUBLISHED,
        C.REASONS: list(why),
        C.MODEL_ID: ", ".join(content.models),
        C.MODEL_AS_OF: max(filter(None, map(as_of, content.models)), default=None),
        C.USERS: content.users,
        C.CONTENT_HASH: content.content_hash,
        C.TABLE_VERSIONS: {
            name: lake.version(settings, table)
            for name, table in TABLES.items()
            if table not in (PUBLICATIONS, HINDSIGHT_RESULTS, DRIFT_RESULTS, NIGHT_STEPS)
            and lake.exists(settings, table)
        },
        C.MEASURES: audit.measures(measured),
        C.PUBLISHED_AT: arguments.published_at,
    }


def write_publication(settings: Settings, row: dict[str, Any]) -> None:
    """Writes the row of a night and run, replacing the one of an earlier attempt with the same outcome."""
    run_id = str(row[C.RUN_ID]).replace("'", "''")
    where = f"ds = '{row[C.DS]}' and run_id = '{run_id}' and status = '{row[C.STATUS]}'"
    lake.replace_small(settings, PUBLICATIONS, [tuple(row[name] for name in PUBLICATIONS.names)], where)


if __name__ == "__main__":
    main("publish", __doc__, Arguments, run)
