"""What the catalogue says of some items."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from contracts import catalogue
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.settings import Settings
from spark_jobs.reporting.item_texts import item_texts


@dataclass(frozen=True)
class Item:
    """An item for people; one that the catalogue does not hold has its id alone."""

    title: str
    category: str | None


def known_items(settings: Settings, wanted: Iterable[str | None], night: date) -> dict[str, Item]:
    """What to call each item, and its category, by the catalogue of a night."""
    ids = sorted({item for item in wanted if item is not None})
    if not ids:
        return {}
    rows = catalogue.arrow(settings, Edition(night), [C.ITEM_ID, C.CATEGORY], ids).to_pylist()
    categories = {row[C.ITEM_ID]: row[C.CATEGORY] for row in rows}
    return {item: Item(title, categories.get(item)) for item, title in item_texts(settings, ids, night).items()}
