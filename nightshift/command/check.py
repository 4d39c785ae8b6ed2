"""`nightshift check`: what ingestion would make of the logs, before anything is taken in."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from nightshift.command.options import DAY, Json, day
from nightshift.command.terminal import count, line, percent, print_json, screen, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from contracts.settings import Settings
    from spark_jobs.ingest.profile import Profile

BARS, WIDTH = 24, 40
"""Rows of the chart at most, and the length of its longest bar."""
SHOWN = 160
"""Characters of a record that is shown as an example."""
GATE = 66
"""Exit code of logs that the gate would stop, as of a night that it stopped."""


def check(
    *,
    start: Annotated[
        date | None, typer.Option("--from", parser=day, metavar=DAY, help="First day (default: all).")
    ] = None,
    end: Annotated[date | None, typer.Option("--to", parser=day, metavar=DAY, help="Last day.")] = None,
    as_json: Json = False,
) -> None:
    """Reads the logs as mapping.toml says and shows what would come of them; nothing is written.

    Days found and missing, volumes by day, what would be rejected and why, and what to change. The exit code is 66 if
    nights like these would be stopped.

    Examples:
      nightshift check
      nightshift check --from 2011-11-01 --to 2011-11-30
    """
    from contracts.interval import Interval
    from contracts.settings import load_settings
    from nightshift.runtime.commands import aside, log_file
    from nightshift.runtime.home import prepare_spark
    from nightshift.starter.advice import stops_a_night
    from spark_jobs.cluster.session import session
    from spark_jobs.ingest.profile import days_in_paths, profile

    if (start is None) != (end is None):
        raise typer.BadParameter("--from and --to, or neither", param_hint="--from")
    if start and end and start > end:
        raise typer.BadParameter(f"lies before --from {start}", param_hint="--to")
    settings = load_settings()
    days = Interval(start, end + timedelta(days=1)) if start and end else None
    console = screen()
    days_in_paths(settings)  # without logs there is no need to wait for Spark
    prepare_spark(settings)
    if not as_json:
        line(console, "Reading the logs as a night would (Spark starts; a minute for millions of records) …")
    options = settings.spark.night_java_options
    with aside(log_file(settings, "check")), session("check", settings, java_options=options) as spark:
        found = profile(spark, settings, days)
    if as_json:
        print_json(answer(settings, found))
    else:
        draw(console, settings, found)
    if stops_a_night(settings, found):
        raise typer.Exit(GATE)


def answer(settings: Settings, found: Profile) -> dict[str, object]:
    """The answer for machines."""
    from nightshift.starter.advice import advice, counted, missing_days, stops_a_night

    raw, clean, rejected = counted(found)
    return {
        "first_day": found.first_day,
        "last_day": found.last_day,
        "records": raw,
        "clean": clean,
        "rejected": rejected,
        "days": {str(ds): fates for ds, fates in found.days.items()},
        "missing_days": missing_days(settings, found),
        "reasons": found.reasons,
        "advice": list(advice(settings, found)),
        "stops_a_night": stops_a_night(settings, found),
    }


def draw(console: Console, settings: Settings, found: Profile) -> None:
    """Days, volumes, rejects, advice."""
    from nightshift.starter.advice import advice, counted, missing_days
    from spark_jobs.ingest.landing import as_ranges

    raw, clean, rejected = counted(found)
    line(console, f"Logs from {found.first_day} to {found.last_day}: {len(found.days):,} days, {raw:,} records", "bold")
    line(
        console,
        f"{clean:,} would be events, {rejected:,} rejected ({percent(rejected / raw) if raw else 'none'}), "
        f"{raw - clean - rejected:,} are duplicates",
    )
    missing = missing_days(settings, found)
    if missing:
        ranges = as_ranges(missing)
        more = f" and {len(ranges) - 8} more" if len(ranges) > 8 else ""
        days = "day" if len(missing) == 1 else "days"
        line(console, f"{len(missing):,} {days} without records: {', '.join(ranges[:8])}{more}")
    line(console)
    for each in bars(found):
        line(console, each)
    if found.reasons:
        line(console)
        rows: list[list[str]] = [
            [name, count(each.records), percent(each.records / raw), *shortened(each.examples)]
            for name, each in sorted(found.reasons.items(), key=lambda item: -item[1].records)
        ]
        columns = ["reason", "records", "of all", "file", "for example"]
        console.print(table(columns, rows, right=("records", "of all")))
    line(console)
    told = list(advice(settings, found))
    for each in told:
        line(console, f"• {each}")
    if not told:
        line(console, "Nothing to change.")
    line(console, f"Next: nightshift history --until {found.last_day}, then nightshift night {found.last_day}")


def shortened(examples: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """File and record of the first example."""
    file, raw = examples[0] if examples else ("", "")
    return file, raw if len(raw) <= SHOWN else f"{raw[:SHOWN]} …"


def bars(found: Profile) -> Iterator[str]:
    """A chart of the records by day; of many days by spans of as many days each."""
    days = (found.last_day - found.first_day).days + 1
    span = -(-days // BARS)
    volumes: dict[date, int] = {}
    for number in range(0, days, span):
        first = found.first_day + timedelta(days=number)
        within = (first + timedelta(days=each) for each in range(span))
        volumes[first] = sum(sum(found.days.get(ds, {}).values()) for ds in within)
    highest = max(volumes.values(), default=0)
    if span > 1:
        yield f"records in {span} days each"
    for first, volume in volumes.items():
        yield f"{first}  {volume:>11,}  {'█' * round(WIDTH * volume / max(1, highest))}".rstrip()
