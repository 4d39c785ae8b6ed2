"""User encoder: a small causal transformer from a user's last events to a vector in the space of the items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from contracts.ratings import Scale
from contracts.settings import Encoder
from models.behaviours import shares
from models.dropout import Dropout
from models.histories import Flags, Floats, Histories, Ints, Longs
from models.ragged import indptr_of, row_of_each

GAP_BUCKETS = 12
"""Buckets of the time since the moment before: powers of two of hours, the last one open."""

NO_ID = 0
"""Row of the id embedding that stays zero: items that are new since training."""


class Block(nn.Module):
    """A pre-norm transformer block (Xiong et al., 2020)."""

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.drop = Dropout(dropout)
        self.attention_norm = nn.LayerNorm(size)
        self.qkv = nn.Linear(size, 3 * size)
        self.out = nn.Linear(size, size)
        self.feed_norm = nn.LayerNorm(size)
        self.feed = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size), Dropout(dropout))

    def forward(self, states: Tensor, allowed: Tensor, wanted: Tensor | None = None) -> Tensor:
        """The next states, [batch, length, size], or those that are wanted alone, [batch, 1, size].

        Args:
            states: [batch, length, size].
            allowed: [batch, 1, length, length], true where i may look at j.
            wanted: One place of each row, [batch]; None: all.
        """
        normed = self.attention_norm(states)
        asking = normed
        if wanted is not None:
            rows = torch.arange(len(states), device=states.device)
            states, asking = states[rows, wanted][:, None], normed[rows, wanted][:, None]
            allowed = allowed[rows, :, wanted][:, None]
        size = states.shape[-1]
        weight, bias = self.qkv.weight, self.qkv.bias
        query = self._heads(F.linear(asking, weight[:size], bias[:size]))
        key, value = map(self._heads, F.linear(normed, weight[size:], bias[size:]).chunk(2, -1))
        seen = self._attention(query, key, value, allowed)
        states = states + self.out(seen.transpose(1, 2).flatten(2))
        fed: Tensor = states + self.feed(self.feed_norm(states))
        return fed

    def _heads(self, mixed: Tensor) -> Tensor:
        """[batch, length, size] as [batch, heads, length, size of a head]."""
        return mixed.view(*mixed.shape[:2], self.heads, -1).transpose(1, 2)

    def _attention(self, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
        """[batch, heads, length, size of a head], with dropout of the weights in training."""
        if not self.training:
            return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        if query.device.type != "cpu":
            dropped = self.drop.probability
            return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, dropout_p=dropped)
        # what the line above does on a CPU, with draws that cost little
        logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
        weights = logits.masked_fill(~allowed, float("-inf")).softmax(-1)
        seen: Tensor = self.drop(weights) @ value
        return seen


class UserEncoder(nn.Module):
    """Encodes events (item + behaviour + time since the moment before) causally.

    Events of one moment, such as a basket's, see each other, and nothing depends on their order: a log's order
    within a moment means nothing.
    """

    def __init__(
        self, text_size: int, id_rows: int, behaviours: int, settings: Encoder, ratings: Scale | None = None
    ) -> None:
        """For so many behaviours; of rated events it reads as much of the item as the rating leaves of it."""
        super().__init__()
        self.ratings = ratings
        size = settings.vector_size
        self.text_mean: Tensor
        self.text_length: Tensor
        self.register_buffer("text_mean", torch.zeros(text_size))  # texts of one shop point in one direction
        self.register_buffer("text_length", torch.ones(()))  # and what is left of them is shorter than one
        self.from_text = nn.Linear(text_size, size, bias=False)
        self.id_embedding = nn.Embedding(id_rows + 1, size, padding_idx=NO_ID)
        nn.init.normal_(self.id_embedding.weight, std=0.02)
        nn.init.zeros_(self.id_embedding.weight[NO_ID])
        self.behaviour = nn.Embedding(behaviours, size)
        self.gap = nn.Embedding(GAP_BUCKETS, size)
        self.moment = nn.Embedding(settings.length, size)
        for embedding in (self.behaviour, self.gap, self.moment):
            nn.init.normal_(embedding.weight, std=0.02)
        self.drop = Dropout(settings.dropout)
        self.blocks = nn.ModuleList(Block(size, settings.heads, settings.dropout) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(size)

    def centre(self, text: Floats) -> None:
        """Takes the mean and the length of the texts [texts, text size] that it is going to read."""
        centred = text - text.mean(0)
        self.text_mean.copy_(torch.from_numpy(text.mean(0)))
        self.text_length.fill_(float(np.linalg.norm(centred, axis=1).mean()) or 1.0)

    def item_vectors(self, text: Tensor, id_rows: Tensor) -> Tensor:
        """Vectors [items, size]: what the text says, and for warm items their id embedding.

        They are as long as it takes: what many take has a long one.

        Args:
            text: Vectors of the item tower, [items, text size].
            id_rows: Row of each item's id embedding, [items]; `NO_ID` for an item new since training.
        """
        made: Tensor = self.from_text((text - self.text_mean) / self.text_length) + self.id_embedding(id_rows)
        return made

    def forward(
        self, vectors: Tensor, behaviours: Tensor, times: Tensor, valid: Tensor, wanted: Tensor | None = None
    ) -> Tensor:
        """User vectors after every event, [batch, length, size]; their products with item vectors are logits.

        Args:
            vectors: Item vectors of the events, [batch, length, size]; oldest first, padded at the end; shortened
                where a low rating says so.
            behaviours: Behaviour of each event, [batch, length].
            times: Seconds, [batch, length]; never falling.
            valid: False where padded, [batch, length].
            wanted: One event of each row, [batch]: then the vectors after these alone are made, [batch, 1, size].
        """
        gaps = torch.diff(times, dim=1, prepend=times[:, :1])
        new_moment = gaps > 0
        hours = (gaps.clamp(min=0) / 3600 + 1).log2().long().clamp(max=GAP_BUCKETS - 1)
        # all events of a moment carry the gap before it, and the same number
        moment = new_moment.long().cumsum(1)
        first = torch.where(new_moment, hours, 0)
        per_moment = torch.zeros_like(first).scatter_reduce(1, moment, first, "amax")
        gap = self.gap(per_moment.gather(1, moment))
        states = vectors.shape[-1] ** 0.5 * vectors + self.behaviour(behaviours) + gap + self.moment(moment)
        earlier = times[:, None, :] <= times[:, :, None]  # [batch, i, j]
        itself = torch.eye(times.shape[1], dtype=torch.bool, device=times.device)
        allowed = ((earlier & valid[:, None, :]) | itself)[:, None]
        states = self.drop(states)
        last = len(self.blocks) - 1
        for number, block in enumerate(self.blocks):
            states = block(states, allowed, wanted if number == last else None)
        made: Tensor = self.norm(states)
        return made


def vectors_of_items(encoder: UserEncoder, text: Floats, id_rows: Ints) -> Floats:
    """Vectors [items, size] from the tower's vectors [items, text size] and the rows of the id embedding."""
    with torch.inference_mode():
        made = encoder.eval().item_vectors(torch.from_numpy(text), torch.from_numpy(id_rows).long())
    vectors: Floats = made.numpy()
    return vectors


@dataclass(frozen=True)
class Cuts:
    """Cuts of histories, padded at the end: what the encoder reads at once."""

    index: Longs  # [cuts, length], position of the event in the histories; 0 where padded
    valid: Flags  # [cuts, length]

    @property
    def lengths(self) -> Longs:
        """Events of each cut, [cuts]."""
        lengths: Longs = self.valid.sum(axis=1)
        return lengths

    def part(self, rows: slice, width: int) -> Cuts:
        """Some of the cuts, of which none has more than ``width`` events."""
        return Cuts(self.index[rows, :width], self.valid[rows, :width])

    def of_like_length(self) -> list[tuple[slice, int]]:
        """Slices of the cuts, and the longest of each: to compute them apart saves most of the padding.

        The cuts must be sorted by length. Those of a slice differ by less than twice, or have up to eight events.
        """
        lengths = self.lengths
        _, starts = np.unique(np.ceil(np.log2(np.maximum(lengths, 8))), return_index=True)
        stops = [*starts[1:].tolist(), len(lengths)]
        return [
            (slice(start, stop), int(lengths[stop - 1])) for start, stop in zip(starts.tolist(), stops, strict=True)
        ]


def cuts_of(histories: Histories, length: int, offset: Longs | int = 0) -> Cuts:
    """Cuts every history into pieces of ``length`` events, counted back from its end.

    With an ``offset`` (events, for all or for each user) the newest ones are left out: another offset each epoch is
    the crop augmentation (Xie et al., 2022).
    """
    sizes = np.maximum(histories.lengths - offset, 0)
    ends = histories.indptr[:-1] + sizes
    counts = -(-sizes // length)
    indptr = indptr_of(counts)
    users = row_of_each(indptr)
    nth = np.arange(len(users)) - indptr[users]
    stops = ends[users] - nth * length
    starts = np.maximum(stops - length, histories.indptr[:-1][users])
    index = starts[:, None] + np.arange(length)
    valid = index < stops[:, None]
    return Cuts(np.where(valid, index, 0).astype(np.int64), valid)


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
            part = known.take(users)
            cuts = cuts_of(part, int(part.lengths.max()))
            inputs = inputs_of(part, cuts, part.items[cuts.index].astype(np.int64), vectors, model.ratings)
            states = model(*inputs, torch.from_numpy(part.lengths - 1).to(vectors.device))
            made[users] = states[:, 0].float().cpu().numpy()
    return made


def inputs_of(
    histories: Histories, cuts: Cuts, items: Longs, vectors: Tensor, scale: Scale | None
) -> tuple[Tensor, ...]:
    """The encoder's arguments for some cuts, whose events' items are ``items`` [cuts, length] of ``vectors``.

    An item's vector is as long as its rating is high on the ``scale``: what was disliked is not taken for liked.
    """
    device = vectors.device
    of_items = vectors[torch.from_numpy(items).to(device)]
    if scale is not None:
        of_items = of_items * torch.from_numpy(shares(histories.ratings[cuts.index], scale)).to(device)[:, :, None]
    # padding repeats the newest time, so that times never fall
    newest = np.where(cuts.valid, cuts.index, 0).max(1, keepdims=True)
    times = histories.times[np.where(cuts.valid, cuts.index, newest)]
    return (
        of_items,
        torch.from_numpy(histories.behaviours[cuts.index].astype(np.int64)).to(device),
        torch.from_numpy(times).to(device),
        torch.from_numpy(cuts.valid).to(device),
    )
