"""The pair model itself: a base model with one logit over two texts, and its training."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from contracts.settings import PairModel as PairSettings
from contracts.settings import Tower, Training
from models.devices import autocast, training_device
from models.histories import Floats, Longs
from models.item_tower import ItemTower, Texts, merged, with_adapters
from models.pair_model.lists import RankedLists
from models.ranker import listwise_loss
from models.training import EarlyStopping, Report, descend, schedule_of

log = logging.getLogger("nightshift")

HEAD = "head.safetensors"
EVALUATIONS = 3
"""In a training: each reads thousands of pairs."""


class PairModel(nn.Module):
    """Texts of users and items in, one logit a pair out: the pooled state of both texts and a linear head."""

    def __init__(self, tower: ItemTower) -> None:
        """With a ``tower`` that reads two texts as it reads one; the head begins at zero."""
        super().__init__()
        self.tower = tower
        self.head = nn.Linear(tower.size, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def read(self, users: Sequence[str], items: Sequence[str]) -> Texts:
        """Pairs of texts, row by row, with their tokens; the longer text is cut first.

        The colon parts the texts for base models whose tokenizer puts nothing between two.
        """
        texts = [f": {item}" for item in items]
        if not texts:
            return Texts(texts, [])
        made = self.tower.tokenizer(list(users), texts, truncation="longest_first", max_length=self.tower.max_tokens)
        return Texts(texts, made["input_ids"])

    def forward(self, pairs: Texts, rows: Sequence[int]) -> Tensor:
        """Logits [rows] of some of the pairs."""
        return self._of_vectors(self.tower(pairs, rows))

    def _of_vectors(self, vectors: Tensor) -> Tensor:
        """Logits [rows] of unit vectors [rows, size], stretched so that each number in them is about 1."""
        logits: Tensor = self.head(vectors * self.tower.size**0.5)[:, 0]
        return logits

    @torch.inference_mode()
    def logits(self, users: Sequence[str], items: Sequence[str], batch: int) -> Floats:
        """Logits [pairs] of texts of users and items, row by row."""
        vectors = self.tower.encode_rows(self.read(users, items), range(len(items)), batch)
        made: Floats = self._of_vectors(torch.from_numpy(vectors).to(self.tower.device)).cpu().numpy()
        return made

    def save(self, folder: Path) -> None:
        """Writes the transformer as a tower is written, and the head beside it."""
        self.tower.save(folder)
        save_file({name: weight.contiguous() for name, weight in self.head.state_dict().items()}, folder / HEAD)

    @classmethod
    def load(cls, folder: Path, max_tokens: int) -> PairModel:
        """Reads what `save` wrote."""
        model = cls(ItemTower.load(folder, max_tokens))
        model.head.load_state_dict(load_file(folder / HEAD))
        return model.eval()


def tower_settings(settings: Training) -> Tower:
    """How its transformer is tuned: by the means of the item tower, but for what the pair model has settings of."""
    own = settings.pair_model
    names = ("max_tokens", "tuning", "tuned_layers", "steps")
    return settings.tower.model_copy(update={name: getattr(own, name) for name in names})


def loss_of(logits: Tensor, labels: Tensor, group: Tensor, kind: str) -> Tensor:
    """The loss of a step.

    Args:
        logits: [rows].
        labels: 1 for what was taken, [rows].
        group: Number of each row's list, ascending, [rows].
        kind: As of the setting ``loss``.
    """
    if kind == "listwise":
        return listwise_loss(logits, labels, torch.zeros_like(logits), group)
    if kind == "squared":
        return F.mse_loss(logits, labels)
    return F.binary_cross_entropy_with_logits(logits, labels)


def logit_of_a_share(share: float, kind: str) -> float:
    """The logit of everything that costs least where such a ``share`` was taken: where a training begins."""
    return {"cross_entropy": math.log(share / (1 - share)), "squared": share, "listwise": 0.0}[kind]


def drawn(lists: RankedLists, number: int, negatives: int, random: np.random.Generator) -> Longs:
    """Rows of one list: one that was taken, then so many of the others at most."""
    rows = np.arange(lists.indptr[number], lists.indptr[number + 1])
    taken, others = rows[lists.labels[rows]], rows[~lists.labels[rows]]
    count = min(negatives, len(others))
    return np.concatenate([random.choice(taken, 1), random.choice(others, count, replace=False)])


def _batches(lists: RankedLists, settings: PairSettings, random: np.random.Generator) -> Iterator[tuple[Longs, Longs]]:
    """Rows of a step and the list of each, without end; other rows of a list with each pass over them."""
    useful = np.flatnonzero((lists.hits > 0) & (lists.hits < np.diff(lists.indptr)))
    while True:
        order = random.permutation(useful)
        for start in range(0, len(order), settings.batch):
            parts = [drawn(lists, each, settings.negatives, random) for each in order[start : start + settings.batch]]
            yield np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


@torch.random.fork_rng(devices=[])  # what is fitted after it draws as without it
def tuned(
    lists: RankedLists,
    items: Sequence[str],
    settings: Training,
    before: float,
    evaluate: Callable[[PairModel], float],
    report: Report,
) -> PairModel:
    """A pair model, on the CPU, that learnt to tell what was taken of the lists from what was not.

    Args:
        lists: With at least one of which something was taken, and something not.
        items: Text of each item of the catalogue.
        settings: Of the pair model, and patience, seed, weight decay.
        before: The validation metric without it.
        evaluate: Gives the validation metric of the model as it is (higher is better).
        report: Told of losses and metrics.

    Raises:
        SettingsError: the settings and the base model do not go together.
    """
    torch.manual_seed(settings.seed)
    own, chosen = settings.pair_model, tower_settings(settings)
    tower = ItemTower.pre_trained(chosen)
    model = PairModel(with_adapters(tower, chosen)).to(training_device())
    with torch.no_grad():
        model.head.bias.fill_(logit_of_a_share(1 / (1 + own.negatives), own.loss))
    trainable = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    optimiser = torch.optim.AdamW(trainable.values(), lr=own.learning_rate, weight_decay=settings.weight_decay)
    schedule = schedule_of(optimiser, "linear", own.steps, warm_up=max(1, own.steps // 10))
    batches = _batches(lists, own, np.random.default_rng(settings.seed))
    stopping = EarlyStopping("pair_model", trainable, settings.patience, report)
    stopping.stops_at(0, before)  # it says the same of everything
    every, losses = max(1, own.steps // EVALUATIONS), []
    for step in range(1, own.steps + 1):
        rows, group = next(batches)
        texts = [items[item] for item in lists.items[rows]]
        pairs = model.read(lists.told[lists.owner[rows]].tolist(), texts)
        model.train()
        with autocast(model.tower.device, chosen.descent.precision):
            logits = model(pairs, range(len(rows))).float().cpu()
        labels = torch.from_numpy(lists.labels[rows].astype(np.float32))
        loss = loss_of(logits, labels, torch.from_numpy(group), own.loss)
        loss.backward()  # type: ignore[no-untyped-call]
        descend(optimiser, schedule)
        report("pair_model_loss", step, loss.item())
        losses.append(loss.item())
        if step % max(1, every // 4) == 0:
            log.info("Pair model: step %d of %d, mean loss %.3f", step, own.steps, np.mean(losses))
            losses.clear()
        if step % every and step != own.steps:
            continue
        metric = evaluate(model)
        log.info("Pair model: step %d of %d, validation %.4f, without it %.4f", step, own.steps, metric, before)
        if stopping.stops_at(step, metric, loss.item()):
            break
    stopping.restore()
    model.tower = merged(model.tower)
    return model.cpu().eval()
