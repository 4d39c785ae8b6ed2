"""User encoder: a small causal transformer from a user's last events to a vector in the space of the items."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from models.devices import autocast
from models.histories import DAY, Floats, Histories, Ints, Longs
from spark_jobs.contracts.settings import Training

log = logging.getLogger("nightshift")

GAP_BUCKETS = 12
"""Buckets of the time since the previous visit: powers of two of hours, the last one open."""

NO_OWN = 0
"""Row of the learned vectors that stays zero: items that are new since training."""


class Block(nn.Module):
    """A pre-norm transformer block (Xiong et al., 2020)."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(size)
        self.qkv = nn.Linear(size, 3 * size)
        self.out = nn.Linear(size, size)
        self.feed_norm = nn.LayerNorm(size)
        self.feed = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size), nn.Dropout(dropout))

    def forward(self, states: Tensor, allowed: Tensor) -> Tensor:
        """States [batch, length, size]; ``allowed`` [batch, 1, length, length], true where i may look at j."""
        batch, length, size = states.shape
        mixed: Tensor = self.qkv(self.attention_norm(states))
        query, key, value = mixed.view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(
            query, key, value, attn_mask=allowed, dropout_p=self.dropout if self.training else 0.0
        )  # [batch, heads, length, size / heads]
        states = states + self.out(seen.transpose(1, 2).reshape(batch, length, size))
        fed: Tensor = states + self.feed(self.feed_norm(states))
        return fed


class UserEncoder(nn.Module):
    """Encodes events (item + behaviour + time since the visit before) causally.

    Events of one moment, such as a basket, see each other, and nothing depends on their order: a log's order
    within a basket means nothing.
    """

    def __init__(self, text_size: int, own_items: int, behaviours: int, settings: Training) -> None:
        super().__init__()
        size = settings.vector_size
        self.temperature = settings.encoder_temperature
        self.text_mean: Tensor
        self.register_buffer("text_mean", torch.zeros(text_size))  # texts of one shop point in one direction
        self.from_text = nn.Linear(text_size, size, bias=False)
        self.own = nn.Embedding(own_items + 1, size, padding_idx=NO_OWN)
        nn.init.zeros_(self.own.weight)
        self.behaviour = nn.Embedding(behaviours, size)
        self.gap = nn.Embedding(GAP_BUCKETS, size)
        self.visit = nn.Embedding(settings.encoder_length, size)
        for embedding in (self.behaviour, self.gap, self.visit):
            nn.init.normal_(embedding.weight, std=0.02)
        self.scale = nn.Parameter(torch.tensor(size**0.5 / 4))
        self.drop = nn.Dropout(settings.encoder_dropout)
        self.blocks = nn.ModuleList(
            Block(size, settings.encoder_heads, settings.encoder_dropout) for _ in range(settings.encoder_layers)
        )
        self.norm = nn.LayerNorm(size)
        self.head = nn.Linear(size, size)

    def item_vectors(self, text: Tensor, own: Tensor) -> Tensor:
        """Unit vectors [items, size]: the text's part, and for warm items a learned part of their own.

        Args:
            text: Vectors of the item tower, [items, text size].
            own: Row of the learned part of each item, [items]; `NO_OWN` for an item new since training.
        """
        return F.normalize(self.from_text(text - self.text_mean) + self.own(own), dim=-1)

    def forward(self, vectors: Tensor, behaviours: Tensor, times: Tensor, valid: Tensor) -> Tensor:
        """User vectors after every event, unit length, [batch, length, size].

        Args:
            vectors: Item vectors of the events, [batch, length, size]; oldest first, padded at the end.
            behaviours: Behaviour of each event, [batch, length].
            times: Seconds, [batch, length]; never falling.
            valid: False where padded, [batch, length].
        """
        gaps = torch.diff(times, dim=1, prepend=times[:, :1])
        new_visit = gaps > 0
        hours = (gaps.clamp(min=0) / 3600 + 1).log2().long().clamp(max=GAP_BUCKETS - 1)
        # all events of a visit carry the gap before the visit, and the same visit number
        visit = new_visit.long().cumsum(1)
        first = torch.where(new_visit, hours, 0)
        per_visit = torch.zeros_like(first).scatter_reduce(1, visit, first, "amax")
        states = (
            self.scale * vectors + self.behaviour(behaviours) + self.gap(per_visit.gather(1, visit)) + self.visit(visit)
        )
        earlier = times[:, None, :] <= times[:, :, None]  # [batch, i, j]
        itself = torch.eye(times.shape[1], dtype=torch.bool, device=times.device)
        allowed = ((earlier & valid[:, None, :]) | itself)[:, None]
        states = self.drop(states)
        for block in self.blocks:
            states = block(states, allowed)
        return F.normalize(self.head(self.norm(states)), dim=-1)


@dataclass(frozen=True)
class Windows:
    """Cuts of histories, padded at the end: what the encoder reads at once."""

    index: Longs  # [windows, length], position of the event in the histories; 0 where padded
    valid: NDArray[np.bool_]  # [windows, length]


def windows(histories: Histories, length: int, offset: Longs | int = 0) -> Windows:
    """Cuts every history into windows of ``length`` events, counted back from its end.

    With an ``offset`` (events, for all or for each user) the newest ones are left out: another offset each epoch is
    the crop augmentation (Xie et al., 2022).
    """
    sizes = np.maximum(histories.lengths - offset, 0)
    ends = histories.indptr[:-1] + sizes
    counts = -(-sizes // length)
    users = np.repeat(np.arange(len(histories)), counts)
    nth = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    stops = ends[users] - nth * length
    starts = np.maximum(stops - length, histories.indptr[:-1][users])
    index = starts[:, None] + np.arange(length)
    valid = index < stops[:, None]
    return Windows(np.where(valid, index, 0).astype(np.int64), valid)


@dataclass(frozen=True)
class NextEvents:
    """For every event: where, among the target events, its user's next ones begin and end."""

    items: Ints  # [target events]
    start: Longs  # [events]
    stop: Longs  # [events]


def next_events(histories: Histories, is_target: NDArray[np.bool_], horizon: int) -> NextEvents:
    """Target events strictly after each event and at most ``horizon`` seconds later.

    Events of the same moment are never each other's targets: their order in a log means nothing.
    """
    users = histories.users.astype(np.int64)
    keys = (users << 32) + histories.times
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
    own: Tensor  # [items], row of the learned part
    counts: Longs  # [items], target events in the training histories


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


def encode_users(model: UserEncoder, vectors: Tensor, histories: Histories, length: int, batch: int) -> Floats:
    """User vectors [users, size] after the newest event; zeros for a user without events.

    Args:
        model: The encoder.
        vectors: Item vectors [items, size]; events of items outside are left out.
        histories: Events, oldest first.
        length: Newest events that are read.
        batch: Users encoded at once; users of like length share a batch.
    """
    known = histories.select(histories.items >= 0).last(length)
    made = np.zeros((len(known), vectors.shape[1]), dtype=np.float32)
    order = np.argsort(known.lengths, kind="stable")
    order = order[known.lengths[order] > 0]
    model.eval()
    with torch.inference_mode():
        for begin in range(0, len(order), batch):
            users = order[begin : begin + batch]
            part = known.take(users.astype(np.int32))
            cut = windows(part, int(part.lengths.max()))
            states = model(*_inputs(part, cut, part.items[cut.index].astype(np.int64), vectors))
            last = torch.from_numpy(part.lengths - 1)
            made[users] = states[torch.arange(len(users)), last].float().cpu().numpy()
    return made


def _inputs(histories: Histories, cut: Windows, items: Longs, vectors: Tensor) -> tuple[Tensor, ...]:
    """The encoder's arguments for some windows, whose events' items are ``items`` [windows, length] of ``vectors``."""
    device = vectors.device
    # a padded place repeats the newest time, so that times never fall
    newest = np.where(cut.valid, cut.index, 0).max(1, keepdims=True)
    times = histories.times[np.where(cut.valid, cut.index, newest)]
    return (
        vectors[torch.from_numpy(items).to(device)],
        torch.from_numpy(histories.behaviours[cut.index].astype(np.int64)).to(device),
        torch.from_numpy(times).to(device),
        torch.from_numpy(cut.valid).to(device),
    )


@dataclass(frozen=True)
class _Sample:
    """One training batch. Items are numbered by their place in ``used``: only their vectors are computed."""

    windows: Windows
    used: Longs  # [used], items of the batch, ascending
    without_own: NDArray[np.bool_]  # [used], whose learned part is left out
    inputs: Longs  # [windows, length]
    has_target: NDArray[np.bool_]  # [windows, length]
    positives: Longs  # [positions]
    negatives: Longs  # [negatives]


def _sample(
    histories: Histories,
    following: NextEvents,
    batch: Windows,
    draw: NDArray[np.float64],
    settings: Training,
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
    negatives = random.choice(len(draw), settings.encoder_negatives, p=draw)
    used, place = np.unique(np.concatenate([inputs.ravel(), positives, negatives]), return_inverse=True)
    parts = np.split(place, [inputs.size, inputs.size + len(positives)])
    # whole-id dropout: the text alone must do, as for a new item
    without_own = random.random(len(used)) < settings.own_dropout
    return _Sample(
        batch, used.astype(np.int64), without_own, parts[0].reshape(inputs.shape), has_target, parts[1], parts[2]
    )


def _loss(
    model: UserEncoder, items: Items, histories: Histories, sample: _Sample, log_q: Tensor, temperature: float
) -> Tensor:
    """The sampled loss of one batch."""
    device = items.text.device
    used, positives, negatives, has_target, without_own = (
        torch.from_numpy(each).to(device)
        for each in (sample.used, sample.positives, sample.negatives, sample.has_target, sample.without_own)
    )
    vectors = model.item_vectors(items.text[used], items.own[used].masked_fill(without_own, NO_OWN))
    states = model(*_inputs(histories, sample.windows, sample.inputs, vectors))[has_target]
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
    is_target: NDArray[np.bool_],
    settings: Training,
    evaluate: Callable[[], float],
    report: Callable[[str, int, float], None],
) -> None:
    """Trains the encoder in place and keeps the weights of the epoch with the best validation metric.

    Every event predicts one of its user's target events of the next 7 days, drawn anew each epoch.

    Args:
        model: On its device.
        items: Indexed like the items of ``histories``.
        histories: Training events, all with a known item.
        is_target: Which events are of a target behaviour, [events].
        settings: Epochs, batch, rate, negatives, patience, seed.
        evaluate: Gives the validation metric of the model as it is (higher is better).
        report: Told (name, step, value) of losses and metrics.
    """
    device = items.text.device
    random = np.random.default_rng(settings.seed)
    following = next_events(histories, is_target, 7 * DAY)
    share = items.counts / max(1, items.counts.sum())
    draw = 0.5 / len(share) + 0.5 * share  # half uniform, half by popularity
    log_q = torch.from_numpy(np.log(settings.encoder_negatives * draw)).float().to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.encoder_rate, weight_decay=settings.weight_decay)
    per_epoch = max(1, -(-len(windows(histories, settings.encoder_length).index) // settings.encoder_batch))
    total_steps = per_epoch * settings.encoder_epochs
    warm_up = max(1, total_steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm_up, max(0.0, 1 - step / total_steps))
    )
    best, kept, worse, step, last = -np.inf, {}, 0, 0, float("nan")
    for epoch in range(1, settings.encoder_epochs + 1):
        model.train()
        most = np.minimum(settings.encoder_length, histories.lengths // 2)
        cut = windows(histories, settings.encoder_length, random.integers(0, most + 1))
        order = random.permutation(len(cut.index))
        for begin in range(0, len(order), settings.encoder_batch):
            rows = order[begin : begin + settings.encoder_batch]
            batch = Windows(cut.index[rows], cut.valid[rows])
            sample = _sample(histories, following, batch, draw, settings, random)
            if sample is None:
                continue
            with autocast(device):
                loss = _loss(model, items, histories, sample, log_q, settings.encoder_temperature)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
            step, last = step + 1, loss.item()
            if step % 10 == 0:
                report("encoder_loss", step, last)
        value = evaluate()
        report("encoder_validation", epoch, value)
        log.info(
            "User encoder: epoch %d of %d, loss %.3f, validation NDCG@10 %.4f",
            epoch,
            settings.encoder_epochs,
            last,
            value,
        )
        if value > best:
            best, kept, worse = (
                value,
                {name: each.detach().clone() for name, each in model.state_dict().items()},
                0,
            )
        else:
            worse += 1
            if worse >= settings.patience:
                log.info("User encoder: stopped early after epoch %d.", epoch)
                break
    model.load_state_dict(kept)
