"""What a run tells its jobs: interval, name, parameters. Templates, rendered when a task starts."""

from __future__ import annotations

from airflow.sdk import Param

RUN_ID = ["--run-id", "{{ run_id }}"]

NIGHT = ["--ds", "{{ data_interval_start | ds }}", *RUN_ID]
"""The night: always the data interval, which is one day. Airflow's own `ds` differs between runs by hand and others."""

DAYS = [
    "--start",
    "{{ params.ingest_from or (data_interval_start | ds) }}",
    "--end",
    "{{ data_interval_end | ds }}",
    "{{ '--allow-empty' if params.allow_empty else '' }}",
]
"""The days whose logs are taken in: the night, or everything since `ingest_from`."""

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

AS_OF = ["--as-of", "{{ params.as_of or (data_interval_end | ds) }}"]
"""The as-of date: the end of a scheduled run's data interval, or what `as_of` asks for."""

TRAINING_PARAMS = {
    "as_of": Param(
        default=None,
        type=["null", "string"],
        format="date",
        title="As of",
        description="Use events before this day. Empty: before the end of the run's data interval.",
    ),
}
