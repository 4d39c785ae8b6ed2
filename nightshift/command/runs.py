"""`nightshift history`, `nightshift model` and `nightshift night`: runs through Airflow's scheduler."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from nightshift.command.options import DAY, day

if TYPE_CHECKING:
    from contracts.settings import Settings


def history(
    *,
    until: Annotated[date, typer.Option("--until", parser=day, metavar=DAY, help="The day after the last one.")],
    start: Annotated[
        date | None,
        typer.Option("--from", parser=day, metavar=DAY, help="The first day (default: the first that the logs have)."),
    ] = None,
) -> None:
    """Takes in all days of the logs before a day: cleans and validates them; nothing is scored.

    Examples:
      nightshift history --until 2011-12-01
      nightshift history --from 2011-01-01 --until 2011-12-01
    """
    from contracts.errors import InputError
    from contracts.settings import load_settings
    from nightshift.runtime.airflow_runs import history, run_dag

    settings = load_settings()
    start = start or first_day(settings)
    if start >= until:
        raise InputError(f"The history would begin on {start}: there is no day of the logs before {until}.")
    run_dag(settings, history(until, start))


def first_day(settings: Settings) -> date:
    """The first day that the logs have.

    Raises:
        InputError: they have none, or cannot be read.
    """
    from nightshift.runtime.commands import aside, log_file
    from nightshift.runtime.home import prepare_spark
    from spark_jobs.cluster.session import session
    from spark_jobs.ingest.profile import days_in_paths, days_in_records

    days = days_in_paths(settings)
    if not days:
        prepare_spark(settings)
        print("Looking for the first day of the logs …", flush=True)
        options = settings.spark.night_java_options
        with aside(log_file(settings, "history-days")), session("days", settings, java_options=options) as spark:
            days = days_in_records(spark, settings)
    return days[0]


def model(
    *,
    as_of: Annotated[
        date, typer.Option("--as-of", parser=day, metavar=DAY, help="The model sees events before this day.")
    ],
) -> None:
    """Fine-tunes a challenger, compares it with the champion and the baselines, and promotes it if it is better.

    A night that finds no champion does the same by itself.

    Examples:
      nightshift model --as-of 2011-12-01
    """
    from contracts.settings import load_settings
    from nightshift.runtime.airflow_runs import model, run_dag

    settings = load_settings()
    run_dag(settings, model(as_of))


def night(
    ds: Annotated[
        date, typer.Argument(parser=day, metavar=DAY, help="The night: the day whose logs it owns.", show_default=False)
    ],
    *,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Let the night pass without records: the shop was closed.")
    ] = False,
) -> None:
    """Runs one night to its end: the day's logs in, everyone's recommendations out, and the report.

    Running it again gives the same table. The exit code is 0 only if the night succeeded.

    Examples:
      nightshift night 2011-12-01
      nightshift night 2011-12-25 --allow-empty
    """
    from contracts.settings import load_settings
    from nightshift.runtime.airflow_runs import night, run_dag

    settings = load_settings()
    run_dag(settings, night(ds, {"allow_empty": True} if allow_empty else None))
