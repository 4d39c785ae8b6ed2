"""Training of the user encoder: every event predicts one of its user's target events of the next days."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contracts.cli import timed
from contracts.settings import Encoder, Training
from models.devices import autocast, training_device
from models.histories import DAY, Flags, Floats, Histories, Ints, Longs
from models.kernel import best_matches
from models.metrics import Relevant, hits, ndcg
from models.training import EarlyStopping, Report, descend, linear_schedule
from models.user_encoder import NO_ID, Cuts, UserEncoder, cuts_of, encode_users, inputs_of

log = logging.getLogger("nightshift")

HORIZON_DAYS = 7
"""How far ahead an event predicts."""


@dataclass(frozen=True)
class NextEvents:
    """For every event: where, among the target events, its user's next ones begin and end."""

    items: Ints  # [target events]
    start: Longs  # [events]
    stop: Longs  # [events]


def next_events(histories: Histories, is_target: Flags, horizon: int) -> NextEvents:
    """Target events strictly after each event and at most ``horizon`` seconds later.

    Events of the same moment are never each other's targets: their order in a log means nothing.
    """
    keys = (histories.users << 32) + histories.times
    targets = keys[is_target]
    return NextEvents(
        histories.items[is_target],
        np.searchsorted(targets, keys, side="right"),
        np.searchsorted(targets, keys + horizon, side="left"),
    )


@dataclass(frozen=True)
class Items:
    """What the encoder knows of the items it is trained on."""

    text: Tensor  # [items, text size], the tower's vectors
    id_rows: Tensor  # [items], row of each one's id embedding
    counts: Longs  # [items], events in the training histories


def sampled_loss(
    users: Tensor,
    positives: Tensor,
    negatives: Tensor,
    is_same: Tensor,
    log_q: tuple[Tensor, Tensor],
    temperature: float,
) -> Tensor:
    """Sampled softmax with the log-Q correction (Bengio and Senécal, 2008), mean over positions.

    Args:
        users: [positions, size]; positives: [positions, size]; negatives: [negatives, size]; all unit vectors.
        is_same: [positions, negatives], true where the negative is the positive.
        log_q: log of the expected count in the sample, of the positives [positions] and negatives [negatives].
        temperature: Divides the cosines.
    """
    hit = (users * positives).sum(1) / temperature - log_q[0]
    miss = (users @ negatives.T / temperature - log_q[1]).masked_fill(is_same, float("-inf"))
    return (torch.logsumexp(torch.cat([hit[:, None], miss], 1), 1) - hit).mean()


@dataclass(frozen=True)
class _Sample:
    """One training batch. Items are numbered by their position in ``used``: only their vectors are computed."""

    cuts: Cuts
    used: Longs  # [used], items of the batch, ascending
    without_id: Flags  # [used], whose id embedding is left out
    inputs: Longs  # [cuts, length]
    has_target: Flags  # [cuts, length]
    positives: Longs  # [positions]
    negatives: Longs  # [negatives]


def _sample(
    histories: Histories,
    following: NextEvents,
    batch: Cuts,
    draw: NDArray[np.float64],
    settings: Encoder,
    random: np.random.Generator,
) -> _Sample | None:
    """Draws a target for every event that has one, and shared negatives; None where no event has one."""
    start, stop = following.start[batch.index], following.stop[batch.index]
    drawn = start + (random.random(start.shape) * (stop - start)).astype(np.int64)
    has_target = batch.valid & (stop > start)
    if not has_target.any():
        return None
    inputs = histories.items[batch.index]
    positives = following.items[drawn[has_target]]
    negatives = random.choice(len(draw), settings.negatives, p=draw)
    used, position = np.unique(np.concatenate([inputs.ravel(), positives, negatives]), return_inverse=True)
    parts = np.split(position, [inputs.size, inputs.size + len(positives)])
    # whole-id dropout: the text alone must do, as for a new item
    without_id = random.random(len(used)) < settings.id_dropout
    return _Sample(
        batch, used.astype(np.int64), without_id, parts[0].reshape(inputs.shape), has_target, parts[1], parts[2]
    )


def _loss(
    model: UserEncoder, items: Items, histories: Histories, sample: _Sample, log_q: Tensor, temperature: float
) -> Tensor:
    """The sampled loss of one batch."""
    device = items.text.device
    used, positives, negatives, has_target, without_id = (
        torch.from_numpy(each).to(device)
        for each in (sample.used, sample.positives, sample.negatives, sample.has_target, sample.without_id)
    )
    vectors = model.item_vectors(items.text[used], items.id_rows[used].masked_fill(without_id, NO_ID))
    states = model(*inputs_of(histories, sample.cuts, sample.inputs, vectors))[has_target]
    return sampled_loss(
        states,
        vectors[positives],
        vectors[negatives],
        positives[:, None] == negatives[None],
        (log_q[used[positives]], log_q[used[negatives]]),
        temperature,
    )


def train(
    model: UserEncoder,
    items: Items,
    histories: Histories,
    is_target: Flags,
    settings: Training,
    evaluate: Callable[[], float],
    report: Report,
) -> None:
    """Trains the encoder in place and keeps the weights of the epoch with the best validation metric.

    Targets are drawn anew each epoch.

    Args:
        model: On its device.
        items: Indexed like the items of ``histories``.
        histories: Training events, all with a known item.
        is_target: Which events are of a target behaviour, [events].
        settings: Of the encoder, and weight decay, patience, seed.
        evaluate: Gives the validation metric of the model as it is (higher is better).
        report: Told of losses and metrics.
    """
    own = settings.encoder
    random = np.random.default_rng(settings.seed)
    following = next_events(histories, is_target, HORIZON_DAYS * DAY)
    share = items.counts / max(1, items.counts.sum())
    draw = 0.5 / len(share) + 0.5 * share  # half uniform, half by popularity
    log_q = torch.from_numpy(np.log(own.negatives * draw)).float().to(items.text.device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=own.learning_rate, weight_decay=settings.weight_decay)
    steps = own.epochs * max(1, -(-len(cuts_of(histories, own.length).index) // own.batch))
    schedule = linear_schedule(optimiser, steps, warm_up=max(1, steps // 20))
    stopping = EarlyStopping("encoder", model.state_dict(), settings.patience, report)
    step, last = 0, 0.0
    for epoch in range(1, own.epochs + 1):
        model.train()
        for batch in _batches(histories, own, random):
            sample = _sample(histories, following, batch, draw, own, random)
            if sample is None:
                continue
            with autocast(items.text.device):
                loss = _loss(model, items, histories, sample, log_q, own.temperature)
            loss.backward()  # type: ignore[no-untyped-call]
            descend(optimiser, schedule)
            step, last = step + 1, loss.item()
            if step % 10 == 0:
                report("encoder_loss", step, last)
        metric = evaluate()
        log.info("User encoder: epoch %d of %d, loss %.3f, validation NDCG@10 %.4f", epoch, own.epochs, last, metric)
        if stopping.stops_at(epoch, metric, last):
            break
    stopping.restore()


def _batches(histories: Histories, settings: Encoder, random: np.random.Generator) -> Iterator[Cuts]:
    """Shuffled cuts of all histories, another crop of each every time."""
    most = np.minimum(settings.length, histories.lengths // 2)
    cuts = cuts_of(histories, settings.length, random.integers(0, most + 1))
    order = random.permutation(len(cuts.index))
    for begin in range(0, len(order), settings.batch):
        rows = order[begin : begin + settings.batch]
        yield Cuts(cuts.index[rows], cuts.valid[rows])


@dataclass(frozen=True)
class Judge:
    """The validation window by which epochs are compared, over the warm items only."""

    histories: Histories
    relevant: Relevant


def trained_encoder(
    settings: Training,
    text: Floats,
    warm: Longs,
    items: int,
    behaviours: int,
    histories: Histories,
    targets: Sequence[int],
    judge: Judge,
    report: Report,
) -> UserEncoder:
    """The user encoder, trained on ``histories`` and stopped by NDCG@10 on the validation window.

    Args:
        settings: Of the training.
        text: Tuned vectors of the warm items, [warm items, size].
        warm: Their numbers.
        items: Size of the catalogue.
        behaviours: Number of behaviours.
        histories: Training events, numbered by the catalogue.
        targets: Numbers of the target behaviours.
        judge: Histories before the validation window, and what is relevant inside, numbered by the catalogue.
        report: Told the curves.
    """
    own = settings.encoder
    number = np.full(items + 1, -1, dtype=np.int32)  # of each item among the warm ones; the last one serves -1
    number[warm] = np.arange(len(warm))
    device = training_device()
    model = UserEncoder(text.shape[1], len(warm), behaviours, own).to(device)
    model.text_mean.copy_(torch.from_numpy(text.mean(0)))
    known = Items(
        torch.from_numpy(text).to(device),
        torch.arange(1, len(warm) + 1, device=device),
        np.bincount(number[histories.items[histories.items >= 0]].clip(0), minlength=len(warm)),
    )
    newest = _renumbered(histories, number).last(own.history)
    evaluate = _validation(model, known, _judge_of_warm(judge, number, len(warm)), own)
    with timed(f"Training the user encoder on {len(newest.items):,} events"):
        train(model, known, newest, newest.are_of(targets), settings, evaluate, report)
    return model.cpu()


def _validation(model: UserEncoder, items: Items, judge: Judge, settings: Encoder) -> Callable[[], float]:
    """Mean NDCG@10 of the encoder's best matches for the judge's users."""
    count = len(items.counts)

    def ndcg_now() -> float:
        with torch.inference_mode():
            vectors = model.eval().item_vectors(items.text, items.id_rows)
        users = encode_users(model, vectors, judge.histories, settings.length, 256)
        ranked = best_matches(users, vectors.cpu().numpy(), np.ones(count, dtype=np.bool_), 10)
        return float(np.nanmean(ndcg(hits(ranked, judge.relevant), judge.relevant.counts)))

    return ndcg_now


def _judge_of_warm(judge: Judge, number: Ints, warm: int) -> Judge:
    """Users with a history and something relevant; what is relevant but not warm can never be hit."""
    users = np.flatnonzero((judge.relevant.counts > 0) & (judge.histories.lengths > 0))
    relevant = judge.relevant.take(users)
    numbers = number[relevant.items]
    hittable = Relevant(relevant.indptr, np.where(numbers >= 0, numbers, warm))
    return Judge(_renumbered(judge.histories.take(users), number), hittable)


def _renumbered(histories: Histories, number: Ints) -> Histories:
    """Histories over the warm items only, by their ``number`` [items + 1]."""
    moved = replace(histories, items=number[histories.items])
    return moved.select(moved.items >= 0)
