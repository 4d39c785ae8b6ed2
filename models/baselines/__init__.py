"""What the model must beat: each rule or method is a class under the contract of `models.baselines.base`."""

from __future__ import annotations

from contracts.settings import Settings
from models.baselines.als import Als, Factors
from models.baselines.base import Baseline
from models.baselines.ease import Ease
from models.baselines.id_transformer import IdTransformer
from models.baselines.item_knn import ItemKnn
from models.baselines.next_basket import NextBasket
from models.baselines.own_repeats import OwnRepeats
from models.baselines.popular import Popular


def of_a_night(settings: Settings) -> list[Baseline]:
    """Those that every challenger is compared with: they are fitted within seconds."""
    rules, training = settings.baselines, settings.training
    return [Popular(rules), OwnRepeats(rules), ItemKnn(rules, training.cooccurrence), NextBasket(rules)]


def all_of_them(settings: Settings, factors: Factors) -> list[Baseline]:
    """All; ``factors`` fits ALS, which is Spark's (`spark_jobs.scoring.als`)."""
    rules = settings.baselines
    return [*of_a_night(settings), Als(rules, factors), Ease(rules), IdTransformer(rules)]


__all__ = [
    "Als",
    "Baseline",
    "Ease",
    "Factors",
    "IdTransformer",
    "ItemKnn",
    "NextBasket",
    "OwnRepeats",
    "Popular",
    "all_of_them",
    "of_a_night",
]
