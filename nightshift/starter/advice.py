"""What to change after a look at what ingestion would make of the logs. Pure functions of a `Profile`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import get_args

from contracts.settings import Settings, Weekday
from spark_jobs.ingest.events import CLEAN, REJECTED
from spark_jobs.ingest.profile import Profile

WEEKDAYS = get_args(Weekday)
SOME_WEEKS = 3
"""Weeks after which a weekday without logs is taken for one on which the shop is closed."""
WORTH_A_WORD = 0.01
"""Share of the records from which a reason is worth advice."""

MEANT = {
    "unparseable_record": "lines that are no records: look at delimiter, quote, multiline and encoding in [logs]; "
    "a header that comes again, or a record of more than 1 MiB, is none either",
    "missing_user_id": "records without a user: is event.user_id the right column? If the shop sells to guests, that "
    "is its nature",
    "missing_item_id": "records without an item: is event.item_id the right column?",
    "unusable_id": "ids of more than 1,024 characters, or with characters that control: is another column the id?",
    "reserved_user_id": "users whose id is what the table calls the list for who has none: name them otherwise in "
    "event.user_id",
    "unparseable_time": "times that cannot be read: correct event.event_time or event.time_format",
    "outside_interval": "times of another day than the file's: is [shop] time_zone the shop's? Late events are allowed "
    "for [ingest] late_days",
    "unknown_behaviour": "words that are no known behaviour: list them below [behaviours], or name them in [ingest] "
    "behaviours",
    "non_positive_quantity": "quantities of 0 or less: should event.event_type call them returns?",
    "rating_off_scale": "ratings that are no numbers, or not on [ingest] rating_scale: is that the shop's scale? "
    "A number that stands for no rating is taken out by an expression: event.rating = \"nullif(stars, '0')\"",
    "unknown_item": "items that the catalogue does not have: is it complete, and are its ids written like the log's?",
    "bot_like_rate": "users with more events in an hour than [ingest] max_user_events_per_hour",
}
"""What many records of a reason mean."""


def missing_days(settings: Settings, found: Profile) -> list[date]:
    """Days between the first and the last one without records, on which the shop is open."""
    span = (found.last_day - found.first_day).days + 1
    days = (found.first_day + timedelta(days=number) for number in range(span))
    return [day for day in days if day not in found.days and not settings.shop.is_closed(day)]


def closed_weekdays(settings: Settings, found: Profile) -> list[str]:
    """Weekdays that the calendar calls open and that never have a record."""
    open_days = Counter(WEEKDAYS[day.weekday()] for day in found.days)
    missing = Counter(WEEKDAYS[day.weekday()] for day in missing_days(settings, found))
    return [name for name in WEEKDAYS if missing[name] >= SOME_WEEKS and not open_days[name]]


def counted(found: Profile) -> tuple[int, int, int]:
    """Records in all, clean ones, and rejected ones."""
    raw = sum(sum(fates.values()) for fates in found.days.values())
    return (
        raw,
        sum(fates[CLEAN] for fates in found.days.values()),
        sum(fates[REJECTED] for fates in found.days.values()),
    )


def faults(settings: Settings, found: Profile) -> float:
    """Share of the records whose rejection counts in the bounds."""
    raw, _, _ = counted(found)
    kept = sum(each.records for name, each in found.reasons.items() if name not in settings.ingest.expected_rejects)
    return kept / raw if raw else 0.0


def stops_a_night(settings: Settings, found: Profile) -> bool:
    """Whether nights like these would be stopped, or would have nothing to learn from."""
    return not counted(found)[1] or faults(settings, found) > settings.quality.max_rejected_share


def advice(settings: Settings, found: Profile) -> Iterator[str]:
    """What to change, the most important first."""
    raw, clean, _ = counted(found)
    if not clean:
        yield "No record is clean: nothing can be learned from these logs as they are read now."
    bound = settings.quality.max_rejected_share
    ranked = sorted(found.reasons.items(), key=lambda each: -each[1].records)
    for name, each in ranked:
        share = each.records / raw
        if name in settings.ingest.expected_rejects or share < WORTH_A_WORD:
            continue
        meant = MEANT.get(name, "see the example")
        yield f"{share:.1%} {name}: {meant}{'' if meant.endswith('?') else '.'}"
    if faults(settings, found) > bound:
        largest = next(name for name, _ in ranked if name not in settings.ingest.expected_rejects)
        yield (
            f"{faults(settings, found):.1%} of the records are rejected; a night stops above {bound:.0%}. Mend what is "
            f'wrong, or, if these logs are so by nature, list the reason: [ingest] expected_rejects = ["returned", '
            f'"{largest}"], or raise [quality] max_rejected_share.'
        )
    if closed := closed_weekdays(settings, found):
        named = ", ".join(f'"{name}"' for name in closed)
        yield f"No {' or '.join(closed)} has a record: if the shop is closed then, [shop] closed_weekdays = [{named}]."
