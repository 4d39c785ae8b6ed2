"""What the frozen lower layers of a transformer make of a text, computed once.

Tuning changes the last layers only. What enters them is the same in every step and in every encoding, so it is kept
from the first encoding, and later ones start there. Dropout does not reach the frozen layers then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


def layer_list(encoder: nn.Module) -> tuple[str, nn.ModuleList] | None:
    """A transformer's layers and their name in it; None where it keeps them in another way than a list."""
    count = int(encoder.config.num_hidden_layers)  # type: ignore[arg-type, union-attr]
    lists = (each for each in encoder.named_modules() if isinstance(each[1], nn.ModuleList) and len(each[1]) == count)
    return next(lists, None)


class FrozenLayers:
    """The layers of a transformer below layer ``first``, which nothing changes."""

    def __init__(self, layers: nn.ModuleList, first: int) -> None:
        self._layers = layers
        self._first = first
        self._in_tuple = False  # as some transformers' layers give their states

    @classmethod
    def below(cls, first: int, encoder: nn.Module) -> FrozenLayers | None:
        """Those of ``encoder``; None if there are none, or if it keeps its layers in another way than a list."""
        found = layer_list(encoder)
        return cls(found[1], first) if found and first else None

    @contextmanager
    def recorded(self) -> Iterator[list[Tensor]]:
        """In the block, every forward pass adds what leaves these layers to the list, as [texts, longest, size]."""
        kept: list[Tensor] = []

        def keep(_layer: nn.Module, _given: object, made: Tensor | tuple[Tensor, ...]) -> None:
            self._in_tuple = isinstance(made, tuple)
            kept.append((made[0] if isinstance(made, tuple) else made).cpu())

        hook = self._layers[self._first - 1].register_forward_hook(keep)
        try:
            yield kept
        finally:
            hook.remove()

    @contextmanager
    def known(self, states: Tensor) -> Iterator[None]:
        """In the block, these layers are not computed: they give ``states`` [texts, longest, size]."""
        answer = (states,) if self._in_tuple else states
        known = self._layers[: self._first]
        for layer in known:
            # the layer itself stays in its place: some transformers ask it for more than its states
            layer.forward = lambda *_, **__: answer
        try:
            yield
        finally:
            for layer in known:
                del layer.forward
