"""Publishing on real Delta tables: a night goes out once, a bad one is held, a killed one is completed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest

from contracts import lake
from contracts.errors import HeldError, InputError
from contracts.fallback import FALLBACK_USER
from contracts.notices import of_run
from contracts.settings import PROJECT, Settings
from contracts.states import newest_published
from contracts.tables import (
    EVENTS,
    ITEMS,
    PUBLICATIONS,
    QUALITY_RESULTS,
    RECOMMENDATIONS,
    staging,
)
from spark_jobs import publish
from spark_jobs.quality import audit
from spark_jobs.quality import lists as lists_
from tests import factories
from tests.factories import fallback_row, item, ranked, recommended
from tests.lakes import SparkLake

NIGHT = date(2017, 12, 23)
NEXT = date(2017, 12, 24)
NOW = datetime(2017, 12, 24, 3, tzinfo=UTC)
LATER = datetime(2017, 12, 24, 9, tzinfo=UTC)


def event(user: str, item: str, *, time: datetime | None = None) -> dict[str, Any]:
    return factories.event(user, item, time or datetime(2017, 12, 1, 12, tzinfo=UTC))


ANN = ranked(("milk", 0.9, "repeat", None), ("tea", 0.9, "together", "milk"))
BOB = ranked(("jam", 0.8, "repeat", "jam"), ("milk", 0.1, "popular", None))
LISTS = [recommended("ann", ANN), recommended("bob", BOB)]
SPARE = ("milk", "ham")
"""What the fixture's nights have for whoever has no list."""
WHOLE = [fallback_row(*SPARE), *LISTS]
"""The night as it is published."""


@dataclass(frozen=True)
class Shop:
    """A tiny shop with two users, ready to be published."""

    tables: SparkLake
    settings: Settings

    def stage(self, lists: Sequence[dict[str, Any]], night: date = NIGHT, spare: Sequence[str] = SPARE) -> None:
        """Stages lists, and a row of ``spare`` for whoever has none."""
        self.tables.write(staging(RECOMMENDATIONS, night), [*lists, fallback_row(*spare, ds=night)])

    def publish(self, night: date = NIGHT, run_id: str = "r1", now: datetime = NOW, **scoring: Any) -> None:
        changed = self.settings.model_copy(update={"scoring": self.settings.scoring.model_copy(update=scoring)})
        publish.run(self.tables.spark, changed, publish.Arguments(ds=night, run_id=run_id, published_at=now))

    def held(self, **options: Any) -> list[str]:
        """Publishes, expects the night to be held, and returns the names of the checks that failed."""
        with pytest.raises(HeldError):
            self.publish(**options)
        return [reason.split(": ")[0] for reason in self.publications()[-1]["reasons"]]

    def publications(self) -> list[dict[str, Any]]:
        return sorted(self.tables.rows(PUBLICATIONS), key=lambda row: row["published_at"])

    def versions(self) -> dict[str, int]:
        tables = (RECOMMENDATIONS, PUBLICATIONS, QUALITY_RESULTS)
        return {table.name: lake.version(self.settings, table) for table in tables}


@pytest.fixture
def shop(tables: SparkLake, settings: Settings) -> Shop:
    small = settings.model_copy(update={
        "scoring": settings.scoring.model_copy(update={"n": 2}),
        # with three items, one of them is in every list
        "audit": settings.audit.model_copy(update={"max_top_item_share": 1.0}),
    })  # fmt: skip
    tables.write(EVENTS, [
        event("ann", "milk"), event("ann", "milk", time=datetime(2017, 12, 20, tzinfo=UTC)), event("bob", "jam"),
        # after the night: cleo is not expected to have a list, and ann has not had tea yet
        event("cleo", "milk", time=datetime(2017, 12, 24, tzinfo=UTC)),
        event("ann", "tea", time=datetime(2017, 12, 24, 1, tzinfo=UTC)),
    ])  # fmt: skip
    items = [item("milk", category="dairy"), item("tea"), item("jam"), item("ham")]
    tables.write(ITEMS, [*items, item("old", available=False)])
    tables.write(QUALITY_RESULTS, [
        {"ds": night, "run_id": "r1", "suite": "events", "expectation": "rows", "severity": "critical",
         "success": True, "expected": "1 or more", "observed": "2"}
        for night in (NIGHT, NEXT)
    ])  # fmt: skip
    shop = Shop(tables, small)
    shop.stage(LISTS)
    return shop


def test_a_good_night_is_published_with_its_row(shop: Shop) -> None:
    shop.publish()
    assert shop.tables.rows(RECOMMENDATIONS) == WHOLE
    (row,) = shop.publications()
    assert (row["ds"], row["run_id"], row["status"], row["reasons"]) == (NIGHT, "r1", "published", [])
    assert (row["model_id"], row["users"], row["published_at"]) == ("m1", 2, NOW)
    assert row["measures"] == pytest.approx({
        "users": 2, "users_with_events": 2, "coverage": 1, "compared_users": 0, "distinct_items": 3,
        "catalogue_share": 0.75, "top_item_share": 1, "source_repeat": 0.5, "source_interest": 0.0,
        "source_together": 0.25, "source_match": 0, "source_text": 0,
        "source_popular": 0.25, "source_fallback": 0.0,
    })  # fmt: skip
    assert row["table_versions"]["recommendations"] == 0
    assert {"events", "items", "quality_results"} < set(row["table_versions"])
    checked = [row for row in shop.tables.rows(QUALITY_RESULTS) if row["suite"] == "recommendations"]
    assert checked
    assert all(row["success"] for row in checked)


def test_a_second_time_changes_nothing_and_a_kill_is_completed(shop: Shop) -> None:
    shop.publish()
    before, rows = shop.versions(), shop.publications()
    shop.stage([recommended("bob", BOB, run_id="r2"), recommended("ann", ANN, run_id="r2")])
    shop.publish(run_id="r2", now=LATER)
    assert shop.versions() == before
    assert shop.publications() == rows

    # killed between the commit and the row: the next run writes the row and commits nothing
    shop.tables.write(PUBLICATIONS, [])
    shop.publish(now=LATER)
    assert shop.versions()["recommendations"] == before["recommendations"]
    (completed,) = shop.publications()
    assert completed["content_hash"] == rows[0]["content_hash"]
    assert completed["published_at"] == LATER


def test_what_was_published_before_its_day_was_over_is_published_again(shop: Shop) -> None:
    shop.publish(now=datetime(2017, 12, 23, 10, tzinfo=UTC))
    before = shop.versions()
    shop.publish(run_id="r2", now=LATER)
    assert [(row["run_id"], row["published_at"]) for row in shop.publications()][1:] == [("r2", LATER)]
    assert shop.versions()["recommendations"] == before["recommendations"]
    shop.publish(run_id="r3", now=LATER)
    assert len(shop.publications()) == 2


def test_corrected_lists_replace_their_night_only(shop: Shop) -> None:
    shop.publish()
    cleo = recommended("cleo", ranked(("milk", 1.0, "repeat", None), ("tea", 0.5, "popular", None)), ds=NEXT)
    following = [recommended("ann", ANN, ds=NEXT), recommended("bob", BOB, ds=NEXT), cleo]
    shop.stage(following, NEXT)
    shop.publish(NEXT)
    corrected = ranked(("jam", 0.7, "popular", None), ("milk", 0.2, "repeat", None))
    better = [recommended("ann", corrected, run_id="r2"), recommended("bob", BOB, run_id="r2")]
    shop.stage(better)
    shop.publish(run_id="r2", now=LATER)
    of_both = [fallback_row(*SPARE), *better, fallback_row(*SPARE, ds=NEXT), *following]
    assert shop.tables.rows(RECOMMENDATIONS) == of_both
    of_night = [(row["run_id"], row["status"]) for row in shop.publications() if row["ds"] == NIGHT]
    assert of_night == [("r1", "published"), ("r2", "published")]


def test_a_held_night_leaves_the_last_one_and_can_be_published_later(shop: Shop) -> None:
    shop.publish()
    cleo = recommended("cleo", ranked(("milk", 1.0, "repeat", None), ("tea", 0.5, "popular", None)), ds=NEXT)
    ann, bob = recommended("ann", ANN[:1], ds=NEXT), recommended("bob", BOB, ds=NEXT)
    shop.stage([ann, bob, cleo], NEXT)
    with pytest.raises(HeldError) as held:
        shop.publish(NEXT, now=LATER)
    assert str(held.value) == (
        "The night 2017-12-24 is held: readers still get the lists of 2017-12-23, published 2017-12-24 03:00 UTC by "
        "run r1. Why: a list has 2 items: 1 of 3 lists have fewer (expected: a share of 0 or less has fewer ([audit] "
        "max_short_lists)). Correct the cause and run the night again."
    )
    assert [reason.split(":")[0] for reason in shop.publications()[-1]["reasons"]] == ["a list has 2 items"]
    assert shop.tables.rows(RECOMMENDATIONS) == WHOLE
    live = newest_published(shop.publications())
    assert live is not None
    assert live["ds"] == NIGHT

    shop.stage([recommended("ann", ANN, ds=NEXT), bob, cleo], NEXT)
    shop.publish(night=NEXT, now=datetime(2017, 12, 25, tzinfo=UTC))
    assert len(shop.tables.rows(RECOMMENDATIONS)) == 3 + 4
    newest = shop.publications()[-1]
    assert (newest["ds"], newest["status"]) == (NEXT, "published")
    assert newest["measures"]["churn"] == 0.0
    assert newest["measures"]["compared_users"] == 2


def test_a_held_night_says_what_readers_get(shop: Shop) -> None:
    def told(night: date = NIGHT, run_id: str = "r2") -> str:
        with pytest.raises(HeldError) as held:
            shop.publish(night, run_id=run_id, now=LATER, blocked_items=("tea",))
        return str(held.value).split(". ")[0]

    assert told() == "The night 2017-12-23 is held: nothing was ever published, readers get no lists"
    shop.publish(run_id="r1")
    first = "published 2017-12-24 03:00 UTC by run r1"
    shop.stage([recommended(user, ANN, ds=NEXT) for user in ("ann", "bob", "cleo")], NEXT)
    assert told(NEXT) == f"The night 2017-12-24 is held: readers still get the lists of 2017-12-23, {first}"
    # the night ran again, with other lists: the first run's stay
    other = ranked(("milk", 0.9, "repeat", None), ("ham", 0.8, "popular", None))
    shop.stage([recommended("ann", ANN, run_id="r2"), recommended("bob", other, run_id="r2")])
    own = f"The night 2017-12-23 is held: readers still get this same night's earlier lists, {first}"
    assert told() == own
    assert shop.tables.rows(RECOMMENDATIONS) == WHOLE
    shop.tables.write(RECOMMENDATIONS, LISTS[:1])
    assert told() == f"{own}, then replaced by a run that did not come to its end"
    # a later night than the one that is held
    later = factories.publication(NEXT, run_id="r9")
    shop.tables.write(PUBLICATIONS, [*shop.publications(), later])
    assert "readers still get the lists of 2017-12-24, published 2017-12-25 04:00 UTC by run r9" in told()


def test_a_drop_of_coverage_is_told_once_unless_it_holds_the_night(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.publish()
    assert of_run(shop.settings, "r1") == []
    cleo = recommended("cleo", ranked(("milk", 1.0, "repeat", None), ("tea", 0.5, "popular", None)), ds=NEXT)
    shop.stage([recommended("ann", ANN, ds=NEXT), cleo], NEXT)
    assert shop.held(night=NEXT, now=LATER) == ["users with events have a list"]
    assert of_run(shop.settings, "r1") == []
    generous = shop.settings.audit.model_copy(update={"min_users_covered": 0.5})
    tolerant = Shop(shop.tables, shop.settings.model_copy(update={"audit": generous}))

    # killed before the row that ends it, and run again
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(publish, "write_publication", killed)
        with pytest.raises(KeyboardInterrupt):
            tolerant.publish(NEXT, now=datetime(2017, 12, 25, tzinfo=UTC))
    assert len(of_run(shop.settings, "r1")) == 1
    tolerant.publish(NEXT, now=datetime(2017, 12, 25, tzinfo=UTC))
    (told,) = of_run(shop.settings, "r1")
    assert (told.notice.kind, told.notice.night) == ("coverage", NEXT)
    assert told.notice.what == (
        "as many users as in the last night have a list: expected a drop of 0.02 or less ([audit] max_coverage_drop), "
        "found a drop of 0.500: 1 of the 2 users of 2017-12-23 still have a list, and 0.667 of the users with events "
        "(then 1.000)"
    )
    assert shop.publications()[-1]["status"] == "published"


JAM = ("jam", 1.0, "repeat", None)
FAULTY = {
    "good": BOB,
    "long": [*BOB, {"rank": 3, "item_id": "ham", "score": 0.0, "source": "match", "because": None}],
    "empty": [],
    "ranks": [BOB[0], {**BOB[1], "rank": 3}],
    "order": BOB[::-1],
    "twice": ranked(JAM, ("jam", 0.5, "repeat", None)),
    "tie": ranked(JAM, ("ham", 1.0, "match", None)),
    "infinite": ranked(JAM, ("ham", float("-inf"), "match", None)),
    "not a number": ranked(JAM, ("ham", float("nan"), "match", None)),
    "no score": [BOB[0], {**BOB[1], "score": None}],
}


def test_what_is_wrong_with_a_list_on_its_own(tables: SparkLake) -> None:
    lists = tables.frame(RECOMMENDATIONS, [recommended(user, items) for user, items in FAULTY.items()])
    marked = lists_.with_faults(lists, 2)
    names = [name for name in marked.columns if name not in RECOMMENDATIONS.names]
    faults = {row.user_id: {name for name in names if row[name]} for row in marked.collect()}
    assert faults == {
        "good": set(),
        "long": {"long_lists"},
        "empty": {"short_lists"},
        "ranks": {"wrong_ranks"},
        "order": {"wrong_ranks", "unordered_scores"},
        "twice": {"repeated_items"},
        "tie": set(),
        "infinite": {"bad_scores"},
        "not a number": {"bad_scores", "unordered_scores"},
        "no score": {"bad_scores"},
    }


def test_lists_are_measured_against_histories_and_the_last_night(shop: Shop) -> None:
    tables, scoring = shop.tables, shop.settings.scoring.model_copy(update={"exclude_seen_days": {"purchase": 7}})
    strict = shop.settings.model_copy(update={"scoring": scoring})
    past = lists_.histories(lake.read(tables.spark, strict, EVENTS), NEXT, strict)
    assert {row.user_id: (row.seen, row.excluded) for row in past.collect()} == {
        "ann": (["milk"], ["milk"]), "bob": (["jam"], []),
    }  # fmt: skip
    lists = tables.frame(RECOMMENDATIONS, [
        # tea is the reason, but ann has it only after the night's end
        recommended("ann", ranked(("milk", 1.0, "repeat", None), ("ham", 0.5, "together", "tea"))),
        # dan did nothing: nothing can be a repeat
        recommended("dan", ranked(("tea", 1.0, "repeat", None), ("ham", 0.5, "popular", "tea"))),
        recommended("eve", ranked(("ham", 1.0, "match", "tea"), ("tea", 0.5, "popular", None))),
        # for whoever has none: no user that is covered or compared, and no list that is short
        fallback_row("jam"),
    ])  # fmt: skip
    before = tables.spark.createDataFrame(
        [("ann", ["ham", "jam"]), ("eve", ["ham", "tea"]), ("old", ["jam"]), (FALLBACK_USER, ["ham"])],
        "user_id string, before array<string>",
    )
    items = lake.read(tables.spark, shop.settings, ITEMS)
    faults = lists_.measure_faults(lists, past, before, items, scoring)
    assert faults == audit.Faults(
        users_with_events=2, users_covered=1, short_lists=0, long_lists=0, wrong_ranks=0, repeated_items=0,
        bad_scores=0, unordered_scores=0, excluded_items=1, untrue_reasons=3, over_category_cap=0,
        compared_users=2, churn=0.25,
    )  # fmt: skip


def test_items_are_measured_against_the_catalogue(tables: SparkLake, settings: Settings) -> None:
    lists = tables.frame(RECOMMENDATIONS, [
        recommended("ann", ranked(("milk", 1.0, "repeat", None), ("x1", 0.5, "guess", None))),
        recommended("bob", ranked(("milk", 1.0, "match", None), ("old", 0.5, "popular", None))),
    ])  # fmt: skip
    items = tables.frame(ITEMS, [item("milk", category="dairy"), item("old", available=False), item("tea")])
    rules = settings.scoring.model_copy(update={"blocked_items": ("tea", "x1"), "blocked_categories": ("dairy",)})
    assert lists_.measure_shown(lists, items, rules) == audit.Shown(
        distinct=3, catalogue=2, unknown=audit.Wrong(1, "x1"), unavailable=audit.Wrong(1, "old"),
        blocked=audit.Wrong(2, "milk"), top_item="milk", top_item_users=2, rows=4,
        by_source={"repeat": 1, "interest": 0, "together": 0, "match": 1, "text": 0, "popular": 1, "fallback": 0},
        other_sources=1,
    )  # fmt: skip
    # what is for whoever has none must be right too, and reaches nobody
    spare = [fallback_row("tea", "old"), recommended("cleo", ranked(("milk", 1.0, "fallback", None)))]
    assert lists_.measure_shown(tables.frame(RECOMMENDATIONS, spare), items, rules) == audit.Shown(
        distinct=1, catalogue=2, unknown=audit.Wrong(0), unavailable=audit.Wrong(1, "old"),
        blocked=audit.Wrong(2, "milk"), top_item="milk", top_item_users=1, rows=1,
        by_source={"repeat": 0, "interest": 0, "together": 0, "match": 0, "text": 0, "popular": 0, "fallback": 1},
        other_sources=0,
    )  # fmt: skip
    none = lists_.measure_shown(lists.limit(0), items, settings.scoring)
    assert (none.distinct, none.top_item, none.top_item_users, none.rows) == (0, None, 0, 0)


def test_a_category_cap_counts_lists(tables: SparkLake) -> None:
    items = tables.frame(
        ITEMS, [item("milk", category="dairy"), item("jam", category="dairy"), item("tea"), item("ham")]
    )
    lists = tables.frame(RECOMMENDATIONS, [
        *LISTS, recommended("dan", ranked(("tea", 1.0, "match", None), ("ham", 0.5, "popular", None))),
    ])  # fmt: skip
    assert lists_.count_over_category_cap(lists, items, 1) == 1
    assert lists_.count_over_category_cap(lists, items, 2) == 0


def test_duplicates_other_nights_and_other_models_are_counted(tables: SparkLake) -> None:
    rows = [*LISTS, recommended("bob", ANN, ds=NEXT, model="m0")]
    content = lists_.measure_lists(tables.frame(RECOMMENDATIONS, rows), NIGHT)
    assert (content.users, content.duplicate_users, content.other_nights, content.models) == (2, 1, 1, ("m0", "m1"))
    assert content.fallbacks == 0
    whole = lists_.measure_lists(tables.frame(RECOMMENDATIONS, WHOLE), NIGHT)
    assert (whole.users, whole.duplicate_users, whole.fallbacks) == (2, 0, 1)
    twice = lists_.measure_lists(tables.frame(RECOMMENDATIONS, [*WHOLE, fallback_row("tea"), fallback_row()]), NIGHT)
    assert (twice.users, twice.duplicate_users, twice.fallbacks) == (2, 0, 2)


def test_a_night_without_a_list_for_who_has_none_is_held_and_a_changed_one_is_another_night(shop: Shop) -> None:
    missing = ["there is a list for who has none"]
    shop.stage(LISTS, spare=())  # its row is there, and empty
    assert shop.held() == missing
    shop.tables.write(staging(RECOMMENDATIONS, NIGHT), LISTS)
    assert shop.held(now=LATER) == missing
    assert not lake.exists(shop.settings, RECOMMENDATIONS)
    shop.stage(LISTS)
    shop.publish(now=LATER)
    # it keeps the rules of all lists, and no other list's figures are touched by it
    for spare, fault in ((("milk", "old"), "items are available"), (("milk", "milk"), "a list holds an item once")):
        shop.stage(LISTS, spare=spare)
        assert shop.held(run_id="r2", now=datetime(2017, 12, 24, 10, tzinfo=UTC)) == [fault]
    measures = next(row["measures"] for row in shop.publications() if row["status"] == "published")
    shop.stage(LISTS, spare=("ham", "tea"))
    shop.publish(run_id="r3", now=datetime(2017, 12, 24, 11, tzinfo=UTC))
    assert shop.tables.rows(RECOMMENDATIONS) == [fallback_row("ham", "tea"), *LISTS]
    newest = shop.publications()[-1]
    assert (newest["run_id"], newest["status"], newest["users"]) == ("r3", "published", 2)
    assert newest["measures"] == measures
    versions = shop.versions()
    shop.publish(run_id="r4", now=datetime(2017, 12, 24, 12, tzinfo=UTC))
    assert shop.versions() == versions


def test_one_look_up_finds_a_users_row_or_the_one_to_fall_back_on(shop: Shop) -> None:
    shop.publish()
    cleo = recommended("cleo", ranked(("milk", 1.0, "repeat", None), ("tea", 0.5, "popular", None)), ds=NEXT)
    following = [recommended("ann", ANN, ds=NEXT), recommended("bob", BOB, ds=NEXT), cleo]
    shop.stage(following, NEXT, spare=("ham", "jam"))
    # held, because of an item that is blocked: readers stay with the night before
    assert shop.held(night=NEXT, now=LATER, blocked_items=("tea",))
    code, query = snippets("## Read the table")
    folder = str(shop.settings.lake)

    def found(user: str) -> list[tuple[str, list[str]]]:
        own = code.replace("var/lake", folder).replace('"1228"', repr(user))
        names: dict[str, Any] = {}
        exec(own, names)
        in_python = [item["item_id"] for item in names["row"]["items"]]
        (row,) = shop.tables.spark.sql(query.replace("var/lake", folder).replace("'1228'", f"'{user}'")).collect()
        assert [item.item_id for item in row["items"]] == in_python
        return [(row.user_id, in_python)]

    assert found("ann") == [("ann", ["milk", "tea"])]
    assert found("nobody") == [(FALLBACK_USER, ["milk", "ham"])]
    shop.publish(NEXT, now=datetime(2017, 12, 25, tzinfo=UTC))
    assert found("nobody") == [(FALLBACK_USER, ["ham", "jam"])]
    assert found("cleo") == [("cleo", ["milk", "tea"])]


def snippets(heading: str) -> list[str]:
    """The code blocks below a heading of the README."""
    section = (PROJECT / "README.md").read_text().split(f"{heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```\w+\n(.*?)```", section, re.DOTALL)


def test_a_night_against_the_rules_or_never_validated_is_held(shop: Shop) -> None:
    shop.tables.write(QUALITY_RESULTS, [])
    assert shop.held(blocked_items=("tea",)) == [
        "items and categories are not blocked", "the night's data was validated",
    ]  # fmt: skip
    assert not lake.exists(shop.settings, RECOMMENDATIONS)


def test_without_scores_the_error_names_the_table(shop: Shop) -> None:
    with pytest.raises(InputError, match="staging/recommendations_2017-12-24 does not exist"):
        shop.publish(night=NEXT)


def test_the_hash_sees_content_and_nothing_else(tables: SparkLake) -> None:
    def content_hash(*lists: dict[str, Any]) -> str:
        return lists_.measure_lists(tables.frame(RECOMMENDATIONS, lists), NIGHT).content_hash

    base = content_hash(*LISTS)
    assert content_hash(*reversed(LISTS)) == base
    assert content_hash(*[row | {"run_id": "other"} for row in LISTS]) == base
    assert content_hash(LISTS[0]) != base
    assert content_hash(*LISTS, LISTS[1]) != base
    assert content_hash(LISTS[0], recommended("bob", BOB, model="m2")) != base
    assert (
        content_hash(
            LISTS[0], recommended("bob", ranked(("jam", 0.8, "repeat", None), ("milk", 0.1, "popular", "jam")))
        )
        != base
    )
