"""Guesses which column is what, from names and values. Pure functions of a `Sample`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product

from contracts.columns import Columns as C

EVENT_NAMES: dict[str, tuple[str, ...]] = {
    C.USER_ID: (
        "userid",
        "customerid",
        "visitorid",
        "clientid",
        "memberid",
        "householdid",
        "buyerid",
        "shopperid",
        "accountid",
        "uid",
        "custid",
        "personid",
        "user",
        "customer",
        "visitor",
        "client",
        "member",
        "household",
        "buyer",
        "who",
        "whoid",
        "kundennummer",
        "kunde",
        "cardnumber",
        "loyaltyid",
    ),
    C.ITEM_ID: (
        "itemid",
        "productid",
        "stockcode",
        "sku",
        "articleid",
        "asin",
        "movieid",
        "isbn",
        "ean",
        "upc",
        "gtin",
        "variantid",
        "productcode",
        "itemcode",
        "artikelnummer",
        "item",
        "product",
        "article",
        "parentasin",
        "whatid",
        "whatsku",
        "material",
    ),
    C.EVENT_TIME: (
        "eventtime",
        "timestamp",
        "datetime",
        "time",
        "ts",
        "invoicedate",
        "orderdate",
        "purchasedate",
        "transactiondate",
        "transactiontimestamp",
        "createdat",
        "occurredat",
        "eventtimestamp",
        "tdat",
        "orderedat",
        "date",
        "at",
        "when",
        "unixtime",
        "unixreviewtime",
        "saledate",
        "datum",
        "day",
    ),
    C.EVENT_TYPE: (
        "eventtype",
        "event",
        "behaviour",
        "behavior",
        "behaviortype",
        "action",
        "eventname",
        "activity",
        "type",
        "kind",
    ),
    C.QUANTITY: ("quantity", "qty", "units", "count", "pieces", "amountofitems", "menge", "numitems"),
    C.PRICE: ("price", "unitprice", "itemprice", "priceperunit", "preis", "sellingprice"),
    "value": (
        "value",
        "total",
        "linetotal",
        "totalprice",
        "salesvalue",
        "amount",
        "revenue",
        "sales",
        "lineamount",
        "turnover",
    ),
    C.SESSION_ID: (
        "sessionid",
        "usersession",
        "session",
        "basketid",
        "basket",
        "orderid",
        "orderno",
        "order",
        "invoiceno",
        "invoice",
        "invoiceid",
        "transactionid",
        "transaction",
        "visitid",
        "cartid",
        "receiptid",
        "ticketid",
    ),
}
"""Names of each field's column, letters and digits only, the likeliest first."""

ITEM_NAMES: dict[str, tuple[str, ...]] = {
    C.TITLE: ("title", "productname", "itemname", "prodname", "name", "producttitle", "articlename"),
    C.DESCRIPTION: ("description", "detaildesc", "productdescription", "longdescription", "details", "descriptionlong"),
    C.DEPARTMENT: ("department", "departmentname", "maincategory", "section", "sectionname", "division"),
    C.CATEGORY: (
        "category",
        "categorycode",
        "productcategory",
        "categoryname",
        "genres",
        "productgroupname",
        "categories",
        "group",
    ),
    C.PRODUCT_TYPE: ("producttype", "producttypename", "subcategory", "subcategoryname", "itemtype", "class"),
    C.BRAND: ("brand", "brandname", "manufacturer", "vendor", "maker", "store"),
    C.SIZE: ("size", "packagesize", "packsize", "volume", "weight"),
    C.PRICE: ("price", "unitprice", "listprice", "itemprice"),
    C.AVAILABLE: ("available", "availability", "instock", "isavailable", "active"),
}
"""The same for the catalogue."""

WORDS: dict[str, tuple[str, ...]] = {
    "purchase": (
        "purchase",
        "buy",
        "bought",
        "transaction",
        "order",
        "ordered",
        "sale",
        "sold",
        "checkout",
        "pay",
        "paid",
        "purchased",
        "conversion",
    ),
    "cart": ("cart", "addtocart", "cartadd", "basket", "addtobasket", "incart"),
    "view": (
        "view",
        "pv",
        "pageview",
        "click",
        "detail",
        "detailpageview",
        "viewitem",
        "impression",
        "browse",
        "productview",
    ),
    "rating": ("rating", "rate", "review", "rated", "like", "fav", "favorite", "favourite", "wishlist"),
    "return": ("return", "returned", "refund", "refunded"),
    "cancellation": ("cancel", "cancelled", "canceled", "cancellation", "removefromcart", "cartremove"),
}
"""Words for each behaviour, letters and digits only."""

DATES = {
    "yyyy-MM-dd": "%Y-%m-%d",
    "M/d/yyyy": "%m/%d/%Y",
    "d/M/yyyy": "%d/%m/%Y",
    "d.M.yyyy": "%d.%m.%Y",
    "yyyy/M/d": "%Y/%m/%d",
    "M/d/yy": "%m/%d/%y",
    "d/M/yy": "%d/%m/%y",
    "d-M-yyyy": "%d-%m-%Y",
    "yyyyMMdd": "%Y%m%d",
    "d MMM yyyy": "%d %b %Y",
}
TIMES = {
    " H:mm:ss": " %H:%M:%S",
    " H:mm": " %H:%M",
    " h:mm:ss a": " %I:%M:%S %p",
    " h:mm a": " %I:%M %p",
    "'T'H:mm:ss": "T%H:%M:%S",
    "": "",
}
"""Patterns of Java with what reads the same in Python."""

ISO = re.compile(r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?)?$")
EPOCH = re.compile(r"^\d{9,19}(\.\d+)?$")
ZONED = re.compile(r"(Z|UTC|[+-]\d{2}:?\d{2})$")
ENOUGH = 0.9
"""Share of a column's values that must read as what the column is taken for."""


@dataclass
class Guess:
    """What the columns of a sample seem to be: expressions for each field, and what is to be said of them."""

    event: dict[str, str] = field(default_factory=dict)
    time_format: str | None = None
    zoned: bool = True  # whether times name their zone
    behaviours: dict[str, list[str]] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)  # by field


def guess_event(columns: Mapping[str, Sequence[str]]) -> Guess:
    """What each field of an event is, for a log with these columns and some values of each."""
    made = Guess()
    left = list(columns)
    for name in (C.EVENT_TIME, C.USER_ID, C.ITEM_ID, C.EVENT_TYPE, C.SESSION_ID, C.QUANTITY, C.PRICE, "value"):
        column = named(left, EVENT_NAMES[name], FITS.get(name, lambda _: True), columns)
        if column is not None:
            made.event[name] = quoted(column)
            left.remove(column)
            if name == C.EVENT_TIME:
                made.time_format = time_format(columns[column])
                made.zoned = all(bool(ZONED.search(text)) or bool(EPOCH.match(text)) for text in columns[column])
            if name == C.EVENT_TYPE:
                made.behaviours = behaviours_of(columns[column])
    _returns(made, columns)
    if C.PRICE in made.event:
        made.event.pop("value", None)
    return made


def _returns(made: Guess, columns: Mapping[str, Sequence[str]]) -> None:
    """Negative quantities are returns, where no column tells the behaviour."""
    quantity = made.event.get(C.QUANTITY)
    if C.EVENT_TYPE in made.event or quantity is None:
        return
    values = columns[quantity.strip("`")]
    if negative := sum(text.strip().startswith("-") for text in values):
        made.event[C.EVENT_TYPE] = f"CASE WHEN {quantity} < 0 THEN 'return' ELSE 'purchase' END"
        made.event[C.QUANTITY] = f"abs({quantity})"
        made.remarks[C.EVENT_TYPE] = f"{negative} of {len(values)} quantities looked at are below 0: taken for returns"


def guess_item(columns: Mapping[str, Sequence[str]], item_id: str | None = None) -> dict[str, str]:
    """What each field of an item is; ``item_id`` is its column where that is known."""
    left = list(columns)
    found: dict[str, str] = {}
    identity = item_id.strip("`") if item_id else named(left, EVENT_NAMES[C.ITEM_ID], lambda _: True, columns)
    if identity is None and "id" in {plain(name) for name in left}:
        identity = next(name for name in left if plain(name) == "id")
    if identity is not None:
        found[C.ITEM_ID] = quoted(identity)
        left = [name for name in left if name != identity]
    for name, names in ITEM_NAMES.items():
        column = named(left, names, FITS.get(name, lambda _: True), columns)
        if column is not None:
            found[name] = quoted(column)
            left.remove(column)
    if C.TITLE not in found and C.DESCRIPTION in found:
        found[C.TITLE] = found.pop(C.DESCRIPTION)
    return found


def named(
    left: Iterable[str],
    names: Sequence[str],
    fits: Callable[[Sequence[str]], bool],
    columns: Mapping[str, Sequence[str]],
) -> str | None:
    """The column with the likeliest of ``names``, whose values fit: the whole name first, then its last parts."""
    ranked = []
    for column in left:
        parts = column.split(".")
        forms = [plain(column), plain("".join(parts[-2:])), plain(parts[-1])]
        best = min((names.index(form) + 100 * n for n, form in enumerate(forms) if form in names), default=None)
        if best is not None and fits(columns[column]):
            ranked.append((best, column))
    return min(ranked)[1] if ranked else None


def plain(name: str) -> str:
    """Letters and digits of a name, small."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def quoted(column: str) -> str:
    """A column as Spark's SQL takes it: names that are no words in backticks, part by part."""
    return ".".join(part if re.fullmatch(r"[A-Za-z_]\w*", part) else f"`{part}`" for part in column.split("."))


def share(values: Sequence[str], fits: Callable[[str], object]) -> float:
    """Share of the values that fit; 0 of none."""
    return sum(bool(fits(text)) for text in values) / len(values) if values else 0.0


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def time_format(values: Sequence[str]) -> str | None:
    """Pattern of Java that reads most of the values; None where none is needed: ISO 8601, or seconds since 1970."""
    values = [text.strip() for text in values]
    if share(values, lambda text: ISO.match(text) or EPOCH.match(text)) >= ENOUGH:
        return None
    patterns = [(f"{day}{time}", f"{DATES[day]}{TIMES[time]}") for day, time in product(DATES, TIMES)]
    best = max(patterns, key=lambda pattern: share(values, lambda text: reads(text, pattern[1])))
    return best[0] if share(values, lambda text: reads(text, best[1])) >= ENOUGH else None


def reads(text: str, directives: str) -> bool:
    """Whether a text is a time of this form."""
    try:
        datetime.strptime(text, directives)
    except ValueError:
        return False
    return True


def is_time(values: Sequence[str]) -> bool:
    """Whether most of the values are times of some form."""
    if share(values, lambda text: ISO.match(text.strip()) or EPOCH.match(text.strip())) >= ENOUGH:
        return True
    return time_format(values) is not None


def is_numeric(values: Sequence[str]) -> bool:
    """Whether most of the values are numbers."""
    return share(values, is_number) >= ENOUGH


def behaviours_of(values: Sequence[str]) -> dict[str, list[str]]:
    """The log's words for each behaviour, where they are not its name; the commonest first."""
    found: dict[str, list[str]] = {}
    for word, _ in Counter(text.strip().lower() for text in values).most_common(50):
        for name, words in WORDS.items():
            if plain(word) in words and word != name:
                found.setdefault(name, []).append(word)
    return found


FITS: dict[str, Callable[[Sequence[str]], bool]] = {
    C.EVENT_TIME: is_time,
    C.QUANTITY: is_numeric,
    C.PRICE: is_numeric,
    "value": is_numeric,
    # a column of words, not of texts or ids
    C.EVENT_TYPE: lambda values: 0 < len(set(values)) <= 50,
}
"""What the values of a field's column must be."""
