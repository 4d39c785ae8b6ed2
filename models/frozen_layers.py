"""What the frozen lower layers of a transformer make of a text, computed once.

Tuning changes the last layers only. What enters them is the same in every step and in every encoding, so it is kept
from the first encoding, and later ones start there. Dropout does not reach the frozen layers then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


class FrozenLayers:
    """The layers of a transformer below layer ``first``, which nothing changes."""

    def __init__(self, layers: nn.ModuleList, first: int) -> None:
        self._layers = layers
        self._first = first
        self._in_tuple = False  # as some transformers' layers give their states

    @classmethod
    def below(cls, first: int, encoder: nn.Module) -> FrozenLayers | None:
        """Those of ``encoder``; None if there are none, or if it keeps its layers in another way than a list."""
        count = int(encoder.config.num_hidden_layers)  # type: ignore[arg-type, union-attr]
        lists = (each for each in encoder.modules() if isinstance(each, nn.ModuleList) and len(each) == count)
        layers = next(lists, None)
        return cls(layers, first) if layers and first else None

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
        computed = list(self._layers[: self._first])
        for number in range(self._first):
            self._layers[number] = _Known((states,) if self._in_tuple else states)
        try:
            yield
        finally:
            for number, layer in enumerate(computed):
                self._layers[number] = layer


class _Known(nn.Module):
    """Stands in for a layer, and answers what is known."""

    def __init__(self, states: Tensor | tuple[Tensor, ...]) -> None:
        super().__init__()
        self._states = states

    def forward(self, *_: object, **__: object) -> Tensor | tuple[Tensor, ...]:
        """What is known, whatever is asked."""
        return self._states
