"""Sequences and texts from files, in the two formats that sequential-recommendation benchmarks come in."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from contracts.cli import log
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.prompt import item_text
from models.catalogue import ATTRIBUTES, Catalogue

LINES = "lines of USER ITEM ITEM …, oldest first"
JSON = "a JSON object {user: [item, …]}"
MOST_WORDS = 64
"""Words of a text: the tower cuts it anyway."""


@dataclass(frozen=True)
class Sequences:
    """What each user took, oldest first, and the items."""

    users: list[str]
    items: list[list[int]]  # of each user, index into the catalogue
    catalogue: Catalogue


def read(sequences: Path, texts: Path, template: str) -> Sequences:
    """Reads both files. Gzipped ones are read as they are. Items of JSON get their texts by ``template``.

    Raises:
        InputError: names the file and the line that is neither format, or says that nothing fits together.
    """
    taken = _sequences(sequences)
    described = texts_of(texts, template)
    named = {item for items in taken.values() for item in items}
    without = len(named - described.keys())
    if named and without == len(named):
        some_items, some_texts = sorted(named)[:3], sorted(described)[:3]
        raise InputError(
            f"{texts} describes none of the {len(named):,} items of {sequences}: items there are {some_items}, texts "
            f"are of {some_texts}. Give the texts of the same items."
        )
    if without:
        log.warning("%d of %d items have no text in %s: they are known by their id alone.", without, len(named), texts)
    catalogue = catalogue_of(named | described.keys(), described)
    place = {item: number for number, item in enumerate(catalogue.item_ids)}
    users = sorted(taken)
    return Sequences(users, [[place[item] for item in taken[user]] for user in users], catalogue)


def catalogue_of(names: Iterable[str], described: Mapping[str, Mapping[str, str]]) -> Catalogue:
    """The items in an order that says nothing: ties between equals must not follow ids, which can follow time."""
    ids = sorted(names, key=lambda item: blake2b(item.encode(), digest_size=8).digest())
    told = [described.get(item, {}) for item in ids]
    coded = [
        pd.factorize(np.array([each.get(name) for each in told], dtype=object), sort=True, use_na_sentinel=False)
        for name in ATTRIBUTES
    ]
    return Catalogue(
        pd.Index(ids, dtype=object),
        np.array([each.get("text", "") for each in told], dtype=object),
        np.stack([codes for codes, _ in coded]).astype(np.int32),
        tuple(tuple(None if pd.isna(name) else str(name) for name in values) for _, values in coded),
        np.ones(len(ids), dtype=np.bool_),
    )


def texts_of(file: Path, template: str) -> dict[str, dict[str, str]]:
    """The text and attributes of each item of a file; items of JSON get their texts by ``template``.

    Raises:
        InputError: the file is neither lines of ITEM text nor a JSON object of fields.
    """
    content = _content(file)
    if (made := _json(file, content)) is not None:
        return {str(item): _described(file, item, fields, template) for item, fields in made.items()}
    described: dict[str, dict[str, str]] = {}
    for line in content.splitlines():
        item, _, words = line.strip().replace("\t", " ").partition(" ")
        if item:
            described[item] = {"text": " ".join(words.split()[:MOST_WORDS])}
    if not described:
        raise InputError(f"{file}: expected lines of ITEM text, or a JSON object {{item: fields}}, found nothing.")
    return described


def _sequences(file: Path) -> dict[str, list[str]]:
    content = _content(file)
    if (made := _json(file, content)) is not None:
        return {str(user): _items(file, user, items) for user, items in made.items()}
    taken: dict[str, list[str]] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) == 1:
            raise InputError(f"{file}, line {number}: expected {LINES}, found {line[:60]!r}: a user without an item.")
        if words[0] in taken:
            raise InputError(f"{file}, line {number}: user {words[0]!r} has a line before this one. One line a user.")
        taken[words[0]] = words[1:]
    if not taken:
        raise InputError(f"{file}: expected {LINES}, or {JSON}, found nothing.")
    return taken


def _items(file: Path, user: object, items: object) -> list[str]:
    if not isinstance(items, list) or any(isinstance(item, (list, dict)) or item is None for item in items):
        raise InputError(f"{file}: expected {JSON}, found of user {user!r}: {str(items)[:60]!r}.")
    return [str(item) for item in items]


def _described(file: Path, item: object, fields: object, template: str) -> dict[str, str]:
    """Text and attributes of an item from its JSON fields, of which any may be missing, a list, or empty."""
    if isinstance(fields, str):
        return {"text": fields}
    if not isinstance(fields, dict):
        raise InputError(f"{file}: expected of item {item!r} an object of fields, found {str(fields)[:60]!r}.")
    path = _words(fields.get("categories", fields.get("category")))
    path = [name for each in path for name in each.split(", ")] if len(path) == 1 else path
    words = {name: _words(fields.get(name)) for name in (C.TITLE, C.DESCRIPTION, C.BRAND)}
    words |= {C.DEPARTMENT: path[:1], C.CATEGORY: path[1:2] or path[:1], C.PRODUCT_TYPE: path[-1:]}
    told = {name: " ".join(" ".join(each).split()) for name, each in words.items() if each}
    return told | {"text": item_text(template, told)}


def _words(value: Any) -> list[str]:
    """The strings in a value, however it is nested; nothing for a missing one."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return []
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [word for each in value for word in _words(each)]
    text = str(value).strip()
    return [text] if text else []


def _json(file: Path, content: str) -> dict[str, Any] | None:
    """The object in a JSON file; None for a file of lines."""
    if not content.lstrip().startswith(("{", "[")):
        return None
    try:
        made = json.loads(content)
    except json.JSONDecodeError as error:
        raise InputError(f"{file}, line {error.lineno}: looks like JSON, and is not: {error.msg}.") from error
    if not isinstance(made, dict):
        raise InputError(f"{file}: expected a JSON object, found a list of {len(made):,}.")
    if not made:
        raise InputError(f"{file}: expected {JSON}, or {{item: fields}}, found an empty object.")
    return made


def _content(file: Path) -> str:
    try:
        raw = file.read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8 (byte {error.start}): convert it first.") from error
    except FileNotFoundError as error:
        raise InputError(f"{file} is not there.") from error
