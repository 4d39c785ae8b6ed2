"""A few users of a published night: what they did last, what they are recommended, and why. Needs no Spark.

    python -m spark_jobs.examples --ds 2017-12-23 --users 3

The users are always the same for the same tables: one with much history, one with some, one with little. Outside
the tables a user has a pseudonym: a hash with a key that stays in NIGHTSHIFT_HOME.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from contracts.cli import argument, main
from contracts.settings import Settings
from spark_jobs.reporting.examples import examples, text


@dataclass(frozen=True)
class Arguments:
    """The night whose users are shown."""

    ds: date = argument("the night")
    users: int = argument("how many", metavar="N", default=3)


def run(settings: Settings, arguments: Arguments) -> None:
    """Prints the examples.

    Raises:
        InputError: nothing was published for the night.
    """
    print(text(examples(settings, arguments.ds, arguments.users)))


if __name__ == "__main__":
    main(__doc__, Arguments, run)
