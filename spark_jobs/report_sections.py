"""What the nightly page shows, section by section: rows and plots from small tables, no Spark and no clock."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.dataset as pads
from markupsafe import Markup

from spark_jobs import hindsight as judged
from spark_jobs import plots, storage
from spark_jobs.audit import CRITICAL
from spark_jobs.contracts.columns import Columns as C
from spark_jobs.contracts.errors import InputError
from spark_jobs.contracts.settings import Settings
from spark_jobs.contracts.tables import (
    EVENTS_REJECTED,
    INGEST_COUNTS,
    MODEL_EVALUATIONS,
    PUBLICATIONS,
    QUALITY_RESULTS,
    RECOMMENDATIONS,
    SOURCES,
    Table,
)
from spark_jobs.examples import item_texts, pseudonym, pseudonym_key

Row = dict[str, Any]

DAYS = 28
"""Days that the volumes go back."""
NIGHTS = 28
"""Earlier nights whose hindsight is shown."""
TOP_ITEMS = 10
SAMPLED_LISTS = 50_000
"""Lists from which the commonest items are counted."""
REJECTS_SHOWN = 3
PUBLISHED, HELD, STOPPED = "published", "held", "stopped"
METRICS = ("ndcg@10", "recall@10")
"""Metrics of the model that are drawn; all are in the table."""


@dataclass(frozen=True)
class Night:
    """The small tables as one run sees them."""

    ds: date
    run_id: str
    publications: list[Row]  # all up to and including the night
    quality: list[Row]  # of the night, from this run where it has any
    counts: dict[date, Row]

    @property
    def own(self) -> Row | None:
        """The night's newest publication row: of this run, else of any."""
        of_night = [row for row in self.publications if row[C.DS] == self.ds]
        return newest([row for row in of_night if row[C.RUN_ID] == self.run_id]) or newest(of_night)

    @property
    def last(self) -> Row | None:
        """The newest row of the last night before this one that was published."""
        return newest_night([row for row in self.publications if row[C.DS] < self.ds])

    @property
    def live(self) -> Row | None:
        """The row of the lists that readers get."""
        return newest_night(self.publications)

    @property
    def failures(self) -> list[Row]:
        """Critical expectations that failed before the audit."""
        return [row for row in self.quality if is_critical_failure(row) and row[C.SUITE] != "recommendations"]

    @property
    def warnings(self) -> list[Row]:
        """Warnings of all suites."""
        return [row for row in self.quality if not row[C.SUCCESS] and row[C.SEVERITY] != CRITICAL]


@dataclass(frozen=True)
class Verdict:
    """What became of the night."""

    state: str
    headline: str
    reasons: list[str]
    readers: str  # what readers get now


@dataclass(frozen=True)
class Change:
    """A figure of this night next to the last one."""

    name: str
    before: str
    now: str
    change: str


def newest(rows: Iterable[Row]) -> Row | None:
    """The row that was written last."""
    return max(rows, key=lambda row: (row["published_at"], row["status"]), default=None)


def newest_night(rows: Iterable[Row]) -> Row | None:
    """The newest row of the newest published night."""
    return max((row for row in rows if row["status"] == PUBLISHED),
               key=lambda row: (row[C.DS], row["published_at"]), default=None)  # fmt: skip


def is_critical_failure(row: Mapping[str, Any]) -> bool:
    """Whether an expectation's row stops a night."""
    return row[C.SEVERITY] == CRITICAL and not row[C.SUCCESS]


def load(settings: Settings, ds: date, run_id: str) -> Night:
    """Reads the small tables; those that were never written are empty."""
    publications = [row for row in storage.small_rows(settings, PUBLICATIONS) if row[C.DS] <= ds]
    quality = storage.small_rows(settings, QUALITY_RESULTS, {C.DS: ds})
    own = [row for row in quality if row[C.RUN_ID] == run_id]
    if not own and (of_night := newest(row for row in publications if row[C.DS] == ds)):
        own = [row for row in quality if row[C.RUN_ID] == of_night[C.RUN_ID]]
    counts = {row[C.DS]: row for row in storage.small_rows(settings, INGEST_COUNTS) if row[C.DS] <= ds}
    return Night(ds, run_id, publications, own, counts)


def verdict(night: Night) -> Verdict:
    """The first thing to know: did new lists go out, and if not, why."""
    live = night.live
    if live is None:
        readers = "Nothing was ever published: readers get no lists."
    elif live[C.DS] == night.ds:
        readers = f"Readers get the lists of this night: {live['users']:,} users, model {live[C.MODEL_ID]}."
    else:
        readers = f"Readers get the lists of {live[C.DS]}: {live['users']:,} users, model {live[C.MODEL_ID]}."
    own = night.own
    if night.failures:
        reasons = [f"{row[C.SUITE]}: {row[C.EXPECTATION]}: {row[C.OBSERVED]} (expected: {row[C.EXPECTED]})"
                   for row in night.failures]  # fmt: skip
        return Verdict(STOPPED, "Stopped: the night's data failed its validation", reasons, readers)
    if own and own["status"] == HELD:
        return Verdict(HELD, "Held: the audit found faults in the lists", list(own["reasons"]), readers)
    if own:
        reasons = [] if own[C.RUN_ID] == night.run_id else [
            f"by run {own[C.RUN_ID]}; run {night.run_id} published nothing of its own: its lists were the same, "
            "or it failed on the way"
        ]  # fmt: skip
        return Verdict(PUBLISHED, "Published", reasons, readers)
    return Verdict(STOPPED, "Not published", [how_far(night)], readers)


def how_far(night: Night) -> str:
    """What a night without a publication row left behind."""
    if night.quality:
        return "The data was validated, then a later step failed: fine-tune, embed, score or publish."
    if night.ds in night.counts:
        return "The events were cleaned, but there are no results of the validation."
    return "There are no cleaned events of this day: the logs did not arrive, could not be read, or cleaning failed."


def changes(night: Night) -> list[Change]:
    """This night next to the last published one, and its log next to the day's before."""
    now, before = night.own, night.last
    rows = []
    if now and before:
        rows.append(Change("model", before[C.MODEL_ID], now[C.MODEL_ID],
                           "same" if before[C.MODEL_ID] == now[C.MODEL_ID] else "new model"))  # fmt: skip
        rows.append(_change("users with a list", before["users"], now["users"], _count))
        shown = (("distinct items", "distinct_items", _count), ("share of the catalogue", "catalogue_share", _percent),
                 ("reach of the commonest item", "top_item_share", _percent),
                 ("mean share of a list that is new", "churn", _percent),
                 *((f"from {source}", f"source_{source}", _percent) for source in SOURCES))  # fmt: skip
        for name, measure, form in shown:
            rows.append(_change(name, before["measures"].get(measure), now["measures"].get(measure), form))
    today, yesterday = night.counts.get(night.ds), night.counts.get(night.ds - timedelta(days=1))
    if today and yesterday:
        rows.append(_change("clean events of the day", yesterday["clean"], today["clean"], _count))
        rows.append(_change("rejected share of the day", _rejected_share(yesterday), _rejected_share(today), _percent))
    return rows


def _rejected_share(row: Row) -> float | None:
    return row["rejected"] / row["raw"] if row["raw"] else None


def _change(name: str, before: float | None, now: float | None, form: Callable[[float], str]) -> Change:
    if before is None or now is None:
        change = ""
    elif form is _percent:
        change = f"{round((now - before) * 100, 1) + 0.0:+.1f} points"  # + 0.0: never -0.0
    else:
        change = f"{now - before:+,.0f}" + (f" ({now / before - 1:+.1%})" if before else "")
    was, is_now = ("not known" if value is None else form(value) for value in (before, now))
    return Change(name, was, is_now, change)


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


def expectations(night: Night) -> dict[str, list[Row]]:
    """Results by suite; failed ones first, critical before warning."""
    suites: dict[str, list[Row]] = defaultdict(list)
    order = sorted(night.quality, key=lambda row: (row[C.SUITE], row[C.SUCCESS], row[C.SEVERITY], row[C.EXPECTATION]))
    for row in order:
        suites[row[C.SUITE]].append(row)
    return dict(suites)


def volumes(night: Night) -> Markup:
    """Clean, rejected and duplicate records of the last 28 days."""
    days = [night.ds - timedelta(days=n) for n in reversed(range(DAYS))]
    if not night.counts:
        return Markup("")
    series = {name: [float(night.counts[day][name]) if day in night.counts else 0.0 for day in days]
              for name in ("clean", "rejected", "duplicates")}  # fmt: skip
    return plots.stacked_bars("Log records a day", [_day(day) for day in days], series)


@dataclass(frozen=True)
class Rejects:
    """Rejected records of the last 28 days and of the night."""

    plot: Markup
    of_night: list[tuple[str, int, list[str]]]  # reason, rows, some records


def rejects(settings: Settings, night: Night) -> Rejects:
    """Rejects by reason, the commonest first."""
    first = night.ds - timedelta(days=DAYS - 1)
    days = [first + timedelta(days=n) for n in range(DAYS)]
    where = (pads.field(C.DS) >= first) & (pads.field(C.DS) <= night.ds)
    if not storage.exists(settings, EVENTS_REJECTED):
        return Rejects(Markup(""), [])
    counted = _rows(settings, EVENTS_REJECTED, [C.DS, C.REASON], where).group_by([C.DS, C.REASON])
    counts = counted.aggregate([([], "count_all")]).to_pylist()
    by_day = {(row[C.DS], row[C.REASON]): row["count_all"] for row in counts}
    totals: Counter[str] = Counter()
    for (_, reason), rows in by_day.items():
        totals[reason] += rows
    reasons = sorted(totals, key=lambda reason: (-totals[reason], reason))
    series = {reason: [float(by_day.get((day, reason), 0)) for day in days] for reason in reasons}
    plot = plots.stacked_bars("Rejected records a day", [_day(day) for day in days], series) if series else Markup("")
    key = pseudonym_key(settings)
    of_night = []
    for reason in reasons:
        if rows := by_day.get((night.ds, reason), 0):
            some = _some(settings, EVENTS_REJECTED, [C.EVENT_ID, C.RAW],
                         (pads.field(C.DS) == night.ds) & (pads.field(C.REASON) == reason), 1000)  # fmt: skip
            records = [row[C.RAW] for row in sorted(some, key=lambda row: (row[C.EVENT_ID], row[C.RAW]))]
            of_night.append((reason, rows, [masked(record, key) for record in records[:REJECTS_SHOWN]]))
    return Rejects(plot, of_night)


def masked(record: str, key: bytes) -> str:
    """A raw record with its user under a pseudonym; its length only, where it cannot be parsed."""
    try:
        values = json.loads(record)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        return f"a record of {len(record)} characters that is not a JSON object"
    if values.get(C.USER_ID) is not None:
        values[C.USER_ID] = pseudonym(str(values[C.USER_ID]), key)
    shown = json.dumps(values, ensure_ascii=False)
    return shown if len(shown) <= 300 else f"{shown[:299]}…"


@dataclass(frozen=True)
class Model:
    """The night's model, how it was tested and how it was trained."""

    model_id: str
    snapshot_id: str | None
    segments: dict[str, list[tuple[str, list[str]]]]  # segment -> rows of method and values
    metrics: list[str]
    plots: list[Markup]
    curves: list[Markup]


def model(settings: Settings, night: Night) -> Model | None:
    """The model of the night, else of the last published one."""
    row = night.own or night.last
    if row is None:
        return None
    model_id = row[C.MODEL_ID]
    evaluations = storage.small_rows(settings, MODEL_EVALUATIONS)
    snapshot = max((row[C.SNAPSHOT_ID] for row in evaluations if row[C.MODEL_ID] == model_id), default=None)
    tested = [row for row in evaluations if row[C.SNAPSHOT_ID] == snapshot]
    metrics = sorted({row[C.METRIC] for row in tested}, key=lambda name: (name not in METRICS, name))
    segments = {}
    for segment in sorted({row[C.SEGMENT] for row in tested}, key=lambda name: (name != "all", name)):
        of_segment = [row for row in tested if row[C.SEGMENT] == segment]
        values = {(row[C.MODEL_ID], row[C.METRIC]): _value(row) for row in of_segment}
        segments[segment] = [(method, [values.get((method, metric), "") for metric in metrics])
                             for method in _methods(of_segment, model_id)]  # fmt: skip
    drawn = []
    for metric in METRICS:
        of_metric = {row[C.MODEL_ID]: row for row in tested if row[C.METRIC] == metric and row[C.SEGMENT] == "all"}
        if of_metric:
            drawn.append(plots.intervals(f"{metric} on the test window", [
                plots.Interval(method, of_metric[method][C.VALUE], of_metric[method]["ci_low"],
                               of_metric[method]["ci_high"], strong=method == model_id)
                for method in _methods(of_metric.values(), model_id)
            ]))  # fmt: skip
    return Model(model_id, snapshot, segments, metrics, drawn, curves(settings.models / model_id / "training.json"))


def _methods(rows: Iterable[Row], model_id: str) -> list[str]:
    """The night's model, other models, then baselines."""
    return sorted({row[C.MODEL_ID] for row in rows},
                  key=lambda name: (name != model_id, name.startswith("baseline/"), name))  # fmt: skip


def _value(row: Row) -> str:
    if row["ci_low"] is None or row["ci_high"] is None:
        return f"{row[C.VALUE]:.4f}"
    return f"{row[C.VALUE]:.4f} ± {(row['ci_high'] - row['ci_low']) / 2:.4f}"


def curves(file: Path) -> list[Markup]:
    """Loss and metric curves of a training, one small plot each; none where the model came without them."""
    if not file.is_file():
        return []
    found: dict[str, list[list[float]]] = json.loads(file.read_text()).get("curves", {})
    drawn = [(name, plots.lines(name, {name: [(float(x), float(y)) for x, y in points if y is not None]},
                                width=354, height=170)) for name, points in sorted(found.items())]  # fmt: skip
    return [Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(plot, name) for name, plot in drawn if plot]


@dataclass(frozen=True)
class Reach:
    """What the lists reach: users, items, sources."""

    measures: list[tuple[str, str]]
    sources: Markup
    top_items: list[tuple[str, str, str]]  # item, text, share of lists
    counted: int  # lists that the top items are from


def reach(settings: Settings, night: Night) -> Reach | None:
    """Coverage, concentration and sources of the night's lists, as the audit measured them."""
    own = night.own
    if own is None:
        return None
    found: Mapping[str, float] = own["measures"]
    shown = [
        ("users with events that have a list", "coverage", _percent),
        ("users with a list", "users", _count),
        ("different items in all lists", "distinct_items", _count),
        ("share of the available catalogue", "catalogue_share", _percent),
        ("users that get the commonest item", "top_item_share", _percent),
        ("mean share of a list that is new since the last night", "churn", _percent),
    ]
    shares = {source: found[f"source_{source}"] for source in SOURCES if f"source_{source}" in found}
    lists = _published_lists(settings, night.ds) if own["status"] == PUBLISHED else []
    counts = Counter(item for items in lists for item in items)
    top = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:TOP_ITEMS]
    texts = item_texts(settings, [item for item, _ in top]) if top else {}
    return Reach(
        [(name, form(found[measure])) for name, measure, form in shown if measure in found],
        plots.share_bar("Sources of the recommendations", shares) if shares else Markup(""),
        [(item, texts[item], f"{count / len(lists):.1%}") for item, count in top],
        len(lists),
    )


def _published_lists(settings: Settings, ds: date) -> list[list[str]]:
    rows = _some(settings, RECOMMENDATIONS, [C.ITEMS], pads.field(C.DS) == ds, SAMPLED_LISTS)
    return [[item[C.ITEM_ID] for item in row[C.ITEMS]] for row in rows]


@dataclass(frozen=True)
class Looks:
    """Hindsight of earlier nights."""

    plot: Markup
    newest: Markup
    rows: list[tuple[date, str, int, list[str], str]]  # night, model, users, values, gain over own repeats
    methods: list[str]


def looks(settings: Settings, night: Night) -> Looks | None:
    """Hindsight of the published nights whose 7 days were over when this night ended."""
    published: dict[date, Row] = {}
    for row in night.publications:
        if row["status"] == PUBLISHED and judged.window(row[C.DS]).ds <= night.ds:
            best = newest(filter(None, (published.get(row[C.DS]), row)))
            assert best is not None
            published[row[C.DS]] = best
    found = []
    for ds in sorted(published)[-NIGHTS:]:
        if judged.is_complete(settings, ds):
            try:
                found.append(judged.remembered(settings, ds, published[ds]["content_hash"]))
            except InputError:  # lists of old nights are cleared away
                continue
    found = [one for one in found if one.users]
    if not found:
        return None
    methods, metric = list(found[-1].values), next(iter(judged.METRICS))
    series = {method: [(float(one.ds.toordinal()), one.values[method][metric].mean) for one in found]
              for method in methods}  # fmt: skip
    labels = {float(one.ds.toordinal()): _day(one.ds) for one in found}
    plot = plots.lines(f"{metric} in the 7 days after each night", series, labels, show_points=True)
    bars = plots.intervals(f"{metric} of the night {found[-1].ds}", [
        plots.Interval(method, value[metric].mean, value[metric].low, value[metric].high, strong=n == 0)
        for n, (method, value) in enumerate(found[-1].values.items())
    ])  # fmt: skip
    rows = [
        (one.ds, one.model_id, one.users, [f"{one.values[method][metric].mean:.4f}" for method in methods],
         judged.interval(one.gains[judged.REPEATS][metric], "+.4f"))
        for one in reversed(found)
    ]  # fmt: skip
    return Looks(plot if len(found) > 1 else Markup(""), bars, rows, methods)


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"


def _rows(settings: Settings, table: Table, columns: Sequence[str], where: Any) -> Any:
    return storage.open_table(settings, table).to_pyarrow_dataset().to_table(columns=list(columns), filter=where)


def _some(settings: Settings, table: Table, columns: Sequence[str], where: Any, count: int) -> list[Row]:
    """At most ``count`` rows, from as few files as it takes, in the table's own order."""
    # not Dataset.head: its background reads can hang, or abort Python at its end
    data = storage.open_table(settings, table).to_pyarrow_dataset()
    found: list[Row] = []
    for file in data.get_fragments(filter=where):
        if len(found) >= count:
            break
        rows = file.to_table(schema=data.schema, columns=list(columns), filter=where)
        found += rows.slice(0, count - len(found)).to_pylist()
    return found
