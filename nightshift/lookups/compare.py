"""Two published nights next to each other: whose lists changed, by how much, and which items won and lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from numpy.typing import NDArray

from contracts import lake
from contracts.columns import Columns as C
from contracts.fallback import is_own
from contracts.settings import Settings
from contracts.states import Row
from contracts.tables import LIST_SOURCES, RECOMMENDATIONS
from nightshift.lookups.items import known_items
from nightshift.lookups.published import published
from spark_jobs.reporting.pseudonyms import pseudonym, pseudonym_key

PERSISTENCE = 0.9
"""Of rank-biased overlap: the chance that a reader of a list goes on to its next item."""
SHOWN = 10
"""Items, and users, that are named."""


@dataclass(frozen=True)
class Side:
    """One of the two nights."""

    ds: date
    model_id: str
    run_id: str
    users: int
    content_hash: str
    sources: dict[str, float]  # share of the recommendations


@dataclass(frozen=True)
class ItemChange:
    """An item with the number of users that get it."""

    item_id: str
    title: str
    before: int
    after: int


@dataclass(frozen=True)
class UserChange:
    """A user's two lists next to each other."""

    user: str  # a pseudonym, or the id where ids are asked for
    new_share: float
    overlap: float


@dataclass(frozen=True)
class Difference:
    """Two nights; means are over the users of both, None where there are none."""

    before: Side
    after: Side
    same_content: bool  # equal content hashes: equal recommendations of equal nights
    same_model: bool
    users_in_both: int
    users_only_before: int
    users_only_after: int
    new_share: float | None  # mean share of a list of `after` that is not in the one of `before`
    rank_biased_overlap: float | None  # 1: the same order; persistence 0.9
    unchanged_lists: int  # the same items in the same order
    gained: tuple[ItemChange, ...]
    lost: tuple[ItemChange, ...]
    most_changed: tuple[UserChange, ...]


def difference(settings: Settings, first: date, second: date, *, ids: bool = False) -> Difference:
    """The night ``second`` next to ``first``.

    Raises:
        InputError: one of them was not published.
    """
    rows = published(settings, first), published(settings, second)
    before, after = (lists(settings, row[C.DS]) for row in rows)
    users_before, users_after = set(before[C.USER_ID].unique()), set(after[C.USER_ID].unique())
    changes = user_changes(before, after)
    gained, lost = _items(settings, rows[1][C.DS], before, after)
    return Difference(
        _side(rows[0], before),
        _side(rows[1], after),
        rows[0][C.CONTENT_HASH] == rows[1][C.CONTENT_HASH],
        rows[0][C.MODEL_ID] == rows[1][C.MODEL_ID],
        len(changes),
        len(users_before - users_after),
        len(users_after - users_before),
        _mean(changes["new_share"]),
        _mean(changes["overlap"]),
        int((changes["overlap"] >= 1 - 1e-9).sum()),
        gained,
        lost,
        _most_changed(settings, changes, ids=ids),
    )


def lists(settings: Settings, ds: date) -> pd.DataFrame:
    """A row for each recommendation to a user of a night: user_id, item_id, rank, source."""
    where = (pads.field(C.DS) == ds) & is_own(pads.field)
    table = lake.arrow(settings, RECOMMENDATIONS, [C.USER_ID, C.ITEMS], where).combine_chunks()
    items = table[C.ITEMS].combine_chunks()
    if isinstance(items, pa.ChunkedArray):  # of a table without rows
        items = pa.concat_arrays(items.chunks) if items.num_chunks else pa.array([], items.type)
    flat = items.flatten()
    owner = pc.take(table[C.USER_ID], pc.list_parent_indices(items))
    return pd.DataFrame(
        {
            C.USER_ID: owner.to_pandas(),
            **{name: flat.field(name).to_pandas() for name in (C.ITEM_ID, C.RANK, C.SOURCE)},
        }
    )


def user_changes(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Of each user of both frames of `lists`: `new_share` of the later list, and `overlap`; the index is the user."""
    lengths = pd.DataFrame({"before": before.groupby(C.USER_ID).size(), "after": after.groupby(C.USER_ID).size()})
    lengths = lengths.dropna().astype(int)
    common = before.merge(after, on=[C.USER_ID, C.ITEM_ID], suffixes=("_before", "_after"))
    common["depth"] = common[["rank_before", "rank_after"]].max(axis=1)
    length = common[C.USER_ID].map(lengths.max(axis=1))
    common["weight"] = 0.0
    for each in length.unique():  # all lists have N items, where the catalogue has as many
        of_length = length == each
        common.loc[of_length, "weight"] = overlap_weights(int(each))[common.loc[of_length, "depth"] - 1]
    grouped = common.groupby(C.USER_ID)
    shared = grouped.size().reindex(lengths.index, fill_value=0)
    return pd.DataFrame(
        {
            "new_share": 1 - shared / lengths["after"],
            "overlap": grouped["weight"].sum().reindex(lengths.index, fill_value=0.0),
        }
    )


def overlap_weights(length: int, persistence: float = PERSISTENCE) -> NDArray[np.float64]:
    """What a common item adds to the rank-biased overlap of two lists of ``length``, by the lower of its two ranks.

    Source: Webber, Moffat, Zobel (2010), A similarity measure for indefinite rankings, RBO_EXT: the agreement at
    each depth, weighed by persistence, and the last one carried on. Summed over the common items it is that.
    """
    depth = np.arange(1, length + 1)
    each = (1 - persistence) / persistence * persistence**depth / depth
    weights: NDArray[np.float64] = each[::-1].cumsum()[::-1] + persistence**length / length
    return weights


def _side(row: Row, rows: pd.DataFrame) -> Side:
    shares = rows[C.SOURCE].value_counts(normalize=True)
    others = [name for name in sorted(shares.index) if name not in LIST_SOURCES]
    return Side(
        row[C.DS],
        row[C.MODEL_ID],
        row[C.RUN_ID],
        rows[C.USER_ID].nunique(),
        row[C.CONTENT_HASH],
        {name: float(shares.get(name, 0.0)) for name in (*LIST_SOURCES, *others)},
    )


def _mean(values: pd.Series[float]) -> float | None:
    return float(values.mean()) if len(values) else None


def _items(
    settings: Settings, night: date, before: pd.DataFrame, after: pd.DataFrame
) -> tuple[tuple[ItemChange, ...], tuple[ItemChange, ...]]:
    """The items that gained, and that lost, the most users; ties by item."""
    counts = pd.DataFrame({"before": before.groupby(C.ITEM_ID).size(), "after": after.groupby(C.ITEM_ID).size()})
    counts = counts.fillna(0).astype(int).sort_index()
    change = counts["after"] - counts["before"]
    up = change[change > 0].sort_values(ascending=False, kind="stable").index[:SHOWN]
    down = change[change < 0].sort_values(kind="stable").index[:SHOWN]
    items = known_items(settings, [*up, *down], night)

    def named(chosen: Sequence[str]) -> tuple[ItemChange, ...]:
        return tuple(
            ItemChange(each, items[each].title, int(counts["before"][each]), int(counts["after"][each]))
            for each in chosen
        )

    return named(list(up)), named(list(down))


def _most_changed(settings: Settings, changes: pd.DataFrame, *, ids: bool) -> tuple[UserChange, ...]:
    """The users whose lists changed the most; none whose list is the same."""
    chosen = changes[changes["overlap"] < 1 - 1e-9].sort_index()
    chosen = chosen.sort_values(["overlap", "new_share"], ascending=[True, False], kind="stable")[:SHOWN]
    key = b"" if ids else pseudonym_key(settings)
    return tuple(
        UserChange(user if ids else pseudonym(user, key), float(row["new_share"]), float(row["overlap"]))
        for user, row in zip(map(str, chosen.index), chosen.to_dict("records"), strict=True)
    )
