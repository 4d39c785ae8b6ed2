"""Cross-entropy of many positions over a whole catalogue, without the scores of all of them in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SCORES = 4_000_000
"""Scores of a block: 16 MB stay in a processor's last cache."""
MIN_BLOCK = 16
"""Positions of a block at least: a product of fewer rows reads the items once too often."""


def full_softmax_loss(states: Tensor, vectors: Tensor, positives: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of the cross-entropies of each position over all items, a scalar.

    As ``(weights * cross_entropy(states @ vectors.T, positives, reduction="none")).sum()``. The gradients are made
    block by block of positions, while its scores are in the cache, as in Liger's fused linear cross-entropy (Hsu et
    al., 2024): the scores of all are large, and to go through them for every part takes longer than the products.

    Args:
        states: [positions, size].
        vectors: [items, size].
        positives: The item of each position, [positions].
        weights: [positions].
    """
    loss: Tensor = _FullSoftmax.apply(states.float(), vectors.float(), positives, weights)  # type: ignore[no-untyped-call]
    return loss


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, vectors: Tensor, positives: Tensor, weights: Tensor) -> Tensor:
        # a product that fills a part of an array has no half precision
        with torch.autocast(states.device.type, enabled=False):
            loss, of_states, of_vectors = _loss_and_gradients(states, vectors, positives, weights)
        ctx.save_for_backward(of_states, of_vectors)
        return loss

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, Tensor, None, None]:
        of_states, of_vectors = ctx.saved_tensors
        return of_states * outer[0], of_vectors * outer[0], None, None


def _loss_and_gradients(
    states: Tensor, vectors: Tensor, positives: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    size = max(MIN_BLOCK, SCORES // len(vectors))
    of_states, of_vectors = torch.empty_like(states), torch.zeros_like(vectors)
    room = [states.new_empty(min(size, len(states)), len(vectors)) for _ in range(2)]
    loss = states.new_zeros(())
    for begin in range(0, len(states), size):
        block, positive, weight = (each[begin : begin + size] for each in (states, positives, weights))
        scores, shares = (each[: len(block)] for each in room)
        torch.mm(block, vectors.T, out=scores)
        torch.softmax(scores, 1, out=shares)
        # the log of the sum, from the largest score and its share
        log_sum = scores.amax(1) - shares.amax(1).log()
        loss += (weight * (log_sum - scores.gather(1, positive[:, None])[:, 0])).sum()
        shares *= weight[:, None]
        shares.scatter_add_(1, positive[:, None], -weight[:, None])
        torch.mm(shares, vectors, out=of_states[begin : begin + size])
        of_vectors.addmm_(shares.T, block)
    return loss, of_states, of_vectors
