"""The text of a first `mapping.toml` and `nightshift.toml`, with a comment on everything that was guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from contracts.columns import Columns as C
from contracts.settings import Ingest
from nightshift.starter.guess import Guess
from nightshift.starter.sample import Sample
from spark_jobs.ingest.log_files import FORMATS

STRONGEST = ("purchase", "cart", "rating", "view")
"""Behaviours by what they say of interest: the first that a log has is what the model predicts."""

NEEDED = (C.USER_ID, C.ITEM_ID, C.EVENT_TIME)
"""Fields without which a record is no event."""

OPTIONAL = {
    C.EVENT_TYPE: "the behaviour; without it every record is a purchase",
    C.QUANTITY: "pieces; without it 1 in a purchase",
    C.PRICE: "of one piece",
    "value": "what the line cost in all, where there is no price: price = value / quantity",
    C.SESSION_ID: "the basket, order or visit",
    C.RATING: "how much the user liked it, such as stars",
}
"""Fields that an event may have, with what they are."""


def mapping_text(logs: Sample, event: Guess, catalogue: Sample | None, item: Mapping[str, str]) -> str:
    """The text of `mapping.toml`; ``catalogue`` is None where the log's own records tell the attributes."""
    lines = [
        "# How this shop's logs are read. `nightshift check` shows what comes of it.",
        "# All keys: docs/bring-your-own-logs.md",
        "",
        "[logs]",
        *source(logs),
        *(
            [f"days = {quote(logs.days)}   # the day of a file, in its path below `path`"]
            if logs.days
            else ["# no day in the paths: each record's own time tells its day"]
        ),
        "",
        "[event]   # each field as a Spark SQL expression over the log's columns, which are all text",
        f"# columns: {names(logs.columns)}",
    ]
    for name in NEEDED:
        if name in event.remarks:
            lines.append(f"# {event.remarks[name]}")
        lines.append(
            f"{name} = {quote(event.event[name])}"
            if name in event.event
            else f"# {name} = …   not found: say which column"
        )
        if name == C.EVENT_TIME and event.time_format:
            lines.append(f"time_format = {quote(event.time_format)}")
    for name, doc in OPTIONAL.items():
        if name in event.remarks:
            lines.append(f"# {event.remarks[name]}")
        lines.append(f"{name} = {quote(event.event[name])}" if name in event.event else f"# {name} = …   {doc}")
    if event.behaviours:
        lines += ["", "[behaviours]   # the log's words for each behaviour; others stay as they are"]
        lines += [f"{name} = {json.dumps(words, ensure_ascii=False)}" for name, words in event.behaviours.items()]
    lines += ["", "[catalogue]"]
    lines += ["inline = true   # attributes from the log's own records"] if catalogue is None else source(catalogue)
    lines += ["", "[item]"]
    if catalogue is not None:
        lines.append(f"# columns: {names(catalogue.columns)}")
    lines += [f"{name} = {quote(expression)}" for name, expression in item.items()]
    return "\n".join(lines) + "\n"


def source(sample: Sample) -> list[str]:
    """Where files lie and how they are written, as lines of a section."""
    path = sample.path.resolve()
    lines = [f"path = {quote(str(path))}"]
    if sample.path.is_dir():
        lines.append(f"files = {quote(f'**/*{sample.suffix}')}   # {sample.files:,} files")
    if not any(suffix in FORMATS for suffix in sample.suffix.lower().replace(".", " .").split()):
        lines.append(f"format = {quote(sample.format)}   # the names do not tell it")
    if sample.encoding != "utf-8":
        lines.append(f"encoding = {quote(sample.encoding)}   # the files are not UTF-8; look at letters with accents")
    if sample.format == "csv":
        if sample.delimiter != ",":
            lines.append(f"delimiter = {quote(sample.delimiter)}")
        if sample.multiline:
            lines.append("multiline = true   # quoted values go on over several lines")
        if not sample.has_header:
            lines.append(f"columns = {json.dumps(list(sample.columns))}   # there is no header line: name them")
    return lines


def settings_text(event: Guess, time_zone: str, weights: Mapping[str, float]) -> str:
    """The text of `nightshift.toml`."""
    zone = f"time_zone = {quote(time_zone)}"
    if not event.zoned and time_zone == "UTC":
        zone += '   # the times name no zone: set the shop\'s, such as "Europe/London"'
    behaviours = ", ".join(f"{key(name)} = {weight:g}" for name, weight in weights.items())
    target = next((name for name in STRONGEST if name in weights), next(iter(weights), "purchase"))
    return "\n".join([
        "# Settings of this shop; docs/settings.md lists all of them.",
        'profile = "demo"   # small enough for two cores; "full" wants a GPU',
        "",
        "[shop]",
        zone,
        '# closed_weekdays = ["sunday"]   # days without logs',
        "# closed_dates = [2011-12-25]",
        "",
        "[ingest]",
        f"behaviours = {{ {behaviours} }}   # known ones, and the weight of each in the model",
        f"targets = [{quote(target)}]   # what the model predicts",
        *_ratings(event.scale),
        '# expected_rejects = ["returned", "missing_user_id"]   # reasons that do not count in the bounds',
        "",
        "[scoring]",
        "n = 20   # items for every user",
        "# exclude_seen_days = { purchase = 30 }   # not again what a user did in the last days",
        "",
    ])  # fmt: skip


def _ratings(scale: tuple[float, float] | None) -> list[str]:
    """What is said of ratings, where there are any."""
    if scale is None:
        return []
    least = Ingest(rating_scale=scale).target_events.least
    return [
        f"rating_scale = [{scale[0]:g}, {scale[1]:g}]   # lowest and highest rating; an event counts by its rating",
        f"# min_target_rating = {least:g}   # what is rated lower is not predicted",
    ]


def key(name: str) -> str:
    """A key of TOML: a plain word, or quoted."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quote(name)


def names(columns: Mapping[str, Sequence[str]]) -> str:
    """Columns with a value each, for a comment: one line, nothing that ends it."""
    shown = (f"{name} ({' '.join(values[0].split())[:24]})" if values else name for name, values in columns.items())
    return ", ".join("".join(sign if sign.isprintable() else "?" for sign in each) for each in shown)


def quote(text: str | Path) -> str:
    """A TOML string."""
    return json.dumps(str(text), ensure_ascii=False)
