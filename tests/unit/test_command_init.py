"""`nightshift init`: what it writes can be read again, and says what the logs have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contracts.mapping import load_mapping
from contracts.settings import Settings, load_settings
from tests.commands import answer, command, told


@pytest.fixture
def invoices(tmp_path: Path) -> Path:
    file = tmp_path / "exports" / "invoices.csv"
    file.parent.mkdir()
    file.write_bytes(
        "InvoiceNo;StockCode;Description;Quantity;InvoiceDate;Unit Price;Customer ID\n"
        "536365;85123A;CAFÉ HOLDER;6;12/13/2010 8:26;2.55;17850\n"
        "C536379;D;[bold]Discount;-1;12/1/2010 9:41;27.5;\n".encode("windows-1252")
    )
    return file


def again(settings: Settings) -> Settings:
    """The settings with what was written into the home."""
    return load_settings({"NIGHTSHIFT_HOME": str(settings.home)})


def test_what_is_written_can_be_read_again(settings: Settings, invoices: Path) -> None:
    made = answer(settings, "init", str(invoices), "--time-zone", "Europe/London")
    assert made["missing"] == []
    mapping, written = load_mapping(again(settings)), again(settings)
    assert (mapping.logs.path, mapping.logs.days, mapping.logs.encoding) == (invoices, None, "windows-1252")
    assert mapping.logs.delimiter == ";"
    assert (mapping.event.user_id, mapping.event.time_format) == ("`Customer ID`", "M/d/yyyy H:mm")
    assert mapping.catalogue.inline
    assert mapping.item
    assert (mapping.item.title, mapping.item.price) == ("Description", "`Unit Price`")
    assert (written.shop.time_zone, written.ingest.behaviours, written.profile) == (
        "Europe/London",
        {"purchase": 1.0},
        "demo",
    )


def test_words_and_days_of_an_event_log(settings: Settings, tmp_path: Path) -> None:
    for day in ("20200301", "20200302"):
        file = tmp_path / "log" / f"shop-{day}.json"
        file.parent.mkdir(exist_ok=True)
        lines = [{"who": {"id": 7}, "what": {"sku": "a"}, "at": 1583020800, "action": a} for a in ("addtocart", "pv")]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "items.csv").write_text("sku,name,brand\na,Tea,Best\n")
    shown = told(settings, "init", str(tmp_path / "log"), "--items", str(tmp_path / "items.csv"))
    assert "Next: nightshift check" in shown
    mapping, written = load_mapping(again(settings)), again(settings)
    assert (mapping.logs.days, mapping.event.user_id) == ("%Y%m%d", "who.id")
    assert mapping.behaviours == {"cart": ("addtocart",), "view": ("pv",)}
    assert mapping.item
    assert (mapping.item.item_id, mapping.item.title, mapping.catalogue.path) == ("sku", "name", tmp_path / "items.csv")
    assert (written.ingest.behaviours, written.ingest.targets) == ({"cart": 0.4, "view": 0.1}, ("cart",))


def test_what_is_not_found_is_asked_for(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("1,31,2.5,1260759144\n1,1029,3.0,1260759179\n")
    assert "Nothing looks like user_id, item_id:" in told(settings, "init", str(tmp_path / "ratings.csv"))


def test_nothing_is_overwritten(settings: Settings, invoices: Path) -> None:
    told(settings, "init", str(invoices))
    (settings.home / "mapping.toml").write_text("# mine\n")
    result = command(settings, "init", str(invoices))
    assert result.exit_code == 64
    assert "exist already: nothing was written" in result.stderr
    assert (settings.home / "mapping.toml").read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["no-such-folder"], 65, "There is no file or folder no-such-folder"),
        ([".", "--time-zone", "London"], 2, "IANA name"),
    ],
)
def test_wrong_arguments_are_said(settings: Settings, arguments: list[str], exit_code: int, said: str) -> None:
    result = command(settings, "init", *arguments)
    assert (result.exit_code, said in result.stderr) == (exit_code, True)
