"""How a shop's log files and catalogue are to be read: the file `mapping.toml` in NIGHTSHIFT_HOME.

Without that file the logs have the shape of the contract: folders `landing/events/ds=YYYY-MM-DD/` and columns with our
names. That shape is itself a mapping, the default one, so that there is one way of reading.
docs/bring-your-own-logs.md describes every key.
"""

from __future__ import annotations

import codecs
import re
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from contracts import places
from contracts.columns import Columns as C
from contracts.errors import SettingsError
from contracts.interval import YEARS
from contracts.settings import Section, Settings, problems, read_toml

FILE = "mapping.toml"
"""The file's name below NIGHTSHIFT_HOME."""

Format = Literal["json", "csv", "parquet"]

DS_FOLDERS = "ds=%Y-%m-%d/"
"""Where a path tells the day in the contract's shape."""

DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d{2})",
    "m": r"(?P<m>\d{2})",
    "d": r"(?P<d>\d{2})",
    **dict.fromkeys("HMS", r"\d{2}"),
}
"""What of strptime a pattern of days may hold, as a regular expression; the time of day is passed over."""

JAVA_LETTERS, ZONE_LETTERS = "GyMLdDEFaQqHhKkmsS", "VzOXxZ"
"""Letters of Java's patterns of times that Spark reads; and those among all of them that stand for a zone."""


def _place(value: Any, check: ValidatorFunctionWrapHandler) -> Path:
    """A place in a store is no path to pydantic."""
    if isinstance(value, str) or not places.is_remote(value):
        return cast("Path", check(value))
    return cast("Path", value)


class Source(Section):
    """Where files lie, and how they are read."""

    path: Annotated[Path, WrapValidator(_place)] = Field(
        description="a file or a folder, relative to the folder of mapping.toml; or s3a://bucket/…"
    )
    files: str = Field(default="**/*", description="which files below path, as a glob")
    days: str | None = Field(default=None, description="how the path below `path` tells the day, as of strptime")
    format: Format | None = Field(default=None, description="of files whose name does not tell it")
    encoding: str = Field(default="utf-8", description="of text files")
    delimiter: str = Field(default=",", min_length=1, max_length=8, description="of CSV: between two values")
    quote: str = Field(default='"', max_length=1, description="of CSV: around a value")
    escape: str = Field(default='"', max_length=1, description="of CSV: before a quote within a value")
    multiline: bool = Field(default=False, description="of CSV: a quoted value may go on over several lines")
    columns: tuple[str, ...] = Field(default=(), description="of CSV without a header line: names of the columns")

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, name: str) -> str:
        try:
            codecs.lookup(name)
        except LookupError as error:
            raise ValueError("is not the name of an encoding, such as utf-8, iso-8859-1 or windows-1252") from error
        return name

    @field_validator("days")
    @classmethod
    def _tells_a_day(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        used = re.findall(r"%(.)", pattern)
        unknown = [letter for letter in used if letter not in DIRECTIVES]
        if unknown or len(set(used)) < len(used) or len({"Y", "y"} & set(used)) != 1 or not {"m", "d"} <= set(used):
            raise ValueError("has to hold %Y (or %y), %m and %d once each, and besides them no more than %H, %M, %S")
        return pattern

    @model_validator(mode="after")
    def _quotes_what_goes_on(self) -> Source:
        if self.multiline and not self.quote:
            raise ValueError("multiline needs a quote around the values that go on over lines")
        return self

    @property
    def is_utf8(self) -> bool:
        """Whether the files' text is UTF-8."""
        return codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig", "ascii")

    @property
    def java_encoding(self) -> str | None:
        """What Java calls the encoding, of those that surely are the same there; none for the others."""
        name = codecs.lookup(self.encoding).name
        return name if re.fullmatch(r"iso8859-([1-9]|13|15)|cp125[0-8]", name) else None

    @property
    def keeps_line_feeds(self) -> bool:
        """Whether the byte 10 ends a line, and stands for nothing else; not so in UTF-16."""
        return self.is_utf8 or "\n".encode(self.encoding) == b"\n"

    @property
    def read_encoding(self) -> str:
        """The encoding of lines that have been read: UTF-8, but of those that Spark decodes itself their own."""
        return self.encoding if self.java_encoding else "utf-8"

    @cached_property
    def day_pattern(self) -> str | None:
        """`days` as a regular expression of Python and, group names aside, of Java."""
        if self.days is None:
            return None
        parts = re.split(r"%(.)", self.days)
        middle = "".join(
            DIRECTIVES[part] if n % 2 else re.sub(r"([^\w/=-])", r"\\\1", part) for n, part in enumerate(parts)
        )
        # 20171223 is no part of a longer number, ds= not of another word
        before, after = ("" if parts[0] else r"(?<!\d)"), ("" if parts[-1] else r"(?!\d)")
        return f"{r'(?<![0-9A-Za-z])' if parts[0][:1].isalnum() else before}{middle}{after}"

    def day_of(self, below: str) -> date | None:
        """The day that a path below `path` tells, if it tells one of a year that logs can have."""
        found = re.search(self.day_pattern, below, re.ASCII) if self.day_pattern else None
        if not found:
            return None
        told = found.groupdict()
        year = int(told["Y"]) if "Y" in told else 2000 + int(told["y"])
        try:
            return date(year, int(told["m"]), int(told["d"])) if year in YEARS else None
        except ValueError:
            return None

    @property
    def root(self) -> Path:
        """The folder that paths are told from."""
        return self.path.parent if self.path.is_file() else self.path

    @property
    def dialect(self) -> str:
        """All that decides what reading a file shows; empty for the defaults."""
        chosen = self.model_dump(include={"format", "encoding", "delimiter", "quote", "escape", "multiline", "columns"})
        default = {name: each.default for name, each in Source.model_fields.items()}
        return " ".join(f"{name}={value!r}" for name, value in chosen.items() if value != default[name])


class Catalogue(Source):
    """Where the catalogue lies."""

    inline: bool = Field(default=False, description="the attributes of items come from the log's own records")


class Event(Section):
    """What an event is made of: expressions over the log's columns."""

    user_id: str
    item_id: str
    event_time: str
    time_format: str | None = None
    event_type: str | None = None
    quantity: str | None = None
    price: str | None = None
    value: str | None = None
    session_id: str | None = None
    rating: str | None = None

    @field_validator("time_format")
    @classmethod
    def _java(cls, pattern: str | None) -> str | None:
        letters = set(_letters(pattern or ""))
        wrong = sorted(letters - set(JAVA_LETTERS + ZONE_LETTERS))
        if pattern is not None and (wrong or not letters):
            raise ValueError(
                f"is not a pattern of Java, such as d.M.yyyy HH:mm ({', '.join(wrong) or 'no letters'})"
                if "%" not in pattern
                else "is a pattern of Python; expected one of Java, such as d.M.yyyy HH:mm"
            )
        # the commonest slip is mm, minutes, for MM
        if pattern is not None and not (
            "y" in letters and ("D" in letters or ("d" in letters and letters & set("ML")))
        ):
            raise ValueError("names no day: expected years (y), months (M) and days (d), such as d.M.yyyy HH:mm")
        return pattern

    @model_validator(mode="after")
    def _one_price(self) -> Event:
        if self.price is not None and self.value is not None:
            raise ValueError("has price and value: the price of one piece, or what the line cost in all, not both")
        return self

    @property
    def names_zone(self) -> bool:
        """Whether times of `time_format` have a zone of their own."""
        return bool(set(ZONE_LETTERS) & set(_letters(self.time_format or "")))


class Item(Section):
    """What an item is made of: expressions over the catalogue's columns, or with an inline one over the log's."""

    item_id: str | None = None
    title: str | None = None
    description: str | None = None
    department: str | None = None
    category: str | None = None
    product_type: str | None = None
    brand: str | None = None
    size: str | None = None
    price: str | None = None
    available: str | None = None


class Mapping(Section):
    """All that mapping.toml says, with its defaults."""

    logs: Source
    event: Event
    behaviours: dict[str, tuple[str, ...]] = Field(default={})
    catalogue: Catalogue
    item: Item | None = None

    is_default: bool = False

    @field_validator("behaviours")
    @classmethod
    def _words_in_lower_case(cls, lists: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        made = {name: tuple(dict.fromkeys(word.strip().lower() for word in words)) for name, words in lists.items()}
        listed = [word for words in made.values() for word in words]
        for word in listed:
            if listed.count(word) > 1:
                raise ValueError(f"more than one behaviour lists {word!r}")
        return made

    @model_validator(mode="after")
    def _item_has_an_id(self) -> Mapping:
        if self.item and not self.item.item_id and not self.catalogue.inline:
            raise ValueError("[item] needs item_id, unless [catalogue] says inline = true")
        return self


EVENT_COLUMNS = (C.EVENT_TIME, C.EVENT_TYPE, C.USER_ID, C.ITEM_ID, C.QUANTITY, C.PRICE, C.SESSION_ID)
"""Columns that every log file of the contract's shape has. With `ingest.rating_scale` it may have `rating` too."""


def load_mapping(settings: Settings) -> Mapping:
    """Reads `mapping.toml`; the default mapping where there is none.

    Raises:
        SettingsError: names the file and the key, what was expected and what was found.
    """
    file = settings.home / FILE
    told = read_toml(file)
    for section in told:
        if not isinstance(told[section], dict):
            raise SettingsError(f"Wrong mapping ({file}): {section} stands outside of a section, such as [event].")
    logs, catalogue = dict(told.get("logs", {})), dict(told.get("catalogue", {}))
    if "path" not in logs:
        logs = {"path": settings.landing / "events", "files": "ds=*/**/*", "days": DS_FOLDERS} | logs
    if "path" not in catalogue:
        catalogue = {"path": settings.landing / "items", "days": DS_FOLDERS} | catalogue
    for place in (logs, catalogue):
        if isinstance(place["path"], str):
            place["path"] = _found(settings, place["path"], file)
    ours = EVENT_COLUMNS if settings.ingest.scale is None else (*EVENT_COLUMNS, C.RATING)
    event = told.get("event", {name: name for name in ours})
    values: dict[str, Any] = told | {"logs": logs, "event": event, "catalogue": catalogue}
    try:
        mapping = Mapping.model_validate(values | {"is_default": not file.exists()})
    except ValidationError as error:
        known = [
            "behaviours",
            *_SECTIONS,
            *(f"{name}.{key}" for name, kind in _SECTIONS.items() for key in kind.model_fields),
        ]
        wrong = problems(error, "key", known, "docs/bring-your-own-logs.md lists them all")
        raise SettingsError(f"Wrong mapping ({file}): {wrong}.") from error
    _require_known_behaviours(settings, mapping, file)
    if mapping.event.rating is not None and settings.ingest.scale is None:
        raise SettingsError(
            f"Wrong mapping ({file}): event.rating = {mapping.event.rating!r} needs the scale of the ratings, found "
            "none. Set the lowest and the highest in nightshift.toml, such as [ingest] rating_scale = [1, 5], or leave "
            "event.rating out: then a rating is an event, whatever its value."
        )
    return mapping


def _found(settings: Settings, text: str, file: Path) -> Path:
    """The place that a path of the mapping names."""
    try:
        places.checked(text)
        if places.scheme_of(text) == places.S3 and not settings.storage.on_s3:
            raise ValueError(
                f"{places.S3}: needs its jars: set [storage] landing in nightshift.toml, and run make setup"
            )
    except ValueError as error:
        raise SettingsError(f"Wrong mapping ({file}): path = {text!r}: {error}.") from error
    return settings.place(text)


_SECTIONS: dict[str, type[Section]] = {"logs": Source, "event": Event, "catalogue": Catalogue, "item": Item}


def _require_known_behaviours(settings: Settings, mapping: Mapping, file: Path) -> None:
    """Raises a SettingsError if [behaviours] names one that is neither known nor a return."""
    known = (*settings.ingest.behaviours, *settings.ingest.returns)
    unknown = [name for name in mapping.behaviours if name not in known]
    if unknown:
        raise SettingsError(
            f"Wrong mapping ({file}): [behaviours] lists {', '.join(unknown)}; expected {', '.join(known)}. Correct "
            "the name, or add it to ingest.behaviours in nightshift.toml with the weight that it has."
        )


def _letters(pattern: str) -> str:
    """The letters of a pattern of Java that mean something: those outside quotes."""
    return re.sub(r"[^A-Za-z]", "", re.sub(r"'[^']*'", "", pattern))
