"""What Airflow's triggerer does for tasks that wait: it looks every now and then, and wakes them.

Here and not in dags/, because the triggerer does not have the DAGs' folder on its path. A trigger only says that it is
time to look: what there is to see, the task that it wakes finds out for itself.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from contracts import lake
from contracts.errors import NightshiftError
from contracts.settings import load_settings
from contracts.tables import TABLES


class Until(BaseTrigger):
    """Fires when something has happened, and at the first look after the moment ``until`` at the latest."""

    def __init__(self, until: datetime, poll_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.until, self.poll_seconds = until, poll_seconds

    @abstractmethod
    def has_happened(self) -> bool:
        """Whether there is a reason to wake the task: called over and over, in a thread of its own."""

    def told(self) -> dict[str, Any]:
        """The arguments of the trigger."""
        return {"until": self.until, "poll_seconds": self.poll_seconds}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Where the class is, and its arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self.told()

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Looks until it happened."""
        while True:
            # before the first look too: a task that goes on at once Airflow takes for a killed one (docs/traps.md)
            await asyncio.sleep(self.poll_seconds)
            if datetime.now(UTC) >= self.until:
                break
            try:
                if await asyncio.to_thread(self.has_happened):
                    break
            except NightshiftError:
                # the settings or the mapping are wrong by now: the task says so
                break
            except OSError as error:
                # files come and go, and a file system can be away for a while
                self.log.warning("It is looked again in %s s: %s", self.poll_seconds, error)
        yield TriggerEvent(None)  # type: ignore[no-untyped-call]


class LogsComplete(Until):
    """Fires when the delivery of a day is complete by the rule in the settings."""

    def __init__(self, day: str, until: datetime, poll_seconds: float) -> None:
        super().__init__(until, poll_seconds)
        self.day = day

    def told(self) -> dict[str, Any]:
        """The arguments of the trigger."""
        return {"day": self.day, **super().told()}

    def has_happened(self) -> bool:
        """Whether the delivery is complete."""
        from spark_jobs.ingest.deliveries import delivery

        return delivery(load_settings(), date.fromisoformat(self.day), datetime.now(UTC)).complete


class TablesChanged(Until):
    """Fires when one of the tables has another commit than those that were seen."""

    def __init__(self, seen: dict[str, str], until: datetime, poll_seconds: float) -> None:
        super().__init__(until, poll_seconds)
        self.seen = seen

    def told(self) -> dict[str, Any]:
        """The arguments of the trigger."""
        return {"seen": self.seen, **super().told()}

    def has_happened(self) -> bool:
        """Whether there is another commit."""
        return commits(list(self.seen)) != self.seen


def commits(tables: Sequence[str]) -> dict[str, str]:
    """The newest commit of each table."""
    settings = load_settings()
    return {name: lake.newest_commit(settings, TABLES[name]) for name in tables}
