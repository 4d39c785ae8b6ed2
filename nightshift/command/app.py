"""All commands of `nightshift` put together, and what becomes of their errors."""

from __future__ import annotations

import errno
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from contracts.errors import ERROR_PREFIX, InputError, NightshiftError
from contracts.s3 import explained
from nightshift.command import (
    bench_encoding,
    bench_model,
    bench_night,
    bench_scoring,
    bench_techniques,
    check,
    diff,
    doctor,
    init,
    nights,
    plan,
    rejects,
    runs,
    show,
    tune,
    verify_incremental,
    why,
)
from nightshift.command.terminal import printable


class Commands(TyperGroup):
    """The commands. What they cannot do is one line and an exit code, as of the steps."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was named."""
        try:
            return super().invoke(ctx)
        except NightshiftError as error:
            _say(error)
            raise typer.Exit(error.exit_code) from error
        except Exception as error:
            if told := explained(error):
                _say(told)
                raise typer.Exit(told.exit_code) from error
            if not _is_of_a_file(error):
                raise
            _say(error)
            raise typer.Exit(InputError.exit_code) from error


def _say(error: Exception) -> None:
    # an error can end with what another program printed, which has lines
    lines = str(error).splitlines() or [type(error).__name__]
    print(ERROR_PREFIX, "\n".join(map(printable, lines)), file=sys.stderr, flush=True)


def _is_of_a_file(error: Exception) -> bool:
    """Whether a file or a table could not be read or written; a reader that hangs up (``| head``) is not that."""
    if isinstance(error, OSError):
        return error.errno != errno.EPIPE
    module = type(error).__module__.partition(".")[0]
    # Arrow has one error for damaged files and for wrong code: only its words tell them apart
    return module == "deltalake" or (module == "pyarrow" and "Parquet" in str(error))


app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def nightshift() -> None:
    """Nightly recommendations: reads your logs, runs the nights, tells what a user gets and why.

    Works on NIGHTSHIFT_HOME (default: var/ of the checkout). Every command that tells takes --json, for machines.

    Examples:
      nightshift night 2017-12-26
      nightshift nights
      nightshift show USER
      nightshift COMMAND --help
    """


FIRST, RUN, LOOK, MEND = "Your own logs", "Runs, through Airflow", "What the nights did", "This machine"
"""Headings of the commands in the help."""

app.command(rich_help_panel=FIRST)(init.init)
app.command(rich_help_panel=FIRST)(check.check)
app.command(rich_help_panel=RUN)(runs.history)
app.command(rich_help_panel=RUN)(runs.model)
app.command(rich_help_panel=RUN)(runs.night)

app.command(rich_help_panel=LOOK)(nights.nights)
app.command(rich_help_panel=LOOK)(show.show)
app.command(rich_help_panel=LOOK)(diff.diff)
app.command(rich_help_panel=LOOK)(rejects.rejects)
app.command(rich_help_panel=LOOK)(why.why)
app.command("bench-model", rich_help_panel=MEND)(bench_model.bench_model)
app.command(rich_help_panel=MEND)(tune.tune)
app.command(rich_help_panel=MEND)(plan.plan)
app.command("bench-night", rich_help_panel=MEND)(bench_night.bench_night)
app.command("bench-encoding", rich_help_panel=MEND)(bench_encoding.bench_encoding)
app.command("bench-scoring", rich_help_panel=MEND)(bench_scoring.bench_scoring)
app.command("bench-techniques", rich_help_panel=MEND)(bench_techniques.bench_techniques)
app.command("verify-incremental", rich_help_panel=MEND)(verify_incremental.verify_incremental)
app.command(rich_help_panel=MEND)(doctor.doctor)


def main() -> None:
    """The entry point."""
    app(prog_name="nightshift")
