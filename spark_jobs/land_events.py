"""Lists the log files of a run and the catalogue, and refuses what is missing or unreadable. Needs no Spark.

    python -m spark_jobs.land_events --start 2017-12-23 --end 2017-12-24

Log files lie below `landing/events/ds=YYYY-MM-DD/`, under any name, as JSON lines (.jsonl, .ndjson, .json),
CSV with a header (.csv), each also packed (.gz, .zst), or Parquet. Names that start with `.` or `_` are passed over.
The catalogue is all files of the newest folder `landing/items/ds=YYYY-MM-DD/` that is not after the night, or
else those in `landing/items/`. Where and what else they may be, `mapping.toml` says: docs/bring-your-own-logs.md.

The day has to be over, and its delivery complete by the rule in `[delivery]` of the settings
(`spark_jobs/ingest/deliveries.py`). A night's log has records, unless the shop was closed (`shop.closed_weekdays`,
`shop.closed_dates`) or `--allow-empty` lets it pass. A history of several days may have gaps.

It also looks back (`ingest.look_back_days`): earlier days that no run took in, and files that came after their day was
taken in, go to the steps after it as `--also`, or are only told, as `ingest.missed_days` and `ingest.late_files` say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from contracts.cli import Days, argument, give_result, log, main
from contracts.errors import InputError
from contracts.interval import Interval
from contracts.night_steps import Counts
from contracts.notices import Notice, tell
from contracts.settings import Settings
from spark_jobs.ingest.deliveries import land_delivered
from spark_jobs.ingest.gaps import Gaps, gaps


@dataclass(frozen=True)
class Arguments(Days):
    """The days whose logs are looked for, and the run that looks."""

    run_id: str = argument("name of the run in notices", default="by-hand")


def run(settings: Settings, arguments: Arguments) -> Counts:
    """Reads every file to its end, and prints how many records each holds.

    Raises:
        InputError: names what is missing, not complete or unreadable, and what to do.
    """
    now, night = datetime.now(UTC), arguments.interval.ds
    found = gaps(settings, arguments.interval)
    earlier = earlier_days(settings, found)
    left_out = {day: why for day in earlier if (why := problem(settings, day, now))}
    for notice in notices(settings, night, found, left_out):
        log.warning("%s %s", notice.what, notice.to_do)
        tell(settings, arguments.run_id, notice)
    if settings.ingest.missed_days == "stop" and found.missed_in_words:
        raise InputError(
            f"Before the night {night} no run has taken in {found.missed_in_words}. Run these nights first, in order, "
            "or let the next night take them in ([ingest] missed_days); if the shop was closed, set shop.closed_dates."
        )
    also = [day for day in earlier if day not in left_out]
    landing = land_delivered(settings, arguments.interval, allow_empty=arguments.allow_empty, now=now)
    for day, files in landing.events.items():
        for file in files:
            print(f"{day}  {file.records:>9,}  {file.path}")
    for file in landing.export:
        print(f"many days   {file.records:>9,}  {file.path}")
    for file in landing.catalogue:
        print(f"catalogue   {file.records:>9,}  {file.path}")
    records = sum(file.records for file in landing.event_files)
    log.info("%d log files, %d records.", len(landing.event_files), records)
    if also:
        log.info("Taken in before: %s.", ", ".join(map(str, also)))
    give_result({"also": ",".join(map(str, also))})
    return {"log files": len(landing.event_files), "records": records}


def earlier_days(settings: Settings, found: Gaps) -> list[date]:
    """The days before the night that the settings want taken in, in order."""
    missed = found.missed if settings.ingest.missed_days == "take_in" else ()
    late = found.late if settings.ingest.late_files == "take_in" else ()
    return sorted({*missed, *late})


def problem(settings: Settings, day: date, now: datetime) -> str | None:
    """Why an earlier day cannot be taken in, which is no reason to stop the night; None where it can."""
    try:
        land_delivered(settings, Interval.of_night(day), now=now)
    except InputError as error:
        return str(error)
    return None


def notices(settings: Settings, night: date, found: Gaps, left_out: Mapping[date, str]) -> Iterator[Notice]:
    """What people should know of the days before the night; ``left_out`` are those that cannot be taken in, and why."""
    if found.missed_in_words:
        does = {
            "take_in": "This run takes in those that have logs, before its own day",
            "stop": "The night stops",
            "report": "They stay out ([ingest] missed_days)",
        }[settings.ingest.missed_days]
        yield Notice(
            "hole",
            night,
            f"No run has taken in {found.missed_in_words}. {does}{_but(found.missed, left_out)}.",
            "Deliver the logs that are missing; if the shop was closed, set shop.closed_dates."
            + (" Those longer ago need nights of their own: nightshift night DAY." if found.too_old else ""),
        )
    if found.late:
        takes_in = settings.ingest.late_files == "take_in"
        but = _but(found.late, left_out)
        yield Notice(
            "late_files",
            night,
            f"Files came after their day was taken in: {found.late_in_words}. "
            + (f"This run takes these days in again{but}." if takes_in else "They are not taken in."),
            "Correct the files that cannot be read: the next night tries again."
            if but
            else "Nothing, if that is how this shop delivers; else deliver each day whole."
            if takes_in
            else "Run those nights again, or set [ingest] late_files to take_in.",
        )


def _but(days: Iterable[date], left_out: Mapping[date, str]) -> str:
    """The days that are left out, and why, as the end of a sentence."""
    reasons = [f"{day} ({left_out[day].rstrip('.')})" for day in sorted(days) if day in left_out]
    return f", but leaves out {'; '.join(reasons)}" if reasons else ""


if __name__ == "__main__":
    main(__doc__, Arguments, run)
