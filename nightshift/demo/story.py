"""The steps of the demo, what of them is done already, and where its results are.

All but the demo's logs goes through Airflow.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

from contracts import lake
from contracts.columns import Columns as C
from contracts.settings import Settings
from contracts.states import PUBLISHED
from contracts.tables import INGEST_COUNTS, PUBLICATIONS, QUALITY_RESULTS, RECOMMENDATIONS
from nightshift.demo.data import has_landed
from nightshift.runtime.airflow_runs import history, night, run_dag
from nightshift.runtime.commands import run_to_end
from nightshift.runtime.services import airflow
from spark_jobs import hindsight
from spark_jobs.reporting import examples, hindsight_table

HISTORY_FROM, HISTORY_UNTIL = date(2017, 1, 1), date(2017, 12, 23)
NIGHTS = (date(2017, 12, 23), date(2017, 12, 24))


@dataclass(frozen=True)
class Step:
    """One part of the demo: how to tell that it is done, and how to do it."""

    title: str
    is_done: Callable[[Settings], bool]
    do: Callable[[Settings], None]
    takes_airflow: bool = True


def is_ingested(settings: Settings, ds: date) -> bool:
    """Whether a day is clean and was validated."""
    return all(lake.count(settings, table, {C.DS: ds}) for table in (INGEST_COUNTS, QUALITY_RESULTS))


def is_published(settings: Settings, ds: date) -> bool:
    """Whether a night was published."""
    return lake.count(settings, PUBLICATIONS, {C.DS: ds, C.STATUS: PUBLISHED}) > 0


def land(settings: Settings) -> None:
    """Writes the demo's logs."""
    run_to_end(settings, "demo-data", ["python", "-m", "nightshift.demo.data"])


def is_judged(settings: Settings, ds: date) -> bool:
    """Whether a published night was compared with what users did after it."""
    return hindsight_table.kept(settings, ds, hindsight_table.published_hash(settings, ds)) is not None


def judge(settings: Settings, ds: date) -> None:
    """Cleans the log files of the week after a night, and compares."""
    run_to_end(settings, f"hindsight-{ds}", ["python", "-m", "spark_jobs.hindsight", "--ds", str(ds), "--landing"])


def steps() -> list[Step]:
    """What the demo does, in order."""
    nightly = [
        Step(
            f"Night {ds}: clean, validate, {'fine-tune its first model, ' if ds == NIGHTS[0] else ''}score, publish",
            partial(is_published, ds=ds),
            partial(run_dag, run=night(ds)),
        )
        for ds in NIGHTS
    ]
    return [
        Step("Demo data: a year of a shop's logs", has_landed, land, takes_airflow=False),
        Step(
            f"History before {HISTORY_UNTIL}: clean and validate",
            partial(is_ingested, ds=HISTORY_UNTIL - timedelta(days=1)),
            partial(run_dag, run=history(HISTORY_UNTIL, HISTORY_FROM)),
        ),
        *nightly,
        Step(
            f"Hindsight of {NIGHTS[0]}: the week after it",
            partial(is_judged, ds=NIGHTS[0]),
            partial(judge, ds=NIGHTS[0]),
            takes_airflow=False,
        ),
    ]


def do_all(settings: Settings) -> None:
    """Does what is not done yet, with a line before and after each step."""
    todo = steps()
    begun = time.monotonic()
    with ExitStack() as stack:
        if any(step.takes_airflow and not step.is_done(settings) for step in todo):
            # one for all runs: each start takes ten seconds
            print("Starting Airflow …", flush=True)
            stack.enter_context(airflow(settings, "make run"))
        for number, step in enumerate(todo, start=1):
            if step.is_done(settings):
                print(f"[{number}/{len(todo)}] {step.title}: done before", flush=True)
                continue
            print(f"[{number}/{len(todo)}] {step.title}", flush=True)
            started = time.monotonic()
            step.do(settings)
            print(f"[{number}/{len(todo)}] took {time.monotonic() - started:.0f} s", flush=True)
    print(f"All of it took {time.monotonic() - begun:.0f} s.\n", flush=True)


def tell(settings: Settings) -> None:
    """Says where the results are and shows some of them."""
    first, newest = NIGHTS
    print(f"{examples.text(examples.examples(settings, newest))}\n", flush=True)
    hindsight.run(settings, hindsight.Arguments(ds=first, landing=True))
    report = settings.reports / f"{newest}.html"
    print(f"\nRecommendations  {lake.path(settings, RECOMMENDATIONS)} (Delta; the newest night is {newest})")
    print(f"Report           {report if report.exists() else 'was not written: see the log of the night'}")
    print("Airflow          make ui, then http://127.0.0.1:8080", flush=True)
