"""Candidates of each user, and the small network that ranks them: listwise softmax over weekly windows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.cooccurrence import Together
from models.features import FEATURES, Candidates, find, rank_in_group
from models.histories import DAY, Floats, Histories, Ints, Longs
from models.metrics import Relevant
from spark_jobs.contracts.tables import SOURCES

BLOCK = 16_384
"""Rows scored at once, so that the hidden layer stays in cache."""
CLIP = 4.0
"""Standard deviations beyond which an input says nothing more."""
TENSORS, PARAMETERS = "ranker.safetensors", "ranker.json"


@dataclass(frozen=True)
class Caps:
    """The most candidates that each source brings for one user."""

    repeat: int = 200
    together: int = 100
    match: int = 100
    popular: int = 100
    half_life_days: float = 60.0  # by which a user's own items are ordered


@dataclass(frozen=True)
class RankerSettings:
    """How the ranker is fitted; chosen on the validation week, see docs/adr."""

    networks: int = 2  # their scores are averaged
    hidden: int = 128
    dropout: float = 0.2
    epochs: int = 5
    users_per_batch: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    seed: int = 0


@dataclass(frozen=True)
class Window:
    """Candidates as of one cut-off and which of them users took in the days after it."""

    features: Floats  # [candidates, features]
    labels: NDArray[np.bool_]  # [candidates]
    indptr: Longs  # [users + 1]


def generate(
    histories: Histories,
    near: Together,
    matched: Ints,
    best: Ints,
    now: int,
    items: int,
    caps: Caps,
) -> Candidates:
    """Union of a user's own items, what goes with them, ``matched`` [users, k] and the popular ``best`` [m].

    ``matched`` and ``best`` are ordered, best first, ``-1`` pads; of ``items`` items in the catalogue.
    """
    users = np.arange(len(histories), dtype=np.int64)
    own_user, own_item = _own_items(histories, now, items, caps)
    near_user = np.repeat(users, np.diff(near.indptr))
    close = rank_in_group(near_user, -near.scores) < caps.together
    matched, best = matched[:, : caps.match], best[: caps.popular]
    match_user, popular_user = np.repeat(users, matched.shape[1]), np.repeat(users, len(best))
    user = np.concatenate([own_user, near_user[close], match_user, popular_user])
    item = np.concatenate([own_item, near.items[close], matched.ravel(), np.tile(best, len(users))])
    item = item.astype(np.int64)
    # In the order of SOURCES.
    source = np.repeat(
        np.arange(len(SOURCES), dtype=np.int8),
        [len(own_user), int(close.sum()), len(match_user), len(popular_user)],
    )
    real = item >= 0
    keys, first = np.unique((user * items + item)[real], return_index=True)
    counts = np.bincount(keys // items, minlength=len(users))
    return Candidates(_indptr(counts), (keys % items).astype(np.int32), source[real][first])


def _own_items(histories: Histories, now: int, items: int, caps: Caps) -> tuple[Longs, Longs]:
    """Users and items of the own items with the largest decayed counts."""
    past = histories.select((histories.times < now) & (histories.items >= 0))
    decay = np.exp2(-(now - past.times) / DAY / caps.half_life_days)
    keys, pair = np.unique(past.users.astype(np.int64) * items + past.items, return_inverse=True)
    user = keys // items
    kept = rank_in_group(user, -np.bincount(pair, decay, minlength=len(keys))) < caps.repeat
    return user[kept], keys[kept] % items


def label(candidates: Candidates, relevant: Relevant, items: int) -> NDArray[np.bool_]:
    """Which candidates are relevant, [candidates]; of ``items`` items in the catalogue."""
    owner = np.repeat(np.arange(len(relevant.counts), dtype=np.int64), relevant.counts)
    wanted = owner * items + relevant.items
    return find(wanted, candidates.users.astype(np.int64) * items + candidates.items) < len(wanted)


def sample(
    candidates: Candidates, labels: NDArray[np.bool_], share: float, seed: int
) -> tuple[Candidates, NDArray[np.bool_]]:
    """All positives and a ``share`` of the negatives of users with a positive, and their labels.

    The share is the same at every rank: sampling some ranks more would teach that they are better.
    """
    users = candidates.users
    positive = np.bincount(users[labels], minlength=len(candidates.indptr) - 1) > 0
    drawn = np.random.default_rng(seed).random(len(labels)) < share
    kept = positive[users] & (labels | drawn)
    counts = np.bincount(users[kept], minlength=len(positive))
    return Candidates(_indptr(counts), candidates.items[kept], candidates.sources[kept]), labels[kept]


def _indptr(counts: NDArray[Any]) -> Longs:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


class Network(nn.Module):
    """Two hidden layers and one score: float32 [rows, inputs] -> [rows]."""

    def __init__(self, inputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, 1),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Scores of standardised rows, [rows]."""
        scores: Tensor = self.layers(inputs)[:, 0]
        return scores


@dataclass(frozen=True)
class Ranker:
    """A fitted ranker: the scale of its inputs and its networks."""

    mean: Tensor  # [features], of the compressed inputs
    scale: Tensor  # [features]
    networks: nn.ModuleList
    settings: RankerSettings

    def score(self, features: Floats) -> Floats:
        """Scores of rows of FEATURES, comparable within a user, [rows]."""
        out = np.zeros(len(features), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(features), BLOCK):
                rows = _inputs(features[start : start + BLOCK], self.mean, self.scale)
                total = torch.stack([network(rows) for network in self.networks]).mean(dim=0)
                out[start : start + BLOCK] = total.numpy()
        return out

    def importance(self, features: Floats) -> dict[str, float]:
        """How far the score moves by a standard deviation of each input, on average, largest first."""
        rows = _inputs(features, self.mean, self.scale).requires_grad_()
        torch.stack([network(rows) for network in self.networks]).mean(dim=0).sum().backward()  # type: ignore[no-untyped-call]
        assert rows.grad is not None
        moved = rows.grad.abs().mean(dim=0).tolist()
        return dict(sorted(zip(FEATURES, moved, strict=True), key=lambda pair: (-pair[1], pair[0])))

    def save(self, folder: Path) -> None:
        """Writes the tensors and the parameters, safetensors and JSON, into ``folder``."""
        tensors = {"mean": self.mean, "scale": self.scale, **self.networks.state_dict()}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / TENSORS)
        parameters = {"features": list(FEATURES), "settings": asdict(self.settings)}
        (folder / PARAMETERS).write_text(json.dumps(parameters, indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Ranker:
        """Reads what ``save`` wrote; refuses a ranker that was fitted on other features."""
        parameters = json.loads((folder / PARAMETERS).read_text())
        if parameters["features"] != list(FEATURES):
            differ = sorted(set(parameters["features"]) ^ set(FEATURES))
            raise ValueError(
                f"{folder / PARAMETERS}: fitted on other features or another order"
                f" (not in both: {differ}); fit the ranker anew"
            )
        settings = RankerSettings(**parameters["settings"])
        tensors = load_file(folder / TENSORS)
        mean, scale = tensors.pop("mean"), tensors.pop("scale")
        networks = _networks(len(FEATURES), settings)
        networks.load_state_dict(tensors)
        return cls(mean, scale, networks.eval(), settings)


def fit(windows: Sequence[Window], settings: RankerSettings) -> Ranker:
    """Fits the networks on all users of all ``windows``; same windows and seed, same ranker."""
    features = np.concatenate([window.features for window in windows])
    labels = torch.from_numpy(np.concatenate([window.labels for window in windows]).astype(np.float32))
    sizes = np.concatenate([np.diff(window.indptr) for window in windows])
    sizes = sizes[sizes > 0]
    compressed = _compress(features)
    mean, scale = compressed.mean(dim=0), compressed.std(dim=0).clamp_min_(1e-6)
    rows = compressed.sub_(mean).div_(scale).clamp_(-CLIP, CLIP)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        networks = _networks(rows.shape[1], settings)
        for network in networks:
            assert isinstance(network, Network)
            _train(network, rows, labels, sizes, settings)
    return Ranker(mean, scale, networks.eval(), settings)


def _networks(inputs: int, settings: RankerSettings) -> nn.ModuleList:
    return nn.ModuleList(Network(inputs, settings.hidden, settings.dropout) for _ in range(settings.networks))


def _compress(features: Floats) -> Tensor:
    """``sign(x) log(1 + |x|)``: counts, days and ratios reach over orders of magnitude."""
    raw = torch.from_numpy(features)
    return raw.sign() * raw.abs().log1p_()


def _inputs(features: Floats, mean: Tensor, scale: Tensor) -> Tensor:
    return _compress(features).sub_(mean).div_(scale).clamp_(-CLIP, CLIP)


def _train(network: Network, rows: Tensor, labels: Tensor, sizes: Longs, settings: RankerSettings) -> None:
    """AdamW with a rate that falls linearly to zero."""
    batches = -(-len(sizes) // settings.users_per_batch)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    steps = settings.epochs * batches
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    network.train()
    for _ in range(settings.epochs):
        for index, group in _batches(sizes, settings.users_per_batch):
            loss = listwise_loss(network(rows[index]), labels[index], group)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()


def _batches(sizes: Longs, users: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and user numbers of shuffled batches of ``users`` users, [rows] each."""
    starts = np.cumsum(sizes) - sizes
    shuffled = torch.randperm(len(sizes)).numpy()
    for first in range(0, len(sizes), users):
        picked = shuffled[first : first + users]
        count = sizes[picked]
        offset = np.cumsum(count) - count
        index = np.arange(count.sum()) + np.repeat(starts[picked] - offset, count)
        yield torch.from_numpy(index), torch.from_numpy(np.repeat(np.arange(len(picked)), count))


def listwise_loss(scores: Tensor, labels: Tensor, group: Tensor) -> Tensor:
    """Softmax cross-entropy over each group's rows, by the root of its positives, mean over groups.

    Source: ListNet's top-one loss (Cao et al. 2007). The root lies between one user one vote and one
    purchase one vote.
    """
    groups = int(group[-1]) + 1
    top = torch.full((groups,), -torch.inf).scatter_reduce(0, group, scores.detach(), "amax")
    total = torch.zeros(groups).index_add(0, group, torch.exp(scores - top[group]))
    log_probability = scores - (top + total.log())[group]
    positives = torch.zeros(groups).index_add(0, group, labels).clamp(min=1)
    return -(log_probability * labels / positives.sqrt()[group]).sum() / groups
