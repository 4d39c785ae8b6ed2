"""Hindsight on a shop whose right answers can be counted by hand."""

from __future__ import annotations

import gzip
import json
import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from spark_jobs import hindsight
from spark_jobs.contracts.errors import InputError
from spark_jobs.contracts.tables import EVENTS, INGEST_COUNTS, ITEMS, RECOMMENDATIONS

NIGHT = date(2017, 12, 10)
AFTER = [NIGHT + timedelta(days=n) for n in range(1, 8)]


def at(day: date, hour: int = 12) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def event(user: str, item: str, time: datetime, behaviour: str = "purchase", ds: date | None = None) -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "behaviour": behaviour, "event_time": time, "ds": ds or time.date()}


def listed(user: str, *items: str) -> dict[str, Any]:
    ranked = [{"rank": n, "item_id": item, "score": -n, "source": "match"} for n, item in enumerate(items, start=1)]
    return {"ds": NIGHT, "user_id": user, "items": ranked, "model_id": "m1", "run_id": "r"}


PAST = [
    event("ann", "milk", at(date(2017, 9, 1))),
    event("ann", "tea", at(date(2017, 12, 1))),
    # not listed, and the only one in the last 7 days: decides what is popular
    event("zoe", "jam", at(date(2017, 12, 9))),
    # known only later, so it made neither list nor baseline
    event("ann", "ham", at(NIGHT), ds=date(2017, 12, 11)),
]
FUTURE = [
    event("ann", "milk", at(date(2017, 12, 11), 0)),
    event("ann", "milk", at(date(2017, 12, 12))),
    event("ann", "ham", at(date(2017, 12, 17), 23)),
    # a day later than the window, another behaviour, and a user without a list
    event("ann", "jam", at(date(2017, 12, 18), 0)),
    event("bob", "tea", at(date(2017, 12, 11)), "view"),
    event("zoe", "jam", at(date(2017, 12, 11))),
]


@pytest.fixture
def shop(arrow_lake: Any) -> Any:
    arrow_lake.write(ITEMS, [{"item_id": item} for item in ("jam", "tea", "ham", "milk")])
    arrow_lake.write(EVENTS, [*FUTURE, *PAST])
    arrow_lake.write(INGEST_COUNTS, [{"ds": day} for day in [NIGHT, *AFTER]])
    arrow_lake.write(RECOMMENDATIONS, [listed("bob", "jam"), listed("ann", "jam", "milk")])
    return arrow_lake


def log_lines(*events: dict[str, Any]) -> bytes:
    lines = [
        {**{name: row[name] for name in ("user_id", "item_id")}, "event_type": row["behaviour"],
         "event_time": row["event_time"].isoformat(), "quantity": row.get("quantity", 1)}
        for row in events
    ]  # fmt: skip
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def test_lists_and_baselines_are_judged_by_what_was_bought(shop: Any) -> None:
    found = hindsight.hindsight(shop.settings, NIGHT)
    # only ann bought something in the window: milk and ham
    assert (found.model_id, found.users_with_list, found.users) == ("m1", 2, 1)
    ideal = 1 + 1 / math.log2(3)
    values = {method: metrics["NDCG@10"].mean for method, metrics in found.values.items()}
    assert values == {
        hindsight.LISTS: pytest.approx(1 / math.log2(3) / ideal),  # jam, milk
        hindsight.REPEATS: pytest.approx(1 / math.log2(3) / ideal),  # tea, milk, then popular jam
        hindsight.POPULAR: 0.0,  # jam
    }
    assert found.values[hindsight.LISTS]["recall@10"].mean == 0.5
    assert found.values[hindsight.LISTS]["hit rate@10"].mean == 1.0
    assert found.gains[hindsight.REPEATS]["NDCG@10"].mean == 0.0
    assert found.gains[hindsight.POPULAR]["recall@10"].mean == 0.5


def test_log_files_give_the_same_without_the_nights(shop: Any) -> None:
    expected = hindsight.hindsight(shop.settings, NIGHT)
    shop.write(EVENTS, PAST)
    shop.write(INGEST_COUNTS, [{"ds": NIGHT}])
    dirt = [
        event("bob", "tea", at(AFTER[1])) | {"quantity": 0},
        event("bob", "unknown", at(AFTER[1])),
        event("bob", "tea", at(AFTER[1])) | {"user_id": None},
    ]
    for day in AFTER[:-1]:
        folder = shop.settings.landing / "events" / f"ds={day}"
        folder.mkdir(parents=True)
        rows = [row for row in FUTURE if row["event_time"].date() == day] + (dirt if day == AFTER[1] else [])
        (folder / "log.jsonl.gz").write_bytes(gzip.compress(log_lines(*rows)))
    with pytest.raises(InputError, match="add --landing"):
        hindsight.hindsight(shop.settings, NIGHT)
    found = hindsight.hindsight(shop.settings, NIGHT, landing=True)
    # ham was bought on the day whose log has not arrived
    assert found.source == "log files of 2017-12-11 to 2017-12-17, lightly cleaned, none for 2017-12-17"
    assert found.users == 1
    assert found.values[hindsight.LISTS]["recall@10"].mean == 1.0
    last = shop.settings.landing / "events" / f"ds={AFTER[-1]}"
    last.mkdir()
    header = "user_id,item_id,event_type,event_time,quantity"
    (last / "log.csv").write_text(f"{header}\nann,ham, Purchase,2017-12-17T23:00:00Z,\n")
    assert hindsight.hindsight(shop.settings, NIGHT, landing=True).values == expected.values


def test_a_night_without_lists_and_a_window_without_logs_are_named(shop: Any) -> None:
    with pytest.raises(InputError, match="No log has arrived for 2017-12-11 to 2017-12-17"):
        hindsight.hindsight(shop.settings, NIGHT, landing=True)
    shop.write(RECOMMENDATIONS, [])
    with pytest.raises(InputError, match="no lists of 2017-12-10"):
        hindsight.hindsight(shop.settings, NIGHT)


def test_what_was_judged_once_is_remembered_for_the_same_lists(shop: Any) -> None:
    first = hindsight.remembered(shop.settings, NIGHT, "hash 1")
    shop.write(RECOMMENDATIONS, [listed("ann", "milk", "ham")])
    assert hindsight.remembered(shop.settings, NIGHT, "hash 1").values == first.values
    assert hindsight.remembered(shop.settings, NIGHT, "hash 2").values[hindsight.LISTS]["recall@10"].mean == 1.0


def test_a_sample_does_not_depend_on_order_or_on_who_else_is_there() -> None:
    users = [f"u{n}" for n in range(100)]
    chosen = hindsight.sample(users, 10)
    assert len(chosen) == 10
    assert hindsight.sample(users[::-1], 10) == chosen
    assert set(hindsight.sample(users[:50], 10)) >= set(chosen) & set(users[:50])
    assert hindsight.sample(users, 100) == users


def test_the_table_shows_every_method_with_its_gain(shop: Any) -> None:
    shown = hindsight.text(hindsight.hindsight(shop.settings, NIGHT))
    assert "2017-12-11 to 2017-12-17" in shown
    assert "1 of 2 users" in shown
    assert shown.count(hindsight.POPULAR) == 4
