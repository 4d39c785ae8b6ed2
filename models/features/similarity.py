"""How close a candidate is to the user in the space of the vectors."""

from __future__ import annotations

from models.features.table import Feature, Group
from models.histories import Floats


def group(match: Floats, text: Floats) -> Group:
    """The encoder's score and the likeness to the user's recent items, [candidates] each."""
    return Group.of_candidates(Feature("match", match), Feature("text", text))
