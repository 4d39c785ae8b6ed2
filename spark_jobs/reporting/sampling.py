"""A fixed sample of a night's users, found while the table is read: in memory are those that are chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.dataset as pads

from contracts import lake
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.fallback import is_own
from contracts.sampling import sample
from contracts.settings import Settings
from contracts.tables import RECOMMENDATIONS


@dataclass(frozen=True)
class Sample:
    """Some of a night's users."""

    users: list[str]  # ids in the order of `shuffled`
    of: int  # users with a list


def users_of(settings: Settings, ds: date, at_most: int) -> Sample:
    """At most so many users with a list of the night ``ds``.

    Raises:
        InputError: nothing was published for the night, or its lists were deleted.
    """
    where = (pads.field(C.DS) == ds) & is_own(pads.field)

    def ids() -> Iterator[pa.ChunkedArray]:
        return (part[C.USER_ID] for part in lake.parts(settings, RECOMMENDATIONS, [C.USER_ID], where))

    users = sum(map(len, ids()))
    if not users:
        raise InputError(
            f"Table {lake.path(settings, RECOMMENDATIONS)} has no lists of {ds}: that night was not published."
        )
    return Sample(sample((user for part in ids() for user in part.to_pylist()), at_most), users)
