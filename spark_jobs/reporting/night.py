"""A night as one run sees it, and the first thing that its page says: did new lists go out, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from contracts import intake, lake
from contracts.columns import Columns as C
from contracts.settings import Settings
from contracts.states import (
    HELD,
    PUBLISHED,
    WARNING,
    Row,
    has_later_model,
    is_critical_failure,
    newest,
    newest_published,
    readers_get,
)
from contracts.tables import PUBLICATIONS, QUALITY_RESULTS
from spark_jobs.quality import audit

STOPPED = "stopped"
"""State of a night that was neither published nor held."""


@dataclass(frozen=True)
class NightTables:
    """The rows of the small tables that tell of a night."""

    ds: date
    run_id: str
    rows: list[Row]  # of `publications`, of all nights: what readers get may be a later one's
    quality: list[Row]  # of the night, from this run where it has any
    counts: dict[date, Row]

    @property
    def publications(self) -> list[Row]:
        """The rows of `publications` up to and including the night."""
        return [row for row in self.rows if row[C.DS] <= self.ds]

    @property
    def own(self) -> Row | None:
        """The night's newest publication row: of this run, else of any."""
        of_night = [row for row in self.publications if row[C.DS] == self.ds]
        return newest(row for row in of_night if row[C.RUN_ID] == self.run_id) or newest(of_night)

    @property
    def last(self) -> Row | None:
        """The newest row of the last night before this one that was published."""
        return newest_published(row for row in self.publications if row[C.DS] < self.ds)

    @property
    def live(self) -> Row | None:
        """The row of the lists that readers get."""
        return newest_published(self.rows)

    @property
    def failures(self) -> list[Row]:
        """Critical expectations that failed before the audit."""
        return [row for row in self.quality if is_critical_failure(row) and row[C.SUITE] != audit.SUITE]

    @property
    def warnings(self) -> list[Row]:
        """Warnings of all suites."""
        return [row for row in self.quality if not row[C.SUCCESS] and row[C.SEVERITY] == WARNING]


@dataclass(frozen=True)
class Verdict:
    """What became of the night."""

    state: str
    headline: str
    reasons: list[str]
    readers: str  # what readers get now


def load(settings: Settings, ds: date, run_id: str) -> NightTables:
    """Reads the small tables; those that were never written are empty."""
    rows = lake.rows(settings, PUBLICATIONS)
    quality = lake.rows(settings, QUALITY_RESULTS, {C.DS: ds})
    own = [row for row in quality if row[C.RUN_ID] == run_id]
    if not own and (of_night := newest(row for row in rows if row[C.DS] == ds)):
        own = [row for row in quality if row[C.RUN_ID] == of_night[C.RUN_ID]]
    counts = {day: row for day, row in intake.cleaned(settings).items() if day <= ds}
    return NightTables(ds, run_id, rows, own, counts)


def verdict(night: NightTables) -> Verdict:
    """What became of the night, why, and what readers get."""
    readers, own = _readers(night), night.own
    if night.failures:
        reasons = [
            f"{row[C.SUITE]}: {row[C.EXPECTATION]}: {row[C.OBSERVED]} (expected: {row[C.EXPECTED]})"
            for row in night.failures
        ]
        return Verdict(STOPPED, "Stopped: the night's data failed its validation", reasons, readers)
    if own and own[C.STATUS] == HELD:
        return Verdict(HELD, "Held: the audit found faults in the lists", list(own[C.REASONS]), readers)
    if own:
        by_another = (
            f"by run {own[C.RUN_ID]}; run {night.run_id} published nothing of its own: its lists were the same, "
            "or it failed on the way"
        )
        notes = [] if own[C.RUN_ID] == night.run_id else [by_another]
        if has_later_model(own):
            notes.append(
                f"the model knows events up to {own[C.MODEL_AS_OF]}: no model of the time of this night was there. "
                "Hindsight leaves this night out"
            )
        return Verdict(PUBLISHED, "Published", notes, readers)
    return Verdict(STOPPED, "Not published", [_how_far(night)], readers)


def _readers(night: NightTables) -> str:
    """What readers get now."""
    told = readers_get(night.rows, night.ds, night.run_id)
    lists = f": {night.live[C.USERS]:,} users, model {night.live[C.MODEL_ID]}" if night.live else ""
    return f"{told[0].upper()}{told[1:]}{lists}."


def _how_far(night: NightTables) -> str:
    """What a night without a publication row left behind."""
    if night.quality:
        return "The data was validated, then a later step failed: fine-tune, embed, score or publish."
    if night.ds in night.counts:
        return "The events were cleaned, but there are no results of the validation."
    return "There are no cleaned events of this day: the logs did not arrive, could not be read, or cleaning failed."
