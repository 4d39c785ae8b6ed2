"""Who is told what: callbacks of every task, which send what its run has to tell through Airflow's own notifiers.

A channel is on when its connection exists (docs/alerts.md). The callbacks are the tasks', not the DAG's: those run in
the task's own process, these in the DAG processor, which a command's Airflow has none of. They run after the state of
the task is reported, so that nothing here can fail or hold up a night; twenty seconds later Airflow ends the process.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from threading import Thread
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from contracts.dag_runs import FOR_A_NIGHT, NIGHTLY, WATCH, WEEKLY
from contracts.errors import ERROR_PREFIX, HeldError, QualityError
from contracts.notices import Kind, Notice, claim, of_run, tell
from contracts.settings import Settings, load_settings
from wiring.failures import JobExit
from wiring.run import day

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from airflow.sdk.bases.notifier import BaseNotifier

    from nightshift.alerts.message import Message

log = logging.getLogger(__name__)

Context = Mapping[str, Any]

CALL_SECONDS = 8
"""How long a server may take to answer."""

SEND_SECONDS = 12
"""How long all channels may take together."""

TURN_SECONDS = 6
"""How long to wait until others have sent. With the time for sending it is less than Airflow leaves the process."""

BESIDE = ("measure_drift", "write_report", "start_fine_tuning")
"""Tasks of a night that its lists do not need: where one fails, the night goes on."""

KINDS: dict[int, Kind] = {HeldError.exit_code: "held", QualityError.exit_code: "gate"}
"""What a job's exit code means for its night; any other one is a failure."""

TO_DO = {
    "held": "Look at the night's report, correct the cause, and run it again: nightshift night {night}.",
    "gate": "Correct the logs, or the bound in nightshift.toml, and run the night again: nightshift night {night}.",
    "failed": "Do what the error says, then clear the failed task, or run the night again: nightshift night {night}.",
    "beside": "Do what the error says, then clear the failed task. The lists of the night do not need it.",
    "watch": "Do what the error says, then clear the failed task. What readers see, nightshift nights tells.",
    "model": "Do what the error says, then clear the failed task. The nights go on with the model that they have.",
}


def mail(connection: Connection, message: Message) -> BaseNotifier:
    """A mail to those that the connection's extra names as `to`."""
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    return SmtpNotifier(
        smtp_conn_id=connection.conn_id,
        to=connection.extra_dejson["to"],
        subject=message.headline,
        html_content=message.mail,
    )


def chat(connection: Connection, message: Message) -> BaseNotifier:
    """A message to an incoming webhook as Slack has them."""
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

    return SlackWebhookNotifier(slack_webhook_conn_id=connection.conn_id, text=message.chat, timeout=CALL_SECONDS)


def webhook(connection: Connection, message: Message) -> BaseNotifier:
    """A message to a program: JSON, posted to the connection's address."""
    from airflow.providers.http.notifications.http import HttpNotifier

    return HttpNotifier(http_conn_id=connection.conn_id, json=message.payload, extra_options={"timeout": CALL_SECONDS})


CHANNELS: dict[str, Callable[[Connection, Message], BaseNotifier]] = {
    "nightshift_smtp": mail,
    "nightshift_slack": chat,
    "nightshift_webhook": webhook,
}
"""Connections, and what makes the notifier of each."""


def failed(context: Context) -> None:
    """Sends why the task failed, and what else its run has to tell."""
    with unobtrusive():
        settings = load_settings()
        # before its turn: where that does not come, the notice waits for the next task that ends
        told = tell(settings, own_run(context), failure(settings, context))
        failed_before = told.is_sent
        if told_elsewhere := told_by_triggered(settings, context):
            claim(told)
        with turn(settings):
            if not told_elsewhere and (claim(told) or failed_before):
                send(settings, context, told.notice)
            send_waiting(settings, context)


def ended(context: Context) -> None:
    """Sends what the task's jobs have left to tell."""
    with unobtrusive():
        settings = load_settings()
        with turn(settings):
            send_waiting(settings, context)


ALERTS: dict[str, Any] = {
    "on_failure_callback": failed,
    "on_success_callback": ended,
    "on_retry_callback": ended,
}
"""Arguments of every task."""


def announce(context: Context, notice: Notice) -> None:
    """Sends a notice while its task runs, once in the run: late logs cannot wait for the end of their sensor."""
    with unobtrusive():
        settings = load_settings()
        tell(settings, own_run(context), notice)
        with turn(settings):
            send_waiting(settings, context)


def failure(settings: Settings, context: Context) -> Notice:
    """What the failure of a task means."""
    from nightshift.alerts.standing import held_for

    task_id, night, error = context["ti"].task_id, night_of(context), context.get("exception")
    kind: Kind = KINDS.get(error.exit_code, "failed") if isinstance(error, JobExit) else "failed"
    if task_id in BESIDE:
        kind = "beside"
    dag_id = context["dag"].dag_id
    if dag_id == WEEKLY:
        kind = "model"
    what = f"{task_id} ended with {type(error).__name__}: {error}"
    if isinstance(error, JobExit):
        what = f"{task_id}: {error.line.removeprefix(ERROR_PREFIX).strip()}"
    elif error is None:
        run_id = getattr(context["ti"].task, "trigger_run_id", None)
        what = f"{task_id} failed{f', because the run {run_id} did' if run_id else ''}."
    if kind == "held" and (reasons := held_for(settings, night, context["run_id"])):
        what = f"The audit held the lists: {'; '.join(reasons)}."
    if dag_id == WATCH:
        nobody = f"The watch at the deadline failed: nobody has looked whether the night {night} is published. {what}"
        return Notice("beside", night, nobody, TO_DO["watch"])
    # without its first model, the night that started this is not published either
    to_do = TO_DO["failed" if kind == "model" and context["run_id"].startswith(FOR_A_NIGHT) else kind]
    return Notice(kind, night, what, to_do.format(night=night))


def told_by_triggered(settings: Settings, context: Context) -> bool:
    """Whether the task waited for another run that failed, and that run has told why."""
    ti = context["ti"]
    if (run_id := getattr(ti.task, "trigger_run_id", None)) is None:
        return False
    told = of_run(settings, name_of(ti.task.trigger_dag_id, run_id))
    return any(each.told_at >= ti.start_date.timestamp() for each in told)


def own_run(context: Context) -> str:
    """What a task's run is called among the notices."""
    return name_of(context["dag"].dag_id, context["run_id"])


def name_of(dag_id: str, run_id: str) -> str:
    """What a run is called among the notices: by its id, which is all that the jobs of a night know of it.

    A run of another of our DAGs can have the same id: it has its DAG before it, as its jobs tell nothing themselves.
    """
    return f"{dag_id}/{run_id}" if dag_id in (WEEKLY, WATCH) else run_id


def night_of(context: Context) -> date:
    """The night that a run is about: its data interval's day; of a training, the day before its as-of date."""
    if as_of := context["params"].get("as_of"):
        return date.fromisoformat(as_of) - timedelta(days=1)
    run = context["dag_run"]
    end = context.get("data_interval_end") or run.logical_date or run.run_after
    return date.fromisoformat(day(end)) - timedelta(days=1)


def send_waiting(settings: Settings, context: Context) -> None:
    """Sends each notice of the run that nobody has sent. Without a channel they go on waiting."""
    waiting = [told for told in of_run(settings, own_run(context)) if not told.is_sent]
    if waiting and connections():
        for told in waiting:
            if claim(told):
                send(settings, context, told.notice)


def send(settings: Settings, context: Context, notice: Notice) -> None:
    """Sends one message through every channel that is on."""
    from nightshift.alerts.message import Message
    from nightshift.alerts.standing import readers

    if not (there := connections()):
        return
    try:
        seen = readers(settings, None if notice.kind == "model" else notice.night, context["run_id"])
    except Exception as error:
        seen = f"what readers get cannot be read ({error})"
    message = Message(notice, context["run_id"], seen, link(settings, context, notice))
    said: dict[str, str] = {}

    def deliver_one(conn_id: str, connection: Connection) -> None:
        said[conn_id] = deliver(connection, message, context)

    # side by side: a server that does not answer takes no time from the others, nor can it hold up the process
    threads = {each[0]: Thread(target=deliver_one, args=each, daemon=True) for each in there.items()}
    for thread in threads.values():
        thread.start()
    deadline = time.monotonic() + SEND_SECONDS
    for conn_id, thread in threads.items():
        thread.join(max(0, deadline - time.monotonic()))
        # one line a channel, also where its thread gets its error after all
        problem = said.get(conn_id, "its server does not answer.")
        if problem:
            log.warning("No alert through %s: %s", conn_id, problem)
        else:
            log.info("Told through %s: %s", conn_id, message.headline)


def connections() -> dict[str, Connection]:
    """The channels that are on."""
    found = {}
    for conn_id in CHANNELS:
        try:
            found[conn_id] = BaseHook.get_connection(conn_id)
        except AirflowNotFoundException:
            continue
    return found


def deliver(connection: Connection, message: Message, context: Context) -> str:
    """Sends a message through one channel; what was in the way, in one line, and nothing if it went well."""
    conn_id = connection.conn_id
    try:
        # not notifier(context), which would render the message as a template: it has words out of the logs
        CHANNELS[conn_id](connection, message).notify(cast("Any", context))
    except KeyError as error:
        return f"its connection has no {error} in its extra (docs/alerts.md)."
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ""


def link(settings: Settings, context: Context, notice: Notice) -> str:
    """Where people see the task; of a night that is missing, all runs of the nights."""
    ti, pages = context["ti"], f"{settings.alerts.url.rstrip('/')}/dags"
    if notice.kind == "missing":
        return f"{pages}/{NIGHTLY}"
    return f"{pages}/{ti.dag_id}/runs/{quote(context['run_id'], safe='')}/tasks/{ti.task_id}"


@contextmanager
def turn(settings: Settings) -> Iterator[None]:
    """A block that sends, while no other one does. Whoever stops Airflow waits for it (nightshift.runtime.services).

    Raises:
        TimeoutError: others take too long.
    """
    from filelock import FileLock, Timeout

    from nightshift.runtime.commands import lock_file

    lock = FileLock(lock_file(settings, "alerts"))
    try:
        lock.acquire(timeout=TURN_SECONDS)
    except Timeout as error:
        raise TimeoutError("another task is still sending. The next task of the run that ends sends it.") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def unobtrusive() -> Iterator[None]:
    """A block that must not disturb its task, whatever happens in it."""
    try:
        yield
    except Exception as error:
        log.warning("No alert: %s: %s", type(error).__name__, error)
