"""The demo shop's logs as other shops write theirs: what docs/bring-your-own-logs.md is tried on.

    python -m nightshift.demo.shapes --shape invoices --into exports/invoices
    python -m nightshift.demo.shapes --shape events --into exports/events --users 60 --days 2017-10-01 2018-01-01
    python -m nightshift.demo.shapes --shape nested --into exports/nested

invoices: one CSV of all days, seven years earlier, in the encoding of Western Windows, with semicolons and the dates of
the United States; returns are negative quantities, and every ninth basket has no customer.
events: a CSV a day, packed with zstd, that tells brand, category and price of the item in every line.
nested: JSON lines with nested objects, a file a day, with the times of a shop in Helsinki, which name no zone.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa

from contracts.cli import argument, log, main
from contracts.columns import Columns as C
from contracts.errors import SettingsError
from contracts.files import write_atomically
from contracts.interval import Interval
from contracts.settings import Settings
from nightshift.demo import data

EARLIER = timedelta(weeks=365)
"""Seven years earlier, and the same day of the week."""
ZONE = "Europe/Helsinki"
WITHOUT_CUSTOMER, RETURNED = 9, 101
"""One of so many baskets has no customer, one of so many lines comes back a day later."""


@dataclass(frozen=True)
class Arguments:
    """Which shape, where to, and how much."""

    shape: Literal["invoices", "events", "nested"] = argument("how the logs are written")
    into: Path = argument("folder that is written")
    days: tuple[date, date] = argument(
        "first day, and the day after the last one (all of 2017)",
        default_factory=lambda: (data.FIRST_DAY, data.END_DAY),
    )
    users: int | None = argument("only N households (all)", metavar="N", default=None)


def joined(days: Interval, users: int | None) -> pd.DataFrame:
    """Purchases of these days with the attributes of their products; `time` is UTC."""
    everything = data.Shop.read()
    shop = everything.of(days)
    if users is not None:
        shop = shop.with_users(data.some_users(everything.transactions["household_id"], users))
    bought = data.purchases(shop.transactions)
    bought["time"] = pd.to_datetime(bought[C.EVENT_TIME])
    within = (bought["day"] >= pd.Timestamp(days.start)) & (bought["day"] < pd.Timestamp(days.end))
    told = bought[within].merge(data.catalogue(shop.products), on=C.ITEM_ID, how="left")
    return told.sort_values(["time", C.USER_ID, C.ITEM_ID], kind="stable")


def invoices(told: pd.DataFrame, into: Path) -> None:
    """One CSV of everything."""
    basket = told[C.SESSION_ID].astype("int64")
    lines = pd.DataFrame(
        {
            "InvoiceNo": told[C.SESSION_ID],
            "StockCode": told[C.ITEM_ID],
            "Description": told[C.TITLE].fillna("") + " £",
            "Quantity": told[C.QUANTITY],
            "InvoiceDate": told["time"] - EARLIER,
            "UnitPrice": told[C.PRICE],
            "CustomerID": told[C.USER_ID].where(basket % WITHOUT_CUSTOMER != 0, None),
        }
    )
    back = lines[(lines.reset_index().index % RETURNED == 0) & (lines["Quantity"] > 0)].copy()
    back["InvoiceNo"] = "C" + back["InvoiceNo"]
    back["Quantity"] = -back["Quantity"]
    back["InvoiceDate"] += timedelta(days=1)
    both = pd.concat([lines, back]).sort_values("InvoiceDate", kind="stable")
    when = both["InvoiceDate"].dt
    both["InvoiceDate"] = (
        when.month.astype(str) + "/" + when.day.astype(str) + "/" + when.year.astype(str) + when.strftime(" %H:%M:%S")
    )
    write_atomically(into / "invoices.csv", both.to_csv(index=False, sep=";").encode("windows-1252", "replace"))


def events(told: pd.DataFrame, into: Path) -> None:
    """A packed CSV a day, with the catalogue in its lines."""
    lines = pd.DataFrame(
        {
            "event_time": told["time"].dt.strftime("%Y-%m-%d %H:%M:%S UTC"),
            "event_type": "purchase",
            "product_id": told[C.ITEM_ID],
            "category_code": told[C.CATEGORY].str.lower().str.replace(" ", "."),
            "brand": told[C.BRAND],
            "price": told[C.PRICE],
            "user_id": told[C.USER_ID],
            "user_session": told[C.SESSION_ID],
        }
    )
    for day, rows in lines.groupby(told["time"].dt.strftime("%Y-%m-%d")):
        packed = pa.compress(rows.to_csv(index=False).encode(), codec="zstd", asbytes=True)
        write_atomically(into / f"{day}.csv.zst", packed)


def nested(told: pd.DataFrame, into: Path) -> None:
    """JSON lines with nested objects, a file for each of the shop's days, and a catalogue beside them."""
    local = told["time"].dt.tz_convert(ZONE)
    rows = zip(
        local.dt.strftime("%Y-%m-%dT%H:%M:%S"), told[C.USER_ID], told[C.SESSION_ID], told[C.ITEM_ID],
        told[C.QUANTITY].astype(int), told[C.PRICE].astype(object).where(told[C.PRICE].notna(), None), strict=True,
    )  # fmt: skip
    lines = pd.Series(
        [
            json.dumps({
                "at": at, "action": "order", "who": {"id": user, "visit": {"no": visit}},
                "what": {"sku": sku, "units": units, "price": price},
            })
            for at, user, visit, sku, units, price in rows
        ],
        index=told.index,
    )  # fmt: skip
    for day, part in lines.groupby(local.dt.strftime("%Y%m%d")):
        text = "\n".join(part) + "\n"
        write_atomically(into / "log" / f"shop-{day}.json.gz", gzip.compress(text.encode(), compresslevel=2, mtime=0))
    items = told.drop_duplicates(C.ITEM_ID).sort_values(C.ITEM_ID)
    kept = [C.ITEM_ID, C.TITLE, C.DEPARTMENT, C.CATEGORY, C.PRODUCT_TYPE, C.BRAND, C.SIZE]
    write_atomically(into / "products.csv", items[kept].rename(columns={C.ITEM_ID: "sku"}).to_csv(index=False).encode())


SHAPES: dict[str, Callable[[pd.DataFrame, Path], None]] = {"invoices": invoices, "events": events, "nested": nested}


def run(_: Settings, arguments: Arguments) -> None:
    """Writes the shape that is asked for.

    Raises:
        SettingsError: the days are not in the data.
    """
    start, end = arguments.days
    if not data.FIRST_DAY <= start < end <= data.END_DAY:
        raise SettingsError(
            f"--days is {start} {end}, expected FROM before TO, within {data.FIRST_DAY} {data.END_DAY}."
        )
    told = joined(Interval(start, end), arguments.users)
    SHAPES[arguments.shape](told, arguments.into)
    log.info("%d purchases written to %s.", len(told), arguments.into)


if __name__ == "__main__":
    main(__doc__, Arguments, run)
