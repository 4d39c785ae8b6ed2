"""Lists the log files of a run and the catalogue, and refuses what is missing or unreadable. Needs no Spark.

    python -m spark_jobs.land_events --start 2017-12-23 --end 2017-12-24

Log files lie below `landing/events/ds=YYYY-MM-DD/`, under any name, as JSON lines (.jsonl, .ndjson, .json),
CSV with a header (.csv), each also packed (.gz, .zst), or Parquet. Names that start with `.` or `_` are passed over.
The catalogue is all files of the newest folder `landing/items/ds=YYYY-MM-DD/` that is not after the night, or
else those in `landing/items/`. Where and what else they may be, `mapping.toml` says: docs/bring-your-own-logs.md.

The day has to be over, and its delivery complete by the rule in `[delivery]` of the settings
(`spark_jobs/ingest/deliveries.py`). A night's log has records, unless the shop was closed (`shop.closed_weekdays`,
`shop.closed_dates`) or `--allow-empty` lets it pass. A history of several days may have gaps.
"""

from __future__ import annotations

from datetime import UTC, datetime

from contracts.cli import Days, log, main
from contracts.settings import Settings
from spark_jobs.ingest.deliveries import land_delivered


def run(settings: Settings, arguments: Days) -> None:
    """Reads every file to its end, and prints how many records each holds.

    Raises:
        InputError: names what is missing, not complete or unreadable, and what to do.
    """
    now = datetime.now(UTC)
    landing = land_delivered(settings, arguments.interval, allow_empty=arguments.allow_empty, now=now)
    for day, files in landing.events.items():
        for file in files:
            print(f"{day}  {file.records:>9,}  {file.path}")
    for file in landing.export:
        print(f"many days   {file.records:>9,}  {file.path}")
    for file in landing.catalogue:
        print(f"catalogue   {file.records:>9,}  {file.path}")
    log.info("%d log files, %d records.", len(landing.event_files), sum(f.records for f in landing.event_files))


if __name__ == "__main__":
    main(__doc__, Days, run)
