"""Sequences and texts from files: both formats, and what is wrong with them in words."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import InputError
from contracts.settings import Ingest
from models.histories import DAY
from nightshift.bench_model.files import Sequences, read
from nightshift.bench_model.protocols import LAST, STEP, leave_one_out

LINES = "u1 a b c\n\nu2 b c a d\nu3 c\tb\r\nu4 a\n"
TEMPLATE = Ingest().item_text
TEXTS = "a red tea\nb green tea\nc  coffee   cup\nd\n"


def files(folder: Path, sequences: str | bytes, texts: str | bytes) -> Sequences:
    for name, content in (("sequences", sequences), ("texts", texts)):
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read(folder / "sequences", folder / "texts", TEMPLATE)


def by_user(made: Sequences) -> dict[str, list[str]]:
    names = made.catalogue.item_ids
    return {user: [names[item] for item in items] for user, items in zip(made.users, made.items, strict=True)}


def texts_of(made: Sequences) -> dict[str, str]:
    return dict(zip(made.catalogue.item_ids, made.catalogue.texts, strict=True))


def test_lines_with_empty_ones_tabs_and_other_ends(tmp_path: Path) -> None:
    made = files(tmp_path, "\ufeff" + LINES, TEXTS)
    assert by_user(made) == {"u1": ["a", "b", "c"], "u2": ["b", "c", "a", "d"], "u3": ["c", "b"], "u4": ["a"]}
    assert texts_of(made) == {"a": "red tea", "b": "green tea", "c": "coffee cup", "d": ""}


def test_json_with_numbers_lists_and_missing_fields(tmp_path: Path) -> None:
    items = {
        "1": {"title": "Phone", "description": None, "brand": "VTech", "categories": [["Office", "Phones"]]},
        "2": {"title": "Pen", "description": ["blue", "ink"], "categories": "Office, Pens"},
        "3": {},
        "4": "only a text",
    }
    made = files(tmp_path, json.dumps({"7": [1, 2, 3], "8": ["4", 1]}), json.dumps(items))
    assert by_user(made) == {"7": ["1", "2", "3"], "8": ["4", "1"]}
    assert texts_of(made) == {
        "1": "phone, phones, office, vtech brand", "2": "pen, pens, office, blue ink", "3": "", "4": "only a text",
    }  # fmt: skip
    brand = made.catalogue.codes[3]
    assert {name: made.catalogue.names[3][code] for name, code in zip(made.catalogue.item_ids, brand, strict=True)} == {
        "1": "VTech", "2": None, "3": None, "4": None,
    }  # fmt: skip


def test_gzipped_files_and_texts_of_items_that_nobody_took(tmp_path: Path) -> None:
    made = files(tmp_path, gzip.compress(b"u a b c\n"), gzip.compress(b"a tea\nz unsold\n"))
    assert set(made.catalogue.item_ids) == {"a", "b", "c", "z"}


def test_items_are_in_an_order_that_says_nothing(tmp_path: Path) -> None:
    ids = [f"{number:04d}" for number in range(200)]
    made = files(tmp_path, "u " + " ".join(ids), "\n".join(f"{each} text" for each in ids))
    order = [int(each) for each in made.catalogue.item_ids]
    assert sorted(order) == list(range(200))
    assert abs(np.corrcoef(order, range(200))[0, 1]) < 0.2


@pytest.mark.parametrize(
    ("sequences", "texts", "told"),
    [
        ("", TEXTS, r"sequences: expected lines of USER ITEM ITEM …, oldest first, or .* found nothing"),
        ("u1 a b\nu2\n", TEXTS, r"sequences, line 2: .* found 'u2': a user without an item"),
        ("u1 a b\nu1 c\n", TEXTS, r"sequences, line 2: user 'u1' has a line before"),
        ('{"u": [1,', TEXTS, r"sequences, line 1: looks like JSON, and is not"),
        ('[["u", "a"]]', TEXTS, r"sequences: expected a JSON object, found a list of 1"),
        ('{"u": {"a": 1}}', TEXTS, r"found of user 'u': \"\{'a': 1\}\""),
        ('{"u": [null]}', TEXTS, r"found of user 'u'"),
        (LINES, "", r"texts: expected lines of ITEM text"),
        (LINES, '{"a": 5}', r"texts: expected of item 'a' an object of fields, found '5'"),
        (
            LINES,
            "x one\ny two\n",
            r"texts describes none of the 4 items of .*sequences: items there are \['a', 'b', 'c'\]",
        ),
        (b"u \xff\xfe", TEXTS, r"sequences is not UTF-8 \(byte 2\)"),
    ],
)
def test_a_wrong_file_is_named_with_what_was_found(
    tmp_path: Path, sequences: str | bytes, texts: str, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        files(tmp_path, sequences, texts)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere is not there"):
        read(tmp_path / "nowhere", tmp_path / "nowhere", TEMPLATE)


def test_leave_one_out_is_a_split_in_time(tmp_path: Path) -> None:
    case = leave_one_out("toy", files(tmp_path, LINES, TEXTS))
    users, relevant, excluded = case.judged
    names = case.catalogue.item_ids
    # u3 and u4 have too few events to be judged; all that they have is known
    assert [case.users[user] for user in users] == ["u1", "u2"]
    assert [names[item] for item in relevant.items] == ["c", "d"]
    assert sorted(names[item] for item in case.data.histories.items) == sorted("ab" + "bca" + "cb" + "a")
    assert case.now == LAST
    assert case.data.histories.times.max() < LAST
    # the item before the last one is what the model is chosen on
    chosen_on = case.data.judge.relevant
    assert sorted(names[item] for item in chosen_on.take(users).items) == ["a", "b"]
    assert [names[item] for item in excluded.items[: excluded.indptr[1]]] == [
        name for name in names if name in ("a", "b")
    ]
    assert (np.diff(case.histories.times[case.histories.users == 0]) == STEP).all()
    assert STEP % DAY == 0
