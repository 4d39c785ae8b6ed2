"""Texts from attributes: what a template may be, what a word is, where a text is cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import SettingsError
from contracts.prompt import EVENT_ATTRIBUTES, budgets_of, cut, filled, history_text, is_longer, item_text, parts_of
from contracts.settings import Ingest, load_settings


@pytest.mark.parametrize(
    ("text", "words", "left"),
    [
        ("Whole milk, 1 gal (organic)", 9, "Whole milk, 1 gal (organic)"),
        ("Whole milk, 1 gal (organic)", 5, "Whole milk, 1 gal (organic)"),  # no more words: as it was
        ("Whole milk, 1 gal (organic)", 4, "Whole milk, 1 gal"),
        ("Whole milk, 1 gal (organic)", 2, "Whole milk"),
        (" (milk) bread", 1, " (milk"),
        ("1.5 l", 2, "1.5"),
        ("A4-paper", 1, "A4"),
        ("纯牛奶250ml", 3, "纯牛奶"),
        ("纯牛奶250ml 盒", 4, "纯牛奶250ml"),
        ("𠮷野家", 1, "𠮷"),  # beyond 16 bits
        ("ラーメン", 2, "ラー"),
        ("น้ำปลา", 2, "น้ำ"),  # a character with its marks
        ("हिन्दी किताब", 1, "हिन्दी"),  # marks within a word
        ("김치 만두 국", 2, "김치 만두"),
        ("café au lait", 1, "café"),
        ("", 1, ""),
        ("!!!", 1, "!!!"),
    ],
)
def test_a_text_is_cut_at_the_end_of_a_word(text: str, words: int, left: str) -> None:
    assert cut(text, words) == left
    assert is_longer(text, words) == (left != text)
    assert cut(text, None) == text


def test_a_text_leaves_out_missing_and_repeated_parts() -> None:
    template = "{title:2}, {category}, kind: {department}, {brand} brand, {size}"
    assert budgets_of(template) == {"title": 2}
    assert item_text(
        template, {"title": "Green Tea Leaves", "category": "GREEN TEA", "brand": None, "size": "5 OZ"}
    ) == ("green tea, 5 oz")
    assert item_text(template, {}) == ""


def test_by_default_a_long_description_leaves_brand_and_category() -> None:
    described = {"title": "Stapler", "description": "word " * 500, "category": "Office", "brand": "B"}
    told = item_text(Ingest().item_text, described)
    assert told == "stapler, office, b brand, " + " ".join(["word"] * 16)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{titel}", "names 'titel', expected one of title, description, department,"),
        ("{title!r}", "names 'title!r', expected one of"),
        ("{}", "names '', expected one of"),
        ("{title:0}, {brand}", "gives title '0' words, expected a whole number from 1 to 1000"),
        ("{title:1001}", "gives title '1001' words"),
        ("{title:many}", "gives title 'many' words"),
        ("{title:-1}", "gives title '-1' words"),
        ("{title", "has a part '{title' with a brace that is not closed, or not opened"),
        ("{title}, brand}", "has a part 'brand}' with a brace"),
        ("fine things", "names no attribute, such as {title}"),
        ("", "names no attribute"),
    ],
)
def test_a_wrong_template_is_refused_with_the_settings(tmp_path: Path, template: str, told: str) -> None:
    (tmp_path / "nightshift.toml").write_text(f"[ingest]\nitem_text = '{template}'\n")
    with pytest.raises(SettingsError) as error:
        load_settings({"NIGHTSHIFT_HOME": str(tmp_path)})
    assert f"ingest.item_text: value error, {told}" in str(error.value)


def test_an_event_is_told_by_a_template_of_its_own() -> None:
    parts = parts_of("{behaviour}: {text:2}, {brand}", EVENT_ATTRIBUTES)
    assert filled(parts, {"behaviour": "view", "text": "Rye bread rolls", "brand": None}) == "view: rye bread"
    with pytest.raises(ValueError, match="names 'title', expected one of text, behaviour, department"):
        parts_of("{title}", EVENT_ATTRIBUTES)


def test_a_history_is_told_newest_first_and_nothing_twice() -> None:
    events = ["rye bread", "", "whole milk, 1 gal", "rye bread", "tea"]
    assert history_text(events, 2) == "rye bread; whole milk, 1 gal"
    assert history_text(events, 9) == "rye bread; whole milk, 1 gal; tea"
    assert history_text([], 3) == ""


def test_a_history_is_read_no_further_than_it_is_told() -> None:
    events = iter(["tea", "tea", "milk", "bread"])
    assert history_text(events, 2) == "tea; milk"
    assert next(events) == "bread"


def test_a_wrong_template_of_a_user_is_refused_with_the_settings(tmp_path: Path) -> None:
    (tmp_path / "nightshift.toml").write_text("[training.pair_model]\nuser_text = '{title}'\n")
    with pytest.raises(SettingsError, match=r"training\.pair_model\.user_text: value error, names 'title'"):
        load_settings({"NIGHTSHIFT_HOME": str(tmp_path)})
