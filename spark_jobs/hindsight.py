"""What users bought in the 7 days after a night, against what that night recommended. Needs no Spark.

    python -m spark_jobs.hindsight --ds 2017-12-23             # once the nights of those days have run
    python -m spark_jobs.hindsight --ds 2017-12-23 --landing   # from the log files that have arrived for them

Relevant are the distinct items of target behaviours of a user with a list in [ds + 1, ds + 8); users who bought
nothing in these days are left out. Next to the lists stand two baselines made from what was known before ds + 1.
Of a large shop a fixed sample of users is judged.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from models.baselines import POPULAR_DAYS, own_repeats, popular
from models.histories import Histories, Ints
from models.metrics import Estimate, Relevant, accuracy, estimate, paired_difference
from spark_jobs import storage
from spark_jobs.contracts.cli import entry, log
from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.errors import InputError
from spark_jobs.contracts.interval import Interval, midnight_seconds
from spark_jobs.contracts.settings import Settings
from spark_jobs.contracts.tables import EVENTS, INGEST_COUNTS, ITEMS, RECOMMENDATIONS
from spark_jobs.land_events import event_files, format_of

DAYS = 7
"""Length of the window that a night is judged by."""
N = 10
"""Items of each list that are judged."""
MAX_USERS = 50_000
"""Users judged at most: more would not make the interval visibly narrower."""

LISTS = "recommendations"
REPEATS = "own decayed repeats"
POPULAR = "popular in the last 7 days"
METRICS = {f"NDCG@{N}": "ndcg", f"recall@{N}": "recall", f"hit rate@{N}": "hit_rate"}
"""The metrics shown, and what `models.metrics` calls them."""


@dataclass(frozen=True)
class Hindsight:
    """How the lists of a night fared."""

    ds: date
    model_id: str
    source: str  # where the purchases of the window come from, in words
    users_with_list: int
    users: int  # of them, those judged: with a purchase in the window
    values: dict[str, dict[str, Estimate]]  # method -> metric -> mean over the judged users
    gains: dict[str, dict[str, Estimate]]  # baseline -> metric -> lists minus baseline, on the same users


@dataclass(frozen=True)
class _Lists:
    users: pa.Array  # of user ids, ascending
    items: Ints  # [users, N], index into the catalogue, -1 pads
    model_id: str
    users_with_list: int


def window(ds: date) -> Interval:
    """The days after a night by which it is judged."""
    return Interval(ds + timedelta(days=1), ds + timedelta(days=1 + DAYS))


def is_complete(settings: Settings, ds: date) -> bool:
    """Whether all days of the night's window have been ingested."""
    seen = {row[C.DS] for row in storage.small_rows(settings, INGEST_COUNTS)}
    return seen.issuperset(window(ds).days)


def hindsight(settings: Settings, ds: date, *, landing: bool = False, max_users: int = MAX_USERS) -> Hindsight:
    """Judges the published night ``ds`` by what came after it.

    With ``landing`` the purchases of the window come from the log files: those days need not have run.

    Raises:
        InputError: nothing was published for the night, or its window is not complete.
    """
    if not landing and not is_complete(settings, ds):
        raise InputError(
            f"The 7 days after {ds} are not all in table {storage.path(settings, EVENTS)}: run the nights up to "
            f"{window(ds).ds}, or add --landing to read the log files that have arrived."
        )
    catalogue = pc.unique(_read(settings, ITEMS, [C.ITEM_ID])[C.ITEM_ID])
    lists = _lists(settings, ds, catalogue, max_users)
    if landing:
        future, source = _landed(settings, window(ds))
    else:
        future, source = _ingested(settings, window(ds), lists.users), "table events"
    end = midnight_seconds(window(ds).start)
    bought = _histories(future, lists.users, catalogue).take(range(len(lists.users)))
    relevant = Relevant.from_histories(bought)
    judged = np.flatnonzero(relevant.counts).astype(np.int32)
    relevant = Relevant.from_histories(bought.take(judged))
    past = _histories(_known(settings, ds, lists.users), lists.users, catalogue)
    ranked = {
        LISTS: lists.items[judged],
        REPEATS: own_repeats(past, end, N)[judged],
        POPULAR: popular(past, end, N)[judged],
    }
    scores = {method: accuracy(items, relevant, N) for method, items in ranked.items()}
    return Hindsight(
        ds, lists.model_id, source, lists.users_with_list, len(judged),
        {method: {label: estimate(found[name]) for label, name in METRICS.items()}
         for method, found in scores.items()},
        {method: {label: paired_difference(scores[LISTS][name], found[name]) for label, name in METRICS.items()}
         for method, found in scores.items() if method != LISTS},
    )  # fmt: skip


def remembered(settings: Settings, ds: date, content_hash: str) -> Hindsight:
    """`hindsight`, computed once for what was published and kept in a file below the reports."""
    file = settings.reports / "hindsight" / f"{ds}.json"
    if file.exists():
        kept = json.loads(file.read_text())
        if kept["content_hash"] == content_hash:
            return _from_json(kept["hindsight"])
    found = hindsight(settings, ds)
    write_atomically(file, json.dumps({"content_hash": content_hash, "hindsight": asdict(found)}, default=str))
    return found


def _from_json(kept: dict[str, Any]) -> Hindsight:
    def estimates(methods: dict[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, Estimate]]:
        return {
            method: {label: Estimate(**value) for label, value in found.items()} for method, found in methods.items()
        }

    return Hindsight(**kept | {
        "ds": date.fromisoformat(kept["ds"]),
        "values": estimates(kept["values"]),
        "gains": estimates(kept["gains"]),
    })  # fmt: skip


def write_atomically(file: Path, content: str) -> None:
    """Writes a file so that a reader sees the old or the new one, never a part."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}.part")
    scratch.write_text(content, encoding="utf-8")
    scratch.replace(file)


def _read(settings: Settings, table: Any, columns: Sequence[str], where: Any = None) -> pa.Table:
    return storage.open_table(settings, table).to_pyarrow_dataset().to_table(columns=list(columns), filter=where)


def _lists(settings: Settings, ds: date, catalogue: pa.Array, max_users: int) -> _Lists:
    """The published lists of (a sample of) the users."""
    where = pads.field(C.DS) == ds
    users = _read(settings, RECOMMENDATIONS, [C.USER_ID], where)[C.USER_ID].to_pylist()
    if not users:
        raise InputError(
            f"Table {storage.path(settings, RECOMMENDATIONS)} has no lists of {ds}: that night was not published."
        )
    chosen = pa.array(sorted(sample(users, max_users)), pa.string())
    rows = _read(settings, RECOMMENDATIONS, [C.USER_ID, C.ITEMS, C.MODEL_ID],
                 where & pads.field(C.USER_ID).isin(chosen)).sort_by(C.USER_ID)  # fmt: skip
    listed = rows[C.ITEMS].combine_chunks()
    lengths = pc.list_value_length(listed).to_numpy(zero_copy_only=False)
    codes = _codes(pc.struct_field(listed.flatten(), C.ITEM_ID), catalogue)
    place = np.arange(len(codes)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    items = np.full((len(rows), max(N, int(lengths.max()))), -1, dtype=np.int32)
    items[np.repeat(np.arange(len(rows)), lengths), place] = codes
    return _Lists(chosen, items[:, :N], rows[C.MODEL_ID][0].as_py(), len(users))


def sample(users: Sequence[str], count: int) -> Sequence[str]:
    """At most ``count`` users: always the same ones, whatever the order and whoever else there is."""
    if len(users) <= count:
        return users
    return sorted(users, key=lambda user: blake2b(user.encode(), digest_size=8).digest())[:count]


def _known(settings: Settings, ds: date, users: pa.Array) -> pa.Table:
    """Events of target behaviours that the night knew: all of ``users``, and the last 7 days of all others."""
    end = _midnight(window(ds).start)
    time = pads.field(C.EVENT_TIME)
    mine = pads.field(C.USER_ID).isin(users) | (time >= end - timedelta(days=POPULAR_DAYS))
    return _targets(settings, (pads.field(C.DS) <= ds) & (time < end) & mine)


def _ingested(settings: Settings, days: Interval, users: pa.Array) -> pa.Table:
    """Events of target behaviours of ``users`` in the window; a late one counts on the day it happened."""
    time = pads.field(C.EVENT_TIME)
    return _targets(settings, (pads.field(C.DS) >= days.start) & (time >= _midnight(days.start))
                    & (time < _midnight(days.end)) & pads.field(C.USER_ID).isin(users))  # fmt: skip


def _targets(settings: Settings, where: Any) -> pa.Table:
    targets = pads.field(C.BEHAVIOUR).isin(list(settings.ingest.targets))
    return _read(settings, EVENTS, [C.USER_ID, C.ITEM_ID, C.EVENT_TIME], where & targets)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _landed(settings: Settings, days: Interval) -> tuple[pa.Table, str]:
    """Target events of the window straight from the log files, and what was done, in words.

    A short form of `spark_jobs/clean_events.py`: kept are known behaviours with a positive quantity and a time in
    the window; unknown items drop out later. Records that repeat another one make no difference here.
    """
    frames, missing = [], []
    for day in days.days:
        try:
            frames += [_log_records(file) for file in event_files(settings, day)]
        except InputError:
            missing.append(str(day))
    if not frames:
        raise InputError(f"No log has arrived for {days.start} to {days.ds} in {settings.landing / 'events'}.")
    found = pd.concat(frames)
    times = pd.to_datetime(found[C.EVENT_TIME], errors="coerce", utc=True, format="ISO8601")
    kept = (
        found[C.EVENT_TYPE].str.strip().str.lower().isin(settings.ingest.targets)
        & (pd.to_numeric(found[C.QUANTITY], errors="coerce").fillna(1) > 0)
        & (times >= pd.Timestamp(days.start, tz="UTC"))
        & (times < pd.Timestamp(days.end, tz="UTC"))
        & found[C.USER_ID].notna()
        & found[C.ITEM_ID].notna()
    )
    rows = pa.table({
        C.USER_ID: pa.array(found.loc[kept, C.USER_ID].str.strip(), pa.string()),
        C.ITEM_ID: pa.array(found.loc[kept, C.ITEM_ID].str.strip(), pa.string()),
        C.EVENT_TIME: pa.array(times[kept], pa.timestamp("us", "UTC")),
    })  # fmt: skip
    without = f", none for {', '.join(missing)}" if missing else ""
    return rows, f"log files of {days.start} to {days.ds}, lightly cleaned{without}"


def _log_records(file: Path) -> pd.DataFrame:
    """The columns of a log file that count here, as text."""
    columns = [C.EVENT_TIME, C.EVENT_TYPE, C.USER_ID, C.ITEM_ID, C.QUANTITY]
    kind = format_of(file)
    if kind == "parquet":
        found = pd.read_parquet(file).astype("string")
    elif kind == "csv":
        found = pd.read_csv(file, dtype="string", skipinitialspace=True)
    else:
        # convert_dates: pandas would parse columns by their name
        found = pd.read_json(file, lines=True, dtype=False, convert_dates=False).astype("string")
    return found.reindex(columns=columns).astype("string")


def _histories(events: pa.Table, users: pa.Array, catalogue: pa.Array) -> Histories:
    """Events as histories of ``users``; all other users together are one more, after the last."""
    codes = _codes(events[C.USER_ID], users)
    codes[codes < 0] = len(users)
    seconds = pc.cast(pc.cast(events[C.EVENT_TIME], pa.timestamp("us", "UTC")), pa.int64()).to_numpy() // 1_000_000
    items = _codes(events[C.ITEM_ID], catalogue)
    return Histories.from_events(len(users) + 1, codes, items, np.zeros_like(items), seconds)


def _codes(values: Any, known: pa.Array) -> Ints:
    """Places of ``values`` in ``known``, -1 where they are not in it."""
    places = pc.fill_null(pc.index_in(values, value_set=known), -1)
    return np.array(places.to_numpy(zero_copy_only=False) if isinstance(places, pa.Array) else places.to_numpy(),
                    dtype=np.int32)  # fmt: skip


def text(found: Hindsight) -> str:
    """The comparison as a table for a terminal."""
    days = window(found.ds)
    width = max(map(len, found.values))
    lines = [
        f"Hindsight of the night {found.ds} (model {found.model_id}): what users bought from {days.start} to {days.ds}",
        f"{found.users:,} of {found.users_with_list:,} users with a list bought something; source: {found.source}",
        "",
        f"{'':{width}}" + "".join(f"  {label:>12}" for label in METRICS),
    ]
    for method, values in found.values.items():
        lines.append(f"{method:{width}}" + "".join(f"  {values[label].mean:>12.4f}" for label in METRICS))
    lines += ["", "recommendations minus baseline, same users, with 95% interval"]
    for method, gains in found.gains.items():
        lines += [f"{method:{width}}  {label:>11}  {interval(gains[label], '+.4f')}" for label in METRICS]
    return "\n".join(lines)


def interval(value: Estimate, form: str = ".4f") -> str:
    """A value with its interval, for example ``0.2712 [0.2577, 0.2847]``."""
    return f"{value.mean:{form}} [{value.low:{form}}, {value.high:{form}}]"


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ds", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD", help="the night")
    parser.add_argument("--landing", action="store_true", help="read the window from the log files in landing/")
    arguments = parser.parse_args(argv)
    found = hindsight(settings, arguments.ds, landing=arguments.landing)
    if not found.users:
        log.warning("No user with a list bought anything: there is nothing to compare.")
    print(text(found))


if __name__ == "__main__":
    entry(main)
