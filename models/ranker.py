"""The small networks that rank candidates: listwise softmax over weekly windows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from contracts.errors import ModelError
from contracts.settings import Ranker as RankerSettings
from models.dropout import Dropout
from models.histories import Flags, Floats, Longs
from models.ragged import gather, indptr_of, row_of_each
from models.training import linear_schedule

BLOCK = 4096
"""Rows scored at once, so that the hidden layer stays in cache."""
CLIP = 4.0
"""Standard deviations beyond which an input says nothing more."""
TENSORS, PARAMETERS = "ranker.safetensors", "ranker.json"


@dataclass(frozen=True)
class Window:
    """A sample of the candidates as of one cut-off, and which of them had a target event in the days after it."""

    features: Floats  # [candidates, features]
    labels: Flags  # [candidates]
    shares: Floats  # [candidates], probability with which each was kept in the sample
    indptr: Longs  # [users + 1]


class Network(nn.Module):
    """Two hidden layers and one score: float32 [rows, inputs] -> [rows]."""

    def __init__(self, inputs: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.SiLU(),
            Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            Dropout(dropout),
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
    features: tuple[str, ...]  # name of each column of its input

    def score(self, features: Floats) -> Floats:
        """Scores of rows of `models.features`, comparable within a user, [rows]."""
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
        return dict(sorted(zip(self.features, moved, strict=True), key=lambda pair: (-pair[1], pair[0])))

    def save(self, folder: Path) -> None:
        """Writes the tensors and the parameters, safetensors and JSON, into ``folder``."""
        tensors = {"mean": self.mean, "scale": self.scale, **self.networks.state_dict()}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / TENSORS)
        parameters = {"features": list(self.features), "settings": self.settings.model_dump()}
        (folder / PARAMETERS).write_text(json.dumps(parameters, indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls, folder: Path, features: Sequence[str]) -> Ranker:
        """Reads what `save` wrote, to be given rows of these ``features``.

        Raises:
            ModelError: it was fitted on other features, or on these in another order.
        """
        parameters = json.loads((folder / PARAMETERS).read_text())
        fitted_on = tuple(parameters["features"])
        if fitted_on != tuple(features):
            differ = sorted(set(fitted_on) ^ set(features))
            raise ModelError(
                f"{folder / PARAMETERS}: the ranker was fitted on other features than this version of the code gives, "
                f"or in another order (not in both: {', '.join(differ) or 'none'}). Fine-tune a model anew."
            )
        chosen = RankerSettings.model_validate(parameters["settings"])
        tensors = load_file(folder / TENSORS)
        mean, scale = tensors.pop("mean"), tensors.pop("scale")
        networks = _networks(len(fitted_on), chosen)
        networks.load_state_dict(tensors)
        return cls(mean, scale, networks.eval(), chosen, fitted_on)


def fit(windows: Sequence[Window], names: Sequence[str], chosen: RankerSettings, seed: int) -> Ranker:
    """Fits the networks on all users of all ``windows``, whose columns have ``names``; same windows, same ranker."""
    features = np.concatenate([window.features for window in windows])
    labels = torch.from_numpy(np.concatenate([window.labels for window in windows]).astype(np.float32))
    stands_for = torch.from_numpy(-np.log(np.concatenate([window.shares for window in windows])))
    sizes = np.concatenate([np.diff(window.indptr) for window in windows])
    sizes = sizes[sizes > 0]
    compressed = _compress(features)
    mean, scale = compressed.mean(dim=0), compressed.std(dim=0).clamp_min_(1e-6)
    rows = compressed.sub_(mean).div_(scale).clamp_(-CLIP, CLIP)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = _networks(rows.shape[1], chosen)
        for network in networks:
            assert isinstance(network, Network)
            _train(network, rows, labels, stands_for, sizes, chosen)
    return Ranker(mean, scale, networks.eval(), chosen, tuple(names))


def _networks(inputs: int, chosen: RankerSettings) -> nn.ModuleList:
    return nn.ModuleList(Network(inputs, chosen.hidden, chosen.dropout) for _ in range(chosen.networks))


def _compress(features: Floats) -> Tensor:
    """``sign(x) log(1 + |x|)``: counts, days and ratios reach over orders of magnitude."""
    raw = torch.from_numpy(features)
    return raw.abs().log1p_().copysign_(raw)


def _inputs(features: Floats, mean: Tensor, scale: Tensor) -> Tensor:
    return _compress(features).sub_(mean).div_(scale).clamp_(-CLIP, CLIP)


def _train(
    network: Network, rows: Tensor, labels: Tensor, stands_for: Tensor, sizes: Longs, chosen: RankerSettings
) -> None:
    """AdamW with a learning rate that falls linearly to zero."""
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=chosen.learning_rate, weight_decay=chosen.weight_decay, fused=True
    )
    batches = -(-len(sizes) // chosen.users_per_batch)
    epochs = max(chosen.epochs, -(-chosen.min_steps // batches))
    schedule = linear_schedule(optimiser, epochs * batches)
    network.train()
    for _ in range(epochs):
        for index, group in _batches(indptr_of(sizes), chosen.users_per_batch):
            loss = listwise_loss(network(rows[index]), labels[index], stands_for[index], group)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()


def _batches(indptr: Longs, users: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows and user numbers of shuffled batches of ``users`` users, [rows] each."""
    shuffled = torch.randperm(len(indptr) - 1).numpy()
    for first in range(0, len(shuffled), users):
        part, index = gather(indptr, shuffled[first : first + users])
        yield torch.from_numpy(index), torch.from_numpy(row_of_each(part))


def listwise_loss(scores: Tensor, labels: Tensor, stands_for: Tensor, group: Tensor) -> Tensor:
    """Softmax cross-entropy over each group's rows, by the root of its positives, mean over groups.

    Sources: ListNet's top-one loss (Cao et al. 2007); the log-Q correction of a sample (Bengio and Senécal 2008). The
    root lies between one user one vote and one event one vote.

    Args:
        scores: [rows].
        labels: [rows], 1 for a positive.
        stands_for: [rows], log of how many candidates each stands for: a tenth of them kept, each stands for ten.
        group: Number of each row's group, ascending, [rows].
    """
    groups = int(group[-1]) + 1
    scores = scores + stands_for
    top = torch.full((groups,), -torch.inf).scatter_reduce(0, group, scores.detach(), "amax")
    total = torch.zeros(groups).index_add(0, group, torch.exp(scores - top[group]))
    log_probability = scores - (top + total.log())[group]
    positives = torch.zeros(groups).index_add(0, group, labels).clamp(min=1)
    return -(log_probability * labels / positives.sqrt()[group]).sum() / groups
