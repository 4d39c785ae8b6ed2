"""A plan: the model of a night by hand-made rates, corrections by own nights, and what the command says."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.settings import Settings, Spark
from contracts.tables import EVENTS, NIGHT_STEPS
from nightshift.bench_scoring import whole_user
from nightshift.command.plan import draw
from nightshift.command.terminal import screen
from nightshift.plan import written_down
from nightshift.plan.calibration import calibrated, user_rate
from nightshift.plan.model import (
    PAYS,
    Memory,
    Rate,
    Rates,
    SearchRate,
    Shop,
    UserRate,
    approximate,
    night,
    pays,
    saving,
)
from nightshift.plan.own import cores_of, corrected, nights_of
from nightshift.plan.predict import OWN, WRITTEN, told
from tests.commands import answer, command
from tests.commands import told as printed
from tests.factories import NIGHT, event, noon
from tests.lakes import ArrowLake

SHOP = Shop(users=1_000, items=2_000, events_per_user=50, days=10, cores=4)
USER = UserRate({"encoding": 0.01, "ranking": 0.03}, products=64_000_000, dimensions=128)
RATES = Rates(
    {
        "clean_events": Rate(10, per_day_event=0.004),
        "score_users": Rate(20, per_event=0.0004, per_item=0.002),
        "report": Rate(5, per_user=0.001, spark=False),
    },
    USER,
    SearchRate(fixed=0.003, products=1e9, making=1e12, probes=64),
    {"driver": Memory(1e9, per_item=1000), "workers": Memory(5e8, per_user=10, per_core=True)},
    {},
)


def test_a_step_is_what_is_fixed_and_what_it_goes_through_over_the_cores() -> None:
    assert SHOP.events == 50_000
    assert RATES.seconds(SHOP, "clean_events") == pytest.approx(10 + 0.004 * 5_000 / 4)
    assert RATES.seconds(SHOP, "report") == pytest.approx(5 + 1)  # without Spark: one core
    matching = 2_000 * 128 / 64_000_000  # seconds of a user
    of_users = 1_000 * (0.01 + 0.03 + matching) / 4
    assert RATES.seconds(SHOP, "score_users") == pytest.approx(20 + (0.0004 * 50_000 + 0.002 * 2_000) / 4 + of_users)
    assert RATES.inside(SHOP) == pytest.approx({"encoding": 2.5, "ranking": 7.5, "matching": 1.0})
    assert {kind: each.bytes(SHOP) for kind, each in RATES.memory.items()} == {"driver": 1.002e9, "workers": 2.00004e9}


def test_ten_times_the_cores_take_a_tenth_but_for_what_is_fixed() -> None:
    more = Shop(1_000, 2_000, 50, 10, 40)
    assert RATES.seconds(SHOP, "clean_events") - 10 == pytest.approx(10 * (RATES.seconds(more, "clean_events") - 10))
    assert RATES.seconds(more, "report") == RATES.seconds(SHOP, "report")


def shop_of(items: int, users: int = 10_000) -> Shop:
    return Shop(users, items, 50, 10, 4)


def test_approximate_search_pays_from_where_it_saves_a_part_of_the_night() -> None:
    small, large = (approximate(RATES, shop_of(items)) for items in (1_000, 1_000_000))
    assert small.saving < 0 < large.saving
    assert small.speed_up < 1 < large.speed_up
    assert small.pays_from == large.pays_from
    there = small.pays_from
    assert there
    assert saving(RATES, shop_of(there)) >= PAYS * night(RATES, shop_of(there))
    assert not pays(RATES, shop_of(there * 9 // 10))
    # without anybody to search for, the lists are made for nothing
    assert approximate(RATES, shop_of(1_000_000, users=1)).pays_from is None


def row(ds: date, step: str, seconds: float, **counts: int) -> dict[str, Any]:
    named = [(name.replace("_", " "), number) for name, number in counts.items()]
    return {"ds": ds, "step": step, "seconds": seconds, "counts": named, "ended_at": datetime(2017, 12, 24, tzinfo=UTC)}


def night_rows(ds: date, slower: float, carried: int = 0) -> list[dict[str, Any]]:
    """Rows of a night of `SHOP` that took so many times what the written rates say."""
    plain = written_down.rates(128, 64)
    counts: dict[str, dict[str, int]] = {
        "land_events": {"records": 5_000},
        "embed_items": {"items_encoded": 10, "items_reused": 1_990},
        "score_users": {"users_scored": 1_000, "users_carried": carried},
    }
    return [row(ds, step, slower * plain.seconds(SHOP, step), **counts.get(step, {})) for step in plain.steps]


def as_read(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each | {"counts": dict(each["counts"])} for each in rows]


def test_own_nights_tell_their_size_and_how_much_slower_than_the_model_they_were() -> None:
    rows = [
        *night_rows(NIGHT, 3.0),
        *night_rows(NIGHT - timedelta(days=1), 2.0),
        *night_rows(NIGHT - timedelta(days=2), 1.0),
        *night_rows(NIGHT - timedelta(days=3), 9.0, carried=5),  # not a whole night
        row(NIGHT - timedelta(days=4), "clean_events", 1.0, records=3),  # nobody was scored
    ]
    nights = nights_of(as_read(rows), 50_000, 4)
    assert [night.ds for night in nights] == [NIGHT - timedelta(days=days) for days in range(3)]
    assert nights[0].shop == SHOP
    rates = corrected(written_down.rates(128, 64), nights)
    assert set(rates.factors) == set(written_down.STEPS)
    assert list(rates.factors.values()) == pytest.approx([2.0] * len(rates.factors))
    assert sum(rates.inside(SHOP).values()) < rates.seconds(SHOP, "score_users")


def test_a_step_that_no_own_night_has_stays_as_it_is_written() -> None:
    rows = [each for each in night_rows(NIGHT, 2.0) if each["step"] != "report"]
    rates = corrected(written_down.rates(128, 64), nights_of(as_read(rows), 50_000, 4))
    plan = told(rates, SHOP, None, nights=nights_of(as_read(rows), 50_000, 4))
    assert {step.name: step.source for step in plan.steps if step.source != OWN} == {"report": WRITTEN}


def test_only_the_newest_week_of_nights_counts() -> None:
    rows = [each for days in range(12) for each in night_rows(NIGHT - timedelta(days=days), 1.0 + (days > 6))]
    nights = nights_of(as_read(rows), 50_000, 4)
    assert len(nights) == 7
    factors = corrected(written_down.rates(128, 64), nights).factors
    assert list(factors.values()) == pytest.approx([1.0] * len(written_down.STEPS))


@pytest.mark.parametrize(
    ("master", "cores"), [("local[3]", 3), ("local[3,2]", 3), ("local", 1), ("yarn", 8), ("spark://host:7077", 8)]
)
def test_cores_are_those_that_spark_has(settings: Settings, master: str, cores: int) -> None:
    spark = Spark(master=master, executors=4, executor_cores=2)
    assert cores_of(settings.model_copy(update={"spark": spark})) == cores


def test_the_rate_of_a_user_is_that_of_its_parts() -> None:
    took = {
        "user encoder": 0.2, "matches": 0.3, "nearest texts": 0.2, "what goes with it": 0.1, "all candidates": 1.0,
        "features": 0.4, "ranker": 0.1, "all, with rows of Arrow": 1.7,
    }  # fmt: skip
    rate = user_rate(took, 10_000, 128)
    assert rate.parts == pytest.approx(
        {"encoding": 0.0002, "candidates": 0.0003, "ranking": 0.0005, "choosing, rows": 0.0002}
    )
    assert rate.matching(10_000) == pytest.approx(0.0005)
    assert rate.matching(40_000) == pytest.approx(0.002)


def test_a_user_is_measured_on_the_spot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(whole_user, "USERS", 32)
    rate = calibrated(Settings(home=tmp_path), Shop(1_000, 3_000, 12, 56, 2))
    assert set(rate.parts) == set(written_down.USER.parts)
    assert rate.matching(3_000) > 0
    assert rate.parts["encoding"] > 0
    assert rate.dimensions == 128


@pytest.fixture
def shop(arrow_lake: ArrowLake) -> ArrowLake:
    """A home with one night, of 1,000 users with 3 events each, as its tables say."""
    arrow_lake.write(NIGHT_STEPS, night_rows(NIGHT, 2.0))
    arrow_lake.write(EVENTS, [event("ann", f"{number}", noon(NIGHT)) for number in range(3_000)])
    return arrow_lake


def test_the_command_predicts_from_own_nights_and_says_so(shop: ArrowLake) -> None:
    asked = ("plan", "--users", "2000", "--items", "4000", "--cores", "8", "--price-per-hour", "3")
    made = answer(shop.settings, *asked)
    assert made["nights"] == [str(NIGHT)]
    assert made["shop"] == {"users": 2000, "items": 4000, "events_per_user": 3.0, "days": 1.0, "cores": 8}
    assert {each["source"] for each in made["steps"]} == {OWN}
    assert made["seconds"] == pytest.approx(sum(each["seconds"] for each in made["steps"]))
    assert made["cost"] == pytest.approx(made["hours"] * 3)
    shown = printed(shop.settings, *asked)
    assert f"A night: {made['hours']:,.2f} hours, which costs {made['cost']:,.2f}." in shown
    assert f"the nights {NIGHT} were, step by step" in shown
    assert "Approximate search: exact matching takes" in shown
    assert "Memory at its highest: driver's Java" in shown


def test_predictions_stand_beside_what_a_night_took(capsys: pytest.CaptureFixture[str]) -> None:
    from nightshift.plan.own import measured_night

    steps = [{"name": name, "seconds": 100.0, "peaks": {"driver": 5e8 * len(name)}} for name in RATES.steps]
    night = {"users": 1_000, "size": {"users": 1_001, "items": 2_000, "events": 50_000}, "steps": steps}
    took = measured_night(night, 4, 10.0)
    assert took.shop == SHOP
    draw(screen(), told(RATES, SHOP, None, measured=took))
    shown = capsys.readouterr().out
    assert [line.split()[-2:] for line in shown.splitlines() if line.startswith("clean_events")] == [["100.0", "0.15"]]
    assert [line.split()[-2] for line in shown.splitlines() if line.startswith("night")] == ["300.0"]
    assert "Memory at its highest: driver 1.0 GB (took 6.0), workers 2.0 GB." in shown


def test_a_large_night_is_predicted_from_a_small_one_that_was_as_slow(settings: Settings, tmp_path: Path) -> None:
    plain = written_down.rates(128, 64)
    for name, users in (("small", 1_000), ("large", 8_000)):
        shop = Shop(users, 2_000, 50, 56, 2)
        steps = [{"name": step, "seconds": 1.5 * plain.seconds(shop, step), "peaks": {}} for step in plain.steps]
        size = {"users": users, "items": 2_000, "events": 50 * users}
        (tmp_path / name).write_text(json.dumps([{"users": users, "size": size, "steps": steps}]))
    files = ("--against", str(tmp_path / "large"), "--like", str(tmp_path / "small"))
    [made] = answer(settings, "plan", *files, "--cores", "2")
    assert made["seconds"] == pytest.approx(made["measured"])
    assert [each["seconds"] for each in made["steps"]] == pytest.approx([each["measured"] for each in made["steps"]])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--users", "10"], "give --users, --items and --cores, or --against FILE"),
        (["--users", "0", "--items", "1", "--cores", "1"], "greater than or equal to 1"),
        (["--users", "many", "--items", "1", "--cores", "1"], "should be a valid integer"),
        (["--against", "night.json", "--users", "3"], "leave the others out"),
        (["--users", "1", "--items", "1", "--cores", "1", "--like", "night.json"], "--like belongs to --against"),
    ],
)
def test_wrong_arguments_are_told_in_a_line(settings: Settings, arguments: list[str], said: str) -> None:
    result = command(settings, "plan", *arguments)
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize("content", ["not JSON", "{}", '[{"size": 3}]', json.dumps([{"steps": []}])])
def test_a_file_that_is_no_benchmark_is_named(settings: Settings, tmp_path: Path, content: str) -> None:
    file = tmp_path / "night.json"
    file.write_text(content)
    result = command(settings, "plan", "--against", str(file))
    assert result.exit_code == 65
    assert f"{file} is not what `nightshift bench-night --json` writes" in result.output
    assert "Traceback" not in result.output
