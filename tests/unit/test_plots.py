"""Plots are well-formed, escaped and have the shapes that the data say."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from markupsafe import Markup

from spark_jobs.reporting import plots

EVIL = "<script>alert('x')</script>"


def parsed(markup: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{markup}</div>")


def rectangles(markup: Markup) -> list[float]:
    return [float(bar.attrib["height"]) for bar in parsed(markup).findall("svg[@class='plot']/rect")]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 5, 10]),
        (0, 1, [0, 0.5, 1]),
        (0.11, 0.29, [0.1, 0.15, 0.2, 0.25, 0.3]),
        (0, 6600, [0, 2000, 4000, 6000, 8000]),
    ],
)
def test_ticks_are_round_and_cover_the_values(low: float, high: float, expected: list[float]) -> None:
    assert plots.ticks(low, high) == pytest.approx(expected)


def test_ticks_of_one_value_lie_around_it() -> None:
    for value in (0.0, 3.0, -2.0):
        marks = plots.ticks(value, value)
        assert marks[0] < value < marks[-1]


def test_bars_stack_in_proportion_and_leave_out_nothing_and_zero() -> None:
    drawn = plots.stacked_bars("days", ["a", "b", "c"], {"clean": [4, 2, 0], "rejected": [0, 2, 0]})
    first, second, third = rectangles(drawn)
    assert (second, third) == pytest.approx((first / 2, first / 2), abs=0.1)


def test_lines_pass_over_what_is_not_finite() -> None:
    drawn = plots.lines("loss", {"loss": [(0, 2.0), (1, float("nan")), (2, 1.0)]})
    (line,) = parsed(drawn).findall(".//polyline")
    assert len(line.attrib["points"].split()) == 2
    assert plots.lines("loss", {"loss": [(0, float("nan"))]}) == ""


def test_an_interval_that_is_not_known_has_no_whisker() -> None:
    rows = [plots.Interval("a", 0.2, 0.1, 0.3), plots.Interval("b", 0.1), plots.Interval("c", 0.1, 0.1, float("inf"))]
    assert len(parsed(plots.intervals("ndcg", rows)).findall(".//line[@class='whisker l0']")) == 1
    assert plots.intervals("ndcg", []) == ""


@pytest.mark.parametrize(
    "drawn",
    [
        plots.stacked_bars(EVIL, [EVIL], {EVIL: [1]}),
        plots.lines(EVIL, {EVIL: [(0, 1), (1, 2)], "b": [(0, 1)]}, {0: EVIL}, show_points=True),
        plots.intervals(EVIL, [plots.Interval(EVIL, 1)]),
        plots.share_bar(EVIL, {EVIL: 0.4, "b": 0.6}),
    ],
)
def test_names_are_escaped_and_every_plot_has_a_title(drawn: Markup) -> None:
    assert "<script" not in drawn
    svg = parsed(drawn).find("svg")
    assert svg is not None
    assert svg.attrib["role"] == "img"
    assert svg.findtext("title") == EVIL
