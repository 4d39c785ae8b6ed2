"""What `nightshift check` says of a profile: gaps, closed weekdays, reasons that would stop a night, the chart."""

from __future__ import annotations

from datetime import date, timedelta

from contracts.settings import Ingest, Settings, Shop
from nightshift.command.check import bars
from nightshift.starter.advice import advice, closed_weekdays, missing_days, stops_a_night
from spark_jobs.ingest.profile import Profile, Rejects

MONDAY = date(2011, 1, 3)


def profile(clean: int, weeks: int = 4, without: tuple[int, ...] = (), **rejected: int) -> Profile:
    """Some weeks from a Monday on with so many clean records a day, without some weekdays; rejects on the first day."""
    days = [MONDAY + timedelta(days=number) for number in range(7 * weeks)]
    fates = {day: {"clean": clean, "rejected": 0, "duplicate": 0} for day in days if day.weekday() not in without}
    fates[MONDAY]["rejected"] = sum(rejected.values())
    reasons = {name: Rejects(records, (("a.csv", "x"),)) for name, records in rejected.items()}
    return Profile(days[0], days[-1], fates, reasons)


def test_good_logs_need_no_advice(settings: Settings) -> None:
    assert list(advice(settings, profile(100))) == []
    assert not stops_a_night(settings, profile(100))


def test_a_weekday_without_records_is_proposed_as_closed_until_the_calendar_says_so(settings: Settings) -> None:
    found = profile(100, without=(5,))
    assert len(missing_days(settings, found)) == 4
    assert closed_weekdays(settings, found) == ["saturday"]
    assert list(advice(settings, found)) == [
        'No saturday has a record: if the shop is closed then, [shop] closed_weekdays = ["saturday"].'
    ]
    closed = settings.model_copy(update={"shop": Shop(closed_weekdays=("saturday",))})
    assert list(advice(closed, found)) == []


def test_rejects_that_would_stop_a_night_are_named_with_what_to_do(settings: Settings) -> None:
    found = profile(10, missing_user_id=60, returned=100, unparseable_time=1)
    told = list(advice(settings, found))
    assert told[0].startswith("13.6% missing_user_id: records without a user")
    assert 'expected_rejects = ["returned", "missing_user_id"]' in told[1]
    assert len(told) == 2  # returns are expected, one time in 441 is no news
    assert stops_a_night(settings, found)
    expected = settings.model_copy(update={"ingest": Ingest(expected_rejects=("returned", "missing_user_id"))})
    assert not stops_a_night(expected, found)


def test_logs_without_a_clean_record_stop(settings: Settings) -> None:
    found = profile(0, unknown_behaviour=50)
    assert next(advice(settings, found)).startswith("No record is clean")
    assert stops_a_night(settings, found)


def test_the_chart_has_a_row_for_spans_of_days() -> None:
    assert next(line.split() for line in bars(profile(10, weeks=1))) == ["2011-01-03", "10", "█" * 40]
    shown = list(bars(profile(10, weeks=10)))
    assert shown[0] == "records in 3 days each"
    assert len(shown) == 1 + 24
