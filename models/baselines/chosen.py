"""Which baselines a model is compared with: every night's evaluation, and the bench."""

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


def of_a_bench(settings: Settings, factors: Factors | None) -> list[Baseline]:
    """All; ALS only with ``factors``, which fit it on Spark (`spark_jobs.scoring.als`)."""
    rules = settings.baselines
    als = [Als(rules, factors)] if factors else []
    return [*of_a_night(settings), *als, Ease(rules), IdTransformer(rules)]
