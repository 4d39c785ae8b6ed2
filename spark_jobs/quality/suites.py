"""What is expected of events and items: a name, a measured value and its bounds. Nothing here computes."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.settings import Quality, Settings
from contracts.states import CRITICAL, WARNING

REJECTED_EVENTS, REJECTED_ITEMS = "rejected / raw records", "rejected / catalogue records"
"""Names of the expectations that stop a night for its rejected records."""


@dataclass(frozen=True)
class Check:
    """An expectation of one metric: its value lies between the bounds, both included unless ``above``."""

    name: str
    metric: str
    severity: str
    low: float | None = None
    high: float | None = None
    above: bool = False  # the lower bound itself is too low
    setting: str | None = None  # where the bound is set, as people find it: [quality] min_items

    @property
    def expected(self) -> str:
        """The bounds in words, and the setting that holds them."""
        return f"{self._bounds} ({self.setting})" if self.setting else self._bounds

    @property
    def _bounds(self) -> str:
        if self.low is not None and self.low == self.high:
            return shown(self.low)
        low = "" if self.low is None else f"{'more than' if self.above else 'at least'} {shown(self.low)}"
        high = "" if self.high is None else f"at most {shown(self.high)}"
        return " and ".join(bound for bound in (low, high) if bound)


def shown(value: float) -> str:
    """A number for people: whole where it is whole, else with four digits."""
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def none_of(name: str, metric: str) -> Check:
    """A critical expectation that a count is 0: what the steps before never write, so that no setting allows it."""
    return Check(name, metric, CRITICAL, low=0, high=0)


def at_most(name: str, metric: str, severity: str, bounds: Quality, setting: str) -> Check:
    """An expectation whose upper bound is a setting."""
    return Check(name, metric, severity, high=getattr(bounds, setting), setting=f"[quality] {setting}")


def at_least(name: str, metric: str, severity: str, bounds: Quality, setting: str) -> Check:
    """An expectation whose lower bound is a setting."""
    return Check(name, metric, severity, low=getattr(bounds, setting), setting=f"[quality] {setting}")


def events_suite(settings: Settings, *, allow_empty: bool, has_past: bool) -> list[Check]:
    """Expectations of the events of a run's days.

    ``allow_empty`` lets days without events pass; without a past there is no volume to compare with.
    """
    bounds = settings.quality
    events = at_least("events", "rows", CRITICAL, bounds, "min_events")
    days_empty = none_of("days without events, when the shop was not closed", "days_empty")
    ratio = "events of the night / median of the 28 days before"
    volume = [
        at_least(ratio, "volume_ratio", CRITICAL, bounds, "min_volume_ratio"),
        at_least(f"{ratio} (usual)", "volume_ratio", WARNING, bounds, "warn_volume_ratio"),
    ]
    return [
        *([] if allow_empty else [events, days_empty]),
        none_of("days that were not ingested", "days_missing"),
        none_of("events more or fewer than ingest_counts says", "rows_unaccounted"),
        none_of("events with an id that another one has", "event_id_repeated"),
        none_of("events without user, item, behaviour or time", "keys_null"),
        none_of("events of behaviours that the settings do not name", "behaviours_unknown"),
        none_of("events outside their day's log and its late days", "times_outside"),
        none_of("purchases without a quantity", "purchase_quantity_null"),
        none_of("events with a quantity that is not positive", "quantity_not_positive"),
        at_most(REJECTED_EVENTS, "rejected_share", CRITICAL, bounds, "max_rejected_share"),
        at_most(f"{REJECTED_EVENTS} (usual)", "rejected_share", WARNING, bounds, "warn_rejected_share"),
        *(volume if has_past else []),
        # the catalogue is that of the newest run: an item that left it since is no fault of the log
        at_most("events of items that are not in the catalogue / events", "items_unknown_share", WARNING, bounds,
                "max_unknown_item_share"),
        at_most("largest quantity", "quantity_max", WARNING, bounds, "max_quantity"),
        at_most("largest price", "price_max", WARNING, bounds, "max_price"),
        at_most("events with a price below 0 / events", "price_negative_share", WARNING, bounds,
                "max_negative_price_share"),
        at_most("purchases without a price / purchases", "price_null_share", WARNING, bounds, "max_null_price_share"),
        at_most("events of earlier days / events", "late_share", WARNING, bounds, "max_late_share"),
        Check(f"events of target behaviours ({', '.join(settings.ingest.targets)})", "targets", WARNING,
              low=0 if allow_empty else 1),
    ]  # fmt: skip


def items_suite(settings: Settings) -> list[Check]:
    """Expectations of the catalogue."""
    bounds = settings.quality
    return [
        at_least("items", "rows", CRITICAL, bounds, "min_items"),
        none_of("items with an id that another one has", "item_id_repeated"),
        none_of("items whose text and hash do not belong together", "hash_wrong"),
        at_least("items that can be sold", "available", CRITICAL, bounds, "min_available_items"),
        at_most(REJECTED_ITEMS, "rejected_share", CRITICAL, bounds, "max_rejected_item_share"),
        at_most(f"{REJECTED_ITEMS} (usual)", "rejected_share", WARNING, bounds, "warn_rejected_item_share"),
        at_most("items without title, description, category and type / items", "textless_share", WARNING, bounds,
                "max_textless_share"),
        at_most("items with a price below 0 / items", "price_negative_share", WARNING, bounds,
                "max_negative_price_share"),
    ]  # fmt: skip
