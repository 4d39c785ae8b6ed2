"""One row of `quality_results` per expectation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from contracts import lake
from contracts.settings import Settings
from contracts.tables import QUALITY_RESULTS


@dataclass(frozen=True)
class Result:
    """What became of one expectation."""

    expectation: str
    severity: str  # of contracts.states
    success: bool
    expected: str
    observed: str | None

    def __str__(self) -> str:
        return f"{self.expectation}: expected {self.expected}, found {self.observed}"


def write(settings: Settings, ds: date, run_id: str, suites: Mapping[str, Sequence[Result]]) -> None:
    """Replaces the results of one night and of these suites, whichever run wrote them, in one commit."""
    rows = [
        (ds, run_id, suite, r.expectation, r.severity, r.success, r.expected, r.observed)
        for suite, results in suites.items()
        for r in results
    ]
    names = ", ".join(f"'{suite}'" for suite in suites)
    lake.replace_small(settings, QUALITY_RESULTS, rows, f"ds = '{ds}' AND suite IN ({names})")
