"""The demo shop's logs: honest, repeatable, complete."""

from __future__ import annotations

import gzip
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from contracts.errors import SettingsError
from contracts.interval import Interval
from contracts.mapping import EVENT_COLUMNS
from contracts.settings import Settings, load_settings
from nightshift.demo import data as demo_data

TRANSACTIONS = pd.DataFrame(
    {
        "household_id": [1, 1, 1, 2],
        "basket_id": [11, 11, 12, 21],
        "product_id": [101, 102, 102, 101],
        "quantity": [2, 0, 1, 1],
        "sales_value": [3.0, 0.0, 0.99, 1.5],
        "coupon_disc": [0.0, 0.0, 0.5, 0.0],
        # 2017-03-02 02:00 UTC is still the evening of 03-01 in the shop
        "transaction_timestamp": pd.to_datetime(
            ["2017-03-01 15:00:01", "2017-03-01 15:00:01", "2017-03-02 02:00:00", "2017-03-01 15:00:00"]
        ),
    }
)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]


def test_a_purchase_has_the_price_of_one_piece_and_none_where_nothing_was_sold() -> None:
    got = demo_data.purchases(TRANSACTIONS)
    assert got["price"].round(6).astype(object).where(got["price"].notna(), None).tolist() == [
        1.5, None, 0.99, 1.5,
    ]  # fmt: skip
    assert got["quantity"].tolist() == [2, 0, 1, 1]
    assert got["event_time"].tolist()[2] == "2017-03-02T02:00:00Z"
    assert got["day"].tolist()[2] == pd.Timestamp("2017-03-02")


def test_a_redemption_takes_its_item_from_the_basket_row_with_the_largest_coupon_discount() -> None:
    redeemed = pd.DataFrame(
        {
            "household_id": [1, 2, 3],
            "coupon_upc": [7, 8, 7],
            "redemption_date": pd.to_datetime(["2017-03-01", "2017-03-01", "2017-03-01"]),
        }
    )
    coupons = pd.DataFrame({"coupon_upc": [7, 7, 7, 8], "product_id": [101, 102, 102, 999]})
    got = demo_data.redemptions(redeemed, coupons, TRANSACTIONS).astype(object)
    got = got.where(got.notna(), None)
    assert got[["user_id", "item_id", "session_id", "event_time"]].to_numpy().tolist() == [
        ["1", "102", "12", "2017-03-02T02:00:00Z"],
        ["2", None, None, "2017-03-01"],  # bought nothing that the coupon is for
        ["3", None, None, "2017-03-01"],  # bought nothing at all
    ]
    assert got["day"].tolist() == [pd.Timestamp("2017-03-02"), *[pd.Timestamp("2017-03-01")] * 2]
    assert got["quantity"].tolist() == got["price"].tolist() == [None] * 3


def test_a_product_is_titled_by_its_type_else_its_category_else_not() -> None:
    products = pd.DataFrame(
        {
            "product_id": [1, 2, 3],
            "department": ["GROCERY", "GROCERY", "MISC"],
            "product_category": ["CHEESE", "CHEESE", None],
            "product_type": ["STRING CHEESE", None, None],
            "brand": ["Private"] * 3,
            "package_size": ["5 OZ", None, None],
        }
    )
    assert demo_data.catalogue(products)["title"].tolist() == ["String Cheese", "Cheese", None]


@pytest.fixture(scope="module")
def slice_(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Ten households around the day on which the shop was closed."""
    settings = load_settings({"NIGHTSHIFT_HOME": str(tmp_path_factory.mktemp("home"))})
    demo_data.run(settings, demo_data.Slice(users=10, days=(date(2017, 12, 22), date(2017, 12, 27))))
    return settings


def test_a_slice_has_a_complete_folder_for_every_day(slice_: Settings) -> None:
    folders = sorted(path.name for path in (slice_.landing / "events").iterdir())
    assert folders == [f"ds=2017-12-{day}" for day in range(22, 27)]
    assert lines(slice_.landing / "events/ds=2017-12-25/events.jsonl.gz") == []
    days = Interval(date(2017, 12, 22), date(2017, 12, 27)).days
    events = [event for day in days for event in lines(demo_data.day_file(slice_, day))]
    assert events
    assert list(events[0]) == list(EVENT_COLUMNS)
    assert len({event["user_id"] for event in events}) <= 10
    items = lines(slice_.landing / "items/catalogue.jsonl.gz")
    assert 0 < len(items) < 20_000


def test_writing_again_gives_the_same_bytes(slice_: Settings) -> None:
    files = sorted(slice_.landing.rglob("*.gz"))
    before = [file.read_bytes() for file in files]
    demo_data.write(slice_, Interval(date(2017, 12, 22), date(2017, 12, 27)), users=10)
    assert [file.read_bytes() for file in sorted(slice_.landing.rglob("*.gz"))] == before
    assert not list(slice_.landing.rglob(".*"))


def test_days_outside_the_data_are_refused(slice_: Settings) -> None:
    with pytest.raises(SettingsError, match="expected FROM before TO"):
        demo_data.run(slice_, demo_data.Slice(days=(date(2017, 12, 27), date(2017, 12, 22))))
    with pytest.raises(SettingsError, match="--users is 0"):
        demo_data.run(slice_, demo_data.Slice(users=0))


def test_the_demo_has_landed_with_its_last_days_file(settings: Settings) -> None:
    last = demo_data.END_DAY - timedelta(days=1)
    demo_data.day_file(settings, last).parent.mkdir(parents=True)
    assert not demo_data.has_landed(settings)
    demo_data.write(settings, Interval(last, demo_data.END_DAY), users=2)
    assert demo_data.has_landed(settings)
