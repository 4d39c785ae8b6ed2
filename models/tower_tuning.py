"""Contrastive tuning of the item tower on texts of items that go together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from contracts.cli import timed
from contracts.settings import Cooccurrence, Regularisation, Tower, Training
from models import adapters, perturbation
from models.behaviours import Known
from models.cooccurrence import neighbours_of
from models.devices import autocast, training_device
from models.histories import Flags, Floats, Ints, Longs
from models.int8 import inference_vectors
from models.item_tower import ItemTower, Texts, base_model_folder, first_tuned, merged, with_adapters
from models.training import Averaging, EarlyStopping, Report, descend, optimiser_of, schedule_of

log = logging.getLogger("nightshift")


@dataclass(frozen=True)
class TextPairs:
    """Pairs of texts to pull together: those of items that go with each other."""

    left: Longs  # [pairs], index into the texts
    right: Longs  # [pairs]


def contrastive_loss(left: Tensor, right: Tensor, same: Tensor, temperature: float) -> Tensor:
    """Symmetric InfoNCE with in-batch negatives (van den Oord et al., 2018; as CLIP does it).

    Args:
        left: Unit vectors [pairs, size].
        right: Unit vectors [pairs, size], row by row the positives of ``left``.
        same: [pairs, pairs], true where ``right[j]`` is no negative of i: as good as ``right[i]``, or i's own left.
        temperature: Divides the cosines.
    """
    logits = left @ right.T / temperature
    others = same & ~torch.eye(len(left), dtype=torch.bool, device=left.device)
    logits = logits.masked_fill(others, float("-inf"))
    labels = torch.arange(len(left), device=left.device)
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def _batches(pairs: TextPairs, size: int, generator: np.random.Generator) -> Iterator[tuple[Longs, Longs]]:
    while True:
        order = generator.permutation(len(pairs.left))
        for start in range(0, max(1, len(order) - size + 1), size):
            rows = order[start : start + size]
            yield pairs.left[rows], pairs.right[rows]


def tune(
    tower: ItemTower, texts: Texts, pairs: TextPairs, settings: Training, evaluate: Callable[[], float], report: Report
) -> None:
    """Tunes the tower on pairs, in place; keeps the weights with the best validation metric.

    Args:
        tower: Ready for tuning (`models.item_tower.with_adapters`).
        texts: Distinct texts that the pairs point into.
        pairs: Positives; the other pairs of a batch are the negatives.
        settings: Of the tower, and weight decay, patience, seed.
        evaluate: Gives the validation metric of the tower as it is (higher is better).
        report: Told of losses and metrics.
    """
    own = settings.tower
    trainable = {name: weight for name, weight in tower.named_parameters() if weight.requires_grad}
    if not trainable or len(pairs.left) < 2:
        log.info("Item tower: nothing to tune (%s, %d pairs).", own.tuning, len(pairs.left))
        return
    rules = own.descent
    optimiser = optimiser_of(trainable.values(), rules, own.learning_rate, settings.weight_decay)
    schedule = schedule_of(optimiser, rules.schedule, own.steps, warm_up=max(1, int(rules.warm_up * own.steps)))
    averaging = Averaging(trainable.values(), rules, own.steps)
    adapters.follow_steps(tower.encoder, optimiser)
    batches = _batches(pairs, own.batch, np.random.default_rng(settings.seed))
    words = np.random.default_rng([settings.seed, 1])  # of its own: the same pairs come with and without it
    every = max(1, own.steps // 4)
    stopping = EarlyStopping("tower", trainable, settings.patience, report)
    stopping.stops_at(0, evaluate())
    for step in range(1, own.steps + 1):
        tower.train()
        loss = sum(_backward(tower, texts, *next(batches), own, words) for _ in range(own.accumulation))
        adapters.add_penalty(tower.encoder)
        descend(optimiser, schedule)
        averaging.take(step)
        report("tower_loss", step, loss)
        if step % every and step != own.steps:
            continue
        with averaging.in_place():
            metric = evaluate()
            log.info("Item tower: step %d of %d, loss %.3f, validation %.4f", step, own.steps, loss, metric)
            if stopping.stops_at(step, metric, loss):
                break
    stopping.restore()


def _backward(
    tower: ItemTower, texts: Texts, left: Longs, right: Longs, settings: Tower, random: np.random.Generator
) -> float:
    """Adds the gradient of one batch of pairs, and gives its part of the step's loss."""
    distinct, row = np.unique(np.concatenate([left, right]), return_inverse=True)
    seen, rows = _seen(tower, texts, distinct.tolist(), settings.regularisation, random)
    same = (right[:, None] == right[None]) | (left[:, None] == left[None]) | (left[:, None] == right[None])
    no_negative = torch.from_numpy(same).to(tower.device)

    def backward() -> float:
        with autocast(tower.device, settings.descent.precision):
            vectors = tower(seen, rows)
        loss = contrastive_loss(vectors[row[: len(left)]], vectors[row[len(left) :]], no_negative, settings.temperature)
        (loss / settings.accumulation).backward()  # type: ignore[no-untyped-call]
        return loss.item() / settings.accumulation

    own, embeddings = settings.regularisation, tower.encoder.get_input_embeddings()
    if own.perturbation == "noise":
        with perturbation.noise(embeddings, own.noise_alpha):
            return backward()
    if own.perturbation == "fgm":
        with perturbation.watched(embeddings) as states:
            loss = backward()
        with perturbation.moved(embeddings, states[0], own.fgm_size):
            backward()
        return loss
    return backward()


def _seen(
    tower: ItemTower, texts: Texts, rows: Sequence[int], settings: Regularisation, random: np.random.Generator
) -> tuple[Texts, Sequence[int]]:
    """What a step sees of some texts, and their rows in it: what was kept is of whole texts as they are."""
    if settings.word_dropout:
        shorter = [perturbation.without_words(texts.texts[row], settings.word_dropout, random) for row in rows]
        return tower.ready(shorter), range(len(rows))
    return (texts if settings.perturbation == "none" else Texts(texts.texts, texts.tokens)), rows


def held_out_texts(texts: int, share: float, seed: int) -> Flags:
    """The texts that judge the tuning and take no part in it, [texts]: a random ``share`` of them."""
    return np.random.default_rng([seed, 2]).random(texts) < share


def pairs_of_texts(
    known: Known, text_of: Ints, among: Flags, count: int, settings: Cooccurrence, seed: int
) -> TextPairs:
    """Pairs of texts of items that go together more often than chance.

    An event and any later one of the same user are nearly independent in a shop of staples: pulling such pairs
    together collapses all vectors into one. So pairs are drawn by the lift of their co-occurrence. Frequent items
    are drawn less often (with the root of their frequency). Pairs of equal texts teach nothing and are left out.

    Args:
        known: Events that pairs are counted in.
        text_of: Text of each item of the catalogue, [items].
        among: Which texts pairs may hold, [texts].
        count: Pairs to draw.
        settings: How co-occurrence is counted, and how many neighbours of an item take part.
        seed: Of the draw.
    """
    random = np.random.default_rng(seed)
    neighbours = neighbours_of(known, len(text_of), settings)
    frequency = np.bincount(known.past.items, minlength=len(text_of))
    total = np.maximum(neighbours.weights.sum(1, keepdims=True), 1e-12)
    fits = among[text_of]
    weight = neighbours.weights * np.sqrt(frequency)[:, None] / total * fits[:, None] * fits[neighbours.items]
    if not weight.any():
        return TextPairs(np.zeros(0, np.int64), np.zeros(0, np.int64))
    drawn = random.choice(weight.size, count, p=weight.ravel() / weight.sum(dtype=np.float64))
    left = text_of[drawn // settings.neighbours].astype(np.int64)
    right = text_of[neighbours.items.ravel()[drawn]].astype(np.int64)
    return TextPairs(left[left != right], right[left != right])


def pair_rank(tower: ItemTower, texts: Texts, pairs: TextPairs, batch: int) -> float:
    """Mean reciprocal rank of each pair's right text among all right texts; NaN of weights that have diverged."""
    if not len(pairs.left):
        return 0.0
    used, row = np.unique(np.concatenate([pairs.left, pairs.right]), return_inverse=True)
    vectors = tower.encode_rows(texts, used.tolist(), batch)
    if not np.isfinite(vectors).all():  # nothing is larger than NaN: every pair would be the first
        return float("nan")
    left, right = row[: len(pairs.left)], row[len(pairs.left) :]
    scores = vectors[left] @ vectors[np.unique(right)].T
    of_pair = (vectors[left] * vectors[right]).sum(1)
    return float((1 / (1 + (scores > of_pair[:, None] + 1e-6).sum(1))).mean())


@dataclass(frozen=True)
class Untuned:
    """A tower as its base model comes, and what it makes of some texts."""

    tower: ItemTower
    vectors: Floats  # [texts, size]
    texts: Texts  # with the states of the layers that tuning leaves as they are

    @classmethod
    def of(cls, texts: Sequence[str], settings: Tower) -> Untuned:
        """Loads the base model and encodes the texts."""
        base, dropout = base_model_folder(settings.base_model), settings.regularisation.dropout
        tower = ItemTower.load(base, settings.max_tokens, settings.pooling, dropout).to(training_device())
        with timed(f"Encoding {len(texts):,} texts with the pre-trained tower"):
            vectors, known = tower.encode_first(texts, settings.text_batch, first_tuned(tower, settings))
        return cls(tower, vectors, known)

    def copy(self) -> Untuned:
        """One whose tower may be tuned while this one's stays; what it made of the texts is shared."""
        tower, frozen = deepcopy((self.tower, self.texts.frozen))  # at once: the layers are those of the tower
        return Untuned(tower, self.vectors, replace(self.texts, frozen=frozen))


Untune = Callable[[Sequence[str], Tower], Untuned]
"""Gives the base model and its vectors of texts, by `Untuned.of` or from an earlier time."""


def tuned_tower(
    settings: Training,
    texts: Sequence[str],
    pairs: TextPairs,
    held_out: TextPairs,
    report: Report,
    untuned: Untune = Untuned.of,
) -> tuple[ItemTower, Floats, Floats]:
    """The tuned tower on the CPU, and the texts' vectors before and, as it will encode others, after, [texts, size]."""
    own = settings.tower
    begun = untuned(texts, own)
    tower, before, known = begun.tower, begun.vectors, begun.texts
    if own.tuning == "frozen" or not len(held_out.left):
        if own.tuning != "frozen":
            log.warning("Item tower: it is not tuned, no texts that were held out go together to judge it by.")
        tower = tower.cpu()
        return tower, before, inference_vectors(tower, texts, before, own)
    tower = with_adapters(tower, own)
    with timed(f"Tuning the item tower ({own.tuning}, from layer {first_tuned(tower, own)})"):
        tune(tower, known, pairs, settings, lambda: pair_rank(tower, known, held_out, own.text_batch), report)
        tower = merged(tower)
    with timed(f"Encoding {len(texts):,} texts with the tuned tower"):
        after = tower.encode_rows(known, range(len(texts)), own.text_batch)
        tower = tower.cpu()
        return tower, before, inference_vectors(tower, texts, after, own)
