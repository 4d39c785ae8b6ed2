r"""What the model reads of an item, and of a user: texts from attributes by templates.

A template's parts stand between commas, attributes in braces: ``"{title:12}, {brand} brand"``. A number is a budget in
words. A word is a run of letters and digits, or one character of a script that is written without spaces. Spark cuts by
the same pattern (`spark_jobs.ingest.items`); Java reads ``\p{IsHan}``, ``&&`` and ``*+`` as `regex` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from string import Formatter

import regex

from contracts.columns import Columns as C

ATTRIBUTES = (C.TITLE, C.DESCRIPTION, C.DEPARTMENT, C.CATEGORY, C.PRODUCT_TYPE, C.BRAND, C.SIZE)
"""What a template can name of an item."""
EVENT_ATTRIBUTES = (C.TEXT, C.BEHAVIOUR, C.DEPARTMENT, C.CATEGORY, C.PRODUCT_TYPE, C.BRAND)
"""What a template can name of an event of a user: the item's own text, the behaviour, and attributes of the item."""

_SPACELESS = r"\p{IsHan}\p{IsHiragana}\p{IsKatakana}\p{IsThai}\p{IsLao}\p{IsKhmer}\p{IsMyanmar}"
_CHARACTER = rf"[[\p{{L}}\p{{N}}]&&[{_SPACELESS}]]\p{{M}}*+"
_RUN = rf"[[\p{{L}}\p{{N}}]&&[^{_SPACELESS}]][[\p{{L}}\p{{M}}\p{{N}}]&&[^{_SPACELESS}]]*+"
_GAP = r"[^\p{L}\p{N}]*+"


@dataclass(frozen=True)
class Attribute:
    """An attribute in a template."""

    name: str
    words: int | None  # budget; None: all of it


Part = tuple[str | Attribute, ...]
"""What stands between two commas of a template: words as they are, and attributes."""


def parts_of(template: str, known: Sequence[str] = ATTRIBUTES) -> list[Part]:
    """The parts of a template, which may name the ``known`` attributes: an item's, unless others are given.

    Raises:
        ValueError: says what is wrong with it, for a sentence that starts with its name.
    """
    parts = [_part(part.strip(), known) for part in template.split(",") if part.strip()]
    if not any(isinstance(piece, Attribute) for part in parts for piece in part):
        raise ValueError(f"names no attribute, such as {{{known[0]}}}")
    return parts


def _part(part: str, known: Sequence[str]) -> Part:
    try:
        pieces = list(Formatter().parse(part))
    except ValueError as error:
        raise ValueError(f"has a part {part!r} with a brace that is not closed, or not opened") from error
    made: list[str | Attribute] = []
    for words, name, budget, conversion in pieces:
        made += [words] if words else []
        if name is None:
            continue
        if name not in known or conversion:
            found = name + (f"!{conversion}" if conversion else "")
            raise ValueError(f"names {found!r}, expected one of {', '.join(known)}")
        if budget and not (budget.isdecimal() and 1 <= int(budget) <= MOST_WORDS):
            raise ValueError(f"gives {name} {budget!r} words, expected a whole number from 1 to {MOST_WORDS}")
        made.append(Attribute(name, int(budget) if budget else None))
    return tuple(made)


def budgets_of(template: str) -> dict[str, int]:
    """The attributes of a template that have a budget, and how many words it is."""
    pieces = (piece for part in parts_of(template) for piece in part)
    return {piece.name: piece.words for piece in pieces if isinstance(piece, Attribute) and piece.words is not None}


MOST_WORDS = 1000
"""The highest budget: far more than a tower reads, and few enough for Java's stack."""


def longer_than(words: int) -> str:
    """A pattern, of Java and of `regex`, that finds a whole text of more words; its first group is what stays."""
    return rf"(?s)^((?:{_GAP}(?:{_CHARACTER}|{_RUN})){{{words}}}){_GAP}[\p{{L}}\p{{N}}].*"


@cache
def _longer_than(words: int) -> regex.Pattern[str]:
    return regex.compile(longer_than(words), regex.V1)


def is_longer(text: str, words: int) -> bool:
    """Whether a text has more words."""
    return _longer_than(words).match(text) is not None


def cut(text: str, words: int | None) -> str:
    """The text up to the end of so many words; a text with no more is as it was, and all are without a budget."""
    found = _longer_than(words).match(text) if words is not None else None
    return found[1] if found else text


def item_text(template: str, attributes: Mapping[str, str | None]) -> str:
    """An item's text in lower case: the template's parts, without those that miss an attribute or repeat another part.

    ``"{title}, {brand} brand"`` with no brand gives the title alone.
    """
    return filled(parts_of(template), attributes)


def filled(parts: Sequence[Part], attributes: Mapping[str, str | None]) -> str:
    """The same of a template's parts."""
    texts = (_text(part, attributes) for part in parts)
    return ", ".join(dict.fromkeys(text for text in texts if text is not None))


def history_text(events: Iterable[str], items: int) -> str:
    """A user's history as text, for a model that reads it beside an item's: ``"rye bread; whole milk, 1 gal"``.

    Args:
        events: Text of each event, newest first; empty ones, and those that are there already, are passed over.
        items: So many at most.
    """
    return "; ".join(islice(_distinct(events), items))


def _distinct(texts: Iterable[str]) -> Iterable[str]:
    """Each text once, empty ones never; no more of ``texts`` is made than is asked for."""
    seen = {""}
    for text in texts:
        if text not in seen:
            seen.add(text)
            yield text


def _text(part: Part, attributes: Mapping[str, str | None]) -> str | None:
    made = ""
    for piece in part:
        if isinstance(piece, str):
            made += piece
        elif (value := attributes.get(piece.name)) is not None:
            made += cut(value, piece.words)
        else:
            return None
    return made.lower()
