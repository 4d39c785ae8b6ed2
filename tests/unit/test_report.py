"""The page of a night says first what became of it, escapes what users wrote, and needs no network."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from spark_jobs import report, report_sections
from spark_jobs.contracts.cli import Run
from spark_jobs.contracts.interval import Interval
from spark_jobs.contracts.tables import (
    EVENTS,
    EVENTS_REJECTED,
    INGEST_COUNTS,
    ITEMS,
    MODEL_EVALUATIONS,
    PUBLICATIONS,
    QUALITY_RESULTS,
    RECOMMENDATIONS,
)

NIGHT = date(2017, 12, 23)
BEFORE = date(2017, 12, 22)
OLD = date(2017, 12, 16)
RUN = Run(Interval.of_night(NIGHT), "r1")
EVIL = "<script>alert(1)</script>"


def publication(ds: date, status: str = "published", **changes: Any) -> dict[str, Any]:
    return {
        "ds": ds, "run_id": "r1", "status": status, "reasons": [], "model_id": "m1", "users": 2,
        "content_hash": "c0ffee", "table_versions": {"events": 7},
        "measures": {"users": 2.0, "coverage": 1.0, "churn": 0.25, "source_repeat": 0.75, "source_popular": 0.25},
        "published_at": datetime(ds.year, ds.month, ds.day, 4, tzinfo=UTC) + timedelta(days=1), **changes,
    }  # fmt: skip


def result(
    suite: str = "events", severity: str = "critical", *, success: bool = True, **changes: Any
) -> dict[str, Any]:
    return {"ds": NIGHT, "run_id": "r1", "suite": suite, "expectation": "rows", "severity": severity,
            "success": success, "expected": "1 or more", "observed": "0", **changes}  # fmt: skip


def event(user: str, item: str, day: date) -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "behaviour": "purchase", "ds": day,
            "event_time": datetime(day.year, day.month, day.day, 9, tzinfo=UTC)}  # fmt: skip


def listed(ds: date, user: str) -> dict[str, Any]:
    items = [{"rank": 1, "item_id": "1", "score": 1.0, "source": "repeat"},
             {"rank": 2, "item_id": "2", "score": 0.5, "source": "popular"}]  # fmt: skip
    return {"ds": ds, "user_id": user, "items": items, "model_id": "m1", "run_id": "r1"}


@pytest.fixture
def shop(arrow_lake: Any) -> Any:
    arrow_lake.write(ITEMS, [{"item_id": "1", "title": f"Milk {EVIL}"}, {"item_id": "2", "title": "Tea"}])
    arrow_lake.write(EVENTS, [event("ann", "1", OLD), event("ann", "2", BEFORE), event("bob", "1", OLD)])
    arrow_lake.write(INGEST_COUNTS, [
        {"ds": NIGHT - timedelta(days=n), "files": 1, "raw": 10, "clean": 9, "rejected": 1, "duplicates": 0}
        for n in range(10)
    ])  # fmt: skip
    arrow_lake.write(EVENTS_REJECTED, [
        {"event_id": "e1", "reason": "unknown_item", "ds": NIGHT,
         "raw": f'{{"user_id": "household 17", "item_id": "{EVIL}"}}'},
        {"event_id": "e2", "reason": EVIL, "ds": NIGHT, "raw": "household 17, not JSON"},
    ])  # fmt: skip
    arrow_lake.write(QUALITY_RESULTS, [
        result(), result("items", "warning", success=False, expectation="texts", observed="0.07 without"),
    ])  # fmt: skip
    arrow_lake.write(PUBLICATIONS, [publication(OLD), publication(BEFORE), publication(NIGHT, model_id="m2")])
    arrow_lake.write(RECOMMENDATIONS, [listed(ds, user) for ds in (OLD, BEFORE, NIGHT) for user in ("ann", "bob")])
    arrow_lake.write(MODEL_EVALUATIONS, [
        {"model_id": model, "snapshot_id": "s1", "segment": segment, "metric": "ndcg@10", "value": value,
         "ci_low": value - 0.01, "ci_high": value + 0.01, "users": 100}
        for segment in ("all", "cold users") for model, value in (("m2", 0.28), ("baseline/popular", 0.11))
    ])  # fmt: skip
    folder = arrow_lake.settings.models / "m2"
    folder.mkdir(parents=True)
    (folder / "training.json").write_text('{"curves": {"loss": [[0, 2.5], [1, 1.5], [2, NaN]]}}')
    return arrow_lake


def written(shop: Any, run: Run = RUN) -> str:
    return report.write(shop.settings, run).read_text()


def verdict(shop: Any, run: Run = RUN) -> report_sections.Verdict:
    return report_sections.verdict(report_sections.load(shop.settings, run.interval.ds, run.run_id))


class Outside(HTMLParser):
    """Collects what would run, or would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "link", "img"):
            self.found.append(tag)
        for name, value in attributes:
            inside = (value or "").startswith("#") or re.fullmatch(r"[\w-]+\.html", value or "")
            if name.startswith("on") or (name in ("src", "href", "xlink:href") and not inside):
                self.found.append(f"{tag} {name}={value}")


def test_the_page_is_escaped_self_contained_and_names_no_user(shop: Any) -> None:
    page = written(shop)
    outside = Outside()
    outside.feed(page)
    assert outside.found == []
    assert "url(" not in page
    assert "@import" not in page
    assert "alert(1)" in page
    assert "<script" not in page
    assert "household 17" not in page


def test_the_verdict_comes_first_and_every_section_is_filled(shop: Any) -> None:
    page = written(shop)
    order = [page.index(part) for part in
             ("<strong>Published</strong>", "new model", "0.07 without", "Rejected records a day",
              "Where recommendations come from", "is recommended", "gain over own repeats", "±", "<figcaption>loss",
              "c0ffee")]  # fmt: skip
    assert order == sorted(order)
    assert "Readers get the lists of this night: 2 users, model m2." in page


def test_the_same_tables_give_the_same_page_and_the_index_links_it(shop: Any) -> None:
    assert written(shop) == written(shop)
    report.write(shop.settings, Run(Interval.of_night(BEFORE), "r1"))
    index = (shop.settings.reports / "index.html").read_text()
    assert index.index('href="2017-12-23.html"') < index.index('href="2017-12-22.html"')
    assert not list(shop.settings.reports.glob(".*"))


def test_a_held_night_says_why_and_what_readers_get(shop: Any) -> None:
    why = f"items are available: broken by 1 item, for example {EVIL}"
    shop.write(PUBLICATIONS, [publication(BEFORE), publication(NIGHT, "held", reasons=[why])])
    found = verdict(shop)
    assert (found.state, found.reasons) == ("held", [why])
    assert found.readers == "Readers get the lists of 2017-12-22: 2 users, model m1."
    assert "Nothing was published, so there are no lists to show." in written(shop)


def test_a_night_that_failed_its_validation_says_which_expectation(shop: Any) -> None:
    shop.write(QUALITY_RESULTS, [result(success=False), result("items", "warning", success=False)])
    shop.write(PUBLICATIONS, [publication(BEFORE)])
    found = verdict(shop)
    assert (found.state, found.reasons) == ("stopped", ["events: rows: 0 (expected: 1 or more)"])
    # the same run was published before: what came last counts
    shop.write(PUBLICATIONS, [publication(NIGHT)])
    assert verdict(shop).state == "stopped"
    assert verdict(shop).readers.startswith("Readers get the lists of this night")


def test_a_night_that_was_held_and_then_published_is_published(shop: Any) -> None:
    later = datetime(2017, 12, 24, 9, tzinfo=UTC)
    shop.write(PUBLICATIONS, [publication(NIGHT, published_at=later), publication(NIGHT, "held")])
    assert verdict(shop).state == "published"


def test_another_run_of_a_published_night_says_whose_lists_they_are(shop: Any) -> None:
    found = verdict(shop, Run(RUN.interval, "r2"))
    assert found.state == "published"
    assert found.reasons[0].startswith("by run r1; run r2 published nothing of its own")


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        ([], "There are no cleaned events of this day"),
        ([INGEST_COUNTS], "The events were cleaned"),
        ([INGEST_COUNTS, QUALITY_RESULTS], "The data was validated, then a later step failed"),
    ],
)
def test_a_night_that_stopped_says_how_far_it_came(arrow_lake: Any, tables: list[Any], reason: str) -> None:
    counts = {"ds": NIGHT, "raw": 0, "clean": 0, "rejected": 0, "duplicates": 0}
    rows = {INGEST_COUNTS: counts, QUALITY_RESULTS: result()}
    for table in tables:
        arrow_lake.write(table, [rows[table]])
    found = verdict(arrow_lake)
    assert (found.state, found.headline) == ("stopped", "Not published")
    assert found.reasons[0].startswith(reason)
    assert "Nothing was ever published" in written(arrow_lake)


def test_hindsight_is_only_of_nights_whose_days_were_over_then(shop: Any) -> None:
    night = report_sections.load(shop.settings, NIGHT, "r1")
    looks = report_sections.looks(shop.settings, night)
    assert looks is not None
    assert [row[0] for row in looks.rows] == [OLD]
    day_before = report_sections.load(shop.settings, BEFORE, "r1")
    assert report_sections.looks(shop.settings, day_before) is None


def test_changes_compare_with_the_last_published_night(shop: Any) -> None:
    night = report_sections.load(shop.settings, NIGHT, "r1")
    found = {change.name: change for change in report_sections.changes(night)}
    assert found["model"] == report_sections.Change("model", "m1", "m2", "new model")
    assert found["users with a list"].change == "+0 (+0.0%)"
    assert found["from repeat"] == report_sections.Change("from repeat", "75.0%", "75.0%", "+0.0 points")
    assert found["from match"].now == "not known"
