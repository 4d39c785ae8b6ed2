"""What makes the tower's tuning harder: words left out of texts, and moved word embeddings.

Both change what the lower layers see, so that kept states of frozen layers do not count in such a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from transformers.integrations.neftune import neftune_post_forward_hook


def without_words(text: str, share: float, random: np.random.Generator) -> str:
    """The text without a random ``share`` of its words, about; one of them always stays."""
    words = text.split()
    kept = random.random(len(words)) >= share
    if words and not kept.any():
        kept[random.integers(len(words))] = True
    return " ".join(word for word, stays in zip(words, kept, strict=True) if stays)


@contextmanager
def noise(embeddings: nn.Module, alpha: float) -> Iterator[None]:
    """In the block, word embeddings get uniform noise of alpha / sqrt(tokens * size) at most while a model trains.

    NEFTune (Jain et al., 2023); tokens are those of the longest text of the batch, as in the authors' code.
    """
    embeddings.neftune_noise_alpha = alpha  # type: ignore[assignment]
    hook = embeddings.register_forward_hook(neftune_post_forward_hook)
    try:
        yield
    finally:
        hook.remove()
        del embeddings.neftune_noise_alpha


@contextmanager
def watched(embeddings: nn.Module) -> Iterator[list[Tensor]]:
    """In the block, word embeddings [texts, tokens, size] are added to the list, and will hold their gradient."""
    made: list[Tensor] = []

    def watch(_module: nn.Module, _given: object, states: Tensor) -> Tensor:
        leaf = states.detach().requires_grad_()  # the embeddings themselves are never tuned
        made.append(leaf)
        return leaf

    hook = embeddings.register_forward_hook(watch)
    try:
        yield made
    finally:
        hook.remove()


@contextmanager
def moved(embeddings: nn.Module, states: Tensor, size: float) -> Iterator[None]:
    """In the block, the same texts' word embeddings are moved up the loss, by ``size`` for each text.

    The fast gradient method of Miyato et al. (2017): size * g / |g|, with g the gradient by all embeddings of a text.
    The embeddings are not normalised before, as theirs were.

    Args:
        embeddings: Those of the transformer.
        states: What `watched` gave, after the loss went backward, [texts, tokens, size].
        size: Length of the move.
    """
    gradient = states.grad if states.grad is not None else torch.zeros_like(states)
    length = torch.linalg.vector_norm(gradient, dim=(1, 2), keepdim=True)
    move = size * gradient / length.clamp(min=1e-12)
    hook = embeddings.register_forward_hook(lambda _module, _given, made: made + move)
    try:
        yield
    finally:
        hook.remove()
