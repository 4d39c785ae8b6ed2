"""What a run tells its jobs: interval, name, parameters. Templates, rendered when a task starts."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

from airflow.sdk import CronDataIntervalTimetable, Param

from contracts.settings import load_settings

SHOP = load_settings().shop


def day(moment: datetime) -> str:
    """Template filter: the shop's day in which a moment lies."""
    return str(moment.astimezone(SHOP.zone).date())


def at(moment: time) -> CronDataIntervalTimetable:
    """A schedule whose runs start at a time of the shop's clock, every day.

    One that was missed, because nothing ran then, starts as soon as the scheduler is back.
    """
    return CronDataIntervalTimetable(f"{moment.minute} {moment.hour} * * *", timezone=SHOP.time_zone)


def at_midnight(days_of_week: str = "*") -> CronDataIntervalTimetable:
    """A schedule whose runs own the days between two of the shop's midnights."""
    return CronDataIntervalTimetable(f"0 0 * * {days_of_week}", timezone=SHOP.time_zone)


EVERY_RUN: dict[str, Any] = {
    # any day that a shop may have logs of: a run before it would end as a success in which nothing ran
    "start_date": datetime(1970, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    "user_defined_filters": {"day": day},
}
"""Arguments of every DAG."""

RUN_ID = ["--run-id", "{{ run_id }}"]

NIGHT = ["--ds", "{{ data_interval_start | day }}", *RUN_ID]
"""The night: always the data interval, which is one day. Airflow's own `ds` differs between runs by hand and others."""

DAYS = [
    "--start",
    "{{ params.ingest_from or (data_interval_start | day) }}",
    "--end",
    "{{ data_interval_end | day }}",
    "{{ '--allow-empty' if params.allow_empty else '' }}",
]
"""The days whose logs are taken in: the night, or everything since `ingest_from`."""

ALSO = "{% set also = ti.xcom_pull(task_ids='land_events', key='also') %}{{ '--also=' ~ also if also else '' }}"
"""Earlier days to take in before: missed ones, and those of which files came late, as `land_events` has found them."""

NIGHT_PARAMS = {
    "allow_empty": Param(
        default=False,
        type="boolean",
        title="Allow empty days",
        description="A day without any log is an error, unless you know that the shop was closed.",
    ),
    "ingest_from": Param(
        default=None,
        type=["null", "string"],
        format="date",
        title="Ingest from",
        description="First day of logs to take in, for the first load of a history. Empty: the night's day.",
    ),
    "ingest_only": Param(
        default=False,
        type="boolean",
        title="Ingest only",
        description="Stop after validation: nothing is scored or published.",
    ),
}

AS_OF = ["--as-of", "{{ params.as_of or (data_interval_end | day) }}"]
"""The as-of date: the end of a scheduled run's data interval, or what `as_of` asks for."""

TRAINED = "--model={{ ti.xcom_pull(task_ids='fine_tune', key='model_id') or '' }}"
"""The model that the run has trained: it is judged, whichever has the alias `challenger` by then.

It is told in any case: where `fine_tune` was marked a success by hand it is empty, which `evaluate` refuses.
"""

TRAINING_PARAMS = {
    "as_of": Param(
        default=None,
        type=["null", "string"],
        format="date",
        title="As of",
        description="Use events before this day. Empty: before the end of the run's data interval.",
    ),
}
