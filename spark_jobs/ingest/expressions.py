"""Expressions of mapping.toml: which columns of a file each one reads. Needs no Spark."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from contracts.columns import Columns as C
from contracts.errors import InputError, SettingsError
from contracts.mapping import Item, Mapping
from spark_jobs.ingest.log_files import LogFile

Path = tuple[str, ...]
"""Names from the record down to a value: one, or several in nested JSON."""

TEXT_COLUMNS = (C.TITLE, C.DESCRIPTION, C.DEPARTMENT, C.CATEGORY, C.PRODUCT_TYPE)
"""What the model reads of an item."""

ITEM_COLUMNS = (C.ITEM_ID, *TEXT_COLUMNS, C.BRAND, C.SIZE, C.PRICE, C.AVAILABLE)
"""Columns of a catalogue in the contract's shape; only the item's id must be there."""

SHOWN_COLUMNS = 40
"""So many of a file's columns are named in a message."""


@dataclass(frozen=True)
class Field:
    """A column that is made of a record, and the expression that makes it."""

    column: str
    key: str  # in mapping.toml
    text: str
    optional: bool = False  # null where a file has not what it needs


@dataclass(frozen=True)
class Expression:
    """A field's expression as one kind of file takes it."""

    sql: str  # as Spark parses it
    paths: tuple[Path, ...]  # that it reads
    is_column: bool  # it is no more than the value of a path


def event_fields(mapping: Mapping) -> list[Field]:
    """What is read of each log record; `time_format` is none of it."""
    told = mapping.event.model_dump(exclude_none=True, exclude={"time_format"})
    # in the contract's shape a day may have no ratings
    may_lack = {C.RATING} if mapping.is_default else set()
    return [Field(name, f"event.{name}", text, optional=name in may_lack) for name, text in told.items()]


def item_fields(mapping: Mapping) -> list[Field]:
    """What is read of each record of the catalogue: what [item] says, or else our own names, where they are."""
    if mapping.item is None:
        return [Field(name, f"item.{name}", name, optional=name != C.ITEM_ID) for name in ITEM_COLUMNS]
    return _told(mapping.item)


def inline_fields(mapping: Mapping) -> list[Field]:
    """What is read of each log record for the inline catalogue; the item's id is the event's unless [item] says it."""
    told = _told(mapping.item or Item())
    has_id = any(field.column == C.ITEM_ID for field in told)
    return told if has_id else [Field(C.ITEM_ID, "event.item_id", mapping.event.item_id), *told]


def _told(item: Item) -> list[Field]:
    return [Field(name, f"item.{name}", text) for name, text in item.model_dump(exclude_none=True).items()]


def expression(field: Field, columns: Collection[str], *, nested: bool) -> Expression:
    """The expression of a field over ``columns``; ``nested`` is whether a.b names b in a.

    What is the name of a column, as it stands there, is that column, whatever SQL would make of it; words with spaces
    between them are a name as well.

    Raises:
        SettingsError: it does not parse, or is of more than one record.
    """
    text = field.text.strip()
    if text in columns or (re.fullmatch(r"\w+( +\w+)+", text) and _is_alias(text)):
        path = tuple(text.split(".")) if nested and text in columns else (text,)
        return Expression(".".join(quoted(name) for name in path), (path,), is_column=True)
    paths = _paths(text)
    if isinstance(paths, str):
        raise SettingsError(
            f"{field.key} = {field.text!r} in mapping.toml {paths}. Expected the name of a column, or an expression of "
            f"Spark SQL over one record; columns found: {shown(columns)}."
        )
    return Expression(text, paths, is_column=False)


def quoted(name: str) -> str:
    """A name as Spark takes it, whatever characters it has."""
    return f"`{name.replace('`', '``')}`"


def shown(columns: Collection[str]) -> str:
    """Names of columns for a message."""
    names = list(columns)
    more = f" … {len(names) - SHOWN_COLUMNS} more" if len(names) > SHOWN_COLUMNS else ""
    return (", ".join(names[:SHOWN_COLUMNS]) or "none") + more


@cache
def _paths(text: str) -> tuple[Path, ...] | str:
    """Paths of the columns in an expression, or what is wrong with it."""
    import sqlglot
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(text, dialect="spark")
    except sqlglot.errors.SqlglotError as error:
        first = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).splitlines()[0]
        return f"is no expression that can be parsed ({first.rstrip('.')})"
    if isinstance(tree, exp.Alias):
        return f"is no expression that can be parsed (before {tree.alias!r})"
    if tree.find(exp.AggFunc, exp.Window, exp.Query, exp.UDTF, exp.Explode, exp.Star):
        return "looks at more than one record, or gives more than one value"
    return tuple(dict.fromkeys(_path(column) for column in tree.find_all(exp.Column)))


def _path(column: object) -> Path:
    """The path that a column of sqlglot's tree names, with what follows it after further dots."""
    from sqlglot import exp

    assert isinstance(column, exp.Column)
    names = [part.name for part in column.parts]
    above = column.parent
    below: exp.Expression = column
    while isinstance(above, exp.Dot) and above.this is below and isinstance(above.expression, exp.Identifier):
        names.append(above.expression.name)
        below, above = above, above.parent
    return tuple(names)


@cache
def _is_alias(text: str) -> bool:
    """Whether words with spaces mean nothing to SQL but a column and its other name, unlike `NOT returned`."""
    import sqlglot
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(text, dialect="spark")
    except sqlglot.errors.SqlglotError:
        return True
    return isinstance(tree, exp.Alias)


def columns_of(files: Sequence[LogFile]) -> dict[str, list[str]]:
    """Columns of the files of each format, in order."""
    found: dict[str, dict[str, None]] = {}
    for file in files:
        found.setdefault(file.format, {}).update(dict.fromkeys(file.columns))
    return {kind: list(columns) for kind, columns in found.items()}


def require_columns(files: Sequence[LogFile], fields: Sequence[Field], mapping: Mapping) -> None:
    """Checks that the files have what the fields read.

    A CSV or Parquet file has to have every column. A record of JSON need not, so that with a mapping it is enough if
    one of the JSON files has it; in the contract's shape each file has it.

    Raises:
        InputError: a file has not what a field needs, with the name that is likely meant.
        SettingsError: an expression does not parse.
    """
    of_format = columns_of(files)
    checked: set[tuple[str, tuple[str, ...]]] = set()
    for file in files:
        if not (file.columns or file.records):
            continue
        together = file.format == "json" and not mapping.is_default
        columns = of_format[file.format] if together else file.columns
        shape = (file.format, tuple(columns))
        if shape in checked:
            continue
        checked.add(shape)
        _require_once(file, fields)
        _require(file, columns, [field for field in fields if not field.optional], mapping)


def _require(file: LogFile, columns: Sequence[str], fields: Sequence[Field], mapping: Mapping) -> None:
    lacking = [(field, name) for field in fields for name in _lacking(field, file, columns)]
    if not lacking:
        return
    if mapping.is_default:
        missing = [name for _, name in lacking]
        raise InputError(
            f"{file.path}: missing column{'s' * (len(missing) > 1)} {', '.join(missing)}; found "
            f"{', '.join(file.columns)}. Correct what writes the log (null where there is no value), then deliver "
            "the file again. If the log is as it should be, describe it in mapping.toml "
            "(docs/bring-your-own-logs.md)."
        )
    problems = []
    for field, name in lacking:
        close = get_close_matches(name, columns, n=1) or [each for each in columns if each.lower() == name.lower()]
        meant = f" (did you mean {close[0]}?)" if close else ""
        problems.append(f"{field.key} = {field.text!r} names the column {name}{meant}")
    raise InputError(
        f"{file.path} has not what mapping.toml reads: {'; '.join(problems)}. Columns found: {shown(columns)}. "
        "Correct the expression, or what writes the file."
    )


def _require_once(file: LogFile, fields: Sequence[Field]) -> None:
    """Raises an InputError if a field reads a column of which there are several."""
    read = {path[0] for field in fields for path in expression(field, file.columns, nested=file.format == "json").paths}
    if twice := [name for name in dict.fromkeys(file.columns) if name in read and file.columns.count(name) > 1]:
        raise InputError(
            f"{file.path}: more than one column is named {', '.join(twice)}; found {shown(file.columns)}. Deliver the "
            "file again with other names, or correct columns in mapping.toml."
        )


def _lacking(field: Field, file: LogFile, columns: Sequence[str]) -> Iterator[str]:
    """Names that a field needs and that are not there."""
    nested = file.format == "json"
    for path in expression(field, columns, nested=nested).paths:
        name = ".".join(path) if nested else path[0]
        if name not in columns:
            yield name
