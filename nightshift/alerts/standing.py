"""Which night readers should see, which one they do see, and why not: for the deadline's message and the banner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from contracts import lake, notices
from contracts.columns import Columns as C
from contracts.notices import STOPS, Told
from contracts.settings import Settings
from contracts.states import HELD, Row, is_early, newest, newest_published, readers_get
from contracts.tables import PUBLICATIONS, QUALITY_RESULTS
from contracts.waiting import clock
from nightshift.lookups import nights

WORDS = {"held": "held", "gate": "its data failed the validation", "failed": "failed"}
"""What became of a night, by the kind of the notice that says so."""


@dataclass(frozen=True)
class Standing:
    """The night that readers should see by now, and what they do see."""

    expected: date
    live: date | None  # the newest night that was published when its day was over
    readers: str  # whose lists they get, in words
    why: str  # what became of the expected night, in words
    run_id: str | None  # run of the expected night that came to this; None where no run says so

    @property
    def is_behind(self) -> bool:
        """Whether readers see an older night."""
        return self.live is None or self.live < self.expected


def due(settings: Settings, now: datetime) -> date:
    """The newest night that must be published at ``now``: the day before the newest one whose deadline has passed."""
    local = now.astimezone(settings.shop.zone)
    return local.date() - timedelta(days=1 if local.time() >= settings.alerts.deadline else 2)


def expected(settings: Settings, now: datetime, tried: Iterable[date]) -> date | None:
    """The night that readers should see: the newest one that was tried, or is due where nights are scheduled."""
    by_clock = [due(settings, now)] if settings.airflow.scheduled else []
    return max([*by_clock, *tried], default=None)


def standing(settings: Settings, now: datetime) -> Standing | None:
    """How things stand; None where nothing was ever tried in this home.

    Raises:
        InputError: a table has other columns than its contract.
    """
    publications, quality = lake.rows(settings, PUBLICATIONS), lake.rows(settings, QUALITY_RESULTS)
    ran = {row[C.DS] for row in (*publications, *quality)}
    tried = [
        night
        for night in sorted(ran | set(notices.nights(settings)))
        if stopped(settings, night, publications, quality)[0] is not None
    ]
    night = expected(settings, now, tried)
    if night is None or not (ran or tried):
        return None
    return of_night(settings, night, publications, quality)


def stand(settings: Settings, night: date) -> Standing:
    """How things stand for the night ``night``.

    Raises:
        InputError: a table has other columns than its contract.
    """
    return of_night(settings, night, lake.rows(settings, PUBLICATIONS), lake.rows(settings, QUALITY_RESULTS))


def of_night(settings: Settings, night: date, publications: Sequence[Row], quality: Sequence[Row]) -> Standing:
    """How things stand for the night ``night``."""
    live = newest_published(row for row in publications if not is_early(row, settings.shop.zone))
    why, run_id = stopped(settings, night, publications, quality)
    words = why or (
        "it was validated, and nothing was published or held since"
        if any(row[C.DS] == night for row in quality)
        else "no run of it came to anything yet"
    )
    return Standing(night, live[C.DS] if live else None, readers_get(publications, night), words, run_id)


def readers(settings: Settings, night: date | None, run_id: str | None = None) -> str:
    """What readers get now, in words."""
    return readers_get(lake.rows(settings, PUBLICATIONS), night, run_id)


def held_for(settings: Settings, night: date, run_id: str) -> tuple[str, ...]:
    """Why a run was held; nothing where it was not."""
    own = newest(row for row in lake.rows(settings, PUBLICATIONS, {C.DS: night}) if row[C.RUN_ID] == run_id)
    return tuple(own[C.REASONS]) if own and own[C.STATUS] == HELD else ()


def stopped(
    settings: Settings, night: date, publications: Sequence[Row], quality: Sequence[Row]
) -> tuple[str | None, str | None]:
    """What stopped a night's newest run, in words, and that run's id; None where nothing says that it was stopped."""
    own = newest(row for row in publications if row[C.DS] == night)
    told = newest_stop(notices.of_night(settings, night))
    if told and not (own and own[C.PUBLISHED_AT].timestamp() > told.told_at):
        return f"{WORDS[told.notice.kind]}: {told.notice.what}", told.run_id
    if own and own[C.STATUS] == HELD:
        return f"held: {'; '.join(own[C.REASONS])}", own[C.RUN_ID]
    if own and is_early(own, settings.shop.zone):
        return f"what readers get of it is from {clock(settings, own[C.PUBLISHED_AT])}, before its day was over", own[
            C.RUN_ID
        ]
    found = nights.night(
        settings, night, [own] if own else [], [row for row in quality if row[C.DS] == night], counts=None
    )
    return (
        (f"{WORDS['gate']}: {'; '.join(found.reasons)}", None) if found.status == nights.FAILED_GATE else (None, None)
    )


def newest_stop(told: Sequence[Told]) -> Told | None:
    """The newest notice of a night that was stopped."""
    return next((each for each in reversed(told) if each.notice.kind in STOPS), None)
