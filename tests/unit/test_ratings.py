"""What ratings mean: the settings, the single event, and the guesses of a first look."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from contracts.ratings import TargetEvents
from contracts.settings import Ingest, load_settings
from nightshift.starter.guess import guess_event
from nightshift.starter.sample import look
from nightshift.starter.starter import start


@pytest.mark.parametrize(
    ("scale", "least"), [((1, 5), 4), ((0.5, 5), 3.875), ((0, 1), 0.75), ((-1, 1), 0.5), ((1, 10), 7.75)]
)
def test_three_quarters_up_the_scale_is_liked(scale: tuple[float, float], least: float) -> None:
    assert Ingest(rating_scale=scale).target_events == TargetEvents(("purchase",), least)
    assert Ingest(rating_scale=scale, min_target_rating=scale[0]).target_events.least == scale[0]


def test_without_a_scale_a_rating_is_an_event() -> None:
    rule = Ingest(targets=("rating",)).target_events
    assert rule.is_one("rating", 1)
    assert rule.is_one("rating", None)
    assert not rule.is_one("view", 5)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"rating_scale": (5, 1)}, "lowest and the highest rating, in this order"),
        ({"rating_scale": (1, float("inf"))}, "lowest and the highest rating, in this order"),
        ({"rating_scale": (1, float("nan"))}, "lowest and the highest rating, in this order"),
        ({"min_target_rating": 3}, "needs rating_scale"),
        ({"rating_scale": (1, 5), "min_target_rating": 6}, "on rating_scale, between 1 and 5"),
    ],
)
def test_scales_that_are_none_are_refused(told: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Ingest.model_validate(told)


def film_ratings(folder: Path, sign: str = "::") -> Path:
    """A log of stars without a header line, mostly good ones."""
    stars = (5, 4, 4, 3, 5, 1, 4, 2)
    rows = [sign.join(map(str, (n % 40, 1000 + n % 60, stars[n % 8], 978_300_760 + n))) for n in range(200)]
    file = folder / "ratings.dat"
    file.write_text("\n".join(rows) + "\n")
    return file


def test_a_log_of_stars_is_seen_for_one_and_its_files_work(tmp_path: Path) -> None:
    from contracts.mapping import load_mapping

    environ = {"NIGHTSHIFT_HOME": str(tmp_path / "home"), "NIGHTSHIFT_PROFILE": "demo"}
    (tmp_path / "home").mkdir()
    made = start(load_settings(environ), film_ratings(tmp_path), None, "UTC")
    assert made.event.event == {
        "event_time": "c3", "user_id": "c0", "item_id": "c1", "rating": "c2", "event_type": "'rating'",
    }  # fmt: skip
    assert "look twice" in made.event.remarks["rating"]
    settings = load_settings(environ)
    assert settings.ingest.scale == Ingest(rating_scale=(1, 5)).scale
    assert (settings.ingest.targets, settings.ingest.behaviours) == (("rating",), {"rating": 0.5})
    assert load_mapping(settings).event.rating == "c2"


@pytest.mark.parametrize(
    ("name", "values", "expression", "scale"),
    [
        ("rating", ["3", "4", "5"], "rating", (1, 5)),
        ("overall", ["1.0", "5.0"], "overall", (1, 5)),
        ("stars", ["0,5", "4,5"], "replace(stars, ',', '.')", (0.5, 5)),
        ("Book-Rating", ["0", "7", "10"], "`Book-Rating`", (0, 10)),
        ("score", ["-1", "1"], "score", (-1, 1)),
        ("score", ["-10", "10", "3"], "score", (-10, 10)),
        ("score", ["20", "85"], "score", (0, 100)),
        ("rating", ["good", "bad"], None, None),
        ("rating", ["4.31", *(f"{n / 50}" for n in range(100))], None, None),  # the mean of an item, not a user's
        ("rating", ["5", "5"], None, None),
    ],
)
def test_ratings_are_known_by_name_and_values(
    name: str, values: list[str], expression: str | None, scale: tuple[float, float] | None
) -> None:
    made = guess_event({"user": ["a", "b"], "item": ["x", "y"], "time": ["2020-01-01", "2020-01-02"], name: values})
    assert (made.event.get("rating"), made.scale) == (expression, scale)
    assert made.event.get("event_type") == (None if expression is None else "'rating'")
    if scale and scale[0] == 0:
        assert "nullif" in made.remarks["rating"]


def test_stars_of_purchases_leave_them_purchases() -> None:
    made = guess_event({"user": ["a"], "item": ["x"], "time": ["2020-01-01"], "price": ["2"], "stars": ["5", "4"]})
    assert (made.event["rating"], made.event.get("event_type")) == ("stars", None)


def test_quantities_without_a_name_are_no_stars(tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    file.write_text("".join(f"{n % 40},{n % 60},{(1, 1, 2, 1, 5, 1)[n % 6]},{1511544070 + n}\n" for n in range(200)))
    assert "rating" not in guess_event(look(file).columns, has_names=False).event
