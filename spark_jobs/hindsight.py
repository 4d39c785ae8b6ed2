"""How a published night's lists met what users did in the 7 days after it, next to what simple rules would have given.

    python -m spark_jobs.hindsight --ds 2017-12-23             # once the nights of those days have run
    python -m spark_jobs.hindsight --ds 2017-12-23 --landing   # else from the log files that have arrived for them

The result is remembered in the table `hindsight_results`, but for one from log files of which a day has not arrived.
Needs Spark only to clean log files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from contracts.cli import argument, log, main
from contracts.errors import InputError
from contracts.mapping import load_mapping
from contracts.settings import Settings
from spark_jobs.ingest.landing import days_landed
from spark_jobs.reporting.hindsight import FROM_LANDING, Hindsight, judge, published_lists, window
from spark_jobs.reporting.hindsight_table import is_complete, kept, published_hash, remembered, write
from spark_jobs.reporting.hindsight_text import text


@dataclass(frozen=True)
class Arguments:
    """The night that is judged."""

    ds: date = argument("the night")
    landing: bool = argument("read the log files in landing/ where the days have not been ingested", default=False)


def run(settings: Settings, arguments: Arguments) -> None:
    """Prints how the lists fared.

    Raises:
        InputError: the night was not published, or the days after it are neither ingested nor landed.
    """
    result, missing = _result(settings, arguments)
    if not result.users:
        log.warning("No user with a list had a target event: there is nothing to compare.")
    print(text(result, settings.baselines, missing))


def _result(settings: Settings, arguments: Arguments) -> tuple[Hindsight, Sequence[date]]:
    """The result, and the days of its window whose logs have not arrived."""
    ds = arguments.ds
    content_hash = published_hash(settings, ds)
    if not arguments.landing or is_complete(settings, ds) or kept(settings, ds, content_hash):
        return remembered(settings, ds, content_hash), []
    days = window(ds)
    landed = days_landed(settings, days.days)
    if not landed:
        raise InputError(f"No log has arrived for {days.start} to {days.ds} in {load_mapping(settings).logs.path}.")
    result = _from_log_files(settings, ds)
    missing = [day for day in days.days if day not in landed]
    if not missing:
        write(settings, result, content_hash)
    return result, missing


def _from_log_files(settings: Settings, ds: date) -> Hindsight:
    """Judges by the logs of the days that have landed; the only part that needs Spark, and imports it."""
    lists = published_lists(settings, ds)
    from spark_jobs.cluster.session import session
    from spark_jobs.reporting.landed_hindsight import landed_targets

    with session("hindsight", settings, java_options=settings.spark.night_java_options) as spark:
        targets = landed_targets(spark, settings, window(ds), lists.users)
    return judge(settings, lists, targets, FROM_LANDING)


if __name__ == "__main__":
    main(__doc__, Arguments, run)
