"""A model meets another catalogue: known items stay as they were, new ones are what training takes new ones for."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from contracts.errors import ModelError
from contracts.settings import Cooccurrence, Features
from models.catalogue import PRODUCT_TYPE, Catalogue
from models.cooccurrence import neighbours_of
from models.item_state import habits_of
from models.published import ItemKnowledge, TypedHabits, behaviours_of
from models.user_encoder import NO_ID
from tests.factories import NOW, known_of, past_of

PRIOR = Features().prior


def catalogue(types: dict[str, str | None]) -> Catalogue:
    """Items of these product types, and of nothing else that differs."""
    ids = sorted(types)
    codes, names = pd.factorize(pd.Series([types[item] for item in ids], dtype=object), use_na_sentinel=False)
    same = np.zeros(len(ids), dtype=np.int32)
    told = tuple(None if pd.isna(name) else str(name) for name in names)
    return Catalogue(
        pd.Index(ids),
        np.array(ids, dtype=object),
        np.stack([same, same, codes, same]).astype(np.int32),
        (("x",), ("x",), told, ("x",)),
        np.ones(len(ids), dtype=np.bool_),
    )


OLD = catalogue({"b": "tea", "c": "tea", "d": "milk", "e": None})
PAST = past_of((0, 0, 30), (0, 0, 20), (1, 0, 9), (1, 0, 2), (0, 1, 5), (2, 2, 50), (2, 2, 1), (1, 3, 3))
KNOWN = ItemKnowledge(
    list(OLD.item_ids),
    np.arange(1, 5, dtype=np.int32),
    neighbours_of(known_of(PAST), 4, Cooccurrence(neighbours=2, min_weight=0)),
    TypedHabits.of(PAST, NOW, OLD, PRIOR),
)


def test_on_its_own_catalogue_nothing_changes() -> None:
    same = KNOWN.on(OLD)
    np.testing.assert_array_equal(same.id_rows, KNOWN.id_rows)
    np.testing.assert_array_equal(same.neighbours.items, KNOWN.neighbours.items)
    expected = habits_of(PAST, NOW, OLD.codes[PRODUCT_TYPE], PRIOR)
    for each in fields(expected):
        np.testing.assert_array_equal(getattr(same.habits, each.name), getattr(expected, each.name))


def test_a_new_item_is_in_the_night_what_it_is_in_training() -> None:
    new = catalogue({"a": "tea", "b": "tea", "c": "tea", "d": "milk", "e": None, "f": None, "g": "soap"})
    at_night = KNOWN.on(new)
    # training sees an item without events yet as one more of its type
    in_training = habits_of(
        past_of((0, 1, 30), (0, 1, 20), (1, 1, 9), (1, 1, 2), (0, 2, 5), (2, 3, 50), (2, 3, 1), (1, 4, 3)),
        NOW,
        new.codes[PRODUCT_TYPE],
        PRIOR,
    )
    for each in fields(in_training):
        np.testing.assert_array_equal(getattr(at_night.habits, each.name), getattr(in_training, each.name))
    assert at_night.habits.users.tolist() == [0, 2, 1, 1, 1, 0, 0]
    assert at_night.id_rows.tolist() == [NO_ID, 1, 2, 3, 4, NO_ID, NO_ID]
    assert at_night.neighbours.items[0].tolist() == [-1, -1]
    # neighbours are numbered by the new catalogue, and one that is gone is left out
    gone = KNOWN.on(catalogue({"a": "tea", "b": "tea"}))
    assert set(gone.neighbours.items.ravel().tolist()) <= {-1, 0, 1}


def test_a_model_of_an_earlier_version_is_refused_in_words() -> None:
    with pytest.raises(ModelError, match=r"Model m1 was made by an earlier version .* Fine-tune a model anew"):
        behaviours_of({"model_id": "m1", "behaviours": ["purchase", "view"]})
