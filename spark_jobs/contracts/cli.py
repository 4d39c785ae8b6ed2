"""What all entry points share: arguments, logging, and errors that are one line instead of a traceback."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from spark_jobs.contracts.errors import ERROR_PREFIX, NightshiftError
from spark_jobs.contracts.interval import Interval
from spark_jobs.contracts.settings import Settings, load_settings

log = logging.getLogger("nightshift")


@dataclass(frozen=True)
class Run:
    """What a scheduler tells a job: the days it owns and the name of the run."""

    interval: Interval
    run_id: str


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser with the arguments of a run; ``doc`` is the job's docstring and becomes its help."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--start", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD", help="first day of the run's interval"
    )
    made.add_argument(
        "--end", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD", help="day after its last day"
    )
    made.add_argument("--run-id", default="by-hand", help="name of the run in the tables (default: by-hand)")
    return made


def add_model(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Adds the argument that names a model, for the jobs that use one."""
    made.add_argument("--model", metavar="ID", help="model to use, a folder of var/models (default: the champion)")
    return made


def run_of(arguments: argparse.Namespace) -> Run:
    """The run that the arguments of `parser` describe."""
    return Run(Interval(arguments.start, arguments.end), arguments.run_id)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Logs how long a part took."""
    begun = time.monotonic()
    log.info("%s …", what)
    yield
    log.info("%s: %.1f s", what, time.monotonic() - begun)


def entry(job: Callable[[Settings, Sequence[str] | None], None], argv: Sequence[str] | None = None) -> None:
    """Runs a job's ``main``: reads the settings, sets up the log, turns a NightshiftError into its exit code.

    The last line of a failed job is ``nightshift: ERROR: <what, where, what to do>``; Airflow shows it.
    """
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        force=True,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
    )
    logging.getLogger("py4j").setLevel(logging.WARNING)
    try:
        job(load_settings(), argv)
    except NightshiftError as error:
        print(f"{ERROR_PREFIX} {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
