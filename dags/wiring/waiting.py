"""Tasks that wait in the triggerer, where they take no worker: for a night's logs, and for the weekly model's night."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, Context

from contracts.errors import ERROR_PREFIX, InputError, NightshiftError
from contracts.notices import Notice
from contracts.settings import load_settings
from contracts.tables import INGEST_COUNTS, QUALITY_RESULTS
from contracts.waiting import AHEAD, WAITS, Patience, clock, model_waits_until
from wiring.alerts import announce
from wiring.failures import JobExit
from wiring.jobs import answer_of
from wiring.run import day

if TYPE_CHECKING:
    import logging

    from airflow.sdk.types import Logger

BY_SCHEDULE = ("scheduled", "backfill")
"""Kinds of runs that nobody started by hand, and no other run."""


def logs_are_late(log: Logger | logging.Logger, context: Context, ds: date, why: str, give_up_at: str) -> None:
    """Tells people that the logs of a night have not come by the deadline: once a night, before it waits on."""
    what = f"The logs of {ds} are late: {why}. The night waits for them until {give_up_at}."
    log.warning(what)
    to_do = "Ask whoever delivers the logs; the rule and the deadline are [delivery] in nightshift.toml."
    announce(context, Notice("late", ds, what, to_do))


class Sensor(BaseOperator):
    """Looks, and waits if there is something to wait for. An error of ours ends it as it ends a job."""

    def execute(self, context: Context) -> None:
        """Looks for the first time."""
        self.look(context)

    def look(self, context: Context, event: object = None, **known: Any) -> None:
        """Looks, at first and whenever the trigger fires; ``known`` is what it was deferred with."""
        with explained(self.log):
            self._look(context, **known)

    @abstractmethod
    def _look(self, context: Context, *_: Any, **known: Any) -> None:
        """Ends where there is nothing to wait for, else defers."""


class LogsSensor(Sensor):
    """Waits until it is the night's turn, and the delivery of its day is complete by the rule in the settings.

    The nights of a backfill have their turn one after the other, however many of them Airflow's form starts at once:
    each knows what the one before it has taken in. One whose predecessor cannot start, because later nights have all
    places of the backfill, ends with an error: it would wait for ever.

    It is a success when the logs are there, and also when the time to wait for them is over, as that of an old night is
    from the start: what is missing, and what to do, the next task says.
    """

    def _look(self, context: Context, *, late: bool = False, stuck: str | None = None) -> None:
        """Looks at what has come; ``late`` if that was told before, ``stuck`` is a run that could not start before."""
        settings = load_settings()
        if earlier := earlier_night(context):
            if earlier.is_stuck and earlier.run_id == stuck:
                raise InputError(
                    f"The run {stuck} of an earlier night goes before this one, and cannot start: it is queued, and "
                    "later nights have all places of the backfill. When it has ended, clear this task. Backfill "
                    'without "run backwards", and of nights that are cleared the earliest first.'
                )
            self.log.info("%sits turn: %s goes before.", WAITS, earlier.run_id)
            again = TimeDeltaTrigger(timedelta(seconds=settings.delivery.poll_seconds))
            known = {"late": late, "stuck": earlier.run_id if earlier.is_stuck else None}
            self.defer(trigger=again, method_name="look", kwargs=known)
        # not when Airflow loads the DAG: it reads files of many formats
        from nightshift.runtime.triggers import LogsComplete
        from spark_jobs.ingest.deliveries import delivery

        now, start = datetime.now(UTC), context["data_interval_start"]
        assert start
        ds = date.fromisoformat(day(start))
        patience = Patience.of(settings, ds)
        give_up_at = clock(settings, patience.give_up_at)
        allow_empty = context["params"]["allow_empty"]
        # who lets a day without logs pass waits for nothing, and would publish half a day
        if patience.day_ends - now > (timedelta(0) if allow_empty else AHEAD):
            raise InputError(f"The night {ds} is still to come: its day ends at {clock(settings, patience.day_ends)}.")
        found = delivery(settings, ds, now, allow_empty=allow_empty)
        if found.complete:
            self.log.info("The logs of %s are complete: %s.", ds, found.why)
            return
        if now >= patience.give_up_at:
            self.log.warning("The logs of %s are not waited for any more, since %s: %s.", ds, give_up_at, found.why)
            return
        if now >= patience.alert_at and not late:
            logs_are_late(self.log, context, ds, found.why, give_up_at)
            late = True
        self.log.info("%sthe logs of %s until %s: %s.", WAITS, ds, give_up_at, found.why)
        until = patience.give_up_at if late else patience.alert_at
        trigger = LogsComplete(str(ds), until, settings.delivery.poll_seconds)
        self.defer(trigger=trigger, method_name="look", kwargs={"late": late})


@dataclass(frozen=True)
class Earlier:
    """The run of an earlier night, which goes before that of a backfill."""

    run_id: str
    is_stuck: bool  # it is queued, and no earlier one is under way that would leave its place to it


def earlier_night(context: Context) -> Earlier | None:
    """Of a backfill's night, the run of an earlier one that has not ended; None where it is its turn.

    A scheduled night does not wait for a backfill, which can take all day.
    """
    if context["dag_run"].run_type != "backfill":
        return None
    if running := context["ti"].get_previous_dagrun(state="running"):
        return Earlier(running.run_id, is_stuck=False)
    queued = context["ti"].get_previous_dagrun(state="queued")
    # runs that are not of the backfill do not wait for its places
    return Earlier(queued.run_id, is_stuck=queued.run_type == "backfill") if queued else None


class NightSensor(Sensor):
    """Waits until the events of the day before the model's as-of date were taken in and validated.

    Runs that somebody, or a night, asked for do not wait: they are to train on what there is.
    """

    tables = (INGEST_COUNTS.name, QUALITY_RESULTS.name)

    def _look(self, context: Context) -> None:
        """Looks at what was taken in, whenever a table changed that tells of it."""
        from nightshift.runtime.triggers import TablesChanged, commits

        run, end = context["dag_run"], context["data_interval_end"]
        if context["params"]["as_of"] or run.run_type not in BY_SCHEDULE or not end:
            self.log.info("This run was asked for: it trains on the events that there are.")
            return
        settings, as_of = load_settings(), date.fromisoformat(day(end))
        # one of a backfill looks at a time that is over: what is missing does not come by itself
        started = run.start_date if run.run_type == "scheduled" else None
        night, until = as_of - timedelta(days=1), model_waits_until(settings, as_of, started)
        # seen before it is looked: what changes meanwhile fires the trigger
        seen = commits(self.tables)
        why = answer_of(self.log, "spark_jobs.taken_in", "--ds", str(night))
        if not why:
            self.log.info("The events of %s are there, and validated.", night)
            return
        if datetime.now(UTC) < until:
            self.log.info("%sthe night %s until %s: %s.", WAITS, night, clock(settings, until), why)
            self.defer(trigger=TablesChanged(seen, until, settings.delivery.poll_seconds), method_name="look")
        if settings.weekly.without_night == "train":
            self.log.warning("The model is trained without the night %s: %s.", night, why)
            return
        raise InputError(
            f"The model was to be trained on the events up to {night}, and {why}. Run that night, then clear this "
            'task; or let the weekly model do without it: [weekly] without_night = "train" in nightshift.toml.'
        )


@contextmanager
def explained(log: Logger | logging.Logger) -> Iterator[None]:
    """Ends the task as a job would that meets an error of ours: with its line and its exit code."""
    try:
        yield
    except NightshiftError as error:
        line = f"{ERROR_PREFIX} {error}"
        log.error(line)
        raise JobExit(error.exit_code, line) from error
