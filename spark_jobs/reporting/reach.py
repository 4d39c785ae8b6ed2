"""What the lists reach: users, items, sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow.dataset as pads
from markupsafe import Markup

from contracts import lake
from contracts.columns import Columns as C
from contracts.fallback import is_own
from contracts.settings import Settings
from contracts.states import PUBLISHED
from contracts.tables import LIST_SOURCES, RECOMMENDATIONS
from spark_jobs.reporting import plots
from spark_jobs.reporting.formats import count, percent
from spark_jobs.reporting.item_texts import item_texts
from spark_jobs.reporting.night import NightTables

TOP_ITEMS = 10
"""Commonest items shown."""
SAMPLED_LISTS = 50_000
"""Lists from which the commonest items are counted."""

MEASURES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("users with events that have a list", "coverage", percent),
    ("users with a list", "users", count),
    ("different items in all lists", "distinct_items", count),
    ("share of the available catalogue", "catalogue_share", percent),
    ("users that get the commonest item", "top_item_share", percent),
    ("mean share of a list that is new since the last night", "churn", percent),
)
"""What is shown of the audit's measures: its name, the measure, and how it is written."""


@dataclass(frozen=True)
class Reach:
    """What the lists reach."""

    measures: list[tuple[str, str]]
    sources: Markup
    top_items: list[tuple[str, str, str]]  # item, text, share of lists
    counted: int  # lists that the top items are from


def reach(settings: Settings, night: NightTables) -> Reach | None:
    """Coverage, concentration and sources of the night's lists, as the audit measured them."""
    own = night.own
    if own is None:
        return None
    measures: Mapping[str, float] = own[C.MEASURES]
    shares = {source: measures[f"source_{source}"] for source in LIST_SOURCES if f"source_{source}" in measures}
    lists = _published_lists(settings, night.ds) if own[C.STATUS] == PUBLISHED else []
    return Reach(
        [(name, form(measures[measure])) for name, measure, form in MEASURES if measure in measures],
        plots.share_bar("Sources of the recommendations", shares) if shares else Markup(""),
        _top_items(settings, night.ds, lists),
        len(lists),
    )


def _published_lists(settings: Settings, ds: date) -> list[list[str]]:
    """The items of (some of) the night's lists."""
    where = (pads.field(C.DS) == ds) & is_own(pads.field)
    rows = lake.some_rows(settings, RECOMMENDATIONS, [C.ITEMS], where, SAMPLED_LISTS)
    return [[item[C.ITEM_ID] for item in row[C.ITEMS]] for row in rows]


def _top_items(settings: Settings, ds: date, lists: Sequence[Sequence[str]]) -> list[tuple[str, str, str]]:
    """The commonest items: id, text, share of the lists."""
    counts = Counter(item for items in lists for item in items)
    top = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:TOP_ITEMS]
    texts = item_texts(settings, [item for item, _ in top], ds) if top else {}
    return [(item, texts[item], percent(times / len(lists))) for item, times in top]
