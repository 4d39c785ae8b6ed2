"""What people are told of a night: what readers see, why not the newest night, and how each channel takes the words."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any, get_args

import pytest

from contracts.notices import Kind, Notice, tell
from contracts.settings import Airflow, Alerts, Settings, Shop
from contracts.states import readers_get
from contracts.tables import PUBLICATIONS, QUALITY_RESULTS
from nightshift.alerts.banner import banner, escaped
from nightshift.alerts.message import HEADLINES, LONGEST, Message, quiet
from nightshift.alerts.standing import Standing, due, expected, held_for, stand, standing
from tests.factories import publication, result
from tests.lakes import ArrowLake

FIRST, SECOND, THIRD = date(2017, 12, 22), date(2017, 12, 23), date(2017, 12, 24)
NOON = datetime(2017, 12, 25, 12, tzinfo=UTC)
OF_FIRST = "the lists of 2017-12-22, published 2017-12-23 04:00 UTC by run r1"


def with_(settings: Settings, **sections: Any) -> Settings:
    return settings.model_copy(update=sections)


def held(ds: date = SECOND, **changes: Any) -> dict[str, Any]:
    return publication(ds, status="held", reasons=["items are available: broken by 1 item"], **changes)


@pytest.mark.parametrize(
    ("rows", "night", "run_id", "told"),
    [
        ([], SECOND, None, "nothing was ever published, readers get no lists"),
        ([held()], SECOND, None, "nothing was ever published, readers get no lists"),
        ([publication(FIRST), held()], SECOND, "r1", f"readers still get {OF_FIRST}"),
        ([publication(FIRST)], None, None, f"readers get {OF_FIRST}"),
        ([publication(FIRST)], FIRST, "r1", f"readers get {OF_FIRST}"),
        ([publication(FIRST)], FIRST, "r2",
         "readers still get this same night's earlier lists, published 2017-12-23 04:00 UTC by run r1"),
    ],
)  # fmt: skip
def test_what_readers_get_has_one_wording(
    rows: list[dict[str, Any]], night: date | None, run_id: str | None, told: str
) -> None:
    assert readers_get(rows, night, run_id) == told
    if "earlier" in told:
        assert readers_get(rows, night, run_id, replaced=True).endswith("by a run that did not come to its end")


def test_a_night_is_due_at_its_deadline_by_the_shops_clock(settings: Settings) -> None:
    tokyo = with_(settings, shop=Shop(time_zone="Asia/Tokyo"), alerts=Alerts(deadline=time(6)))
    # six o'clock of the 25th in Tokyo is nine in the evening of the 24th in UTC
    assert due(tokyo, datetime(2017, 12, 24, 20, 59, tzinfo=UTC)) == SECOND
    assert due(tokyo, datetime(2017, 12, 24, 21, 0, tzinfo=UTC)) == THIRD


def test_the_expected_night_is_by_the_clock_where_nights_are_scheduled(settings: Settings) -> None:
    by_clock = with_(settings, airflow=Airflow(scheduled=True))
    assert expected(settings, NOON, []) is None
    assert expected(settings, NOON, [FIRST, SECOND]) == SECOND
    assert expected(by_clock, NOON, [FIRST, SECOND]) == THIRD
    # a night that was held before its deadline
    assert expected(by_clock, datetime(2017, 12, 25, 1, tzinfo=UTC), [THIRD]) == THIRD


def test_nothing_is_told_of_a_home_in_which_nothing_was_tried(settings: Settings) -> None:
    assert standing(settings, NOON) is None
    assert standing(with_(settings, airflow=Airflow(scheduled=True)), NOON) is None


def test_a_held_night_is_behind_until_it_is_published(arrow_lake: ArrowLake) -> None:
    settings = arrow_lake.settings
    arrow_lake.write(PUBLICATIONS, [publication(FIRST), held(run_id="r2")])
    assert standing(settings, NOON) == Standing(
        SECOND, FIRST, f"readers still get {OF_FIRST}", "held: items are available: broken by 1 item", "r2"
    )
    assert held_for(settings, SECOND, "r2") == ("items are available: broken by 1 item",)
    assert held_for(settings, SECOND, "r1") == ()
    later = datetime(2017, 12, 24, 9, tzinfo=UTC)
    arrow_lake.write(PUBLICATIONS, [publication(FIRST), held(), publication(SECOND, published_at=later)])
    assert standing(settings, NOON) is None
    assert not stand(settings, SECOND).is_behind


def test_a_night_that_was_published_before_its_day_was_over_is_behind(arrow_lake: ArrowLake) -> None:
    settings = arrow_lake.settings
    berlin = with_(settings, shop=Shop(time_zone="Europe/Berlin"))
    early = publication(SECOND, run_id="r2", published_at=datetime(2017, 12, 23, 23, 30, tzinfo=UTC))
    arrow_lake.write(PUBLICATIONS, [publication(FIRST), early])
    assert standing(settings, NOON) == Standing(
        SECOND,
        FIRST,
        "readers still get this same night's earlier lists, published 2017-12-23 23:30 UTC by run r2",
        "what readers get of it is from 2017-12-23 23:30 (UTC), before its day was over",
        "r2",
    )
    assert stand(settings, SECOND).is_behind
    # in Berlin it was over
    assert standing(berlin, NOON) is None
    arrow_lake.write(PUBLICATIONS, [publication(FIRST), early, publication(SECOND, run_id="r3")])
    assert standing(settings, NOON) is None


def test_a_night_that_failed_is_behind_by_its_newest_notice(arrow_lake: ArrowLake) -> None:
    settings = arrow_lake.settings
    arrow_lake.write(PUBLICATIONS, [publication(FIRST), held()])
    tell(settings, "r3", Notice("failed", THIRD, "land_events: no log", "Deliver it."))
    tell(settings, "r4", Notice("late_files", THIRD, "stops nothing", "Nothing."))
    found = standing(settings, NOON)
    assert found
    assert (found.expected, found.why, found.run_id) == (THIRD, "failed: land_events: no log", "r3")
    # the held night failed when it ran again, which is told now and not in 2017
    tell(settings, "r5", Notice("failed", SECOND, "clean_events: disk full", "Make room."))
    assert stand(settings, SECOND).why == "failed: clean_events: disk full"


def test_a_gate_without_airflow_and_a_night_that_never_ran(arrow_lake: ArrowLake) -> None:
    settings = arrow_lake.settings
    arrow_lake.write(PUBLICATIONS, [publication(FIRST)])
    arrow_lake.write(QUALITY_RESULTS, [result(SECOND, success=False)])
    found = standing(settings, NOON)
    assert found
    assert found.why == "its data failed the validation: events: rows: 0 (expected: 1 or more)"
    arrow_lake.write(QUALITY_RESULTS, [result(SECOND)])
    # validated, and nothing more: it may be running
    assert standing(settings, NOON) is None
    assert stand(settings, SECOND).why == "it was validated, and nothing was published or held since"
    scheduled = standing(with_(settings, airflow=Airflow(scheduled=True)), NOON)
    assert scheduled
    assert (scheduled.expected, scheduled.why) == (THIRD, "no run of it came to anything yet")


def test_the_banner_says_what_readers_see_and_why_and_escapes_what_logs_bring() -> None:
    behind = Standing(SECOND, FIRST, "readers still get x", "held: <b>*a*</b> [x](http://y.z) www.a.b", "r/1")
    text = banner(behind, "/airflow")
    assert text
    assert text.startswith(
        "Readers still get x\\. [The night of 2017\\-12\\-23](/airflow/dags/nightly_recommendations/"
    )
    assert "runs/r%2F1) is not published: held\\: \\<b\\>\\*a\\*\\<\\/b\\>" in text
    assert "://y" not in text.replace("\\", "")
    assert "www.a" not in text.replace("\\", "")
    assert banner(Standing(SECOND, SECOND, "readers get y", "", None)) is None
    assert "/runs/" not in (banner(Standing(SECOND, None, "nothing", "none", None)) or "/runs/")
    assert len(escaped("x" * 1000)) < 310


def test_every_kind_has_a_headline_and_all_four_parts() -> None:
    assert set(HEADLINES) == set(get_args(Kind))
    for kind in get_args(Kind):
        message = Message(Notice(kind, SECOND, "Why.", "Do."), "r1", "readers get z", "http://a/b?c&d")
        assert message.headline.startswith("Nightshift: ")
        assert "2017-12-23" in message.headline
        assert message.chat.splitlines() == [
            f"*{message.headline}*", "*What happened:* Why.", "*Now:* Readers get z.", "*What to do:* Do.",
            "http://a/b?c&d",
        ]  # fmt: skip
        assert set(message.payload) == {"kind", "night", "run_id", "headline", "what", "readers", "to_do", "link"}
        for part in ("Why.", "Readers get z.", "Do.", 'href="http://a/b?c&amp;d"'):
            assert part in message.mail


def test_a_message_is_short_and_on_one_line_whatever_logs_bring() -> None:
    notice = Notice("failed", SECOND, f"a\r\nSubject: b\x1b[31m <i> {'x' * 5000}", "Do.")
    message = Message(notice, "r1", "readers get z", "http://a")
    what = message.payload["what"]
    assert what.startswith("a Subject: b[31m <i> xxx")
    assert len(what) == LONGEST + 2
    assert "<i>" not in message.mail
    assert "&lt;i&gt;" in message.chat
    assert quiet("<!here> [a](b) @all & c") == "&lt;!here&gt; [a]\u200b(b) @\u200ball &amp; c"
