"""A user's history as the text that the pair model reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from contracts.columns import Columns as C
from contracts.prompt import EVENT_ATTRIBUTES, Part, filled, history_text, parts_of
from contracts.settings import PairModel as PairSettings
from models.behaviours import Known
from models.catalogue import ATTRIBUTES, Catalogue
from models.histories import Histories


@dataclass(frozen=True)
class Teller:
    """Tells users' histories by a template."""

    catalogue: Catalogue
    settings: PairSettings

    def users(self, known: Known) -> list[str]:
        """Text of each user's newest items but for those rated low, newest first; empty without any, [users]."""
        liked, names = known.liked, known.behaviours.names
        bounds = zip(liked.indptr[:-1].tolist(), liked.indptr[1:].tolist(), strict=True)
        return [history_text(self._events(liked, names, *bound), self.settings.user_items) for bound in bounds]

    def _events(self, past: Histories, behaviours: tuple[str, ...], start: int, end: int) -> Iterator[str]:
        """Text of each event of one user, newest first."""
        catalogue = self.catalogue
        for event in range(end - 1, start - 1, -1):
            item = past.items[event]
            told: dict[str, str | None] = {C.TEXT: catalogue.texts[item]}
            told[C.BEHAVIOUR] = behaviours[past.behaviours[event]]
            for name, names, codes in zip(ATTRIBUTES, catalogue.names, catalogue.codes, strict=True):
                told[name] = names[codes[item]]
            yield filled(self._parts, told)

    @cached_property
    def _parts(self) -> list[Part]:
        return parts_of(self.settings.user_text, EVENT_ATTRIBUTES)
