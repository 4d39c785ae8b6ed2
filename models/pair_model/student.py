"""The pair model's student: its logits learnt from vectors that the night has anyway (distillation).

Hinton, Vinyals and Dean (2015), *Distilling the knowledge in a neural network*; by squared error on the logits, as Ba
and Caruana (2014), *Do deep nets really need to be deep?*. Two small networks, one of users and one of items: an item's
part is the same for everyone.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.behaviours import Known
from models.histories import Floats, Ints, Longs
from models.ragged import row_of_each
from models.training import EarlyStopping, Report, descend, schedule_of

log = logging.getLogger("nightshift")

FILE = "pair_student.safetensors"
EPOCHS, BATCH, LEARNING_RATE, WEIGHT_DECAY, PATIENCE = 60, 256, 2e-3, 1e-2, 10
HELD_OUT = 10
"""Every so many-th pair, in a random order, judges and is not learnt."""


class Student(nn.Module):
    """What a user's vectors say of an item's, as the pair model would of their texts."""

    def __init__(self, text_size: int, width: int) -> None:
        super().__init__()
        self.of_user = nn.Sequential(nn.Linear(2 * text_size, width), nn.SiLU(), nn.Linear(width, width))
        # one more: what the item is worth to anybody
        self.of_item = nn.Sequential(nn.Linear(text_size, width), nn.SiLU(), nn.Linear(width, width + 1))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))
        self.mean: Tensor
        self.scale: Tensor

    def forward(self, users: Tensor, items: Tensor, owner: Tensor, item: Tensor) -> Tensor:
        """Standardised logits [pairs].

        Args:
            users: [users, 2 x text size], of `read_of`.
            items: Unit vectors of texts, [items, text size].
            owner: The user of each pair, a row of ``users``.
            item: The item of each pair, a row of ``items``.
        """
        of_items = self.of_item(items)
        own = of_items[item]
        logits: Tensor = (self.of_user(users)[owner] * own[:, 1:]).sum(1) + own[:, 0]
        return logits

    @torch.inference_mode()
    def logits(self, read: Floats, owner: Longs, items: Ints, texts: Floats) -> Floats:
        """Logits [pairs] of users by what is ``read`` of them and items of the catalogue, with ``texts`` of all."""
        distinct, item = np.unique(items, return_inverse=True)
        vectors = torch.from_numpy(texts[distinct])
        made = self(torch.from_numpy(read), vectors, torch.from_numpy(owner), torch.from_numpy(item))
        logits: Floats = (made * self.scale + self.mean).numpy()
        return logits

    def save(self, folder: Path) -> None:
        """Writes one safetensors file."""
        save_file({name: value.contiguous() for name, value in self.state_dict().items()}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Student:
        """Reads what `save` wrote."""
        state = load_file(folder / FILE)
        width, text_size = state["of_item.0.weight"].shape
        student = cls(text_size, width)
        student.load_state_dict(state)
        return student.eval()


def read_of(known: Known, texts: Floats, events: int) -> Floats:
    """The text of each user's newest event and the mean of those of the newest ``events``, [users, 2 x text size].

    Of users without an event zeros; ``texts`` are of the catalogue, [items, text size].
    """
    recent = known.liked.last(events)
    owner = row_of_each(recent.indptr)
    last, mean = np.zeros((2, len(recent), texts.shape[1]), dtype=np.float32)
    last[owner] = texts[recent.items]  # the last of a user's events stays
    np.add.at(mean, owner, texts[recent.items])
    made: Floats = np.hstack([last, mean / np.maximum(recent.lengths, 1)[:, None]]).astype(np.float32)
    return made


def distilled(
    read: Floats, owner: Longs, items: Ints, logits: Floats, texts: Floats, width: int, seed: int, report: Report
) -> Student:
    """A student that learnt ``logits`` [pairs], with squared error; the other arguments are those of `Student.logits`.

    Those of a share of the pairs it does not learn from choose when it stops.
    """
    random = np.random.default_rng([seed, 5])
    order = random.permutation(len(items))
    held_out, learnt = order[::HELD_OUT], np.delete(order, slice(None, None, HELD_OUT))
    distinct, item = np.unique(items, return_inverse=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = Student(texts.shape[1], width)
    student.mean.fill_(float(logits.mean()))
    student.scale.fill_(max(float(logits.std()), 1e-6))
    wanted = (torch.from_numpy(logits) - student.mean) / student.scale
    users, vectors, owners, of_item = map(torch.from_numpy, (read, texts[distinct], owner, item))

    def loss_of(rows: Longs) -> Tensor:
        return F.mse_loss(student(users, vectors, owners[rows], of_item[rows]), wanted[rows])

    optimiser = torch.optim.AdamW(student.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    batches = -(-len(learnt) // BATCH)
    schedule = schedule_of(optimiser, "linear", EPOCHS * batches)
    stopping = EarlyStopping("pair_student", dict(student.named_parameters()), PATIENCE, report)
    for epoch in range(1, EPOCHS + 1):
        order = random.permutation(learnt)
        for start in range(0, len(order), BATCH):
            loss = loss_of(order[start : start + BATCH])
            loss.backward()  # type: ignore[no-untyped-call]
            descend(optimiser, schedule)
        with torch.no_grad():
            left = loss_of(held_out).item()
        if stopping.stops_at(epoch, -left):
            break
    stopping.restore()
    with torch.no_grad():
        left = loss_of(held_out).item() / max(wanted[held_out].var().item(), 1e-9)
    log.info(
        "Student of the pair model: explains %.0f%% of the variance of the logits of pairs new to it", 100 - 100 * left
    )
    return student.eval()
