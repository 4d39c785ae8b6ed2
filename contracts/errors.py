"""The one tree of exceptions. A message names the table or file, what was expected and found, what to do.

The exit code tells the scheduler whether trying again can help: Airflow fails a task at once on any code of
`FINAL_EXIT_CODES` and retries on all others.
"""

from __future__ import annotations

ERROR_PREFIX = "nightshift: ERROR:"
"""How the last line of a failed job starts."""


class NightshiftError(Exception):
    """Base of all errors that are explained to the person who runs the job, without a traceback."""

    exit_code = 64


class SettingsError(NightshiftError):
    """A setting or an argument is wrong: nothing was started."""

    exit_code = 64


class InputError(NightshiftError):
    """A log file, the catalogue or a table is missing, unreadable or has other columns than its contract."""

    exit_code = 65


class QualityError(NightshiftError):
    """A critical expectation failed: the night stops before anything is published."""

    exit_code = 66


class HeldError(NightshiftError):
    """The audit held the night: the last published night stays."""

    exit_code = 67


class ModelError(NightshiftError):
    """A model folder is missing, incomplete, damaged or of another code, there is no champion, or training diverged."""

    exit_code = 68


class RegistryError(NightshiftError):
    """The registry of models could not be reached or read: trying again can help."""

    exit_code = 75


class StorageError(NightshiftError):
    """The object store of the lake or the landing folder could not be reached: trying again can help."""

    exit_code = 75


FINAL_EXIT_CODES = frozenset(
    error.exit_code for error in (SettingsError, InputError, QualityError, HeldError, ModelError)
)
"""Exit codes after which a retry would fail in the same way."""
