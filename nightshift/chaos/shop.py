"""The logs of a small shop that does not exist: 40 days of regulars who buy what they like, the same for everybody."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

DAYS = 40
USERS, ITEMS = 40, 60
DEPARTMENTS = ("dairy", "bakery", "fruit", "drinks", "household", "pantry")
BEHAVIOURS = ("view", "view", "cart", "purchase", "purchase")

Record = dict[str, Any]


@dataclass(frozen=True)
class Logs:
    """The logs of 40 days up to, not including, ``end``, and where they are delivered to."""

    landing: Path
    end: date

    @property
    def days(self) -> list[date]:
        """The days, oldest first."""
        return [self.end - timedelta(days=n) for n in range(DAYS, 0, -1)]

    def day(self, number: int) -> date:
        """The day of a number, from 1 to 40."""
        return self.days[number - 1]

    def records(self, day: date) -> list[Record]:
        """What happened on a day; always the same."""
        source = random.Random(f"{(self.end - day).days}")
        made = []
        for user in range(USERS):
            if source.random() < 0.4:
                continue
            # a regular: mostly of the own department
            own = user % len(DEPARTMENTS)
            for _ in range(source.randint(1, 5)):
                item = source.randrange(ITEMS)
                if source.random() < 0.7:
                    item = item - item % len(DEPARTMENTS) + own
                moment = datetime.combine(day, time(source.randrange(8, 20), source.randrange(60)), UTC)
                made.append(record(f"user-{user:02d}", f"item-{item:02d}", moment, source.choice(BEHAVIOURS)))
        return made

    def deliver(self, day: date, records: Iterable[Record] | None = None, name: str = "part-0.jsonl") -> Path:
        """Writes a day's log, and the mark that it is complete."""
        folder = self.landing / f"events/ds={day}"
        file = write(folder / name, self.records(day) if records is None else records)
        (folder / "_SUCCESS").touch()
        return file

    def deliver_catalogue(self, day: date | None, records: Sequence[Record] | None = None) -> Path:
        """Writes the catalogue of a day; None for one that tells no day."""
        folder = self.landing / "items" / (f"ds={day}" if day else "")
        return write(folder / "catalogue.jsonl", catalogue() if records is None else records)


def record(user: str, item: str, moment: datetime, behaviour: str = "purchase") -> Record:
    """One record of a log."""
    bought = behaviour == "purchase"
    return {
        "event_time": moment.isoformat(),
        "event_type": behaviour,
        "user_id": user,
        "item_id": item,
        "quantity": 1 if bought else None,
        "price": 1.99 if bought else None,
        "session_id": None,
    }


def catalogue(**changes: Any) -> list[Record]:
    """The catalogue, with ``changes`` on every item."""
    return [
        {
            "item_id": f"item-{number:02d}",
            "title": f"{DEPARTMENTS[number % len(DEPARTMENTS)]} no {number}",
            "department": DEPARTMENTS[number % len(DEPARTMENTS)],
            "category": f"{DEPARTMENTS[number % len(DEPARTMENTS)]} {number % 12}",
        }
        | changes
        for number in range(ITEMS)
    ]


def write(file: Path, records: Iterable[Record]) -> Path:
    """A file of JSON lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(each) + "\n" for each in records), encoding="utf-8")
    return file
