"""The page of a night says first what became of it, escapes what users wrote, and needs no network."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from contracts import lake
from contracts.cli import Night
from contracts.night_steps import COMPARED, EXACT_MATCHES, FOUND_MATCHES
from contracts.notices import Notice, tell
from contracts.tables import (
    DRIFT_RESULTS,
    EVENTS,
    EVENTS_REJECTED,
    HINDSIGHT_RESULTS,
    INGEST_COUNTS,
    ITEMS,
    MODEL_DECISIONS,
    MODEL_EVALUATIONS,
    NIGHT_STEPS,
    PUBLICATIONS,
    QUALITY_RESULTS,
    RECOMMENDATIONS,
)
from models.artifact import CURVES
from models.cost import Cost
from models.pair_model.told import Gain, Gains
from models.text_losses import TextLosses
from spark_jobs import report
from spark_jobs.reporting.changes import Change, changes
from spark_jobs.reporting.hindsight_section import judged_nights
from spark_jobs.reporting.night import Verdict, load
from spark_jobs.reporting.night import verdict as verdict_of
from tests.factories import counted, event, fallback_row, item, noon, publication, ranked, recommended, result
from tests.lakes import ArrowLake

NIGHT = date(2017, 12, 23)
BEFORE = date(2017, 12, 22)
OLD = date(2017, 12, 16)
RUN = Night(ds=NIGHT, run_id="r1")
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def shop(arrow_lake: ArrowLake) -> ArrowLake:
    arrow_lake.write(ITEMS, [item("1", title=f"Milk {EVIL}"), item("2", title="Tea")])
    arrow_lake.write(
        EVENTS,
        [event("ann", "1", noon(OLD)), event("ann", "2", noon(BEFORE)), event("bob", "1", noon(OLD))],
    )
    arrow_lake.write(INGEST_COUNTS, [counted(NIGHT - timedelta(days=n), 9, 1) for n in range(10)])
    arrow_lake.write(
        EVENTS_REJECTED,
        [
            {
                "event_id": "e1",
                "reason": "unknown_item",
                "ds": NIGHT,
                "raw": f'{{"user_id": "household 17", "item_id": "{EVIL}"}}',
            },
            {"event_id": "e2", "reason": EVIL, "ds": NIGHT, "raw": "household 17, not JSON"},
        ],
    )
    failed = result(NIGHT, "items", "warning", success=False, expectation="texts", observed="0.07 without")
    arrow_lake.write(QUALITY_RESULTS, [result(), failed])
    arrow_lake.write(PUBLICATIONS, [publication(OLD), publication(BEFORE), publication(NIGHT, model_id="m2")])
    items = ranked(("1", 1.0, "repeat", None), ("2", 0.5, "popular", None))
    nights = (OLD, BEFORE, NIGHT)
    lists = [recommended(user, items, ds=ds) for ds in nights for user in ("ann", "bob")]
    arrow_lake.write(RECOMMENDATIONS, [*lists, *(fallback_row("1", ds=ds) for ds in nights)])
    arrow_lake.write(
        MODEL_EVALUATIONS,
        [
            {
                "model_id": model,
                "snapshot_id": "s1",
                "segment": segment,
                "metric": "ndcg@10",
                "value": value,
                "ci_low": value - 0.01,
                "ci_high": value + 0.01,
                "users": 100,
            }
            for segment in ("all", "cold users")
            for model, value in (("m2", 0.28), ("baseline/popular", 0.11))
        ],
    )
    check = {
        "snapshot_id": "s1", "model_id": "m2", "segment": "all", "metric": "ndcg@10", "value": 0.17, "ci_low": 0.16,
        "ci_high": 0.18, "bound": -0.01, "passed": True, "critical": True,
    }  # fmt: skip
    arrow_lake.write(
        MODEL_DECISIONS,
        [
            check | {"rival": "baseline/popular", "why": "+0.1700 over baseline/popular"},
            check | {"rival": "baseline/item_knn", "passed": False, "critical": False, "why": f"{EVIL} is better"},
            check
            | {"rival": "", "value": None, "ci_low": None, "ci_high": None, "bound": None, "why": "promoted: all"},
        ],
    )
    took = {"ds": NIGHT, "seconds": 83.0, "counts": [("users scored", 2)], "ended_at": noon(NIGHT)}
    arrow_lake.write(NIGHT_STEPS, [took | {"step": "score_users"}])
    folder = arrow_lake.settings.models / "m2"
    folder.mkdir(parents=True)
    (folder / CURVES).write_text('{"curves": {"loss": [[0, 2.5], [1, 1.5], [2, NaN]]}}')
    return arrow_lake


def written(shop: ArrowLake, arguments: Night = RUN) -> str:
    report.run(shop.settings, arguments)
    return (shop.settings.reports / f"{arguments.ds}.html").read_text()


def verdict(shop: ArrowLake, arguments: Night = RUN) -> Verdict:
    return verdict_of(load(shop.settings, arguments.ds, arguments.run_id))


class Outside(HTMLParser):
    """Collects what would run, or would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "link", "img"):
            self.seen.append(tag)
        for name, value in attributes:
            inside = (value or "").startswith("#") or re.fullmatch(r"[\w-]+\.html", value or "")
            if name.startswith("on") or (name in ("src", "href", "xlink:href") and not inside):
                self.seen.append(f"{tag} {name}={value}")


def test_the_page_is_escaped_self_contained_and_names_no_user(shop: ArrowLake) -> None:
    page = written(shop)
    outside = Outside()
    outside.feed(page)
    assert outside.seen == []
    assert "url(" not in page
    assert "@import" not in page
    assert "alert(1)" in page
    assert "<script" not in page
    assert "household 17" not in page


def test_the_verdict_comes_first_and_every_section_is_filled(shop: ArrowLake) -> None:
    page = written(shop)
    parts = (
        "<strong>Published</strong>",
        "new model",
        "0.07 without",
        "Rejected records a day",
        "Where recommendations come from",
        "is recommended",
        "gain over own repeats",
        "±",
        "<figcaption>loss",
        "2 users scored",
        "c0ffee",
    )
    order = [page.index(part) for part in parts]
    assert order == sorted(order)
    assert "Readers get the lists of 2017-12-23, published 2017-12-24 04:00 UTC by run r1: 2 users, model m2." in page


def test_the_same_tables_give_the_same_page_and_the_index_links_it(shop: ArrowLake) -> None:
    assert written(shop) == written(shop)
    report.run(shop.settings, Night(ds=BEFORE, run_id="r1"))
    index = (shop.settings.reports / "index.html").read_text()
    assert index.index('href="2017-12-23.html"') < index.index('href="2017-12-22.html"')
    assert not list(shop.settings.reports.glob(".*"))


def test_the_page_says_what_approximate_search_missed(shop: ArrowLake) -> None:
    assert "Approximate search" not in written(shop)
    counts = [(COMPARED, 2), (EXACT_MATCHES, 400), (FOUND_MATCHES, 396)]
    took = {"ds": NIGHT, "seconds": 83.0, "ended_at": noon(NIGHT), "step": "score_users", "counts": counts}
    shop.write(NIGHT_STEPS, [took])
    assert "Approximate search found 99.0% of what exact search finds, of 2 users searched both ways" in written(shop)


def test_a_held_night_says_why_and_what_readers_get(shop: ArrowLake) -> None:
    why = f"items are available: broken by 1 item, for example {EVIL}"
    shop.write(PUBLICATIONS, [publication(BEFORE), publication(NIGHT, status="held", reasons=[why])])
    it = verdict(shop)
    assert (it.state, it.reasons) == ("held", [why])
    assert (
        it.readers
        == "Readers still get the lists of 2017-12-22, published 2017-12-23 04:00 UTC by run r1: 2 users, model m1."
    )
    assert "This run published no lists, so there are none to show." in written(shop)


def test_the_page_of_a_night_of_the_past_says_which_later_one_readers_get(shop: ArrowLake) -> None:
    shop.write(PUBLICATIONS, [publication(OLD), publication(BEFORE), publication(NIGHT, model_id="m2", users=3)])
    it = verdict(shop, Night(ds=BEFORE, run_id="r1"))
    assert (it.state, it.reasons) == ("published", [])
    assert (
        it.readers
        == "Readers still get the lists of 2017-12-23, published 2017-12-24 04:00 UTC by run r1: 3 users, model m2."
    )
    # all else is as of its night
    assert load(shop.settings, BEFORE, "r1").publications == [publication(OLD), publication(BEFORE)]


def test_a_night_that_failed_its_validation_says_which_expectation(shop: ArrowLake) -> None:
    shop.write(QUALITY_RESULTS, [result(success=False), result(NIGHT, "items", "warning", success=False)])
    shop.write(PUBLICATIONS, [publication(BEFORE)])
    it = verdict(shop)
    assert (it.state, it.reasons) == ("stopped", ["events: rows: 0 (expected: 1 or more)"])
    # the same run was published before: what came last counts
    shop.write(PUBLICATIONS, [publication(NIGHT)])
    assert verdict(shop).state == "stopped"
    assert verdict(shop).readers.startswith("Readers get the lists of 2017-12-23, ")


def test_a_warning_of_the_audit_is_shown_like_all_others(shop: ArrowLake) -> None:
    taste = result(NIGHT, "recommendations", "warning", success=False, expectation="lists change little enough")
    shop.write(QUALITY_RESULTS, [result(), taste])
    page = written(shop)
    assert '<span class="tag warning">warning</span></td><td>lists change little enough</td>' in page
    assert "<b>1</b><span>warnings</span>" in page
    assert verdict(shop).state == "published"


def test_a_night_that_was_held_and_then_published_is_published(shop: ArrowLake) -> None:
    later = datetime(2017, 12, 24, 9, tzinfo=UTC)
    shop.write(PUBLICATIONS, [publication(NIGHT, published_at=later), publication(NIGHT, status="held")])
    assert verdict(shop).state == "published"


def test_another_run_of_a_published_night_says_whose_lists_they_are(shop: ArrowLake) -> None:
    it = verdict(shop, Night(ds=NIGHT, run_id="r2"))
    assert it.state == "published"
    assert it.reasons[0].startswith("by run r1; run r2 published nothing of its own")


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        ([], "There are no cleaned events of this day"),
        ([INGEST_COUNTS], "The events were cleaned"),
        ([INGEST_COUNTS, QUALITY_RESULTS], "The data was validated, then a later step failed"),
    ],
)
def test_a_night_that_stopped_says_how_far_it_came(arrow_lake: ArrowLake, tables: list[Any], reason: str) -> None:
    rows = {INGEST_COUNTS: counted(NIGHT, 0), QUALITY_RESULTS: result()}
    for table in tables:
        arrow_lake.write(table, [rows[table]])
    it = verdict(arrow_lake)
    assert (it.state, it.headline) == ("stopped", "Not published")
    assert it.reasons[0].startswith(reason)
    assert "Nothing was ever published" in written(arrow_lake)


def test_hindsight_is_only_of_nights_whose_days_were_over_then(shop: ArrowLake) -> None:
    judged = judged_nights(shop.settings, load(shop.settings, NIGHT, "r1"))
    assert [each.ds for each in judged] == [OLD]
    assert judged_nights(shop.settings, load(shop.settings, BEFORE, "r1")) == []


def test_what_hindsight_was_missing_is_in_the_table_afterwards(shop: ArrowLake) -> None:
    page = written(shop)
    rows = lake.rows(shop.settings, HINDSIGHT_RESULTS)
    assert {row["ds"] for row in rows} == {OLD}
    shop.write(RECOMMENDATIONS, [row for row in lake.rows(shop.settings, RECOMMENDATIONS) if row["ds"] != OLD])
    assert written(shop) == page
    assert lake.version(shop.settings, HINDSIGHT_RESULTS) == 0
    # without lists and rows there is nothing to tell, which is no reason to fail
    shop.write(HINDSIGHT_RESULTS, [])
    assert "No published night is old enough" in written(shop)


def drift(ds: date, measure: str, value: float | None, **changes: Any) -> dict[str, Any]:
    row = {
        "ds": ds, "run_id": "r1", "model_id": "m2", "measure": measure, "value": value, "bound": 0.25,
        "drifted": value is not None and value > 0.25, "name": EVIL, "before": 0.5, "now": 0.2, "asked": False,
        "decision": "No fine-tuning: for a reason.",
    }  # fmt: skip
    return row | changes


def test_drift_is_shown_with_its_trend_and_what_follows(shop: ArrowLake) -> None:
    assert "Nothing was compared" in written(shop)
    shop.write(
        DRIFT_RESULTS,
        [
            drift(NIGHT, "volume_of_night", 1.5, bound=None, name="Saturday", before=1000, now=1500),
            drift(NIGHT, "brand", 0.31),
            drift(NIGHT, "new_users", None, name=None, before=None, now=None, note="the training is too short"),
            *(drift(NIGHT - timedelta(days=n), "brand", 0.1) for n in range(1, 40)),
            drift(NIGHT + timedelta(days=1), "brand", 0.9),
        ],
    )
    page = written(shop)
    assert '<span class="tag warning">drifted</span></td><td>brand, stability index</td>' in page
    assert '50.0% → 20.0%</td><td class="number">0.31</td><td class="number">0.25</td>' in page
    assert "not measured: the training is too short" in page
    assert 'Saturday 1,000 → 1,500</td><td class="number">1.50 ×</td><td class="number">–</td>' in page
    assert "No fine-tuning: for a reason." in page
    assert page.index("new users") < page.index("brand, stability index") < page.index("events of the night")
    assert "<script" not in page
    # one line for the brand, with the night and the 27 before it, and one for the bound
    (plot,) = re.findall(r'aria-label="Attributes of the items: part of the way to the bound: [^"]*"', page)
    assert "brand, stability index ends at 1.24, bound ends at 1" in plot
    assert page.count("<title>brand, stability index: ") == 28
    assert "Behaviours, newcomers and volume: part" not in page


def test_the_last_fine_tunings_say_what_they_gained_and_cost(shop: ArrowLake) -> None:
    rows = lake.rows(shop.settings, MODEL_EVALUATIONS)
    lost, later = "2017-12-23-11111111", "2018-01-02-22222222"
    gain = {"metric": "ndcg@10", "users": 100}
    shop.write(
        MODEL_EVALUATIONS,
        [
            *rows,
            {"model_id": "m2", "snapshot_id": "s1", "segment": "gain over baseline/popular", **gain, "value": 0.17,
             "ci_low": 0.15, "ci_high": 0.19},
            {"model_id": lost, "snapshot_id": "s2", "segment": "gain over m2", **gain, "value": -0.002},
            {"model_id": later, "snapshot_id": "s3", "segment": "gain over m2", **gain, "value": 0.1},
        ],
    )  # fmt: skip
    cost = Cost(125.4, {"Item tower": 60.0, "Ranker": 41.2}, "CPU, 2 threads", 2_100_000_000, None)
    (shop.settings.models / "m2" / CURVES).write_text(json.dumps({"cost": cost.to_json(), "started_from": "m1"}))
    page = written(shop)
    found = re.findall(
        r'<tr[^>]*><td class="date">(\S+?)</td><td class="mark">.*?>([^<>]+)</span>(.*?</tr>\s.*?)</tr>', page
    )
    assert [(name, state) for name, state, _ in found] == [(lost, "did not win"), ("m2", "won")]
    assert "+0.1700 [+0.1500, +0.1900]" in found[1][2]
    assert (
        "went on from m1, took 2 min 5 s (item tower 1 min 0 s, ranker 41 s) on CPU, 2 threads, 2.1 GB of memory"
        in found[1][2]
    )
    assert "took a time that is not known" in found[0][2]
    # the table of the metrics is not about rivals
    assert "<summary>gain over" not in page


def test_the_model_tells_what_was_cut_of_its_texts(shop: ArrowLake) -> None:
    assert "Texts of the items" not in written(shop)  # a model of before, when nobody counted
    losses = TextLosses(12_101, 32, 412, 0, {"title": 8, "description": 16}, {"title": 0, "description": 8_591})
    (shop.settings.models / "m2" / CURVES).write_text(json.dumps({"curves": {}, "texts": losses.to_json()}))
    assert (
        "Texts of the items: 412 of 12,101 (3.4%) are longer than 32 tokens and were cut; description was cut to 16 "
        "words in 71.0%."
    ) in written(shop)


def test_the_model_tells_what_its_pair_model_gained_and_costs(shop: ArrowLake) -> None:
    assert "Pair model" not in written(shop)
    ways = {
        "rerank": Gain(20, 0.3, 700, 0.09, 0.092, -0.001, 0.005, 412.5),
        "distilled": Gain(100, 0.25, 700, 0.09, 0.0912, 0.0002, 0.0022, 0.125),
    }
    training = {"curves": {}, "pair_model": Gains("distilled", ways).to_json()}
    (shop.settings.models / "m2" / CURVES).write_text(json.dumps(training))
    page = written(shop)
    assert "Pair model: rerank: the 20 best reordered with weight 0.30: +0.0020 [-0.0010, +0.0050] NDCG@10" in page
    assert (
        "distilled (the night&#39;s): the 100 best reordered with weight 0.25: +0.0012 [+0.0002, +0.0022] NDCG@10 "
        "(0.0912, without it 0.0900) of 700 users that it did not learn from, 0.12 ms a user."
    ) in page


def test_changes_compare_with_the_last_published_night(shop: ArrowLake) -> None:
    by_name = {change.name: change for change in changes(load(shop.settings, NIGHT, "r1"))}
    assert by_name["model"] == Change("model", "m1", "m2", "new model")
    assert by_name["users with a list"].change == "+0 (+0.0%)"
    assert by_name["from repeat"] == Change("from repeat", "75.0%", "75.0%", "+0.0 points")
    assert by_name["from match"].now == "not known"


def test_what_people_were_told_stands_on_the_page_once_and_escaped(shop: ArrowLake) -> None:
    assert "Notices</h2>" not in written(shop)
    for run_id in ("r0", "r1"):
        tell(shop.settings, run_id, Notice("late_files", NIGHT, f"1 file came later: {EVIL}", "Deliver it whole."))
    tell(shop.settings, "r1", Notice("hole", BEFORE, "Of another night.", "Nothing."))
    page = written(shop)
    assert page.count("1 file came later: &lt;script&gt;alert(1)&lt;/script&gt;") == 1
    assert "late files</span>" in page
    assert "Of another night." not in page


def test_the_gate_says_who_was_promoted_and_what_failed_first(shop: ArrowLake) -> None:
    page = written(shop)
    gate = page[page.index("The gate:") : page.index("Training</h3>")]
    assert gate.index("failed") < gate.index("+0.1700 over baseline/popular")
    assert "promoted" in gate
    assert EVIL not in page
