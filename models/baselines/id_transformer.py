"""A transformer over item ids alone, with a softmax over all items."""

from __future__ import annotations

import logging

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.baselines.base import BLOCK_USERS, Baseline, Entries, best_of, joined
from models.behaviours import Known
from models.dropout import Dropout
from models.excluded import Excluded
from models.histories import Histories
from models.ragged import padded
from models.training import descend, linear_schedule
from models.user_encoder import Block

log = logging.getLogger("nightshift")

SIZE, HEADS, LAYERS, DROPOUT, LENGTH, BATCH, RATE = 64, 2, 2, 0.5, 50, 128, 2e-3
PATIENCE = 3
SEED = 7


class Network(nn.Module):
    """Item ids [batch, length], 0 pads in front, to scores of the next item after each, [batch, length, items]."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self.item = nn.Embedding(items + 1, SIZE, padding_idx=0)
        self.position = nn.Embedding(LENGTH, SIZE)
        for embedding in (self.item, self.position):
            nn.init.normal_(embedding.weight, std=0.02)
        self.drop = Dropout(DROPOUT)
        self.blocks = nn.ModuleList(Block(SIZE, HEADS, DROPOUT) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(SIZE)

    def forward(self, ids: Tensor) -> Tensor:
        """States after each item, [batch, length, SIZE]."""
        length = ids.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        allowed = (causal & (ids != 0)[:, None, :]) | torch.eye(length, dtype=torch.bool)
        # counted from the end: the newest event has the same place in every history
        states = self.drop(self.item(ids) * SIZE**0.5 + self.position.weight[:length].flip(0))
        for block in self.blocks:
            states = block(states, allowed[:, None])
        made: Tensor = self.norm(states)
        return made

    def scores(self, states: Tensor) -> Tensor:
        """Of all items, [..., items]."""
        return states @ self.item.weight[1:].T


class IdTransformer(Baseline):
    """SASRec with full cross-entropy.

    Source: Kang and McAuley 2018; with the loss of Klenitskiy and Vasilev 2023, "Turning Dross Into Gold Loss". The
    number of epochs is chosen on each user's newest event, then it is trained with as many on all events.
    """

    name = "baseline/id_transformer"

    def _learn(self, everyone: Known) -> None:
        self.sold = np.unique(everyone.past.items)
        self.number = np.zeros(self.items, dtype=np.int64)  # 0 pads
        self.number[self.sold] = np.arange(1, len(self.sold) + 1)
        sequences = self._sequences(everyone.past, LENGTH + 1)
        sequences = sequences[(sequences > 0).sum(axis=1) >= 2]
        self.network: Network | None = None
        if not len(sequences):
            return
        judged = sequences[(sequences > 0).sum(axis=1) >= 3]
        most = self.rules.transformer_epochs
        epochs = self._train(np.pad(judged[:, :-1], ((0, 0), (1, 0))), most, judged) if len(judged) else most
        self._train(sequences, epochs, None)

    def _train(self, sequences: np.ndarray, epochs: int, judged: np.ndarray | None) -> int:
        """Trains a new network; gives the epoch that was best for the newest items of ``judged``."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            network = Network(len(self.sold))
            ids = torch.from_numpy(sequences)
            optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-4, fused=True)
            steps = epochs * -(-len(ids) // BATCH)
            schedule = linear_schedule(optimiser, steps, warm_up=max(1, steps // 20))
            best, best_epoch = -1.0, epochs
            for epoch in range(1, epochs + 1):
                network.train()
                for rows in torch.split(torch.randperm(len(ids)), BATCH):
                    part = ids[rows]
                    part = part[:, int((part > 0).int().argmax(dim=1).min()) :]
                    states, target = network(part[:, :-1]), part[:, 1:]
                    known = (part[:, :-1] > 0) & (target > 0)
                    F.cross_entropy(network.scores(states[known]), target[known] - 1).backward()  # type: ignore[no-untyped-call]
                    descend(optimiser, schedule)
                if judged is None:
                    log.info("id_transformer: on all events, epoch %d of %d", epoch, epochs)
                else:
                    metric = _last_item_ndcg(network.eval(), judged)
                    log.info("id_transformer: epoch %d of at most %d, NDCG@10 %.4f", epoch, epochs, metric)
                    if metric > best:
                        best, best_epoch = metric, epoch
                    elif epoch - best_epoch >= PATIENCE:
                        break
            self.network = network.eval()
            return best_epoch

    def _scores(self, known: Known, n: int, excluded: Excluded) -> Entries:
        if self.network is None:
            return joined([])
        parts = []
        sequences = self._sequences(known.past, LENGTH)
        for start in range(0, len(sequences), BLOCK_USERS):
            block = torch.from_numpy(sequences[start : start + BLOCK_USERS])
            scores = np.full((len(block), self.items), -np.inf)
            with torch.inference_mode():
                scores[:, self.sold] = self.network.scores(self.network(block)[:, -1]).numpy()
            scores[(block[:, -1] == 0).numpy()] = -np.inf
            parts.append(best_of(scores, start, n, excluded, self.items))
        return joined(parts)

    def _sequences(self, past: Histories, length: int) -> np.ndarray:
        """The newest items of each user, at the end of [users, length]; 0 pads, and stands for items never sold."""
        known = past.select(self.number[past.items] > 0).last(length)
        backwards = known.indptr[1:][known.users] + known.indptr[:-1][known.users] - 1 - np.arange(len(known.items))
        numbers = self.number[known.items[backwards]]
        return padded(known.indptr, numbers, length, 0)[:, ::-1].copy()


def _last_item_ndcg(network: Network, judged: np.ndarray) -> float:
    """Mean NDCG@10 of the last item of each sequence, ranked among all."""
    total = 0.0
    with torch.inference_mode():
        for rows in torch.split(torch.from_numpy(judged), BLOCK_USERS):
            scores = network.scores(network(rows[:, :-1])[:, -1])
            own = scores.gather(1, rows[:, -1:] - 1)
            rank = (scores > own).sum(dim=1)
            total += float((1 / torch.log2(rank[rank < 10] + 2.0)).sum())
    return total / len(judged)
