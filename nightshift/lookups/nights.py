"""What became of each night: its state, its figures, and which run its readers follow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from contracts import intake, lake
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.settings import Settings
from contracts.states import PUBLISHED, WARNING, Row, is_critical_failure, newest, newest_published
from contracts.tables import PUBLICATIONS, QUALITY_RESULTS
from spark_jobs.quality import audit

FAILED_GATE, NOT_PUBLISHED = "failed gate", "not published"
"""States of a night without a row of `publications`, besides those of `contracts.states`."""


@dataclass(frozen=True)
class Followed:
    """The publication whose lists the readers of a night get."""

    run_id: str
    model_id: str
    users: int
    content_hash: str
    published_at: datetime


@dataclass(frozen=True)
class Night:
    """A night. Figures are of its newest run, which readers need not follow; None is not known."""

    ds: date
    status: str  # what its newest run came to
    reasons: tuple[str, ...]  # why it is not published
    run_id: str | None
    model_id: str | None
    users: int | None
    coverage: float | None
    churn: float | None
    repeats: float | None  # share of the recommendations
    critical_failures: int
    warnings: int
    raw: int | None
    clean: int | None
    rejected: int | None
    followed: Followed | None  # None: there are no lists of this night
    report: Path | None


@dataclass(frozen=True)
class Nights:
    """The newest nights, newest first."""

    readers_get: date | None  # the night whose lists the app reads; it can be older than all of these
    nights: tuple[Night, ...]


def nights(settings: Settings, last: int) -> Nights:
    """The ``last`` newest nights, newest first.

    Raises:
        InputError: no night ever ran.
    """
    publications = lake.rows(settings, PUBLICATIONS)
    quality = lake.rows(settings, QUALITY_RESULTS)
    counts = intake.cleaned(settings)
    days = sorted({row[C.DS] for row in (*publications, *quality)}, reverse=True)
    if not days:
        raise InputError(f"No night has run yet: {settings.lake} has neither publications nor quality_results.")
    live = newest_published(publications)
    return Nights(
        live[C.DS] if live else None,
        tuple(
            night(
                settings,
                ds,
                [row for row in publications if row[C.DS] == ds],
                [row for row in quality if row[C.DS] == ds],
                counts.get(ds),
            )
            for ds in days[:last]
        ),
    )


def night(
    settings: Settings, ds: date, publications: Sequence[Row], quality: Sequence[Row], counts: Row | None
) -> Night:
    """One night, from its rows of the small tables."""
    own, followed = newest(publications), newest_published(publications)
    # of a suite only the newest results are kept, so these are of the newest attempt
    failures = [row for row in quality if is_critical_failure(row) and row[C.SUITE] != audit.SUITE]
    measures, records = own[C.MEASURES] if own else {}, counts or {}
    report = settings.reports / f"{ds}.html"
    return Night(
        ds,
        FAILED_GATE if failures else str(own[C.STATUS]) if own else NOT_PUBLISHED,
        tuple(_reasons(failures, own)),
        own[C.RUN_ID] if own else None,
        own[C.MODEL_ID] if own else None,
        own[C.USERS] if own else None,
        measures.get("coverage"),
        measures.get("churn"),
        measures.get("source_repeat"),
        sum(map(is_critical_failure, quality)),
        sum(not row[C.SUCCESS] and row[C.SEVERITY] == WARNING for row in quality),
        records.get("raw"),
        records.get("clean"),
        records.get("rejected"),
        _followed(followed) if followed else None,
        report if report.is_file() else None,
    )


def _reasons(failures: Sequence[Row], own: Row | None) -> Iterable[str]:
    """Why the newest attempt published nothing."""
    if failures:
        return (
            f"{row[C.SUITE]}: {row[C.EXPECTATION]}: {row[C.OBSERVED]} (expected: {row[C.EXPECTED]})" for row in failures
        )
    if own is None:
        return ("it was validated, and nothing was published or held since",)
    return () if own[C.STATUS] == PUBLISHED else own[C.REASONS]


def _followed(row: Row) -> Followed:
    return Followed(row[C.RUN_ID], row[C.MODEL_ID], row[C.USERS], row[C.CONTENT_HASH], row[C.PUBLISHED_AT])
