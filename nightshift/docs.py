"""Writes docs/settings.md: every setting with its type, its default in both profiles, and its meaning.

python -m nightshift.docs            (make docs)
python -m nightshift.docs --check    whether the file is current, as `make check` asks
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from contracts.cli import argument, main
from contracts.errors import SettingsError
from contracts.files import write_if_changed
from contracts.settings import PROFILES, PROJECT, Settings

FILE = PROJECT / "docs" / "settings.md"

HEAD = """\
# Settings

Written by `make docs` from `contracts/settings.py`.

Set them in `nightshift.toml` in the folder NIGHTSHIFT_HOME (default: `var/` of the checkout), below the heading of
their section. A name that is not listed here is an error. *full* and *demo* are the defaults of the two profiles;
*demo* is empty where it is the same. The profile is `demo` unless the file or NIGHTSHIFT_PROFILE says otherwise.
"""

BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
"""Attributes of pydantic's constraints, and how they are written."""

NAMES = {
    int: "integer",
    float: "number",
    str: "text",
    bool: "true or false",
    Path: "folder",
    date: "date",
    time: "time of day",
}
"""Types that have no parts, in words."""

UNSET = "—"
PIPE = r"\|"
"""A stroke in a table of Markdown."""


@dataclass(frozen=True)
class Arguments:
    """What to do with the file."""

    check: bool = argument("write nothing: fail if the file is not current", default=False)


def page() -> str:
    """The whole file.

    Raises:
        SettingsError: a setting has no description.
    """
    profiles = {
        name: Settings.model_validate({"home": Path("var"), **values, "profile": name})
        for name, values in PROFILES.items()
    }
    return HEAD + "".join(section(profiles["full"], profiles["demo"]))


def section(full: BaseModel, demo: BaseModel, name: str = "") -> Iterator[str]:
    """A section with its heading and table, then the sections in it; ``full`` and ``demo`` are its two profiles."""
    kind = type(full)
    nested = {key: part for key in kind.model_fields if isinstance(part := getattr(full, key), BaseModel)}
    rows = [
        _row(key, field, getattr(full, key), getattr(demo, key))
        for key, field in kind.model_fields.items()
        if key not in nested
    ]
    if rows:
        yield f"\n## {f'`[{name}]`' if name else 'At the top'}\n\n{kind.__doc__}\n\n"
        yield "| name | type | full | demo | meaning |\n| --- | --- | --- | --- | --- |\n"
        yield from rows
    for key, part in nested.items():
        yield from section(part, getattr(demo, key), f"{name}.{key}" if name else key)


def _row(name: str, field: FieldInfo, full: object, demo: object) -> str:
    """The line of one setting."""
    if not field.description:
        raise SettingsError(f"The setting {name} has no description: give it one in contracts/settings.py.")
    cells = [
        f"`{name}`",
        _type(field.annotation, "".join(_bounds(field))),
        UNSET if field.is_required() else _code(full),
        "" if demo == full else _code(demo),
        field.description,
    ]
    return f"| {' | '.join(cell.replace('|', PIPE) for cell in cells)} |\n"


def _bounds(field: FieldInfo) -> Iterator[str]:
    for constraint in field.metadata:
        for name, sign in BOUNDS.items():
            if (bound := getattr(constraint, name, None)) is not None:
                yield f", {sign} {bound:g}"


def _type(kind: Any, bounds: str = "") -> str:
    """A type in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(_code(choice) for choice in inner)
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"table of {_type(inner[1])}"
    if inner:  # an optional one
        return f"{' or '.join(_type(each, bounds) for each in inner if each is not type(None))}, or unset"
    return NAMES[kind] + bounds


def toml(value: object) -> str:
    """A value as nightshift.toml takes it."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {toml(each)}' for key, each in value.items())} }}" if value else "{}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, Path):
        return json.dumps(str(value))
    if isinstance(value, time):
        return json.dumps(f"{value:%H:%M}")
    return json.dumps(value, ensure_ascii=False)


def _code(value: object) -> str:
    return UNSET if value is None else f"`{toml(value)}`"


def run(_: Settings, arguments: Arguments) -> None:
    """Writes the file, or says that it is not current.

    Raises:
        SettingsError: a setting has no description, or the file is not current.
    """
    current = page()
    if not arguments.check:
        write_if_changed(FILE, current)
    elif not (FILE.exists() and FILE.read_text() == current):
        raise SettingsError(f"{FILE} is not what contracts/settings.py says: run `make docs`.")


if __name__ == "__main__":
    main(__doc__, Arguments, run)
