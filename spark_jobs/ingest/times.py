"""Times as logs write them, and the shop's clock."""

from __future__ import annotations

from pyspark.errors import PySparkException
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from contracts.errors import SettingsError
from contracts.interval import YEARS
from contracts.mapping import Event

UTC = "UTC"
_WITHOUT_ZONE = r"^\d{4}-\d{1,2}-\d{1,2}([T ](\d{1,2}(:\d{1,2}(:\d{1,2}(\.\d*)?)?)?)?)?$"


def event_time(text: Column, event: Event, zone: str) -> Column:
    """The time of an event, by the mapping's pattern if it has one; null for what is no time that an event can have."""
    time = parsed_time(text, zone) if event.time_format is None else patterned_time(text, event, zone)
    begins, ends = (F.lit(f"{year}-01-01").cast("timestamp") for year in (YEARS.start, YEARS.stop))
    return F.when((time >= begins) & (time < ends), time)


def parsed_time(text: Column, zone: str = UTC) -> Column:
    """ISO 8601 (the shop's time where it names no zone), or seconds, milli-, micro- or nanoseconds since 1970.

    Anything else is null.
    """
    number = F.when(text.rlike(r"^\d+(\.\d+)?([eE]\+?\d+)?$"), text.try_cast("double"))
    # 1e8 seconds are in 1973, 1e11 in 5138, 1e14 milliseconds as well; a year or a date without dashes is less
    micros = (
        F.when(number < 1e8, None)
        .when(number < 1e11, number * 1e6)
        .when(number < 1e14, number * 1e3)
        .when(number < 1e17, number)
        .when(number < 1e20, number / 1e3)
    )
    # Spark also reads a time alone, as one of today, and a year alone
    iso = F.when(text.rlike(r"^\d{4}-\d{2}-\d{2}"), text.try_cast("timestamp"))
    if zone != UTC:
        iso = F.when(text.rlike(_WITHOUT_ZONE), utc(iso, zone)).otherwise(iso)
    return F.coalesce(iso, F.timestamp_micros(micros.cast("bigint")))


def patterned_time(text: Column, event: Event, zone: str) -> Column:
    """A time by `time_format`: the shop's, unless the pattern names a zone; null where it does not fit."""
    time = F.try_to_timestamp(text, F.lit(event.time_format))
    return time if event.names_zone else utc(time, zone)


def require_pattern(spark: SparkSession, pattern: str) -> None:
    """Raises a SettingsError if Spark takes `time_format` for no pattern, before a job finds out."""
    try:
        spark.sql("SELECT '' AS text").select(F.try_to_timestamp("text", F.lit(pattern))).collect()
    except PySparkException as error:
        raise SettingsError(
            f"event.time_format = {pattern!r} in mapping.toml is no pattern of times that Spark reads. Expected one "
            "such as d.M.yyyy HH:mm; docs/bring-your-own-logs.md says where all letters are listed."
        ) from error


def utc(local: Column, zone: str) -> Column:
    """The moment at which the shop's clock shows a time (a timestamp, read as if it were UTC).

    When the clock goes back, an hour is there twice: the earlier one is meant. When it goes forward, an hour is not
    there: a time in it is as long after the change as it says, that is an hour later on the clock.
    """
    return local if zone == UTC else F.to_utc_timestamp(local, zone)


def midnight(day: Column, zone: str) -> Column:
    """The moment at which a day begins in the shop."""
    return utc(day.cast("timestamp"), zone)


def day_of(time: Column, zone: str) -> Column:
    """The shop's day on which a moment lies."""
    return (time if zone == UTC else F.from_utc_timestamp(time, zone)).cast("date")
