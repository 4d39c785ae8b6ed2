"""The loss over a whole catalogue, block by block, and its gradients are those of torch's own functions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from models import full_softmax
from models.full_softmax import full_softmax_loss


@pytest.mark.parametrize(("positions", "items"), [(1, 1), (5, 3), (16, 40), (41, 40)])
@pytest.mark.parametrize("scale", [1.0, 60.0], ids=["usual scores", "scores that overflow an exponential"])
def test_loss_and_gradients_are_those_of_cross_entropy(
    monkeypatch: pytest.MonkeyPatch, positions: int, items: int, scale: float
) -> None:
    monkeypatch.setattr(full_softmax, "SCORES", 16 * items)  # several blocks, the last one short
    draw = torch.Generator().manual_seed(1)
    states, vectors = ((torch.randn(count, 8, generator=draw) * scale).requires_grad_() for count in (positions, items))
    positives = torch.randint(items, (positions,), generator=draw)
    weights = torch.rand(positions, generator=draw)
    weights[0] = 0.0
    got = full_softmax_loss(states, vectors, positives, weights)
    wanted = (weights * F.cross_entropy(states @ vectors.T, positives, reduction="none")).sum()
    torch.testing.assert_close(got, wanted)
    # what comes after it in a loss scales its gradients
    for mine, theirs in zip(
        torch.autograd.grad(got * 3, (states, vectors)), torch.autograd.grad(wanted * 3, (states, vectors)), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
