"""Examples name no user, and say only what the tables bear out."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from contracts.errors import InputError
from contracts.settings import Shop
from contracts.tables import EVENTS, ITEMS, RECOMMENDATIONS
from spark_jobs import examples as command
from spark_jobs.reporting import examples
from spark_jobs.reporting.pseudonyms import masked, pseudonym
from tests.factories import event, fallback_row, item, noon, ranked, recommended
from tests.lakes import ArrowLake

NIGHT = date(2017, 12, 23)


@pytest.fixture
def shop(arrow_lake: ArrowLake) -> ArrowLake:
    arrow_lake.write(
        ITEMS,
        [
            item("1", title="Milk", brand="Farm", size="1 L"),
            item("2", category="TEA"),
            item("3"),
        ],
    )
    arrow_lake.write(
        EVENTS,
        [
            event("ann", "1", noon(date(2017, 12, 1))),
            event("ann", "1", noon(date(2017, 12, 20))),
            event("ann", "2", noon(date(2017, 12, 23))),
            event("ann", "3", noon(date(2017, 12, 22)), "view"),
            event("ann", "2", noon(date(2017, 12, 24))),
            # of the night's day, but a later log brought it
            event("ann", "1", noon(date(2017, 12, 23)), ds=date(2017, 12, 24)),
            event("bob", "1", noon(date(2017, 12, 3))),
        ],
    )
    items = ranked(
        ("1", 1.0, "repeat", "1"), ("3", 1.0, "together", "2"), ("2", 1.0, "match", "1"), ("9", 1.0, "popular", None)
    )
    lists = [recommended(user, items, ds=NIGHT) for user in ("bob", "ann", "cleo")]
    arrow_lake.write(RECOMMENDATIONS, [*lists, fallback_row("9", ds=NIGHT)])
    return arrow_lake


def test_history_and_reasons_are_as_of_the_night(shop: ArrowLake) -> None:
    ann, bob, cleo = examples.examples(shop.settings, NIGHT)
    assert (ann.events, bob.events, cleo.events) == (4, 1, 0)
    assert ann.history == (
        examples.PastItem("TEA", 1, date(2017, 12, 23)),
        examples.PastItem("Milk, Farm, 1 L", 2, date(2017, 12, 20)),
    )
    assert [(row.text, row.why) for row in ann.recommendations] == [
        ("Milk, Farm, 1 L", "2 ×, last 4 days ago"),
        ("item 3", "goes with TEA, last yesterday"),
        ("TEA", "close to Milk, Farm, 1 L"),
        ("item 9", "popular with everyone now"),
    ]
    assert bob.recommendations[0].why == "once, 21 days ago"
    assert cleo.recommendations[0].why == "looked at before"


def test_days_are_those_of_the_shops_time_zone(shop: ArrowLake) -> None:
    night = shop.settings.model_copy(update={"shop": Shop(time_zone="Asia/Tokyo")})
    # half past midnight of the 23rd in Tokyo, and of the 24th, which is not known yet
    shop.write(EVENTS, [
        event("ann", "1", datetime(2017, 12, 22, 15, 30, tzinfo=UTC), ds=NIGHT),
        event("ann", "2", datetime(2017, 12, 23, 15, 30, tzinfo=UTC), ds=NIGHT),
    ])  # fmt: skip
    ann = examples.examples(night, NIGHT)[0]
    assert ann.history == (examples.PastItem("Milk, Farm, 1 L", 1, NIGHT),)


def test_users_have_a_pseudonym_that_stays(shop: ArrowLake) -> None:
    chosen = examples.examples(shop.settings, NIGHT)
    shown = examples.text(chosen)
    for user in ("ann", "bob", "cleo"):
        assert f"user {user}" not in shown
    assert examples.examples(shop.settings, NIGHT) == chosen
    assert len({example.user for example in chosen}) == 3
    assert pseudonym("ann", b"key") != pseudonym("ann", b"other key")
    key = shop.settings.home / "secrets" / "pseudonym.key"
    assert key.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        ('{"user_id": "ann", "item_id": "1"}', f'{{"user_id": "{pseudonym("ann", b"key")}", "item_id": "1"}}'),
        ('{"user_id": 17}', f'{{"user_id": "{pseudonym("17", b"key")}"}}'),
        ('{"user_id": null}', '{"user_id": null}'),
        ('["ann"]', "a record of 7 characters that is not a JSON object"),
        ("ann, 1", "a record of 6 characters that is not a JSON object"),
    ],
)
def test_a_raw_record_names_no_user(record: str, shown: str) -> None:
    assert masked(record, b"key") == shown


def test_users_are_spread_from_much_to_little_history() -> None:
    assert examples.spread(list("abcdefghi"), 3) == ["b", "e", "h"]
    assert examples.spread(["a", "b"], 3) == ["a", "b"]
    assert examples.spread([], 3) == []


def test_a_night_that_was_not_published_is_named(shop: ArrowLake) -> None:
    with pytest.raises(InputError, match="no lists of 2017-12-22"):
        examples.examples(shop.settings, date(2017, 12, 22))


def test_the_command_shows_as_many_users_as_it_is_asked_for(
    shop: ArrowLake, capsys: pytest.CaptureFixture[str]
) -> None:
    command.run(shop.settings, command.Arguments(ds=NIGHT, users=2))
    assert capsys.readouterr().out.count("history, newest first:") == 2
