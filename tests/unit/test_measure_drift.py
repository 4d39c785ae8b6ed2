"""The step on a real lake: a behaviour's share jumps, a fine-tuning is asked for once, and people are told once."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contracts import lake, notices
from contracts.cli import RESULT_FILE
from contracts.errors import ModelError
from contracts.settings import Drift
from contracts.tables import DRIFT_RESULTS, EVENTS, ITEMS, PUBLICATIONS
from models import artifact
from models.catalogue import Catalogue
from models.histories import DAY, Histories
from models.profile import Profile
from spark_jobs.measure_drift import Arguments, run
from tests.factories import event, item, noon, publication
from tests.lakes import ArrowLake

MADE = date(2017, 12, 16)
MODEL = f"{MADE}-0a1b2c3d"
NIGHT = date(2017, 12, 23)
USERS, ITEM_IDS = [f"u{number}" for number in range(20)], ["a", "b"]


def add_model(lake_: ArrowLake, name: str = MODEL, *, with_profile: bool = True) -> Path:
    """A model whose training saw everybody take everything on every day, one view a purchase."""
    folder = lake_.settings.models / name
    folder.mkdir(parents=True)
    if with_profile:
        # as of 1970-02-18: only shares, weekdays and ids are compared, not the days themselves
        end = 49 * DAY
        user, thing, behaviour, ago = (
            axis.ravel() for axis in np.meshgrid(range(20), range(2), range(2), range(1, 43), indexing="ij")
        )
        histories = Histories.from_events(20, user, thing, behaviour, end - ago * DAY)
        codes = np.array([[0, 0], [0, 1], [0, 0], [0, 0]], dtype=np.int32)
        names = (("food",), ("x", "y"), (None,), ("ours",))
        texts = np.array(ITEM_IDS, dtype=object)
        catalogue = Catalogue(pd.Index(ITEM_IDS), texts, codes, names, np.ones(2, dtype=np.bool_))
        Profile.of(histories, catalogue, USERS, ["view", "purchase"], end).save(folder)
    artifact.write_manifest(folder, {})
    return folder


def events_of(days: int, *behaviours: str, until: int = 40) -> list[dict[str, Any]]:
    """Everybody does these things with both items on each of the days up to ``until`` days after `NIGHT`."""
    return [
        event(user, thing, noon(NIGHT + timedelta(days=until - ago)), behaviour, event_id=f"{user}{thing}{ago}{n}")
        for user in USERS
        for thing in ITEM_IDS
        for ago in range(days)
        for n, behaviour in enumerate(behaviours)
    ]


@pytest.fixture
def shop(arrow_lake: ArrowLake) -> ArrowLake:
    kinds: dict[str, Any] = {"department": "food", "brand": "ours"}
    arrow_lake.write(ITEMS, [item("a", category="x", **kinds), item("b", category="y", **kinds)])
    arrow_lake.write(EVENTS, events_of(50, "view", "view", "view", "purchase"))
    add_model(arrow_lake)
    settings = arrow_lake.settings.model_copy(update={"drift": Drift(max_volume_factor=3)})
    return replace(arrow_lake, settings=settings)


def measured(
    shop: ArrowLake, night: date = NIGHT, model: str = MODEL, *, backfill: bool = False, **changes: Any
) -> bool:
    drift = shop.settings.drift.model_copy(update=changes)
    settings = shop.settings.model_copy(update={"drift": drift})
    return run(settings, Arguments(ds=night, run_id=f"r-{night}", model=model, backfill=backfill))


def nights_that_ask(shop: ArrowLake, first: int, end: int) -> list[date]:
    """Measures the nights so many days after `NIGHT`, publishes them, and gives those that ask for a fine-tuning."""
    asked = []
    for night in [NIGHT + timedelta(days=n) for n in range(first, end)]:
        if measured(shop, night):
            asked.append(night)
        shop.write(PUBLICATIONS, [publication(NIGHT + timedelta(days=n)) for n in range((night - NIGHT).days + 1)])
    return asked


def rows_of(shop: ArrowLake, night: date = NIGHT) -> dict[str, dict[str, Any]]:
    return {row["measure"]: row for row in lake.rows(shop.settings, DRIFT_RESULTS, {"ds": night})}


def test_a_share_that_jumps_is_told_at_once_and_asks_for_a_fine_tuning_once_it_has_lasted(
    shop: ArrowLake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(RESULT_FILE, str(tmp_path / "result.json"))
    assert not measured(shop)
    rows = rows_of(shop)
    assert [name for name, row in rows.items() if row["drifted"]] == ["behaviours"]
    jumped = rows["behaviours"]
    assert (jumped["name"], jumped["before"], jumped["now"], jumped["value"]) == ("purchase", 0.5, 0.25, 0.25)
    waits = "No fine-tuning: one starts if this lasts until 2017-12-30 ([drift] lasting_days)."
    assert {row["decision"] for row in rows.values()} == {waits}
    (told,) = notices.of_run(shop.settings, f"r-{NIGHT}")
    assert told.notice.kind == "drift"
    assert "share of a behaviour 25.0 points (purchase 50.0% → 25.0%, bound 10.0 points)" in told.notice.what

    # the first one whose training has days of it, and no other: its training would learn no more
    assert nights_that_ask(shop, 0, 25) == [NIGHT + timedelta(days=7)]
    assert json.loads((tmp_path / "result.json").read_text()) == {"drifted": False}
    assert notices.nights(shop.settings) == [NIGHT, NIGHT + timedelta(days=7)]
    assert rows_of(shop, NIGHT + timedelta(days=24))["behaviours"]["decision"] == (
        "No fine-tuning: that as of 2017-12-31 was trained on days that have drifted since 2017-12-23, whether it won "
        "or not."
    )


def test_drift_that_ends_and_comes_again_asks_again(shop: ArrowLake) -> None:
    assert nights_that_ask(shop, 0, 8) == [NIGHT + timedelta(days=7)]
    rows = lake.rows(shop.settings, EVENTS)
    shop.write(EVENTS, events_of(50, "view", "purchase"))
    assert nights_that_ask(shop, 8, 9) == []
    shop.write(EVENTS, rows)
    assert nights_that_ask(shop, 9, 20) == [NIGHT + timedelta(days=16)]


def test_another_drift_does_not_wait_for_the_first_one_to_end(shop: ArrowLake) -> None:
    assert nights_that_ask(shop, 0, 8) == [NIGHT + timedelta(days=7)]
    shop.write(ITEMS, [item("a", category="z"), item("b", category="z")])
    assert nights_that_ask(shop, 8, 20) == [NIGHT + timedelta(days=15)]


def test_a_night_that_was_held_has_started_nothing(shop: ArrowLake) -> None:
    assert measured(shop, lasting_days=0)
    shop.write(PUBLICATIONS, [publication(NIGHT, status="held")])
    assert measured(shop, NIGHT + timedelta(days=1), lasting_days=0)


def test_the_answer_is_the_same_once_the_model_is_made(shop: ArrowLake) -> None:
    assert measured(shop, lasting_days=0)
    first = rows_of(shop)
    add_model(shop, f"{NIGHT + timedelta(days=1)}-0a1b2c3d")
    add_model(shop, "2099-01-01-0a1b2c3d")
    assert measured(shop, lasting_days=0)
    assert rows_of(shop) == first
    assert len(notices.of_run(shop.settings, f"r-{NIGHT}")) == 1
    assert len(first) == 9


def test_a_backfill_asks_for_nothing(shop: ArrowLake) -> None:
    assert not measured(shop, backfill=True, lasting_days=0)
    assert rows_of(shop)["behaviours"]["decision"] == "No fine-tuning: a backfill trains nothing."


def test_a_night_like_its_training_asks_for_nothing(shop: ArrowLake) -> None:
    shop.write(EVENTS, events_of(50, "view", "purchase", "view", "purchase"))
    assert not measured(shop)
    rows = rows_of(shop)
    values = {name: row["value"] for name, row in rows.items()}
    assert values.pop("product_type") is None
    assert rows["product_type"]["note"] == "no item of the events has one"
    assert values == pytest.approx(dict.fromkeys(values, 0) | {"volume": 2, "volume_of_night": 2}, abs=1e-9)
    assert notices.nights(shop.settings) == []


def test_only_told_where_the_settings_say_so(shop: ArrowLake) -> None:
    assert not measured(shop, retrain=False)
    (told,) = notices.of_run(shop.settings, f"r-{NIGHT}")
    assert told.notice.what.endswith("No fine-tuning: [drift] retrain is off.")


def test_a_night_of_the_past_asks_for_nothing(shop: ArrowLake) -> None:
    shop.write(PUBLICATIONS, [publication(NIGHT, status="held"), publication(NIGHT + timedelta(days=1))])
    assert not measured(shop, lasting_days=0)
    assert "2017-12-24 is published already" in rows_of(shop)["behaviours"]["decision"]
    shop.write(PUBLICATIONS, [publication(NIGHT), publication(NIGHT + timedelta(days=1), status="held")])
    assert measured(shop, lasting_days=0)


def test_a_model_that_knows_later_events_asks_for_nothing(shop: ArrowLake) -> None:
    later = f"{NIGHT + timedelta(days=2)}-0a1b2c3d"
    add_model(shop, later)
    assert not measured(shop, model=later)
    assert f"model {later} knows what came after this night" in rows_of(shop)["behaviours"]["decision"]


def test_a_fine_tuning_that_did_not_win_counts_too(shop: ArrowLake) -> None:
    add_model(shop, f"{NIGHT}-11111111")
    assert not measured(shop, lasting_days=0)
    assert "the last one is as of 2017-12-23" in rows_of(shop)["behaviours"]["decision"]
    assert measured(shop, NIGHT + timedelta(days=6), lasting_days=0)


def test_a_model_of_before_profiles_measures_nothing_and_fails_nothing(shop: ArrowLake) -> None:
    old = f"{MADE}-22222222"
    add_model(shop, old, with_profile=False)
    assert not measured(shop, model=old)
    assert {(row["value"], row["drifted"]) for row in rows_of(shop).values()} == {(None, False)}
    assert "before trainings left a profile" in rows_of(shop)["brand"]["note"]


def test_a_damaged_profile_is_an_error_that_names_it(shop: ArrowLake) -> None:
    (shop.settings.models / MODEL / "profile.json").write_text("{}")
    with pytest.raises(ModelError, match=r"profile\.json has changed"):
        measured(shop)
