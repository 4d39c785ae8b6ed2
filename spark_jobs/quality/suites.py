"""What is expected of events and items: a name, a measured value and its bounds. Nothing here computes."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.settings import Settings
from contracts.states import CRITICAL, WARNING


@dataclass(frozen=True)
class Check:
    """An expectation of one metric: its value lies between the bounds, both included unless ``above``."""

    name: str
    metric: str
    severity: str
    low: float | None = None
    high: float | None = None
    above: bool = False  # the lower bound itself is too low

    @property
    def expected(self) -> str:
        """The bounds in words."""
        if self.low is not None and self.low == self.high:
            return shown(self.low)
        low = "" if self.low is None else f"{'more than' if self.above else 'at least'} {shown(self.low)}"
        high = "" if self.high is None else f"at most {shown(self.high)}"
        return " and ".join(bound for bound in (low, high) if bound)


def shown(value: float) -> str:
    """A number for people: whole where it is whole, else with four digits."""
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def none_of(name: str, metric: str) -> Check:
    """A critical expectation that a count is 0."""
    return Check(name, metric, CRITICAL, low=0, high=0)


def events_suite(settings: Settings, *, allow_empty: bool, has_past: bool) -> list[Check]:
    """Expectations of the events of a run's days.

    ``allow_empty`` lets days without events pass; without a past there is no volume to compare with.
    """
    bounds = settings.quality
    volume = [
        Check("events of the night / median of the 28 days before", "volume_ratio", CRITICAL,
              low=bounds.min_volume_ratio),
        Check("events of the night / median of the 28 days before (usual)", "volume_ratio", WARNING,
              low=bounds.warn_volume_ratio),
    ]  # fmt: skip
    return [
        Check("events", "rows", CRITICAL, low=0 if allow_empty else 1),
        none_of("days that were not ingested", "days_missing"),
        *([] if allow_empty else [none_of("days without events", "days_empty")]),
        none_of("events more or fewer than ingest_counts says", "rows_unaccounted"),
        none_of("events with an id that another one has", "event_id_repeated"),
        none_of("events without user, item, behaviour or time", "keys_null"),
        none_of("events of items that are not in the catalogue", "items_unknown"),
        none_of("events of behaviours that the settings do not name", "behaviours_unknown"),
        none_of("events outside their day's log and its late days", "times_outside"),
        none_of("purchases without a quantity", "purchase_quantity_null"),
        none_of("events with a quantity that is not positive", "quantity_not_positive"),
        none_of("events with a price below 0", "price_negative"),
        Check("rejected / raw records", "rejected_share", CRITICAL, high=bounds.max_rejected_share),
        Check("rejected / raw records (usual)", "rejected_share", WARNING, high=bounds.warn_rejected_share),
        *(volume if has_past else []),
        Check("largest quantity", "quantity_max", WARNING, high=bounds.max_quantity),
        Check("largest price", "price_max", WARNING, high=bounds.max_price),
        Check("purchases without a price / purchases", "price_null_share", WARNING,
              high=bounds.max_null_price_share),
        Check("events of earlier days / events", "late_share", WARNING, high=bounds.max_late_share),
        Check(f"events of target behaviours ({', '.join(settings.ingest.targets)})", "targets", WARNING,
              low=0 if allow_empty else 1),
    ]  # fmt: skip


def items_suite(settings: Settings) -> list[Check]:
    """Expectations of the catalogue."""
    bounds = settings.quality
    return [
        Check("items", "rows", CRITICAL, low=bounds.min_items),
        none_of("items with an id that another one has", "item_id_repeated"),
        none_of("items whose text and hash do not belong together", "hash_wrong"),
        Check("items that can be sold", "available", CRITICAL, low=1),
        Check("rejected / catalogue records", "rejected_share", CRITICAL, high=bounds.max_rejected_share),
        Check("rejected / catalogue records (usual)", "rejected_share", WARNING,
              high=bounds.warn_rejected_share),
        Check("items without title, description, category and type / items", "textless_share", WARNING,
              high=bounds.max_textless_share),
        none_of("items with a price below 0", "price_negative"),
    ]  # fmt: skip
