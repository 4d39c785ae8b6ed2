"""docs/settings.md: every setting with its type, its defaults and its meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from contracts.errors import SettingsError
from contracts.settings import Settings, names
from nightshift import docs


class Small(BaseModel):
    """A part."""

    rates: dict[str, float] = Field(default={"view": 0.5}, description="P(b | a)")
    most: int | None = Field(default=None, ge=1, description="at most")
    way: Literal["up", "down"] = Field(default="up", description="where to")
    names: tuple[str, ...] = Field(default=("a",), description="of things")


class Whole(BaseModel):
    """All of it."""

    small: Small = Small()


def test_a_row_has_name_type_defaults_and_meaning() -> None:
    text = "".join(docs.section(Whole(), Whole(small=Small(way="down"))))
    assert text == (
        "\n## `[small]`\n\nA part.\n\n| name | type | full | demo | meaning |\n| --- | --- | --- | --- | --- |\n"
        "| `rates` | table of number | `{ view = 0.5 }` |  | P(b \\| a) |\n"
        "| `most` | integer, ≥ 1, or unset | — |  | at most |\n"
        '| `way` | `"up"` or `"down"` | `"up"` | `"down"` | where to |\n'
        '| `names` | list of text | `["a"]` |  | of things |\n'
    )


def test_every_setting_is_on_the_page() -> None:
    page = docs.page()
    assert page.count("\n| `") == len(names())


def test_a_setting_without_a_description_is_refused() -> None:
    class Silent(BaseModel):
        """No words."""

        count: int = 1

    with pytest.raises(SettingsError, match="The setting count has no description"):
        list(docs.section(Silent(), Silent()))


def test_a_page_that_is_not_current_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(docs, "FILE", tmp_path / "settings.md")
    with pytest.raises(SettingsError, match="make docs"):
        docs.run(settings, docs.Arguments(check=True))
    docs.run(settings, docs.Arguments())
    docs.run(settings, docs.Arguments(check=True))
