"""What a look at another shop's files makes of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from contracts.errors import InputError
from nightshift.starter.files import source
from nightshift.starter.guess import guess_event, guess_item, number_form, time_format
from nightshift.starter.sample import look


def test_an_invoice_export_in_windows_encoding(tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    rows = [
        "InvoiceNo;StockCode;Description;Quantity;InvoiceDate;UnitPrice;Customer ID;Country",
        "536365;85123A;CAFÉ HOLDER;6;12/1/2010 8:26;2.55;17850;United Kingdom",
        "C536379;D;Discount;-1;12/13/2010 9:41;27.5;;United Kingdom",
    ]
    file.write_bytes("\r\n".join(rows).encode("windows-1252"))
    sample = look(file)
    assert (sample.format, sample.encoding, sample.delimiter, sample.has_header) == ("csv", "windows-1252", ";", True)
    assert (sample.days, sample.records) == (None, 2)
    made = guess_event(sample.columns)
    assert made.event == {
        "event_time": "InvoiceDate",
        "user_id": "`Customer ID`",
        "item_id": "StockCode",
        "session_id": "InvoiceNo",
        "quantity": "abs(Quantity)",
        "price": "UnitPrice",
        "event_type": "CASE WHEN Quantity < 0 THEN 'return' ELSE 'purchase' END",
    }
    assert (made.time_format, made.zoned) == ("M/d/yyyy H:mm", False)
    assert guess_item(sample.columns, made.event["item_id"]) == {
        "item_id": "StockCode",
        "title": "Description",
        "price": "UnitPrice",
    }


def test_an_event_export_with_inline_catalogue(tmp_path: Path) -> None:
    for day in ("2019-10-01", "2019-10-02"):
        (tmp_path / f"{day}.csv.gz").write_bytes(
            gzip.compress(
                b"event_time,event_type,product_id,category_code,brand,price,user_id,user_session\n"
                b"2019-10-01 00:00:00 UTC,view,44600062,,shiseido,35.79,541312140,72d76fde\n"
                b"2019-10-01 00:00:01 UTC,cart,3900821,appliances.water_heater,aqua,33.20,554748717,9333dfbd\n"
            )
        )
    sample = look(tmp_path)
    assert (sample.files, sample.days, sample.suffix) == (2, "%Y-%m-%d", ".csv.gz")
    made = guess_event(sample.columns)
    assert made.event == {
        "event_time": "event_time",
        "user_id": "user_id",
        "item_id": "product_id",
        "event_type": "event_type",
        "session_id": "user_session",
        "price": "price",
    }
    assert (made.time_format, made.zoned, made.behaviours) == (None, True, {})
    assert guess_item(sample.columns, "product_id") == {
        "item_id": "product_id",
        "category": "category_code",
        "brand": "brand",
        "price": "price",
    }


def test_nested_json_with_days_in_folders(tmp_path: Path) -> None:
    for day in ("20200301", "20200302"):
        folder = tmp_path / "logs" / day
        folder.mkdir(parents=True)
        record = {"who": {"id": 7}, "what": {"sku": "a-1"}, "at": 1583020800, "action": "addtocart", "tags": ["x"]}
        (folder / "part.json").write_text(json.dumps(record) + "\n")
    sample = look(tmp_path)
    assert (sample.format, sample.days) == ("json", "%Y%m%d")
    made = guess_event(sample.columns)
    assert made.event == {"event_time": "at", "user_id": "who.id", "item_id": "what.sku", "event_type": "action"}
    assert made.behaviours == {"cart": ["addtocart"]}


def test_dates_that_can_be_read_in_two_ways_are_said() -> None:
    made = guess_event({"date": ["1/12/2010", "2/12/2010"], "user": ["ann", "bob"], "item": ["tea", "milk"]})
    assert made.time_format == "d/M/yyyy"
    assert "M/d/yyyy reads them too" in made.remarks["event_time"]


def test_one_json_array_is_looked_at_as_lines_are(tmp_path: Path) -> None:
    (tmp_path / "shop.json").write_text(json.dumps([{"user": {"id": n}, "sku": "tea"} for n in range(3)], indent=2))
    sample = look(tmp_path)
    assert (sample.records, sample.columns) == (3, {"user.id": ["0", "1", "2"], "sku": ["tea"] * 3})


@pytest.mark.parametrize(
    ("values", "pattern"),
    [
        (["2017-12-23T10:00:00Z"], None),
        (["1514023200000"], None),
        (["13/1/2011 8:26", "1/12/2010 9:00"], "d/M/yyyy H:mm"),
        (["1/12/2010", "2/12/2010", "9/12/2010"], "d/M/yyyy"),
        (["12/1/2010 8:26", "12/1/2010 9:00", "12/9/2010 9:00"], "M/d/yyyy H:mm"),
        (["12/1/2010 8:26"], "M/d/yyyy H:mm"),
        (["13.01.2011"], "d.M.yyyy"),
        (["12/31/10 1:05 PM"], "M/d/yy h:mm a"),
    ],
)
def test_times(values: list[str], pattern: str | None) -> None:
    assert time_format(values) == pattern


def test_a_csv_without_a_header_line_is_guessed_from_its_values(tmp_path: Path) -> None:
    file = tmp_path / "behaviour.csv"
    lines = [f"{n % 20},{n % 30},{n % 3},{('pv', 'buy', 'fav')[n % 3]},{1511544070 + n}\n" for n in range(60)]
    file.write_text("".join(lines))
    sample = look(file)
    assert (sample.has_header, list(sample.columns)) == (False, ["c0", "c1", "c2", "c3", "c4"])
    made = guess_event(sample.columns, has_names=False)
    assert made.event == {"event_time": "c4", "event_type": "c3", "user_id": "c0", "item_id": "c1"}
    assert made.behaviours == {"view": ["pv"], "purchase": ["buy"], "rating": ["fav"]}
    assert "look twice" in made.remarks["user_id"]


def test_words_that_come_again_are_no_header_line(tmp_path: Path) -> None:
    file = tmp_path / "plays.tsv"
    file.write_text("user_1\t2009-05-04T23:08:57Z\tDeep\nuser_1\t2009-05-04T13:54:10Z\tComposition\n")
    assert look(file).has_header is False
    file.write_text("who\tat\twhat\nuser_1\t2009-05-04T13:54:10Z\tComposition\n")
    assert look(file).has_header is True


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("ratings.dat", b"1::31::2.5::1260759144\n1::1029::3.0::1260759179\n", ("csv", "::")),
        ("part-00000", b'{"user": 1}\n', ("json", ",")),
        ("000000_0", b"1\x0131\x01buy\n1\x0132\x01buy\n", ("csv", "\x01")),
    ],
)
def test_a_format_is_found_within_a_file_whose_name_does_not_tell_it(
    tmp_path: Path, name: str, content: bytes, told: tuple[str, str]
) -> None:
    (tmp_path / name).write_bytes(content)
    sample = look(tmp_path)
    assert (sample.format, sample.delimiter) == told
    assert f'format = "{told[0]}"   # the names do not tell it' in source(sample)


def test_a_german_export_with_the_time_of_day_apart_and_decimal_commas(tmp_path: Path) -> None:
    for day in ("01.10.2019", "02.10.2019"):
        (tmp_path / f"Bestellungen_{day}.csv").write_text(
            "Bestellnr;Kundennummer;Artikelnummer;Artikelbezeichnung;Menge;Einzelpreis;Datum;Uhrzeit\n"
            f'7;100034;5138;"Kaese, jung";2;1.034,90;{day};18:22\n7;100034;5139;Brot;1;3,49;{day};18:22\n'
        )
    sample = look(tmp_path)
    assert sample.days == "%d.%m.%Y"
    made = guess_event(sample.columns)
    assert made.event == {
        "event_time": "concat(Datum, ' ', Uhrzeit)",
        "user_id": "Kundennummer",
        "item_id": "Artikelnummer",
        "session_id": "Bestellnr",
        "quantity": "Menge",
        "price": "replace(replace(Einzelpreis, '.', ''), ',', '.')",
    }
    assert made.time_format == "d.M.yyyy H:mm"
    assert guess_item(sample.columns, "Artikelnummer")["title"] == "Artikelbezeichnung"


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["2.50", "-3", "1e3"], "{}"),
        (["2,50", "3"], "replace({}, ',', '.')"),
        (["1,250", "3.5"], "replace({}, ',', '')"),
        (["$12.50", "-$3"], "regexp_replace({}, '[^0-9.,+-]', '')"),
        (["12,50 €", "3,00 €"], "replace(regexp_replace({}, '[^0-9.,+-]', ''), ',', '.')"),
        (["12 OZ", "3 LB"], None),
    ],
)
def test_numbers_are_read_however_they_are_written(values: list[str], form: str | None) -> None:
    assert number_form(values) == form


def test_names_of_ids_are_known_by_what_they_are_of() -> None:
    made = guess_event({"reviewerID": ["A1"], "reviewerName": ["J."], "songKey": ["5"], "Fecha": ["2020-01-01"]})
    assert made.event == {"event_time": "Fecha", "user_id": "reviewerID", "item_id": "songKey"}


def test_lists_of_words_are_read_without_their_brackets() -> None:
    made = guess_item({"asin": ["B1"], "title": ["Soap"], "categories": ['[["Beauty", "Hair"]]'], "price": ["$3.20"]})
    assert made == {
        "item_id": "asin",
        "title": "title",
        "category": "translate(categories, '[]\"', '')",
        "price": "regexp_replace(price, '[^0-9.,+-]', '')",
    }


def test_values_that_go_on_over_lines_are_seen(tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text('sku,name\n1,"Tea\ngreen"\n2,Coffee\n')
    sample = look(tmp_path)
    assert sample.columns == {"sku": ["1", "2"], "name": ["Tea\ngreen", "Coffee"]}
    assert "multiline = true   # quoted values go on over several lines" in source(sample)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", b"[1, 2]", "holds no JSON object"),
        ("a.json", b"what\n", "holds no JSON object"),
        ("a.csv", b"one\ntwo\n", "has one column only"),
        ("a.pdf", b"%PDF\0", "has no log files"),
        ("a.md", b"Read me.\n", "has no log files"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        look(tmp_path)


def test_a_format_that_names_do_not_tell_is_said_in_the_mapping(tmp_path: Path) -> None:
    (tmp_path / "log.tsv").write_text("user_id\titem_id\ttime\nann\ttea\t2020-01-01\n")
    assert 'format = "csv"   # the names do not tell it' in source(look(tmp_path / "log.tsv"))
    (tmp_path / "log.csv").write_text("user_id,item_id,time\nann,tea,2020-01-01\n")
    assert not any(line.startswith("format") for line in source(look(tmp_path / "log.csv")))
