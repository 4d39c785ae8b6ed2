"""What people are shown for an item id."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from contracts import catalogue
from contracts.catalogue import Edition
from contracts.columns import Columns as C
from contracts.settings import Settings


def item_texts(settings: Settings, items: Iterable[str], night: date) -> dict[str, str]:
    """What to call each item; the id where the catalogue of the night has no words for it."""
    columns = [C.ITEM_ID, C.TITLE, C.PRODUCT_TYPE, C.CATEGORY, C.BRAND, C.SIZE]
    wanted = sorted(items)
    if not wanted:
        return {}
    texts = {item: f"item {item}" for item in wanted}
    for row in catalogue.arrow(settings, Edition(night), columns, wanted).to_pylist():
        name = row[C.TITLE] or row[C.PRODUCT_TYPE] or row[C.CATEGORY]
        if name:
            texts[row[C.ITEM_ID]] = ", ".join(part for part in (name, row[C.BRAND], row[C.SIZE]) if part)
    return texts
