"""Guesses which column is what, from names and values. Pure functions of a `Sample`."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product

from contracts.columns import Columns as C
from nightshift.starter.words import (
    CURRENCY,
    DATES,
    EVENT_NAMES,
    EVENT_NOUNS,
    ID_ENDINGS,
    ITEM_NAMES,
    NUMBERS,
    TIMES,
    WITHOUT_CURRENCY,
    WORDS,
)

ISO = re.compile(r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?\s*(Z|UTC|[+-]\d{2}:?\d{2})?)?$")
EPOCH = re.compile(r"^\d{9,19}(\.\d+)?$")
ZONED = re.compile(r"(Z|UTC|[+-]\d{2}:?\d{2})$")
CLOCK = re.compile(r"^\d{1,2}:\d{2}(:\d{2})?(\s?[AaPp][Mm])?$")
PLAUSIBLE = (631_152_000, 2_208_988_800)
"""From 1990 to 2040, in seconds since 1970: other numbers without a name are no times."""
FEW = 10
"""Different values up to which a column without a name is a mark of some kind rather than an id."""
READ_AS_TIMES = 500
"""Values of a column that are tried as times, evenly over all of them."""
STEPS = 21
"""Different values of a scale with fractions at most: half steps from 0 to 10."""
SCALES = (
    (1.0, 5.0),
    (0.5, 5.0),
    (0.0, 5.0),
    (1.0, 7.0),
    (1.0, 10.0),
    (0.0, 10.0),
    (0.0, 1.0),
    (-1.0, 1.0),
    (0.0, 100.0),
)
"""Usual scales of ratings."""
RATED = "'rating'"
"""The behaviour of a log of ratings, as an expression."""
ENOUGH = 0.9
"""Share of a column's values that must read as what the column is taken for."""


@dataclass
class Guess:
    """What the columns of a sample seem to be: expressions for each field, and what is to be said of them."""

    event: dict[str, str] = field(default_factory=dict)
    time_format: str | None = None
    zoned: bool = True  # whether times name their zone
    behaviours: dict[str, list[str]] = field(default_factory=dict)
    scale: tuple[float, float] | None = None  # lowest and highest rating
    remarks: dict[str, str] = field(default_factory=dict)  # by field


def guess_event(columns: Mapping[str, Sequence[str]], *, has_names: bool = True) -> Guess:
    """What each field of an event is, for a log with these columns and some values of each.

    Args:
        columns: some values by column.
        has_names: the columns' names say something; else values and order are all there is.
    """
    made = Guess()
    taken = columns_by_name(columns) if has_names else columns_by_value(columns)
    left = [column for column in columns if column not in taken.values()]
    for name, column in taken.items():
        made.event[name] = number(column, columns[column]) if name in NUMERIC else quoted(column)
    if not has_names:
        said = "there is no header line: guessed from the values and the order of the columns, look twice"
        made.remarks |= dict.fromkeys((name for name in (C.USER_ID, C.ITEM_ID, C.RATING) if name in taken), said)
    if C.EVENT_TIME in taken:
        _time(made, taken[C.EVENT_TIME], left, columns)
    if C.RATING in taken:
        _ratings(made, columns[taken[C.RATING]])
    if C.EVENT_TYPE in taken:
        made.behaviours = behaviours_of(columns[taken[C.EVENT_TYPE]])
    elif C.QUANTITY in taken:
        _returns(made, columns[taken[C.QUANTITY]])
    if C.PRICE in made.event:
        made.event.pop("value", None)
    return made


def columns_by_name(columns: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The column of each field that has one, by the names of the columns."""
    left = list(columns)
    taken: dict[str, str] = {}
    for name in (
        C.EVENT_TIME,
        C.USER_ID,
        C.ITEM_ID,
        C.EVENT_TYPE,
        C.SESSION_ID,
        C.QUANTITY,
        C.PRICE,
        "value",
        C.RATING,
    ):
        nouns = EVENT_NOUNS.get(name, "").split()
        column = named(left, EVENT_NAMES[name].split(), FITS.get(name, lambda _: True), columns, nouns)
        if column is not None:
            taken[name] = column
            left.remove(column)
    return taken


def columns_by_value(columns: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The column of each field of a log without a header line: times and behaviours by their values; of the others
    the first that could be an id is the user, the second the item, as most such logs have it."""
    left = list(columns)
    taken: dict[str, str] = {}
    fits = {C.EVENT_TIME: is_plausible_time, C.EVENT_TYPE: is_behaviour, C.USER_ID: is_id, C.ITEM_ID: is_id}
    for name, fit in fits.items():
        column = next((column for column in left if fit(columns[column])), None)
        if column is not None:
            taken[name] = column
            left.remove(column)
    if C.EVENT_TYPE not in taken:
        stars = next((column for column in left if are_stars(columns[column])), None)
        taken |= {} if stars is None else {C.RATING: stars}
    return taken


def _time(made: Guess, column: str, left: Sequence[str], columns: Mapping[str, Sequence[str]]) -> None:
    """How times are written; a date goes together with the column of the time of day, where there is one."""
    values: Sequence[str] = columns[column]
    clock = next(
        (name for name in left if share(columns[name], lambda text: CLOCK.match(text.strip())) >= ENOUGH), None
    )
    if clock is not None and not any(":" in text for text in values) and not share(values, EPOCH.match):
        together = [f"{day.strip()} {time.strip()}" for day, time in zip(values, columns[clock], strict=False)]
        if is_time(together):
            made.event[C.EVENT_TIME] = f"concat({quoted(column)}, ' ', {quoted(clock)})"
            values = together
    likely = time_formats(values)
    made.time_format = next(iter(likely), None)
    if others := likely[1:]:
        made.remarks[C.EVENT_TIME] = (
            f"{likely[0]} puts the times closest together, {others[0]} reads them too: look at the days that "
            "`nightshift check` shows"
        )
    made.zoned = all(bool(ZONED.search(text)) or bool(EPOCH.match(text)) for text in values)


def _returns(made: Guess, values: Sequence[str]) -> None:
    """Negative quantities are returns, where no column tells the behaviour."""
    quantity = made.event[C.QUANTITY]
    if negative := sum(text.strip().startswith("-") for text in values):
        made.event[C.EVENT_TYPE] = f"CASE WHEN {quantity} < 0 THEN 'return' ELSE 'purchase' END"
        made.event[C.QUANTITY] = f"abs({quantity})"
        made.remarks[C.EVENT_TYPE] = (
            f"{negative:,} of {len(values):,} quantities looked at are below 0: taken for returns"
        )


def _ratings(made: Guess, values: Sequence[str]) -> None:
    """The scale of the ratings; a log of nothing but ratings has that behaviour."""
    given = ratings_of(values)
    made.scale = scale_of(given)
    if made.scale[0] == 0:
        made.remarks[C.RATING] = "0 is taken for the lowest rating: if it stands for none, say nullif(COLUMN, '0')"
    if not {C.EVENT_TYPE, C.QUANTITY, C.PRICE, "value", C.SESSION_ID} & made.event.keys():
        made.event[C.EVENT_TYPE] = RATED
        made.remarks[C.EVENT_TYPE] = "every record is taken for a rating, as it has one and tells of no purchase"


def ratings_of(values: Sequence[str]) -> list[float]:
    """The different numbers among the values of a column of numbers, ascending."""
    texts = {CURRENCY.sub("", text.strip()).replace(",", ".") for text in values}
    return sorted({float(text) for text in texts if re.fullmatch(r"[-+]?\d*\.?\d+", text)})


def scale_of(given: Sequence[float]) -> tuple[float, float]:
    """The narrowest usual scale that has all the ratings on it; if none has, from the lowest to the highest of them."""
    lowest, highest = given[0], given[-1]
    fitting = [scale for scale in SCALES if scale[0] <= lowest and highest <= scale[1]]
    return min(fitting, key=lambda scale: scale[1] - scale[0], default=(lowest, max(highest, lowest + 1)))


def are_ratings(values: Sequence[str]) -> bool:
    """Whether the values of a column that is called so are ratings: numbers on a scale of a few steps."""
    given = ratings_of(values) if is_numeric(values) else []
    return 1 < len(given) <= STEPS or (len(given) > 1 and all(0 <= each <= 100 and each % 1 == 0 for each in given))


def are_stars(values: Sequence[str]) -> bool:
    """Whether the values of a column without a name are ratings: half or whole stars up to five or ten, most of them in
    the upper half, as ratings are and quantities are not."""
    given = ratings_of(values) if is_numeric(values) else []
    if len(given) < 3 or given[-1] not in (5, 10) or given[0] < 0 or any(each * 2 % 1 for each in given):
        return False
    return share(values, lambda text: number_or_zero(text) > given[-1] / 2) > 0.5


def number_or_zero(text: str) -> float:
    """A number, 0 where the text is none."""
    return next(iter(ratings_of([text])), 0.0)


def guess_item(columns: Mapping[str, Sequence[str]], item_id: str | None = None) -> dict[str, str]:
    """What each field of an item is; ``item_id`` is its column where that is known."""
    left = list(columns)
    found: dict[str, str] = {}
    names, nouns = EVENT_NAMES[C.ITEM_ID].split(), EVENT_NOUNS[C.ITEM_ID].split()
    identity = item_id.replace("`", "") if item_id else named(left, names, lambda _: True, columns, nouns)
    if identity is None and "id" in {plain(name) for name in left}:
        identity = next(name for name in left if plain(name) == "id")
    if identity is not None:
        found[C.ITEM_ID] = quoted(identity)
        left = [name for name in left if name != identity]
    for name, likely in ITEM_NAMES.items():
        column = named(left, likely.split(), FITS.get(name, lambda _: True), columns)
        if column is not None:
            found[name] = number(column, columns[column]) if name in NUMERIC else words(column, columns[column])
            left.remove(column)
    if C.TITLE not in found and C.DESCRIPTION in found:
        found[C.TITLE] = found.pop(C.DESCRIPTION)
    return found


def named(
    left: Iterable[str],
    names: Sequence[str],
    fits: Callable[[Sequence[str]], bool],
    columns: Mapping[str, Sequence[str]],
    nouns: Sequence[str] = (),
) -> str | None:
    """The column with the likeliest of ``names``, whose values fit: the whole name first, then its last parts, then
    one of ``nouns`` with an ending for ids."""
    ranked = []
    for column in left:
        parts = column.split(".")
        forms = [plain(column), plain("".join(parts[-2:])), plain(parts[-1])]
        ranks = [names.index(form) + 100 * n for n, form in enumerate(forms) if form in names]
        stems = [ID_ENDINGS.sub("", form) for form in forms if ID_ENDINGS.search(form)]
        ranks += [nouns.index(stem) + 1000 for stem in stems if stem in nouns]
        if ranks and fits(columns[column]):
            ranked.append((min(ranks), column))
    return min(ranked)[1] if ranked else None


def plain(name: str) -> str:
    """Letters and digits of a name, small and without accents."""
    letters = unicodedata.normalize("NFKD", name).casefold()
    return "".join(sign for sign in letters if sign.isalnum())


def quoted(column: str) -> str:
    """A column as Spark's SQL takes it: names that are no words in backticks, part by part."""
    return ".".join(part if re.fullmatch(r"[A-Za-z_]\w*", part) else f"`{part}`" for part in column.split("."))


def share(values: Sequence[str], fits: Callable[[str], object]) -> float:
    """Share of the values that fit; 0 of none."""
    return sum(bool(fits(text)) for text in values) / len(values) if values else 0.0


def number(column: str, values: Sequence[str]) -> str:
    """The expression that reads a column of numbers, however they are written."""
    return (number_form(values) or "{}").format(quoted(column))


def words(column: str, values: Sequence[str]) -> str:
    """The expression that reads a column of texts; of lists of texts, what stands between their brackets."""
    are_lists = share(values, lambda text: text.startswith("[") and text.endswith("]")) >= ENOUGH
    return f"translate({quoted(column)}, '[]\"', '')" if are_lists else quoted(column)


def number_form(values: Sequence[str]) -> str | None:
    """How most of the values are written as numbers, as an expression of the column; None if they are none."""
    bare = [CURRENCY.sub("", text.strip()) for text in values]
    has_currency = any(text != value.strip() for text, value in zip(bare, values, strict=True))
    for form, pattern in NUMBERS.items():
        if share(bare, re.compile(pattern, re.IGNORECASE).fullmatch) >= ENOUGH:
            return form.format(WITHOUT_CURRENCY) if has_currency else form
    return None


def time_format(values: Sequence[str]) -> str | None:
    """Pattern of Java that reads most of the values; None where none is needed: ISO 8601, or seconds since 1970."""
    return next(iter(time_formats(values)), None)


def time_formats(values: Sequence[str]) -> list[str]:
    """Patterns of Java that read the values, the likeliest first; none where none is needed.

    Of patterns that read as many, the one is likelier that puts the times close together: 1/12/2010 to 12/12/2010 are
    twelve days, not twelve months.
    """
    some = [text.strip() for text in values[:: max(1, len(values) // READ_AS_TIMES)]]
    if share(some, lambda text: ISO.match(text) or EPOCH.match(text)) >= ENOUGH:
        return []
    found = []
    for day, time in product(DATES, TIMES):
        times = [told for text in some if (told := reading(text, f"{DATES[day]}{TIMES[time]}"))]
        if times and len(times) >= ENOUGH * len(some):
            found.append((-len(times), max(times) - min(times), f"{day}{time}"))
    # a tie is left to the order of DATES
    return [pattern for *_, pattern in sorted(found, key=lambda each: each[:2])]


def reading(text: str, directives: str) -> datetime | None:
    """The time that a text of this form tells; None if it is of another."""
    try:
        return datetime.strptime(text, directives)
    except ValueError:
        return None


def is_time(values: Sequence[str]) -> bool:
    """Whether most of the values are times of some form."""
    if share(values, lambda text: ISO.match(text.strip()) or EPOCH.match(text.strip())) >= ENOUGH:
        return True
    return time_format(values) is not None


def is_plausible_time(values: Sequence[str]) -> bool:
    """Whether most of the values are times even if no name says so."""

    def plausible(text: str) -> bool:
        if not EPOCH.match(text):
            return bool(ISO.match(text)) or not text.isdigit()
        digits = text.partition(".")[0]
        # milli-, micro- and nanoseconds have three digits more each
        seconds: int = int(digits) // 1000 ** max(0, (len(digits) - 8) // 3)
        earliest, latest = PLAUSIBLE
        return bool(earliest <= seconds <= latest)

    return is_time(values) and share(values, lambda text: plausible(text.strip())) >= ENOUGH


def is_behaviour(values: Sequence[str]) -> bool:
    """Whether most of the values are words for behaviours."""
    known = {word for words in WORDS.values() for word in words.split()}
    return share(values, lambda text: plain(text) in known) >= ENOUGH


def is_id(values: Sequence[str]) -> bool:
    """Whether the values could be ids: many, and neither texts nor fractions."""
    return len(set(values)) > FEW and share(values, lambda text: re.fullmatch(r"[^\s.,]+", text.strip())) >= ENOUGH


def is_numeric(values: Sequence[str]) -> bool:
    """Whether most of the values are numbers."""
    return number_form(values) is not None


def behaviours_of(values: Sequence[str]) -> dict[str, list[str]]:
    """The log's words for each behaviour, where they are not its name; the commonest first."""
    found: dict[str, list[str]] = {}
    for word, _ in Counter(text.strip().lower() for text in values).most_common(50):
        for name, words in WORDS.items():
            if plain(word) in words.split() and word != name:
                found.setdefault(name, []).append(word)
    return found


NUMERIC = (C.QUANTITY, C.PRICE, "value", C.RATING)

FITS: dict[str, Callable[[Sequence[str]], bool]] = {
    C.EVENT_TIME: is_time,
    C.QUANTITY: is_numeric,
    C.PRICE: is_numeric,
    "value": is_numeric,
    C.RATING: are_ratings,
    # a column of words, not of texts or ids
    C.EVENT_TYPE: lambda values: 0 < len(set(values)) <= 50,
}
"""What the values of a field's column must be."""
