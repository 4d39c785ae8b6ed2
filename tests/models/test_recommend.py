"""The scoring kernel: exact, complete, within the rules, and the same in any order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from contracts.settings import Candidates
from contracts.tables import LIST_SOURCES
from models.excluded import Excluded
from models.histories import DAY, Histories
from models.item_state import ItemState, popularity_order
from models.ranker import Ranker
from models.recommend import Lists, Rules, generated, recommend
from models.user_encoder import UserEncoder, encode_users
from tests.factories import NOW, SHOP_ITEMS, TINY, known_of, shop_histories, shop_state

RULES = Rules(n=5)


def excluded_from(histories: Histories) -> Excluded:
    """Nobody gets what is in these histories."""
    order = np.lexsort((histories.items, histories.users))
    return Excluded(histories.indptr, histories.items[order])


def lists(
    histories: Histories,
    encoder: UserEncoder,
    ranker: Ranker,
    rules: Rules = RULES,
    on: ItemState | None = None,
    excluded: Excluded | None = None,
) -> Lists:
    nothing = Excluded.nothing(len(histories))
    state = on or shop_state(histories)
    return recommend(known_of(histories), state, encoder, ranker, rules, TINY, excluded or nothing)


def test_everyone_gets_n_distinct_items_with_falling_scores(encoder: UserEncoder, ranker: Ranker) -> None:
    made = lists(shop_histories(), encoder, ranker)
    assert (made.items >= 0).all()
    assert all(len(set(row.tolist())) == RULES.n for row in made.items)
    assert (np.diff(made.scores, axis=1) <= 0).all()


def test_a_user_without_history_gets_the_list_of_who_has_none(encoder: UserEncoder, ranker: Ranker) -> None:
    histories = shop_histories()
    made = lists(histories, encoder, ranker)
    np.testing.assert_array_equal(made.items[-1], shop_state(histories).by_popularity[:5])
    assert {LIST_SOURCES[source] for source in made.sources[-1]} == {"fallback"}
    assert (made.because[-1] == -1).all()
    assert made.scores[-1].tolist() == [0, -1, -2, -3, -4]
    assert not np.signbit(made.scores[-1, 0])
    assert LIST_SOURCES.index("fallback") not in made.sources[:-1]


@given(st.data())
def test_the_list_of_who_has_none_is_the_most_popular_that_the_rules_allow(
    encoder: UserEncoder, ranker: Ranker, data: st.DataObject
) -> None:
    histories = shop_histories()
    whole = shop_state(histories)
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=SHOP_ITEMS, max_size=SHOP_ITEMS)), dtype=np.bool_)
    excluded = data.draw(st.sets(st.integers(0, SHOP_ITEMS - 1)))
    cap, n = data.draw(st.none() | st.integers(1, 4)), data.draw(st.integers(1, 8))
    rules = Rules(n, cap, explore=data.draw(st.integers(0, n)))
    on = replace(whole, allowed=allowed, by_popularity=popularity_order(whole.facts.popularity, allowed))
    nobody = histories.take([len(histories) - 1])
    keeps_out = Excluded(np.array([0, len(excluded)]), np.array(sorted(excluded), dtype=np.int32))
    made = lists(nobody, encoder, ranker, rules, on, keeps_out)
    expected: list[int] = []
    for item in whole.by_popularity.tolist():
        same = sum(whole.categories[other] == whole.categories[item] for other in expected)
        if allowed[item] and item not in excluded and (cap is None or same < cap) and len(expected) < n:
            expected.append(item)
    assert made.items[0][made.items[0] >= 0].tolist() == expected
    assert (np.diff(made.scores[0, : len(expected)]) < 0).all()


def test_because_is_something_the_user_did(encoder: UserEncoder, ranker: Ranker) -> None:
    histories = shop_histories()
    made = lists(histories, encoder, ranker)
    for user in range(len(histories)):
        had = set(histories.items[histories.indptr[user] : histories.indptr[user + 1]].tolist())
        for item, source, because in zip(made.items[user], made.sources[user], made.because[user], strict=True):
            assert (LIST_SOURCES[source] == "repeat") == (item in had)
            assert because == -1 if LIST_SOURCES[source] in ("popular", "fallback") else because in had


def test_texts_close_to_those_of_the_newest_events_are_candidates(encoder: UserEncoder, ranker: Ranker) -> None:
    # Item 3 long ago, item 0 yesterday. Texts 0 and 7 are close, and so are 3 and 8.
    zeros, days = np.zeros(2, dtype=np.int32), np.array([60, 1])
    histories = Histories.from_events(1, zeros, np.array([3, 0], dtype=np.int32), zeros, NOW - days * DAY)
    state = shop_state(histories)
    texts = np.zeros((SHOP_ITEMS, 3), dtype=np.float32)
    texts[:, 2] = 1
    texts[0], texts[7], texts[8], texts[3] = (1, 0, 0), (0.8, 0.6, 0), (0.6, 0.8, 0), (0, 1, 0)
    caps = Candidates(repeat=0, interest=0, cooccurrence=0, match=0, text=2, popular=0)
    settings = TINY.model_copy(update={"candidates": caps})
    known, nothing = known_of(histories), Excluded.nothing(1)
    made = recommend(known, replace(state, texts=texts), encoder, ranker, Rules(2), settings, nothing)
    assert sorted(made.items[0].tolist()) == [0, 7]
    assert {LIST_SOURCES[source] for source in made.sources[0]} == {"text"}
    assert (made.because == 0).all()


def test_rules_hold_inside_the_selection(encoder: UserEncoder, ranker: Ranker) -> None:
    histories = shop_histories()
    allowed = np.ones(SHOP_ITEMS, dtype=np.bool_)
    allowed[[0, 5]] = False
    whole = shop_state(histories)
    strict = replace(whole, allowed=allowed, by_popularity=popularity_order(whole.facts.popularity, allowed))
    rules = replace(RULES, max_per_category=3)
    recent = histories.between(NOW - 30 * DAY, NOW)
    made = lists(histories, encoder, ranker, rules, strict, excluded_from(recent))
    for user, row in enumerate(made.items):
        row = row[row >= 0]
        seen = set(recent.items[recent.indptr[user] : recent.indptr[user + 1]].tolist())
        assert not seen & set(row.tolist())
        assert not {0, 5} & set(row.tolist())
        assert np.bincount(strict.categories[row], minlength=2).max() <= 3
        # six items fit the category rule; what is left after exclusions is in the list
        open_items = [item for item in range(SHOP_ITEMS) if allowed[item] and item not in seen]
        fit = sum(min(3, sum(item % 2 == parity for item in open_items)) for parity in (0, 1))
        assert len(row) == min(RULES.n, fit)


def test_matches_hold_the_categories_that_a_full_list_needs(encoder: UserEncoder) -> None:
    """Of everyone's four closest items all are of one category, where no rule says otherwise."""
    histories = shop_histories()
    known, nothing = known_of(histories), Excluded.nothing(len(histories))
    whole = shop_state(histories)
    users = encode_users(encoder, torch.from_numpy(whole.vectors), histories, TINY.encoder.length, 8)
    odd = np.arange(SHOP_ITEMS) % 2 == 1
    state = replace(whole, vectors=np.where(odd[:, None], users.mean(axis=0), -users.mean(axis=0)).astype(np.float32))

    alone = Candidates(match=4, repeat=0, interest=0, cooccurrence=0, text=0, popular=0)
    settings = TINY.model_copy(update={"candidates": alone})

    def of_one_category(rules: Rules | None) -> set[int]:
        made = generated(known, state, encoder, settings, nothing, rules).candidates
        counts = np.bincount(made.users, odd[made.items], minlength=len(histories))[:-1]  # the last one has no history
        return {int(max(count, 4 - count)) for count in counts}

    assert of_one_category(None) == of_one_category(Rules(n=4)) == {4}
    assert of_one_category(Rules(n=4, max_per_category=2)) == {2}


def test_what_is_excluded_need_not_be_in_the_history(encoder: UserEncoder, ranker: Ranker) -> None:
    histories = shop_histories()
    cut = histories.last(2)
    made = lists(cut, encoder, ranker, on=shop_state(histories), excluded=excluded_from(histories))
    for user, row in enumerate(made.items):
        had = histories.items[histories.indptr[user] : histories.indptr[user + 1]]
        assert not set(had.tolist()) & set(row.tolist())
        assert (row >= 0).all()


def test_lists_do_not_depend_on_the_order_of_users(encoder: UserEncoder, ranker: Ranker) -> None:
    histories = shop_histories()
    order = np.random.default_rng(3).permutation(len(histories)).astype(np.int32)
    straight = lists(histories, encoder, ranker)
    shuffled = lists(histories.take(order), encoder, ranker, on=shop_state(histories))
    np.testing.assert_array_equal(straight.items[order], shuffled.items)
    np.testing.assert_array_equal(straight.because[order], shuffled.because)


def test_nothing_after_now_is_read(encoder: UserEncoder, ranker: Ranker) -> None:
    histories = shop_histories()
    later = Histories.from_events(
        len(histories),
        np.append(histories.users, np.int32(0)),
        np.append(histories.items, np.int32(11)),
        np.append(histories.behaviours, np.int32(0)),
        np.append(histories.times, NOW),
    )
    on = shop_state(histories)
    np.testing.assert_array_equal(
        lists(histories, encoder, ranker, on=on).items, lists(later, encoder, ranker, on=on).items
    )
