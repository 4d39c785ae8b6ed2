"""The mapping: what it says, which columns its expressions read, and what is refused with a message that helps."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from contracts.columns import Columns as C
from contracts.errors import InputError, NightshiftError, SettingsError
from contracts.interval import Interval
from contracts.mapping import EVENT_COLUMNS, Event, Item, Mapping, Source, load_mapping
from contracts.settings import PROJECT, Ingest, Settings
from spark_jobs.ingest.expressions import Field, event_fields, expression
from spark_jobs.ingest.landing import days_landed, land
from spark_jobs.ingest.log_files import inspect, text_records

NIGHT = Interval.of_night(date(2017, 12, 23))
EVENT = '[event]\nuser_id = "who"\nitem_id = "what"\nevent_time = "at"\n'
INLINE = "[catalogue]\ninline = true\n"


def mapping(settings: Settings, text: str) -> Mapping:
    settings.home.mkdir(parents=True, exist_ok=True)
    (settings.home / "mapping.toml").write_text(text)
    return load_mapping(settings)


def put(settings: Settings, name: str, content: str | bytes) -> Path:
    file = settings.home / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def refused(settings: Settings, *words: str, interval: Interval = NIGHT) -> None:
    with pytest.raises(NightshiftError) as error:
        land(settings, interval)
    for word in words:
        assert word in str(error.value)


def test_without_a_file_the_mapping_is_the_shape_of_the_contract(settings: Settings) -> None:
    made = load_mapping(settings)
    assert made.is_default
    assert made.event.model_dump(exclude_none=True) == {name: name for name in EVENT_COLUMNS}
    assert made.logs.path == settings.landing / "events"
    assert [made.logs.day_of(path) for path in ("ds=2017-12-23/1.csv", "ds=2017-12-23.old/a", "ds=2017-13-23/a")] == [
        date(2017, 12, 23), None, None,
    ]  # fmt: skip


def test_paths_are_relative_to_the_file_and_what_it_leaves_out_has_defaults(settings: Settings) -> None:
    made = mapping(
        settings, f'[logs]\npath = "../shop"\n{EVENT}[behaviours]\ncart = ["AddToCart ", "basket"]\n{INLINE}'
    )
    assert made.logs.path == settings.home.parent / "shop"
    assert (made.logs.days, made.logs.files, made.event.quantity) == (None, "**/*", None)
    assert made.behaviours == {"cart": ("addtocart", "basket")}
    assert load_mapping(settings).catalogue.inline


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[event]\nuser_id = "who"\nitem_id = "what"', "event.event_time is missing"),
        (EVENT + 'time_fromat = "x"', "no key event.time_fromat (did you mean event.time_format?)"),
        (EVENT + 'time_format = "%d/%m/%Y"', "a pattern of Python; expected one of Java"),
        (EVENT + 'time_format = "dd.MM.yyyy ii"', "not a pattern of java, such as d.m.yyyy hh:mm (i)"),
        (EVENT + 'time_format = "dd/mm/yyyy"', "names no day: expected years (y), months (M)"),
        (EVENT + 'price = "p"\nvalue = "v"', "price and value"),
        (EVENT + "[behaviours]\nbuy = ['order']", "[behaviours] lists buy; expected view, cart"),
        (EVENT + "[behaviours]\ncart = ['a']\nview = ['A']", "more than one behaviour lists 'a'"),
        ('[logs]\ndays = "%Y-%m"', "has to hold %y"),
        ('[logs]\nencoding = "klingon"', "is not the name of an encoding"),
        ('[logs]\nquote = "<<"', "logs.quote: string should have at most 1 character"),
        ('[logs]\nmultiline = true\nquote = ""', "multiline needs a quote"),
        ('[item]\ntitle = "t"', "[item] needs item_id"),
        ('user_id = "who"', "user_id stands outside of a section"),
        ("[logs", "is not valid TOML"),
    ],
)
def test_a_wrong_mapping_is_told(settings: Settings, text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as error:
        mapping(settings, text)
    assert problem.lower() in str(error.value).lower()
    assert str(settings.home / "mapping.toml") in str(error.value)


@pytest.mark.parametrize(
    ("days", "below", "day"),
    [
        ("%Y%m%d", "shop20171223.csv", date(2017, 12, 23)),
        ("%Y%m%d", "export-201712230.csv", None),
        ("%d.%m.%y", "2017/log 23.12.17 (1).csv", date(2017, 12, 23)),
        ("%Y/%m/%d/", "2017/12/23/10.jsonl", date(2017, 12, 23)),
        ("visits_%Y-%m-%d_%H", "visits_2017-12-23_04.json", date(2017, 12, 23)),
        ("visits_%Y-%m-%d", "revisits_2017-12-23.json", None),
    ],
)
def test_a_path_tells_its_day(settings: Settings, days: str, below: str, day: date | None) -> None:
    assert mapping(settings, f'[logs]\npath = "x"\ndays = "{days}"').logs.day_of(below) == day


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("Qty", [("Qty",)]),
        ("Customer ID", [("Customer ID",)]),
        ("Price (EUR)", [("Price (EUR)",)]),
        ("order", [("order",)]),
        ("Kund ID", [("Kund ID",)]),  # of no column, but a name
        ("CASE WHEN Qty < 0 THEN 'return' ELSE 'purchase' END", [("Qty",)]),
        ("`Customer ID`", [("Customer ID",)]),
        ("abs(Qty) * cast(`Price (EUR)` AS double)", [("Qty",), ("Price (EUR)",)]),
        ("who.id", [("who", "id")]),
        ("coalesce(a.b.c.d.e, who.id)", [("a", "b", "c", "d", "e"), ("who", "id")]),
        ("array_max(transform(split(tags, ','), x -> length(x)))", [("tags",)]),
        ("'purchase'", []),
        ("NOT returned", [("returned",)]),
        ("regexp_extract(url, '/product/(\\\\d+)', 1)", [("url",)]),
        ("timestamp / 1000", [("timestamp",)]),
        ("user", [("user",)]),
        ("date || ' ' || time", [("date",), ("time",)]),
    ],
)
def test_the_columns_of_an_expression_are_found(text: str, paths: list[tuple[str, ...]]) -> None:
    columns = ["Qty", "Customer ID", "Price (EUR)", "order", "who", "who.id", "tags"]
    found = expression(Field("x", "event.x", text), columns, nested=True).paths
    assert sorted(found) == sorted(paths)


@pytest.mark.parametrize(
    "text", ["abs(Qty", "sum(Qty)", "row_number() OVER (ORDER BY Qty)", "explode(tags)", "(SELECT 1)"]
)
def test_an_expression_that_is_none_is_refused_with_its_key_and_the_columns(text: str) -> None:
    with pytest.raises(SettingsError) as error:
        expression(Field("quantity", "event.quantity", text), ["Qty", "tags"], nested=False)
    assert f"event.quantity = {text!r} in mapping.toml" in str(error.value)
    assert "columns found: Qty, tags" in str(error.value)


def test_a_column_that_no_file_has_is_told_with_the_one_that_is_likely_meant(settings: Settings) -> None:
    mapping(settings, f'[logs]\npath = "shop"\nencoding = "latin-1"\ndelimiter = ";"\n{EVENT}price = "Prise"\n{INLINE}')
    put(settings, "shop/a.csv", "who;what;at;Preis €\n".encode("windows-1252"))
    refused(
        settings, "event.price = ", "'Prise'", "the column Prise (did you mean Preis", "found: who, what, at, Preis"
    )
    # JSON leaves out what a record has not: one file with the column is enough, none is not
    mapping(settings, f'[logs]\npath = "json"\n{EVENT}price = "cost.net"\n{INLINE}')
    put(settings, "json/a.jsonl", '{"who": 1, "what": 2, "at": 3}\n')
    refused(settings, "names the column cost.net")
    put(settings, "json/b.jsonl", '{"who": 1, "what": 2, "at": 3, "cost": {"net": 4}}\n')
    assert len(land(settings, NIGHT).export) == 2


def with_stars(settings: Settings) -> Settings:
    return settings.model_copy(update={"ingest": Ingest(rating_scale=(1, 5))})


def test_ratings_need_their_scale(settings: Settings) -> None:
    told = f'[logs]\npath = "shop"\n{EVENT}rating = "stars"\n{INLINE}'
    with pytest.raises(
        SettingsError, match=r"event.rating = 'stars' needs the scale .*\[ingest\] rating_scale = \[1, 5\]"
    ):
        mapping(settings, told)
    assert mapping(with_stars(settings), told).event.rating == "stars"


def test_in_the_contracts_shape_ratings_may_come_where_there_is_a_scale(settings: Settings) -> None:
    assert load_mapping(settings).event.rating is None
    made = load_mapping(with_stars(settings))
    assert [field.optional for field in event_fields(made) if field.column == "rating"] == [True]


def examples() -> list[str]:
    """The mappings on the page for users, which also has parts of the settings."""
    page = (PROJECT / "docs" / "bring-your-own-logs.md").read_text()
    return [
        text
        for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
        if not text.startswith(("[delivery]", "[ingest]"))
    ]


def test_the_page_for_users_has_every_key_and_mappings_that_work(settings: Settings) -> None:
    made = [mapping(with_stars(settings), text) for text in examples()]
    (settings.home / "mapping.toml").unlink()
    assert made[-1].model_copy(update={"is_default": True}) == load_mapping(settings)
    page = (PROJECT / "docs" / "bring-your-own-logs.md").read_text()
    keys = [*Source.model_fields, *Event.model_fields, *Item.model_fields, *Mapping.model_fields, "inline"]
    assert [key for key in keys if f"`{key}" not in page and f"[{key}]" not in page and key != "is_default"] == []


def test_files_are_read_as_the_mapping_says(settings: Settings) -> None:
    made = mapping(settings, '[logs]\npath = "."\nencoding = "utf-16"\ndelimiter = "\\t"\nquote = "\'"\nformat = "csv"')
    file = inspect(put(settings, "a.txt", "'größe\tin m'\tb\r\n1\t2\r\n\r\n3\t4".encode("utf-16")), made.logs)
    assert (file.columns, file.records) == (("größe\tin m", "b"), 2)
    made = mapping(settings, '[logs]\npath = "."\ncolumns = ["a", "b"]')
    assert inspect(put(settings, "a.csv", "1,2\n3,4\n"), made.logs).records == 2
    with pytest.raises(InputError, match=r"names 2 columns, and the first line has 3 values: 1,2,3"):
        inspect(put(settings, "a.csv", "1,2,3\n"), made.logs)
    made = mapping(settings, '[logs]\npath = "."\ndelimiter = "::"')
    assert inspect(put(settings, "a.csv", "who::what\n1::2\n"), made.logs).columns == ("who", "what")
    json = inspect(put(settings, "a.json", '{"a": {"b": {"c": 1}, "d": [{"e": 1}]}}\n'), made.logs)
    assert json.columns == ("a", "a.b", "a.b.c", "a.d")
    array = put(settings, "b.json", ' [{"a": {"b": 1.5}, "é": "x\\ny"},\n 7, {"c": []}]')
    seen = inspect(array, made.logs)
    assert (seen.is_array, seen.records, seen.columns) == (True, 3, ("a", "é", "a.b", "c"))
    assert list(text_records(array, made.logs)) == ['{"a": {"b": 1.5}, "é": "x\\ny"}\n', "7\n", '{"c": []}\n']
    latin = mapping(settings, '[logs]\npath = "."\nencoding = "iso-8859-1"').logs
    assert list(text_records(put(settings, "c.json", '["é"]'.encode("iso-8859-1")), latin)) == ['"é"\n']


@pytest.mark.parametrize(
    ("text", "records"),
    [
        ('sku,name\n1,"Tea\n\ngreen"\n2,Coffee\n', ["sku,name\n", '1,"Tea\n\ngreen"\n', "2,Coffee\n"]),
        ('1,"so ""called""\ntea"\n', ['1,"so ""called""\ntea"\n']),
        # a quote that no other one closes takes no line with it
        ('1,12" ruler\n2,Tea\n3,Coffee', ['1,12" ruler\n', "2,Tea\n", "3,Coffee"]),
        ('1,"' + "\n" * 1200 + '2"\n', ['1,"\n', *["\n"] * 1199, '2"\n']),
    ],
)
def test_records_of_several_lines_are_put_together(settings: Settings, text: str, records: list[str]) -> None:
    made = mapping(settings, '[logs]\npath = "."\nmultiline = true').logs
    file = put(settings, "a.csv", text)
    assert list(text_records(file, made)) == records
    assert inspect(file, made).records == sum(not record.isspace() for record in records) - 1
    escaped = mapping(settings, '[logs]\npath = "."\nmultiline = true\nescape = "\\\\"').logs
    assert list(text_records(put(settings, "b.csv", '1,"a \\" b\nc"\n2\n'), escaped)) == ['1,"a \\" b\nc"\n', "2\n"]


def test_days_stand_in_file_names_or_in_no_name(settings: Settings) -> None:
    mapping(settings, f'[logs]\npath = "shop"\nfiles = "*.parquet"\ndays = "%Y%m%d"\n{EVENT}{INLINE}')
    refused(settings, "No log has arrived for 2017-12-23: no file below", "has 20171223 in its path")
    (settings.home / "shop").mkdir()
    frame = pd.DataFrame({"who": ["ann"], "what": ["tea"], "at": ["2017-12-23"]})
    for day in (22, 23, 24):
        frame.to_parquet(settings.home / f"shop/x201712{day}.parquet")
    assert [file.path.name for file in land(settings, NIGHT).event_files] == ["x20171223.parquet"]
    assert days_landed(settings, [date(2017, 12, 24), date(2017, 12, 25)]) == [date(2017, 12, 24)]
    mapping(settings, f'[logs]\npath = "shop"\ndays = "ds=%Y-%m-%d"\n{EVENT}{INLINE}')
    refused(settings, "3 files in", "tell no day by days = 'ds=%Y-%m-%d'", "x20171222.parquet")
    mapping(settings, f'[logs]\npath = "shop/x20171222.parquet"\n{EVENT}{INLINE}')
    landing = land(settings, NIGHT)
    assert ([file.records for file in landing.export], landing.events, landing.catalogue) == ([1], {}, [])
    mapping(settings, f'[logs]\npath = "nowhere"\n{EVENT}{INLINE}')
    refused(settings, "nowhere does not exist", "[logs]")


def test_the_catalogue_is_described_like_the_logs(settings: Settings) -> None:
    put(settings, "shop.jsonl", '{"who": 1, "what": 2, "at": 3}\n')
    put(settings, "items.csv", "sku|name\n1|Tea\n")
    described = '[logs]\npath = "shop.jsonl"\n' + EVENT + '[catalogue]\npath = "items.csv"\ndelimiter = "|"\n'
    mapping(settings, described)
    refused(settings, "item.item_id = 'item_id' names the column item_id", "found: sku, name")
    mapping(settings, described + '[item]\nitem_id = "sku"\ntitle = "nmae"')
    refused(settings, "item.title = 'nmae' names the column nmae (did you mean name?)")
    mapping(settings, described + '[item]\nitem_id = "sku"\ntitle = "name"')
    (catalogue,) = land(settings, NIGHT).catalogue
    assert (catalogue.columns, catalogue.records) == (("sku", "name"), 1)
    assert C.TITLE not in catalogue.columns
