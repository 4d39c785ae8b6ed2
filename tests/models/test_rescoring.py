"""`nightshift why --score`: the night's model ranks a user again, without Spark."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from contracts.errors import ModelError
from contracts.interval import midnight_seconds
from contracts.settings import Settings
from contracts.tables import EVENTS, ITEM_VECTORS, ITEMS, PUBLICATIONS, RECOMMENDATIONS
from models import artifact
from models.behaviours import Behaviours
from models.features.rows import feature_names
from models.published import ABOUT, ENCODER, ItemKnowledge, PublishedModel, TypedHabits
from models.ranker import Ranker
from models.text_space import TextSpace
from models.user_encoder import UserEncoder
from nightshift.lookups.rescoring import contributions, daily_counts, history
from tests.commands import answer, command, told
from tests.factories import (
    NIGHT,
    PURCHASES,
    SHOP_ITEMS,
    TINY,
    event,
    fallback_row,
    item,
    noon,
    publication,
    ranked,
    recommended,
    shop_catalogue,
    shop_histories,
    shop_state,
)
from tests.lakes import ArrowLake

END = NIGHT + timedelta(days=1)
N = 5


@pytest.fixture
def shop(settings: Settings, ranker: Ranker) -> ArrowLake:
    """A published night of two users, one without events before it, with the model behind it."""
    shop, catalogue, past = ArrowLake(settings), shop_catalogue(), shop_histories()
    state = shop_state(past)
    shop.write(ITEMS, [item(each, category="x", product_type=each[-1]) for each in catalogue.item_ids])
    vectors = zip(catalogue.item_ids, state.vectors, state.texts, strict=True)
    shop.write(
        ITEM_VECTORS,
        [
            {
                "model_id": "m1",
                "item_id": each,
                "text_hash": item(each)["text_hash"],
                "vector": vector.tolist(),
                "text_vector": text.tolist(),
            }
            for each, vector, text in vectors
        ],
    )
    bought = [event("ann", f"i{n % 4:02d}", noon(NIGHT - timedelta(days=n))) for n in range(9)]
    shop.write(EVENTS, [*bought, event("bob", "i00", noon(END), "view"), event("ann", "i00", noon(END))])
    about: dict[str, Any] = {
        "model_id": "m1",
        "settings": TINY.model_dump(mode="json"),
        "behaviours": asdict(Behaviours(("purchase", "view"), (1.0, 0.1), (0,))),
        "text_size": 4,
    }
    folder = settings.models / "m1"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    encoder = UserEncoder(4, SHOP_ITEMS, 2, TINY.encoder).eval()
    known = ItemKnowledge(
        list(catalogue.item_ids),
        np.arange(1, SHOP_ITEMS + 1, dtype=np.int32),
        state.neighbours,
        TypedHabits.of(past, midnight_seconds(END), catalogue, TINY.features.prior),
    )
    space = TextSpace.of(np.eye(4, dtype=np.float32), 4)
    PublishedModel(about, encoder, ranker, known, space).save(folder)
    artifact.write_manifest(folder, {"model_id": "m1"})
    (settings.home / "nightshift.toml").write_text(f"[scoring]\nn = {N}\n")
    publish(shop, [("i00", 1.0, "repeat", "i00")])
    return shop


@pytest.mark.parametrize("what", ["networks", "settings"])
def test_a_model_that_earlier_code_wrote_is_refused_in_words(shop: ArrowLake, what: str) -> None:
    folder = shop.settings.models / "m1"
    if what == "networks":
        weights = load_file(folder / ENCODER)
        save_file({**weights, "head.weight": torch.zeros(8, 8)}, folder / ENCODER)
    else:
        about = json.loads((folder / ABOUT).read_text())
        about["settings"]["encoder"]["temperature"] = 0.05
        (folder / ABOUT).write_text(json.dumps(about))
    with pytest.raises(ModelError, match=r"Model m1 was made by an earlier version .* Fine-tune a model anew"):
        PublishedModel.load(folder)


def publish(shop: ArrowLake, rows: list[tuple[str, float, str, str | None]]) -> None:
    shop.write(RECOMMENDATIONS, [recommended(user, ranked(*rows)) for user in ("ann", "bob")])
    shop.write(PUBLICATIONS, [publication(NIGHT)])


def test_the_list_comes_out_as_published_and_each_candidate_has_its_place(shop: ArrowLake) -> None:
    made = {
        each: answer(shop.settings, "why", "ann", each, "--score")["rescored"]
        for each in (f"i{number:02d}" for number in range(SHOP_ITEMS))
    }
    assert not any(each["as_published"] for each in made.values())
    placed = sorted((each["rank"], name) for name, each in made.items() if each["sources"])
    assert [rank for rank, _ in placed] == list(range(1, len(placed) + 1))
    assert [name for name, each in made.items() if "repeat" in each["sources"]] == ["i00", "i01", "i02", "i03"]
    assert all("popular" in each["sources"] for each in made.values())
    top = placed[:N]
    assert made[top[-1][1]]["score"] == made[top[0][1]]["last_score"]
    publish(shop, [(name, made[name]["score"], made[name]["sources"][0], None) for _, name in top])
    again = answer(shop.settings, "why", "ann", top[0][1], "--score")["rescored"]
    assert again["as_published"]
    assert len(again["contributions"]) == 8
    assert f"rank 1 of {again['candidates']} before the rules" in told(
        shop.settings, "why", "ann", top[0][1], "--score"
    )


def test_a_list_that_was_carried_over_is_scored_as_of_the_night_that_scored_it(shop: ArrowLake) -> None:
    then = answer(shop.settings, "why", "ann", "i01", "--score")["rescored"]
    tomorrow = NIGHT + timedelta(days=1)
    rows = shop.rows(RECOMMENDATIONS)
    shop.write(RECOMMENDATIONS, [row | {"ds": tomorrow} for row in rows])
    shop.write(PUBLICATIONS, [publication(tomorrow)])
    assert answer(shop.settings, "why", "ann", "i01", "--score")["rescored"] == then
    assert f"The night {NIGHT} scored the list" in told(shop.settings, "show", "ann")
    shop.write(RECOMMENDATIONS, [row | {"ds": tomorrow, "scored_ds": None} for row in rows])
    assert answer(shop.settings, "why", "ann", "i01", "--score")["rescored"]["score"] != then["score"]
    assert "carried over" not in told(shop.settings, "show", "ann")


def test_who_has_no_events_gets_the_popular_list(shop: ArrowLake) -> None:
    made = answer(shop.settings, "why", "bob", "i01", "--score")["rescored"]
    assert (made["sources"], made["score"], made["contributions"]) == (["popular"], None, [])
    assert "the popular list stands as it is" in told(shop.settings, "why", "bob", "i01", "--score")


def test_an_unknown_user_is_scored_as_who_did_nothing(shop: ArrowLake) -> None:
    shop.write(RECOMMENDATIONS, [*shop.rows(RECOMMENDATIONS), fallback_row("i00")])
    made = answer(shop.settings, "why", "nobody", "i01", "--score")
    assert made["fallback"]["code"] == "no_event"
    rescored = made["rescored"]
    assert (rescored["sources"], rescored["score"], rescored["as_published"]) == (["popular"], None, False)
    bob = answer(shop.settings, "why", "bob", "i01", "--score")["rescored"]
    assert bob == rescored


def test_a_model_that_is_gone_is_one_line(shop: ArrowLake) -> None:
    shop.write(PUBLICATIONS, [publication(NIGHT, model_id="m0")])
    made = command(shop.settings, "why", "ann", "i00", "--score")
    assert made.exit_code == 68
    assert "There is no model 'm0'" in made.stderr


def test_counts_and_histories_are_those_that_the_night_knew(shop: ArrowLake) -> None:
    counts = daily_counts(shop.settings, END).to_pylist()
    assert len(counts) == 9
    assert counts[0]["day"] * 86_400 <= midnight_seconds(NIGHT)
    assert {row["events"] for row in counts} == {1}
    made = history(shop.settings, "ann", END)
    assert made["item_ids"] == [f"i{n % 4:02d}" for n in reversed(range(9))]
    assert made["sessions"] == [0] * 9


def test_a_contribution_is_what_the_score_loses_at_the_mean(ranker: Ranker) -> None:
    names = feature_names(TINY.features, PURCHASES)
    row = np.random.default_rng(5).normal(size=len(names)).astype(np.float32)
    made = contributions(ranker, row)
    assert [abs(each.contribution) for each in made] == sorted((abs(each.contribution) for each in made), reverse=True)
    first = made[0]
    number = names.index(first.feature)
    mean = float(ranker.mean[number])
    without = row.copy()
    without[number] = np.sign(mean) * np.expm1(abs(mean))
    expected = ranker.score(row[None])[0] - ranker.score(without[None])[0]
    assert first.contribution == pytest.approx(expected, abs=1e-5)
