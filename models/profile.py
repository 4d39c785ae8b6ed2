"""What the events looked like that a model was trained on: the reference with which its nights are compared.

Made once, when the model is fitted, from the arrays that it is fitted on; kept in the model's folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from models.catalogue import ATTRIBUTES, Catalogue
from models.histories import DAY, Histories, Longs
from models.known_ids import KnownIds

SHARES, KNOWN = "profile.json", "profile.safetensors"
"""Files beside the model."""

DAYS = 28
"""The profile is of so many days at the training's end: whole weeks, so that weekdays weigh the same."""
WEEK = 7
NEW_AFTER = 14
"""An item of the training's last week is new if nothing happened to it until so many days before the training's end.

A model that is a week old meets its nights' events with the same gap between training and week.
"""
BINS = 20
"""Values of an attribute that are counted on their own; the rest is one bin."""


@dataclass(frozen=True)
class Bins:
    """Events by the value of an attribute: the commonest values, a missing one among them, and all others."""

    values: tuple[str | None, ...]  # most events first
    events: tuple[int, ...]  # [values + 1]; the last one is of all other values


@dataclass(frozen=True)
class Profile:
    """Events of `DAYS` days before the test window, and who and what all of the training's events are of."""

    first: date
    end: date  # the day after the last one
    events: int
    behaviours: Mapping[str, int]  # events of each
    attributes: Mapping[str, Bins]
    weekdays: tuple[float | None, ...]  # median of a Monday's, …, a Sunday's events; None: none had any
    new_items: float | None  # share of the last week's events, see NEW_AFTER; None: the training is too short to tell
    new_users: float | None
    items: KnownIds
    users: KnownIds

    @classmethod
    def of(
        cls,
        histories: Histories,
        catalogue: Catalogue,
        user_ids: Sequence[str],
        behaviours: Sequence[str],
        end: int,
    ) -> Profile:
        """The profile of a training.

        Args:
            histories: All events before ``end``, of items of the catalogue.
            catalogue: Numbers the items, and has their attributes.
            user_ids: Of the users of the histories.
            behaviours: Names in the order of their numbers.
            end: Where the test window begins, seconds of the shop's clock, a midnight.
        """
        recent = histories.times >= end - DAYS * DAY
        items = np.bincount(histories.items[recent], minlength=len(catalogue))
        # -1 is a behaviour that the settings do not name any more
        of_behaviour = np.bincount(histories.behaviours[recent] + 1, minlength=len(behaviours) + 1)[1:]
        day = (histories.times[recent] - (end - DAYS * DAY)) // DAY
        first = (datetime.fromtimestamp(end, UTC) - timedelta(days=DAYS)).date()
        seen_items = np.unique(histories.items)
        seen_users = np.flatnonzero(histories.lengths)
        return cls(
            first,
            first + timedelta(days=DAYS),
            int(recent.sum()),
            {name: int(events) for name, events in zip(behaviours, of_behaviour, strict=True)},
            {
                name: bins_of(catalogue.names[n], np.bincount(catalogue.codes[n], items, len(catalogue.names[n])))
                for n, name in enumerate(ATTRIBUTES)
            },
            medians(np.bincount(day, minlength=DAYS), first),
            share_of_new(histories.items, histories.times, end),
            share_of_new(histories.users, histories.times, end),
            KnownIds.of([str(each) for each in catalogue.item_ids[seen_items]]),
            KnownIds.of([user_ids[number] for number in seen_users.tolist()]),
        )

    def save(self, folder: Path) -> None:
        """Writes it into a model's folder."""
        told = {
            "first": str(self.first),
            "end": str(self.end),
            "events": self.events,
            "behaviours": dict(self.behaviours),
            "attributes": {name: asdict(bins) for name, bins in self.attributes.items()},
            "weekdays": self.weekdays,
            "new_items": self.new_items,
            "new_users": self.new_users,
            "highest_item": self.items.highest,
            "highest_user": self.users.highest,
        }
        (folder / SHARES).write_text(json.dumps(told, indent=1) + "\n")
        save_file({"items": self.items.hashes, "users": self.users.hashes}, folder / KNOWN)

    @classmethod
    def load(cls, folder: Path) -> Profile | None:
        """Reads what `save` wrote; None where the model was made without one. Verify the folder first."""
        if not (folder / SHARES).is_file():
            return None
        told: dict[str, Any] = json.loads((folder / SHARES).read_text())
        known = load_file(folder / KNOWN)
        return cls(
            date.fromisoformat(told["first"]),
            date.fromisoformat(told["end"]),
            told["events"],
            told["behaviours"],
            {name: Bins(tuple(bins["values"]), tuple(bins["events"])) for name, bins in told["attributes"].items()},
            tuple(told["weekdays"]),
            told["new_items"],
            told["new_users"],
            KnownIds(known["items"], told["highest_item"]),
            KnownIds(known["users"], told["highest_user"]),
        )


def bins_of(values: Sequence[str | None], events: NDArray[Any], count: int = BINS) -> Bins:
    """The ``count`` values with most ``events`` [values], ties in the order of ``values``, and the rest."""
    order = np.argsort(-events, kind="stable")
    chosen, rest = [number for number in order[:count] if events[number] > 0], events.sum()
    own = tuple(int(events[number]) for number in chosen)
    return Bins(tuple(values[number] for number in chosen), (*own, int(rest) - sum(own)))


def medians(events: Longs, first: date) -> tuple[float | None, ...]:
    """Median ``events`` [days] of each weekday, Monday first, from the day ``first`` on; empty days are closed ones."""
    found: list[float | None] = []
    for weekday in range(WEEK):
        of_weekday = events[(weekday - first.weekday()) % WEEK :: WEEK]
        open_days = of_weekday[of_weekday > 0]
        found.append(float(np.median(open_days)) if len(open_days) else None)
    return tuple(found)


def share_of_new(who: NDArray[np.integer[Any]], times: Longs, end: int) -> float | None:
    """Share of the last week's events that are of who, or what, did nothing until `NEW_AFTER` days before the end.

    Args:
        who: Number of the user or item of each event, [events].
        times: Of the events before ``end``, seconds, [events].
        end: Seconds.

    Returns:
        None where one of the two periods has no events.
    """
    last, earlier = who[times >= end - WEEK * DAY], who[times < end - NEW_AFTER * DAY]
    return float(np.mean(~np.isin(last, earlier))) if len(last) and len(earlier) else None
