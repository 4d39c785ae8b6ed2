"""Variants side by side: means, gains on the same users with intervals, times as ratios, and the cells of the docs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from contracts.errors import InputError
from models.metrics import bootstrap
from nightshift.bench_model.results import RESAMPLES, SEED, Gain, gain_of
from nightshift.bench_techniques.measure import Measured
from nightshift.bench_techniques.variants import DEFAULT, FROZEN, NOT_MEASURED, Variant

UNKNOWN = "not measured yet"
COLUMNS = ("", "NDCG@10", "over the default", "over frozen", "with repeats", "pairs", "tuning", "encoding")
"""Headings of `cells`."""


@dataclass(frozen=True)
class Result:
    """One variant beside the default and the frozen tower. NDCG@10 is of what is new to the users, by text alone."""

    name: str
    row: str
    also: str
    ndcg: float
    interval: tuple[float, float]  # of ndcg
    over_default: Gain
    over_frozen: Gain | None  # None where the frozen tower was not measured
    with_repeats: float  # NDCG@10 where a user's own items may be shown again: noise alone makes it higher
    pairs: float  # MRR of the held-out pairs, of the weights that were kept
    tuning: float  # seconds
    times: tuple[float, float]  # tuning and encoding, the default's are 1


@dataclass(frozen=True)
class Refused:
    """A variant that the code refuses, and in which words."""

    name: str
    row: str
    also: str
    why: str


def compared(made: Mapping[Variant, Measured]) -> list[Result | Refused]:
    """A result of each variant, in their order.

    Raises:
        InputError: the default was not measured, or refused: nothing can be compared.
    """
    default = made.get(DEFAULT, Measured.refusal("nobody did yet, run it without --no-measure"))
    frozen = made.get(FROZEN)
    if default.refused:
        raise InputError(f"{DEFAULT.name} is not measured, and all are compared with it: {default.refused}")
    return [_result(variant, each, default, frozen) for variant, each in made.items()]


def _result(variant: Variant, made: Measured, default: Measured, frozen: Measured | None) -> Result | Refused:
    if made.refused:
        return Refused(variant.name, variant.row, variant.also, made.refused)
    pairs = made.curve or {0: default.curve.get(0, 0.0)}  # where tuning begins is what is frozen
    return Result(
        variant.name,
        variant.row,
        variant.also,
        float(np.nanmean(made.of_new)),
        bootstrap(made.of_new, RESAMPLES, SEED),
        gain_of(made.of_new, default.of_new),
        gain_of(made.of_new, frozen.of_new) if frozen and not frozen.refused else None,
        float(np.nanmean(made.of_users)),
        max(pairs.values()),
        made.tuning,
        (_ratio(made.tuning, default.tuning), _ratio(made.encoding, default.encoding)),
    )


def _ratio(seconds: float, default: float) -> float:
    """NaN where the default took none: it was not tuned."""
    return seconds / default if default else float("nan")


def cells(result: Result) -> list[str]:
    """A row for people."""
    tuning, encoding = result.times
    return [
        result.name,
        f"{result.ndcg:.4f}",
        str(result.over_default),
        str(result.over_frozen or ""),
        f"{result.with_repeats:.4f}",
        f"{result.pairs:.4f}",
        f"{tuning:.2f}",
        f"{encoding:.2f}",
    ]


def documented(page: str, column: str, results: Sequence[Result | Refused]) -> str:
    """The page docs/techniques.md with what was measured in one column of its tables, by the names of their rows.

    Raises:
        InputError: no table has such a column.
    """
    lines, place = [], None
    for line in page.splitlines():
        told = [each.strip() for each in line.removeprefix("|").removesuffix("|").split("|")]
        if not line.startswith("|"):
            place = None
        elif column in told:
            place = told.index(column)
        elif place is not None and (row := row_of(line)):
            told[place] = _cell(row, results)
            line = f"| {' | '.join(told)} |"
        lines.append(line)
    if not any(column in line for line in lines):
        raise InputError(f"No table of the page has a column {column!r}: add it to those that are to have the figures.")
    return "\n".join(lines) + "\n"


def row_of(line: str) -> str:
    """The setting that a line of a table names; empty if it is no such line."""
    found = re.match(r"\| `([^`]+)`", line)
    return found[1] if found else ""


def _cell(row: str, results: Sequence[Result | Refused]) -> str:
    """What was measured of one row, of several variants one below the other."""
    if row in NOT_MEASURED:
        return NOT_MEASURED[row]
    return "<br>".join(_of_variant(each) for each in results if each.row == row) or UNKNOWN


def _of_variant(result: Result | Refused) -> str:
    also = f"`{result.also}`: " if result.also else ""
    if isinstance(result, Refused):
        return f"{also}refused: {result.why}"
    gained = "" if result.name == DEFAULT.name else f" ({result.over_default})"
    tuning, encoding = result.times
    return f"{also}{result.ndcg:.4f}{gained}; pairs {result.pairs:.4f}; time {tuning:.2f}, {encoding:.2f}"
