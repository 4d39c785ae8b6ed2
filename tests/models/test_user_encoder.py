"""The user encoder: causal, blind to the order within a moment, and able to learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from contracts.settings import Encoder, Training
from models.behaviours import Behaviours, Known
from models.dropout import Dropout
from models.encoder_training import EncoderTraining, Items, next_events, sampled_losses, train
from models.histories import DAY, Histories
from models.newest import BeforeNewest
from models.user_encoder import NO_ID, Cuts, UserEncoder, cuts_of, encode_users, inputs_of
from models.warm import WarmItems
from tests.factories import NOW, SHOP_ITEMS, TINY, shop_catalogue, shop_histories

VECTORS = F.normalize(torch.randn(SHOP_ITEMS, 8, generator=torch.manual_seed(0)), dim=1)


def one_user(items: list[int], times: list[int]) -> Histories:
    count = len(items)
    return Histories.from_events(
        1, np.zeros(count, np.int32), np.array(items, np.int32), np.zeros(count, np.int32), np.array(times, np.int64)
    )


def test_cuts_end_with_the_newest_event_and_hold_every_event_once() -> None:
    histories = shop_histories(5)
    cuts = cuts_of(histories, 6)
    assert sorted(cuts.index[cuts.valid].tolist()) == list(range(len(histories.items)))
    ends = {int(row[valid].max()) for row, valid in zip(cuts.index, cuts.valid, strict=True)}
    assert {int(end) - 1 for end, size in zip(histories.indptr[1:], histories.lengths, strict=True) if size} <= ends


def test_next_events_are_later_than_the_moment_and_within_the_horizon_or_the_next_ones() -> None:
    histories = one_user([1, 2, 3, 4], [0, 0, 5 * DAY, 20 * DAY])
    following = next_events(histories, np.array([True, True, True, True]), 7 * DAY)
    # the two of one moment are not each other's targets; the third has nothing within a week, but something later
    assert [following.items[a:b].tolist() for a, b in zip(following.start, following.stop, strict=True)] == [
        [3], [3], [4], [],
    ]  # fmt: skip


def test_only_target_behaviours_are_targets() -> None:
    histories = one_user([1, 2, 3], [0, DAY, 2 * DAY])
    following = next_events(histories, np.array([True, False, True]), 7 * DAY)
    assert following.items[following.start[0] : following.stop[0]].tolist() == [3]


def test_a_later_event_does_not_change_an_earlier_state(encoder: UserEncoder) -> None:
    times = torch.tensor([[0, 0, DAY, 3 * DAY]])
    valid = torch.ones(1, 4, dtype=torch.bool)
    first = VECTORS[[1, 2, 3, 4]][None]
    second = VECTORS[[1, 2, 3, 9]][None]
    kinds = torch.zeros(1, 4, dtype=torch.long)
    with torch.inference_mode():
        a, b = encoder(first, kinds, times, valid), encoder(second, kinds, times, valid)
    torch.testing.assert_close(a[:, :3], b[:, :3])
    assert not torch.allclose(a[:, 3], b[:, 3])


def test_the_order_within_a_moment_means_nothing(encoder: UserEncoder) -> None:
    times = torch.tensor([[0, DAY, DAY, DAY]])
    valid = torch.ones(1, 4, dtype=torch.bool)
    kinds = torch.zeros(1, 4, dtype=torch.long)
    with torch.inference_mode():
        a = encoder(VECTORS[[1, 2, 3, 4]][None], kinds, times, valid)
        b = encoder(VECTORS[[1, 3, 2, 4]][None], kinds, times, valid)
    torch.testing.assert_close(a[:, 3], b[:, 3])
    torch.testing.assert_close(a[:, 1], b[:, 2])


def test_padding_and_batch_mates_do_not_change_a_user(encoder: UserEncoder) -> None:
    histories = shop_histories()
    whole = encode_users(encoder, VECTORS, histories, 6, 64)
    alone = encode_users(encoder, VECTORS, histories, 6, 1)
    np.testing.assert_allclose(whole, alone, atol=1e-5)
    assert not whole[-1].any()  # no history, no vector


def test_a_new_item_has_the_vector_of_its_text_alone(encoder: UserEncoder) -> None:
    text = torch.randn(2, 4, generator=torch.manual_seed(1))
    with torch.no_grad():
        encoder.id_embedding.weight[3] += 1.0
        vectors = encoder.item_vectors(text[[0, 0, 1]], torch.tensor([NO_ID, 3, NO_ID]))
        encoder.id_embedding.weight[3] -= 1.0
        torch.testing.assert_close(vectors[0], encoder.from_text(text[0]))
    assert not torch.allclose(vectors[0], vectors[1])


def test_texts_are_read_centred_and_at_one_length() -> None:
    text = 5 + 0.01 * torch.randn(20, 4, generator=torch.manual_seed(1))
    model = UserEncoder(4, 0, 1, TINY.encoder)
    model.centre(text.numpy())
    with torch.no_grad():
        vectors = model.item_vectors(text, torch.full((20,), NO_ID))
        read = torch.linalg.lstsq(model.from_text.weight, vectors.T).solution.T
    torch.testing.assert_close(read.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(read.norm(dim=1).mean(), torch.tensor(1.0), atol=1e-3, rtol=0)


def test_the_loss_is_the_softmax_over_positive_and_other_negatives() -> None:
    users, positives, negatives = VECTORS[:2], VECTORS[2:4], VECTORS[[3, 5]]
    same = torch.tensor([[False, False], [True, False]])
    got = sampled_losses(users, positives, negatives, same, (torch.zeros(2), torch.zeros(2)))
    first = torch.stack([users[0] @ positives[0], users[0] @ negatives[0], users[0] @ negatives[1]])
    second = torch.stack([users[1] @ positives[1], users[1] @ negatives[1]])
    want = torch.stack([torch.logsumexp(first, 0) - first[0], torch.logsumexp(second, 0) - second[0]])
    torch.testing.assert_close(got, want)


def test_all_items_as_negatives_with_log_q_are_the_softmax_over_all() -> None:
    users, positives = VECTORS[:3], torch.tensor([4, 7, 7])
    same = positives[:, None] == torch.arange(SHOP_ITEMS)
    none = torch.zeros(SHOP_ITEMS)
    got = sampled_losses(users, VECTORS[positives], VECTORS, same, (none[positives], none))
    torch.testing.assert_close(got, F.cross_entropy(users @ VECTORS.T, positives, reduction="none"))


@pytest.mark.parametrize("full_softmax", [0.0, 1e9])
def test_training_learns_who_takes_what_and_gives_the_same_twice(full_softmax: float) -> None:
    histories = shop_histories(60)

    def trained() -> tuple[UserEncoder, list[float]]:
        torch.manual_seed(0)
        model = UserEncoder(4, SHOP_ITEMS, 1, TINY.encoder)
        curve: list[float] = []
        encoder = TINY.encoder.model_copy(
            update={"epochs": 12, "batch": 96, "negatives": 16, "full_softmax": full_softmax}
        )
        settings = Training(encoder=encoder)
        items = Items(
            torch.zeros(SHOP_ITEMS, 4),
            torch.arange(1, SHOP_ITEMS + 1),
            np.bincount(histories.items, minlength=SHOP_ITEMS),
        )

        def report(name: str, _step: int, value: float) -> None:
            if name == "encoder_loss":
                curve.append(value)

        are_targets = np.ones(len(histories.items), np.bool_)
        train(model, items, histories, are_targets, 7 * DAY, settings, 12, lambda _epoch, _loss: False, report)
        return model, curve

    model, curve = trained()
    assert curve[-1] < curve[0] - 0.3
    again, _ = trained()
    torch.testing.assert_close(model.id_embedding.weight, again.id_embedding.weight)


@pytest.mark.parametrize("refit", [0.0, 0.5])
def test_the_newest_events_bring_items_in_and_leave_those_that_have_an_id(refit: float) -> None:
    catalogue, all_events = shop_catalogue(), shop_histories(5)
    # two items came later; of one that was known no event is left
    gone, new = 3, (7, 8)
    older = all_events.select(~np.isin(all_events.items, new))
    newest = all_events.select(all_events.items != gone)
    own = TINY.encoder.model_copy(update={"refit": refit, "dropout": 0.0})
    settings = TINY.model_copy(update={"encoder": own})
    behaviours = Behaviours(("purchase", "view"), (1.0, 0.1), (0,))
    training = EncoderTraining(settings, VECTORS.numpy(), behaviours, 7 * DAY, lambda *_: None)
    before = WarmItems.of(older, catalogue, 1)
    torch.manual_seed(1)
    encoder = UserEncoder(8, len(before.items), 2, own)
    start = BeforeNewest.of(encoder, before, 2, 1, 0)
    after, items = start.up_to(newest, Known.of(newest, behaviours, NOW), catalogue, training)
    assert set(np.flatnonzero(items.id_rows)) == set(before.items) | set(new)
    assert after.id_embedding.num_embeddings == len(before.items) + len(new) + 1
    was = encoder.id_embedding.weight[before.id_rows[before.items]]
    now = after.id_embedding.weight[items.id_rows[before.items]]
    moved = (was - now).abs().sum(1)
    if not refit:
        assert not moved.any()
        assert not after.id_embedding.weight[items.id_rows[list(new)]].any()
    else:
        assert after.id_embedding.weight[items.id_rows[list(new)]].any()
        # what nobody took any more is pushed away as a negative, if at all; it keeps its own row
        assert moved[list(before.items).index(gone)] < was.norm(dim=1).mean()


def test_cuts_of_like_length_give_the_states_of_all_together() -> None:
    torch.manual_seed(0)
    encoder = UserEncoder(4, SHOP_ITEMS, 1, Encoder(vector_size=8, length=30)).eval()
    random = np.random.default_rng(0)
    lengths = np.sort(np.concatenate([random.integers(1, 30, 40), [8, 8, 9, 16, 17]]))
    events = int(lengths.sum())
    users = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    items = random.integers(0, SHOP_ITEMS, events).astype(np.int32)
    histories = Histories.from_events(len(lengths), users, items, np.zeros(events, np.int32), np.arange(events) * 3600)
    cuts = cuts_of(histories, 30)

    def states(part: Cuts) -> Tensor:
        with torch.inference_mode():
            inputs = histories.items[part.index].astype(np.int64)
            made: Tensor = encoder(*inputs_of(histories, part, inputs, VECTORS, None))
        return made[torch.from_numpy(part.valid)]

    parts = [cuts.part(rows, width) for rows, width in cuts.of_like_length()]
    assert [int(part.lengths.max()) for part in parts] == [8, 16, lengths.max()]
    torch.testing.assert_close(torch.cat([states(part) for part in parts]), states(cuts), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("probability", [0.3, 0.5])
def test_dropout_drops_its_share_keeps_the_mean_and_depends_on_the_seed(probability: float) -> None:
    drop, states = Dropout(probability), torch.ones(50, 2001)
    torch.manual_seed(1)
    first, second = drop(states), drop(states)
    torch.manual_seed(1)
    torch.testing.assert_close(drop(states), first)
    assert not torch.equal(first, second)
    assert abs(float((first == 0).float().mean()) - probability) < 0.01
    assert abs(float(first.mean()) - 1) < 0.02
    assert first.unique().tolist() == pytest.approx([0, 1 / (1 - probability)], abs=1e-3)
    torch.testing.assert_close(drop.eval()(states), states)


def test_dropout_lets_gradients_through_where_it_lets_states_through() -> None:
    states = torch.ones(1000, requires_grad=True)
    made = Dropout(0.5)(states)
    made.sum().backward()
    assert states.grad is not None
    torch.testing.assert_close(states.grad, made.detach())


def test_the_newest_state_alone_is_that_of_all() -> None:
    torch.manual_seed(0)
    encoder = UserEncoder(4, SHOP_ITEMS, 1, Encoder(vector_size=8, length=30)).eval()
    past = shop_histories()
    past = past.take(np.flatnonzero(past.lengths))
    alone = encode_users(encoder, VECTORS, past, 30, batch=7)
    cuts = cuts_of(past, int(past.lengths.max()))
    with torch.inference_mode():
        states = encoder(*inputs_of(past, cuts, past.items[cuts.index].astype(np.int64), VECTORS, None))
    newest = states[torch.arange(len(past)), torch.from_numpy(past.lengths - 1)]
    np.testing.assert_allclose(alone, newest.numpy(), atol=1e-5)
