"""Training of the user encoder: every event predicts one of its user's target events of the next days."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contracts.cli import timed
from contracts.settings import Encoder, Training
from models.behaviours import Behaviours, shares
from models.devices import autocast, training_device
from models.excluded import Excluded
from models.full_softmax import full_softmax_loss
from models.histories import Flags, Floats, Histories, Ints, Longs
from models.kernel import ItemIndex
from models.metrics import Relevant, hits, ndcg
from models.training import EarlyStopping, Report, descend, linear_schedule
from models.user_encoder import NO_ID, Cuts, UserEncoder, cuts_of, encode_users, inputs_of

log = logging.getLogger("nightshift")

ID_EMBEDDING = "id_embedding.weight"


@dataclass(frozen=True)
class NextEvents:
    """For every event: where, among the target events, its user's next ones begin and end."""

    items: Ints  # [target events]
    start: Longs  # [events]
    stop: Longs  # [events]


def next_events(histories: Histories, is_target: Flags, horizon: int) -> NextEvents:
    """Target events strictly after each event and at most ``horizon`` seconds later, or else those of the next moment.

    Events of the same moment are never each other's targets: their order in a log means nothing. Where users come
    back after months, the next moment is all that can be learnt from.
    """
    keys = (histories.users << 32) + histories.times
    targets = keys[is_target]
    start = np.searchsorted(targets, keys, side="right")
    following = np.append(targets, -1)[start]
    is_same_user = following >> 32 == histories.users
    end = np.where(is_same_user, np.maximum(following, keys + horizon), keys + horizon)
    return NextEvents(histories.items[is_target], start, np.searchsorted(targets, end, side="right"))


@dataclass(frozen=True)
class Items:
    """What the encoder knows of the items it is trained on."""

    text: Tensor  # [items, text size], the tower's vectors
    id_rows: Tensor  # [items], row of each one's id embedding
    counts: Longs  # [items], events: how popular each one is as a negative


def sampled_losses(
    users: Tensor, positives: Tensor, negatives: Tensor, is_same: Tensor, log_q: tuple[Tensor, Tensor]
) -> Tensor:
    """Sampled softmax with the log-Q correction (Bengio and Senécal, 2008), [positions].

    Args:
        users: [positions, size]; positives: [positions, size]; negatives: [negatives, size].
        is_same: [positions, negatives], true where the negative is the positive.
        log_q: log of the expected count in the sample, of the positives [positions] and negatives [negatives].
    """
    hit = (users * positives).sum(1) - log_q[0]
    miss = (users @ negatives.T - log_q[1]).masked_fill(is_same, float("-inf"))
    return torch.logsumexp(torch.cat([hit[:, None], miss], 1), 1) - hit


@dataclass(frozen=True)
class _Sample:
    """One training batch. Items are numbered by their position in ``used``: only their vectors are computed."""

    cuts: Cuts
    used: Longs  # [used], items of the batch, ascending
    without_id: Flags  # [used], whose id embedding is left out
    inputs: Longs  # [cuts, length]
    has_target: Flags  # [cuts, length]
    positives: Longs  # [positions]
    negatives: Longs | None  # [negatives]; None: all that is used
    weights: Floats | None  # [positions], how much each positive says; None: all the same


def _sample(
    histories: Histories,
    following: NextEvents,
    says: Floats | None,
    batch: Cuts,
    taken: Longs,
    draw: NDArray[np.float64] | None,
    settings: Encoder,
    random: np.random.Generator,
) -> _Sample | None:
    """Draws a target for every event that has one, and shared negatives; None where no event has one.

    Args:
        histories: Training events.
        following: Where each one's targets are.
        says: How much each target event says by its rating, [target events]; None: all the same.
        batch: The cuts.
        taken: All items with an event.
        draw: With what probability each item of the catalogue is a negative, [items]; None: all taken ones are.
        settings: Of the encoder.
        random: Draws.
    """
    start, stop = following.start[batch.index], following.stop[batch.index]
    drawn = start + (random.random(start.shape) * (stop - start)).astype(np.int64)
    has_target = batch.valid & (stop > start)
    if not has_target.any():
        return None
    inputs = histories.items[batch.index]
    positives = following.items[drawn[has_target]]
    others = taken if draw is None else random.choice(len(draw), settings.negatives, p=draw)
    used, position = np.unique(np.concatenate([inputs.ravel(), positives, others]), return_inverse=True)
    parts = np.split(position, [inputs.size, inputs.size + len(positives)])
    # whole-id dropout: the text alone must do, as for a new item
    without_id = random.random(len(used)) < settings.id_dropout
    weights = None if says is None else says[drawn[has_target]]
    return _Sample(
        batch,
        used.astype(np.int64),
        without_id,
        parts[0].reshape(inputs.shape),
        has_target,
        parts[1],
        None if draw is None else parts[2],
        weights,
    )


def _loss(model: UserEncoder, items: Items, histories: Histories, sample: _Sample, log_q: Tensor | None) -> Tensor:
    """The loss of one batch, weighted mean over its positions: over all items, or sampled."""
    device = items.text.device
    used, positives, has_target, without_id = (
        torch.from_numpy(each).to(device)
        for each in (sample.used, sample.positives, sample.has_target, sample.without_id)
    )
    vectors = model.item_vectors(items.text[used], items.id_rows[used].masked_fill(without_id, NO_ID))
    parts = []
    for rows, width in sample.cuts.of_like_length():
        cuts, inputs = sample.cuts.part(rows, width), sample.inputs[rows, :width]
        made = model(*inputs_of(histories, cuts, inputs, vectors, model.ratings))
        parts.append(made[has_target[rows, :width]])
    states = torch.cat(parts)
    says = torch.ones(len(states)) if sample.weights is None else torch.from_numpy(sample.weights)
    weights = (says / says.sum().clamp(min=1e-9)).to(device)
    if sample.negatives is None or log_q is None:
        return full_softmax_loss(states, vectors, positives, weights)
    negatives = torch.from_numpy(sample.negatives).to(device)
    is_same = positives[:, None] == negatives[None]
    of_both = log_q[used[positives]], log_q[used[negatives]]
    losses = sampled_losses(states, vectors[positives], vectors[negatives], is_same, of_both)
    return (losses * weights).sum()


def train(
    model: UserEncoder,
    items: Items,
    histories: Histories,
    is_target: Flags,
    horizon: int,
    settings: Training,
    epochs: int,
    after_epoch: Callable[[int, float], bool],
    report: Report,
) -> None:
    """Trains the encoder in place. Targets are drawn anew each epoch.

    Args:
        model: On its device.
        items: All of the catalogue.
        histories: Training events, all of catalogue items.
        is_target: Which events are of a target behaviour, [events].
        horizon: How far ahead an event predicts, seconds.
        settings: Of the encoder, and weight decay, seed.
        epochs: Passes over the histories.
        after_epoch: Told each epoch and its last loss; says whether to stop.
        report: Told of losses.
    """
    own = settings.encoder
    random = np.random.default_rng(settings.seed)
    following = next_events(histories, is_target, horizon)
    says = None if model.ratings is None else shares(histories.ratings[is_target], model.ratings)
    draw = log_q = None
    taken = np.flatnonzero(items.counts)
    if items.counts.sum() * len(taken) > own.full_softmax:
        share = items.counts / items.counts.sum()
        draw = 0.5 * (items.counts > 0) / len(taken) + 0.5 * share  # half uniform, half by popularity
        log_q = torch.from_numpy(np.log(np.maximum(own.negatives * draw, 1e-12))).float().to(items.text.device)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=own.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    steps = epochs * steps_of_epoch(histories, own)
    schedule = linear_schedule(optimiser, steps, warm_up=max(1, steps // 20))
    step, last = 0, 0.0
    for epoch in range(1, epochs + 1):
        model.train()
        for batch in _batches(histories, own, random):
            sample = _sample(histories, following, says, batch, taken, draw, own, random)
            if sample is None:
                continue
            with autocast(items.text.device):
                loss = _loss(model, items, histories, sample, log_q)
            loss.backward()  # type: ignore[no-untyped-call]
            descend(optimiser, schedule)
            step, last = step + 1, loss.item()
            if step % 10 == 0:
                report("encoder_loss", step, last)
        if after_epoch(epoch, last):
            break


def grown(weights: Mapping[str, Tensor], warm_before: Longs, warm: Longs) -> dict[str, Tensor]:
    """An encoder's weights with a row of the id embedding for each item of ``warm``, all of ``warm_before`` among them.

    Both ascend. An item that had none begins as at night: by its text alone.
    """
    known = weights[ID_EMBEDDING]
    rows = torch.zeros(len(warm) + 1, known.shape[1])
    rows[torch.from_numpy(np.searchsorted(warm, warm_before)) + 1] = known[1:]
    return {**weights, ID_EMBEDDING: rows}


def new_and_replayed(histories: Histories, since: int, context: int, replay: float, seed: int) -> Histories:
    """What a training learns that goes on: what is new, and a sample of what is not, against forgetting.

    Of each user their newest ``context`` events, or all new ones where they are more, if any is new: the encoder learns
    an event from those before it. Of a sample of the users, all events (experience replay: Rolnick et al., 2019, of
    users instead of events, because a history is what is learnt).

    Args:
        histories: Old and new events.
        since: Those at or after it are new, seconds.
        context: Events that the encoder reads.
        replay: Share of the users with events whose whole histories are taken.
        seed: Of the sample; each ``since`` has another one.
    """
    there = np.flatnonzero(histories.lengths)
    sampled = np.random.default_rng([seed, since]).choice(there, round(replay * len(there)), replace=False)
    new = np.bincount(histories.users[histories.times >= since], minlength=len(histories))
    taken = np.where(new > 0, np.maximum(new, context), 0)
    taken[sampled] = histories.lengths[sampled]
    return histories.select(histories.from_end <= taken[histories.users])


def steps_of_epoch(histories: Histories, settings: Encoder) -> int:
    """Batches of one pass over the histories."""
    cuts = cuts_of(histories, settings.length)
    return max(1, -(-len(cuts.index) // _cuts_of_batch(cuts, settings)))


def _cuts_of_batch(cuts: Cuts, settings: Encoder) -> int:
    """So many cuts that a batch holds about as many events as it should: in a shop of short histories, many."""
    return max(1, round(settings.batch * len(cuts.index) / max(1, int(cuts.valid.sum()))))


def _batches(histories: Histories, settings: Encoder, random: np.random.Generator) -> Iterator[Cuts]:
    """Shuffled cuts of all histories, shorter ones first in a batch; long histories are cut elsewhere every time."""
    most = np.clip(histories.lengths - settings.length, 0, settings.length)
    cuts = cuts_of(histories, settings.length, random.integers(0, most + 1))
    order, lengths = random.permutation(len(cuts.index)), cuts.lengths
    size = _cuts_of_batch(cuts, settings)
    for begin in range(0, len(order), size):
        rows = order[begin : begin + size]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        yield Cuts(cuts.index[rows], cuts.valid[rows])


@dataclass(frozen=True)
class Judge:
    """The validation window by which epochs are compared."""

    histories: Histories
    relevant: Relevant


@dataclass(frozen=True)
class EncoderTraining:
    """What all trainings of one encoder share."""

    settings: Training
    text: Floats  # [items of the catalogue, size], the tower's vectors
    behaviours: Behaviours
    horizon: int  # how far ahead an event predicts, seconds
    report: Report

    def fitted(self, histories: Histories, warm: Longs, judge: Judge, excluded: Excluded) -> tuple[UserEncoder, int]:
        """An encoder, trained on ``histories`` with as many passes as are best for the validation window, and these.

        Args:
            histories: Training events.
            warm: Items that have an id embedding.
            judge: Users and what they took; the epoch with the best NDCG@10 is kept.
            excluded: What these users must not get.
        """
        own = self.settings.encoder
        model = self._encoder(len(warm)).to(training_device())
        model.centre(self.text[warm])
        newest = self._newest(histories)
        # a small shop has few steps in an epoch, and needs as many of them
        epochs = max(own.epochs, -(-own.min_steps // steps_of_epoch(newest, own)))
        return self._chosen(model, self._items(newest, warm, model), newest, epochs, judge, excluded)

    def continued(
        self,
        weights: Mapping[str, Tensor],
        warm_before: Longs,
        since: int,
        histories: Histories,
        warm: Longs,
        judge: Judge,
        excluded: Excluded,
    ) -> UserEncoder:
        """An encoder, trained further on what is new and on a sample of what is not (`new_and_replayed`).

        Args:
            weights: Of an encoder that was fitted on events before ``since``.
            warm_before: Items that have an id embedding in it, ascending.
            since: Events at or after it are new, seconds.
            histories: Training events, old and new.
            warm: Items that have an id embedding now, all of ``warm_before`` among them.
            judge: Users and what they took; the epoch with the best NDCG@10 is kept, or the weights as they were.
            excluded: What these users must not get.
        """
        own = self.settings.warm_start
        model = self._encoder(len(warm))
        model.load_state_dict(grown(weights, warm_before, warm))
        model.to(training_device())
        newest = self._newest(histories)
        items = self._items(newest, warm, model)
        learnt = new_and_replayed(newest, since, self.settings.encoder.length, own.replay, self.settings.seed)
        return self._chosen(model, items, learnt, own.passes, judge, excluded, with_first=True)[0]

    def _chosen(
        self,
        model: UserEncoder,
        items: Items,
        histories: Histories,
        epochs: int,
        judge: Judge,
        excluded: Excluded,
        *,
        with_first: bool = False,
    ) -> tuple[UserEncoder, int]:
        """The model after the epoch that is best for the validation window, and its number; 0 is as it came."""
        saying = Judge(self._saying(judge.histories), judge.relevant)
        evaluate = _validation(model, items, saying, excluded, self.settings.encoder)
        stopping = EarlyStopping("encoder", model.state_dict(), self.settings.patience, self.report)

        def stops(epoch: int, loss: float) -> bool:
            metric = evaluate()
            log.info("User encoder: epoch %d of %d, loss %.3f, validation NDCG@10 %.4f", epoch, epochs, loss, metric)
            return stopping.stops_at(epoch, metric, loss)

        if with_first:
            stops(0, 0.0)
        with timed(f"Training the user encoder on {len(histories.items):,} events"):
            self._train(model, items, histories, epochs, stops)
        stopping.restore()
        return model.cpu(), stopping.best_step

    def refitted(
        self, weights: Mapping[str, Tensor], epochs: int, histories: Histories, warm: Longs, warm_before: Longs
    ) -> UserEncoder:
        """An encoder, trained further on ``histories`` that reach to the newest events, without a judge.

        More passes than were good for it before would make it sure of what it has seen, and the ranker believes it.

        Args:
            weights: Of the encoder as it was fitted, on older events; they stay as they are.
            epochs: Passes that were best for it.
            histories: Training events.
            warm: Items that have an id embedding now, all that had one among them.
            warm_before: Items that had one, ascending.
        """
        own = self.settings.encoder
        as_fitted = grown(weights, warm_before, warm)
        model = self._encoder(len(warm))
        model.load_state_dict(as_fitted)
        if not own.refit:
            return model.eval()
        model.to(training_device())
        newest = self._newest(histories)
        passes = max(1, int(own.refit * epochs))
        with timed(f"Training the user encoder further on {len(newest.items):,} events"):
            items = self._items(newest, warm, model)
            self._train(model, items, newest, passes, lambda _epoch, _loss: False)
        if not all(torch.isfinite(weight).all() for weight in model.state_dict().values()):
            log.warning("User encoder: diverged on the newest events. It stays as it was fitted.")
            model.load_state_dict(as_fitted)
        return model.cpu().eval()

    def _encoder(self, id_rows: int) -> UserEncoder:
        behaviours = self.behaviours
        return UserEncoder(self.text.shape[1], id_rows, len(behaviours.names), self.settings.encoder, behaviours.scale)

    def _saying(self, histories: Histories) -> Histories:
        """The events that the encoder reads at night: of catalogue items, and that say something (`Known`)."""
        return histories.select((histories.items >= 0) & (self.behaviours.strengths(histories) > 0))

    def _newest(self, histories: Histories) -> Histories:
        return self._saying(histories).last(self.settings.encoder.history)

    def _items(self, histories: Histories, warm: Longs, model: UserEncoder) -> Items:
        device = model.text_mean.device
        id_rows = torch.full((len(self.text),), NO_ID)
        id_rows[torch.from_numpy(warm)] = torch.arange(1, len(warm) + 1)
        counts = np.bincount(histories.items, minlength=len(self.text))
        return Items(torch.from_numpy(self.text).to(device), id_rows.to(device), counts)

    def _train(
        self,
        model: UserEncoder,
        items: Items,
        histories: Histories,
        epochs: int,
        after_epoch: Callable[[int, float], bool],
    ) -> None:
        are_targets = self.behaviours.are_targets(histories)
        train(model, items, histories, are_targets, self.horizon, self.settings, epochs, after_epoch, self.report)


def _validation(
    model: UserEncoder, items: Items, judge: Judge, excluded: Excluded, settings: Encoder
) -> Callable[[], float]:
    """Mean NDCG@10 of the encoder's best matches for the judge's users, without what is ``excluded`` for them."""
    catalogue = len(items.counts)
    relevant = excluded.out_of(judge.relevant, catalogue)
    judged = np.flatnonzero((relevant.counts > 0) & (judge.histories.lengths > 0))
    histories, relevant, excluded = judge.histories.take(judged), relevant.take(judged), excluded.take(judged)

    def ndcg_now() -> float:
        with torch.inference_mode():
            vectors = model.eval().item_vectors(items.text, items.id_rows)
        users = encode_users(model, vectors, histories, settings.length, 256)
        ranked = ItemIndex.of(vectors.cpu().numpy()).best(users, 10, excluded)
        return float(np.nanmean(ndcg(hits(ranked, relevant), relevant.counts)))

    return ndcg_now
