"""Plots as inline SVG: text that a screen reader can read, colours from the page's own CSS, no script.

Every function returns one ``<svg>`` with a title and a description; all names are escaped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH = 720
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 26
COLOURS = 6
"""Series have the classes c1 to c6 of the page's CSS, then again from c1."""


@dataclass(frozen=True)
class Interval:
    """A value with the ends of its interval, where they are known."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    strong: bool = False  # the one that the page is about


@dataclass(frozen=True)
class Scale:
    """Maps values to positions on an axis of the drawing."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round values that cover ``low`` to ``high`` in about ``count`` steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [n * step for n in range(first, last + 1)]


def number(value: float) -> str:
    """A number as an axis shows it."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def stacked_bars(title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]], height: int = 200) -> Markup:
    """One bar for each label, each with the parts of ``series`` from the bottom up."""
    totals = [sum(values[n] for values in series.values()) for n in range(len(labels))]
    marks = ticks(0, max([*totals, 1]))
    y = Scale(0, marks[-1], height - BOTTOM, TOP)
    slot = (WIDTH - LEFT - RIGHT) / max(len(labels), 1)
    parts = [_y_axis(marks, y)]
    for n, label in enumerate(labels):
        base = 0.0
        x = LEFT + n * slot + slot * 0.12
        for colour, (name, values) in enumerate(series.items()):
            if values[n] <= 0:
                continue
            top = base + values[n]
            parts.append(Markup('<rect class="c{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
                                "<title>{}: {} {}</title></rect>").format(
                colour % COLOURS + 1, x, y(top), slot * 0.76, max(y(base) - y(top), 0.5), label,
                f"{values[n]:,.0f}", name))  # fmt: skip
            base = top
    parts.append(_x_labels([(LEFT + (n + 0.5) * slot, label) for n, label in enumerate(labels)], height))
    described = ", ".join(f"{name} {sum(values):,.0f} in all" for name, values in series.items())
    return _svg(title, f"{len(labels)} bars; {described}", height, parts) + legend(list(series))


def lines(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    labels: Mapping[float, str] | None = None,
    height: int = 200,
    width: int = WIDTH,
    *,
    show_points: bool = False,
) -> Markup:
    """One line for each of ``series``, points in order of x; ``labels`` name values of x."""
    points = [point for values in series.values() for point in values if math.isfinite(point[1])]
    if not points:
        return Markup("")
    xs, ys = [x for x, _ in points], [y for _, y in points]
    marks = ticks(min(ys), max(ys))
    pad = (max(xs) - min(xs) or 2) * 0.02
    x = Scale(min(xs) - pad, max(xs) + pad, LEFT, width - RIGHT)
    y = Scale(marks[0], marks[-1], height - BOTTOM, TOP)
    parts = [_y_axis(marks, y, width)]
    for colour, (name, values) in enumerate(series.items()):
        good = [(x(a), y(b), b) for a, b in values if math.isfinite(b)]
        kind = colour % COLOURS + 1
        way = " ".join(f"{a:.1f},{b:.1f}" for a, b, _ in good)
        line = Markup('<polyline class="line l{}" points="{}"><title>{}</title></polyline>')
        parts.append(line.format(kind, way, name))
        if show_points or len(good) == 1:
            parts += [Markup('<circle class="c{}" cx="{:.1f}" cy="{:.1f}" r="3.5"><title>{}: {}</title></circle>')
                      .format(kind, a, b, name, number(value)) for a, b, value in good]  # fmt: skip
    inside = [at for at in ticks(min(xs), max(xs)) if min(xs) <= at <= max(xs)]
    labelled = labels if labels is not None else {at: number(at) for at in inside}
    parts.append(_x_labels([(x(at), label) for at, label in labelled.items()], height))
    ends = ", ".join(f"{name} ends at {number(values[-1][1])}" for name, values in series.items() if values)
    drawn = _svg(title, ends, height, parts, width)
    return drawn + legend(list(series)) if len(series) > 1 else drawn


def intervals(title: str, rows: Sequence[Interval]) -> Markup:
    """A dot with its interval for each row, one below the other, on one scale that starts at 0."""
    if not rows:
        return Markup("")
    row_height, left = 26, 250
    height = len(rows) * row_height + TOP + BOTTOM
    highest = max(row.high if row.high is not None and math.isfinite(row.high) else row.value for row in rows)
    marks = ticks(0, highest, 5)
    x = Scale(0, marks[-1], left, WIDTH - 76)
    parts = [
        Markup('<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>'
               '<text class="tick" x="{0:.1f}" y="{3}" text-anchor="middle">{4}</text>')
        .format(x(mark), TOP, height - BOTTOM, height - 8, number(mark))
        for mark in marks
    ]  # fmt: skip
    for n, row in enumerate(rows):
        y = TOP + (n + 0.5) * row_height
        colour = 1 if row.strong else 0
        parts.append(Markup('<text class="{}" x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
            "name strong" if row.strong else "name", left - 12, y + 4, _cut(row.name, 30)))  # fmt: skip
        if row.low is not None and row.high is not None and math.isfinite(row.low) and math.isfinite(row.high):
            parts.append(Markup('<line class="whisker l{}" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>').format(
                colour, x(max(row.low, 0)), x(row.high), y, y))  # fmt: skip
        parts.append(
            Markup(
                '<circle class="c{}" cx="{:.1f}" cy="{:.1f}" r="4.5"/>'
                '<text class="{}" x="{}" y="{:.1f}" text-anchor="end">{}</text>'
            ).format(
                colour, x(row.value), y, "name strong" if row.strong else "name", WIDTH - 8, y + 4, f"{row.value:.4f}"
            )
        )
    described = ", ".join(f"{row.name} {row.value:.4f}" for row in rows)
    return _svg(title, described, height, parts)


def share_bar(title: str, shares: Mapping[str, float]) -> Markup:
    """One bar cut into shares of a whole."""
    height, x, parts = 30, 0.0, []
    for colour, (name, value) in enumerate(shares.items()):
        width = value * WIDTH
        if width <= 0:
            continue
        part = Markup('<rect class="c{}" x="{:.1f}" y="0" width="{:.1f}" height="{}"><title>{}: {}</title></rect>')
        parts.append(part.format(colour % COLOURS + 1, x, max(width - 1.5, 0.5), height, name, f"{value:.1%}"))
        x += width
    described = ", ".join(f"{name} {value:.1%}" for name, value in shares.items())
    return _svg(title, described, height, parts) + legend([f"{name} {value:.1%}" for name, value in shares.items()])


def legend(names: Sequence[str]) -> Markup:
    """What the colours stand for."""
    item = Markup(
        '<li><svg class="key" viewBox="0 0 10 10" aria-hidden="true">'
        '<rect class="c{}" width="10" height="10" rx="2"/></svg>{}</li>'
    )
    items = [item.format(n % COLOURS + 1, name) for n, name in enumerate(names)]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def _svg(title: str, described: str, height: float, parts: Sequence[Markup], width: int = WIDTH) -> Markup:
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}: {}"><title>{}</title>{}</svg>'
    ).format(width, height, title, described, title, Markup("").join(parts))


def _y_axis(marks: Sequence[float], y: Scale, width: int = WIDTH) -> Markup:
    return Markup("").join(
        Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
               '<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}</text>')
        .format(LEFT, width - RIGHT, y(mark), y(mark), LEFT - 7, y(mark) + 4, number(mark))
        for mark in marks
    )  # fmt: skip


def _x_labels(labels: Sequence[tuple[float, str]], height: int, every: float = 62) -> Markup:
    """Labels below the axis, leaving out those that would run into the one to their right."""
    shown: list[tuple[float, str]] = []
    for x, label in reversed(labels):
        if not shown or shown[-1][0] - x >= every:
            shown.append((x, label))
    return Markup("").join(
        Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(x, height - 8, label)
        for x, label in reversed(shown)
    )


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
