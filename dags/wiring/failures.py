"""What a job's exit means to Airflow: which line explains it, and whether trying again can help."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy

from contracts.errors import ERROR_PREFIX, FINAL_EXIT_CODES, NightshiftError

if TYPE_CHECKING:
    import logging

    from airflow.sdk.types import Logger


FINAL = FINAL_EXIT_CODES | {2}
"""Exit codes after which a retry would fail in the same way: the jobs' own, and argparse's for wrong arguments."""


class RetryByExitCode(RetryPolicy):
    """Fails a task at once when its job said that a retry would fail in the same way; else retries."""

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        """The decision for one failure."""
        if isinstance(exception, SystemExit) and exception.code in FINAL:
            return RetryDecision.fail(f"exit code {exception.code}: a retry would fail in the same way")
        return RetryDecision.default()


RETRIES: dict[str, Any] = {
    "retries": 2,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "retry_policy": RetryByExitCode(),
}
"""Arguments of every task that runs a job."""


class JobExit(SystemExit):
    """The end of a task whose job failed: its exit code, and the line that explains it."""

    def __init__(self, exit_code: int, line: str) -> None:
        super().__init__(exit_code)
        self.exit_code, self.line = exit_code, line


def refuse(log: Logger | logging.Logger, error: NightshiftError) -> NoReturn:
    """Ends a task before its job has started, as the job would end by the same error."""
    line = f"{ERROR_PREFIX} {error}"
    log.error(line)
    raise JobExit(error.exit_code, line) from error


class JobLog:
    """Follows the lines of a job and remembers the one that explains its failure."""

    def __init__(self) -> None:
        self.error = ""

    def follow(self, lines: Iterable[str]) -> Iterator[str]:
        """The lines as they come."""
        for line in lines:
            if line.startswith(ERROR_PREFIX):
                self.error = line.strip()
            yield line

    def fail(self, log: Logger | logging.Logger, job: str, exit_code: int) -> NoReturn:
        """Ends the task with the job's error line and exit code.

        SystemExit, because Airflow logs any other exception with forty lines of its own traceback, which hide
        the line that says what to do.
        """
        unexplained = f"{ERROR_PREFIX} {job} ended with exit code {exit_code}; what it printed stands above."
        line = self.error or unexplained
        log.error(line)
        raise JobExit(exit_code, line)
