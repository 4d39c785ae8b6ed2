"""Variants side by side: means, gains on the same users with intervals, times as ratios, and the rows of the docs."""

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

MEASURED = ("validation NDCG@10", "pairs", "time")
"""Headings of the last columns of a table of docs/techniques.md: what is measured."""
UNKNOWN = "not measured yet"
COLUMNS = (
    "", "NDCG@10", "over the default", "over frozen", "new to the user", "over frozen, new", "pairs", "tuning",
    "encoding",
)  # fmt: skip
"""Headings of `cells`."""


@dataclass(frozen=True)
class Result:
    """One variant beside the default and the frozen tower."""

    name: str
    row: str
    also: str
    ndcg: float  # @10, by text alone, of the judged users
    new: float  # of what is new to the user
    interval: tuple[float, float]  # of ndcg
    over_default: Gain
    over_frozen: Gain
    new_over_frozen: Gain
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
        InputError: the default or the frozen tower was refused: nothing can be compared.
    """
    for each in (DEFAULT, FROZEN):
        if made[each].refused:
            raise InputError(f"{each.name} cannot be measured, and all are compared with it: {made[each].refused}")
    return [_result(variant, each, made[DEFAULT], made[FROZEN]) for variant, each in made.items()]


def _result(variant: Variant, made: Measured, default: Measured, frozen: Measured) -> Result | Refused:
    if made.refused:
        return Refused(variant.name, variant.row, variant.also, made.refused)
    pairs = made.curve or {0: default.curve.get(0, 0.0)}  # where tuning begins is what is frozen
    return Result(
        variant.name,
        variant.row,
        variant.also,
        float(np.nanmean(made.of_users)),
        float(np.nanmean(made.of_new)) if not np.isnan(made.of_new).all() else float("nan"),
        bootstrap(made.of_users, RESAMPLES, SEED),
        gain_of(made.of_users, default.of_users),
        gain_of(made.of_users, frozen.of_users),
        gain_of(made.of_new, frozen.of_new),
        max(pairs.values()),
        made.tuning,
        (_ratio(made.tuning, default.tuning), _ratio(made.encoding, default.encoding)),
    )


def _ratio(seconds: float, default: float) -> float:
    """NaN where the default took none: it was not tuned."""
    return seconds / default if default else float("nan")


def said(gained: Gain) -> str:
    """A gain with its interval."""
    return f"{gained.mean:+.4f} [{gained.low:+.4f}, {gained.high:+.4f}]"


def cells(result: Result) -> list[str]:
    """A row for people."""
    tuning, encoding = result.times
    return [
        result.name,
        f"{result.ndcg:.4f}",
        said(result.over_default),
        said(result.over_frozen),
        f"{result.new:.4f}",
        said(result.new_over_frozen),
        f"{result.pairs:.4f}",
        f"{tuning:.2f}",
        f"{encoding:.2f}",
    ]


def documented(page: str, results: Sequence[Result | Refused]) -> str:
    """The page docs/techniques.md with what was measured in the last columns of its tables."""
    lines, inside = [], False
    for line in page.splitlines():
        inside = line.startswith("|") and (inside or line.endswith(_row(MEASURED)))
        found = re.match(r"\| `([^`]+)`", line) if inside else None
        lines.append(_with_cells(line, _cells(found[1], results)) if found else line)
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "".join(f" {cell} |" for cell in cells)


def _with_cells(line: str, cells: Sequence[str]) -> str:
    told = line.removeprefix("|").removesuffix("|").split("|")[: -len(MEASURED)]
    return f"|{'|'.join(told)}|{_row(cells)}"


def _cells(row: str, results: Sequence[Result | Refused]) -> tuple[str, str, str]:
    """What was measured of one row, of several variants one below the other."""
    if row in NOT_MEASURED:
        return NOT_MEASURED[row], "–", "–"
    own = [each for each in results if each.row == row]
    if not own:
        return UNKNOWN, UNKNOWN, UNKNOWN
    first, second, third = zip(*map(_cells_of, own), strict=True)
    return "<br>".join(first), "<br>".join(second), "<br>".join(third)


def _cells_of(result: Result | Refused) -> tuple[str, str, str]:
    also = f"`{result.also}`: " if result.also else ""
    if isinstance(result, Refused):
        return f"{also}refused: {result.why}", "–", "–"
    gained = "" if result.name == DEFAULT.name else f" ({said(result.over_default)})"
    tuning, encoding = result.times
    return f"{also}{result.ndcg:.4f}{gained}", f"{result.pairs:.4f}", f"{tuning:.2f}×, {encoding:.2f}×"
