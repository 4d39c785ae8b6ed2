"""What all entry points share: arguments from a dataclass, the log, and errors that are one line, not a traceback.

A step is ``run(settings, arguments)``, or ``run(spark, settings, arguments)`` where it needs Spark; its arguments are a
frozen dataclass whose fields are made by `argument`. `main` makes the command line of both.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import date, datetime
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from contracts.errors import ERROR_PREFIX, NightshiftError
from contracts.files import write_atomically
from contracts.interval import Interval
from contracts.s3 import explained
from contracts.settings import Settings, load_settings

log = logging.getLogger("nightshift")

Arguments = TypeVar("Arguments")

INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended, as shells have it."""

RESULT_FILE = "NIGHTSHIFT_RESULT"
"""Variable that names the file which `give_result` writes, where whoever started the program asks for a result."""


def argument(help_: str, *, metavar: str | None = None, **default: Any) -> Any:
    """A field of a step's arguments; ``default`` or ``default_factory`` as `dataclasses.field` takes them."""
    return field(kw_only=True, metadata={"help": help_, "metavar": metavar}, **default)


@dataclass(frozen=True)
class NoArguments:
    """For what is told nothing."""


@dataclass(frozen=True)
class Days:
    """The days whose logs are taken in."""

    start: date = argument("first day of the run's interval")
    end: date = argument("day after its last day")
    allow_empty: bool = argument("let days without records pass, such as when the shop was closed", default=False)
    also: tuple[date, ...] = argument(
        "earlier days to take in before, each judged for itself: missed ones, or ones whose logs have changed",
        default=(),
    )

    @property
    def interval(self) -> Interval:
        """The half-open interval of these days."""
        return Interval(self.start, self.end)

    @property
    def batches(self) -> list[Interval]:
        """What is judged and taken in as one, in order: each of the earlier days, then the interval."""
        return [*(Interval.of_night(day) for day in sorted(self.also) if day < self.start), self.interval]


@dataclass(frozen=True)
class Night:
    """The night that is scored, published or reported."""

    ds: date = argument("the night: the day whose logs it owns")
    run_id: str = argument("name of the run in the tables", default="by-hand")

    @property
    def interval(self) -> Interval:
        """The night's one day."""
        return Interval.of_night(self.ds)


@dataclass(frozen=True)
class AsOf:
    """The day before which events count."""

    as_of: date = argument("use the events before this day")


@dataclass(frozen=True)
class OneModel:
    """The model that is used."""

    model: str | None = argument(
        "model to use, a folder of models/ (the champion, or that of a night of the past)", metavar="ID", default=None
    )


def parser(doc: str | None, kind: type[Any]) -> argparse.ArgumentParser:
    """The command line of a dataclass of arguments; ``doc`` is the module's docstring and becomes the help."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    types = get_type_hints(kind)
    for each in fields(kind):
        made.add_argument(f"--{each.name.replace('_', '-')}", **_option(each, types[each.name]))
    return made


def _option(each: Field[Any], kind: Any) -> dict[str, Any]:
    """What argparse is told of one field."""
    told: dict[str, Any] = {"help": each.metadata["help"]}
    if kind is bool:
        return told | {"action": "store_true"}
    if get_args(kind)[1:] == (...,):
        return told | {"type": _moments, "metavar": "YYYY-MM-DD,…", "default": each.default}
    if get_origin(kind) is tuple:
        told["nargs"] = len(get_args(kind))
        kind = get_args(kind)[0]
    elif isinstance(kind, UnionType):  # an optional one
        kind = next(choice for choice in get_args(kind) if choice is not type(None))
    if get_origin(kind) is Literal:
        told["choices"] = get_args(kind)
    elif issubclass(kind, date):
        told |= {"type": partial(_moment, kind), "metavar": "TIME" if kind is datetime else "YYYY-MM-DD"}
    else:
        told |= {"type": kind, "metavar": each.name.upper()}
    if each.metadata["metavar"]:
        told["metavar"] = each.metadata["metavar"]
    if each.default is MISSING and each.default_factory is MISSING:
        return told | {"required": True}
    default = each.default if each.default_factory is MISSING else each.default_factory()
    if each.default_factory is MISSING and default is not None:
        told["help"] += " (default: %(default)s)"
    return told | {"default": default}


def _moment(kind: type[date], text: str) -> date:
    try:
        return kind.fromisoformat(text)
    except ValueError as error:
        expected = "an ISO 8601 time" if kind is datetime else "a day, YYYY-MM-DD"
        raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}") from error


def _moments(text: str) -> tuple[date, ...]:
    return tuple(_moment(date, part.strip()) for part in text.split(",") if part.strip())


def parse(doc: str | None, kind: type[Arguments], argv: Sequence[str] | None = None) -> Arguments:
    """The arguments of a command line. Wrong ones end the program with exit code 2, as argparse does."""
    told = vars(parser(doc, kind).parse_args(argv))
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in told.items()})


@contextmanager
def timed(what: str, kept: dict[str, float] | None = None) -> Iterator[None]:
    """Logs how long a part took, in seconds, and writes it into ``kept`` under its name."""
    begun = time.monotonic()
    log.info("%s …", what)
    yield
    seconds = time.monotonic() - begun
    log.info("%s: %.1f s", what, seconds)
    if kept is not None:
        kept[what] = seconds


def give_result(values: Mapping[str, object]) -> None:
    """Hands small values, such as the id of a model, to whoever started the program; a later call adds to them.

    Airflow's operators give each value to the tasks that follow, as an XCom under its name. Started by hand, a program
    gives them to nobody.

    Args:
        values: What JSON can hold, by names of its own.
    """
    if not (named := os.environ.get(RESULT_FILE)):
        return
    file = Path(named)
    write_atomically(file, json.dumps(read_result(file) | dict(values)))


def read_result(file: Path) -> dict[str, Any]:
    """What a program gave with `give_result`; nothing where it gave nothing."""
    return dict(json.loads(file.read_text())) if file.exists() else {}


def start_log() -> None:
    """Sends the log to standard error, a line a message."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        force=True,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        datefmt="%H:%M:%S",
    )
    for library in ("py4j", "aiobotocore"):
        logging.getLogger(library).setLevel(logging.WARNING)


def main(
    doc: str | None,
    kind: type[Arguments],
    run: Callable[[Settings, Arguments], object],
    argv: Sequence[str] | None = None,
) -> None:
    """The entry point of a step: parses, reads the settings, runs, and turns a NightshiftError into its exit code.

    What a step of a night returns is what it counted, and goes into `night_steps` with the time that it took.
    The last line of a failed job is ``nightshift: ERROR: <what, where, what to do>``; Airflow shows it.
    """
    arguments = parse(doc, kind, argv)
    start_log()
    try:
        settings = load_settings()
        counts = run(settings, arguments)
        if isinstance(arguments, Days | Night) and isinstance(counts, dict):
            # it imports tables: not for every --help
            from contracts.night_steps import keep

            keep(settings, arguments.interval.ds, counts)
    except NightshiftError as error:
        print(f"{ERROR_PREFIX} {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if (told := explained(error)) is None:
            raise
        print(f"{ERROR_PREFIX} {told}", file=sys.stderr, flush=True)
        sys.exit(told.exit_code)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr, flush=True)
        sys.exit(INTERRUPTED)
