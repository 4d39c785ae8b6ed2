"""The banner on Airflow's home page while readers see an old night.

Airflow shows the alerts of `DASHBOARD_UIALERTS` there, and walks through the list at each request: this one finds out
anew each time. Set-up makes Airflow import it (`airflow_local_settings.py`), in all of its processes: it imports
little before it is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from contracts.dag_runs import NIGHTLY

if TYPE_CHECKING:
    from airflow.api_fastapi.common.types import UIAlert

    from nightshift.alerts.standing import Standing

LOCAL_SETTINGS = '"""Written by set-up."""\n\nfrom nightshift.alerts.banner import DASHBOARD_UIALERTS  # noqa: F401\n'
"""The module `airflow_local_settings`, from which Airflow takes the alerts."""

LONGEST = 300
"""Characters of the reason."""

PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


class Banner(list[Any]):
    """A list with one alert while readers see an old night, else with none."""

    def __iter__(self) -> Iterator[UIAlert]:
        """The alerts of now. Whatever is wrong with the lake, the page goes on."""
        from airflow.api_fastapi.common.types import UIAlert
        from airflow.configuration import conf

        from contracts.settings import load_settings
        from nightshift.alerts.standing import standing

        try:
            found = standing(load_settings(), datetime.now(UTC))
            text = found and banner(found, urlsplit(conf.get("api", "base_url")).path.rstrip("/"))
        except Exception as error:
            text = f"What readers see cannot be told: {escaped(str(error))}"
        return iter([UIAlert(text=text, category="warning")] if text else [])


def banner(standing: Standing, root: str = "") -> str | None:
    """What the home page says, as Markdown; None where readers see what they should. ``root`` is where Airflow is."""
    if not standing.is_behind:
        return None
    run = f"/runs/{quote(standing.run_id, safe='')}" if standing.run_id else ""
    readers, night = standing.readers, str(standing.expected)
    return (
        f"{escaped(f'{readers[0].upper()}{readers[1:]}')}\\. [The night of {escaped(night)}]"
        f"({root}/dags/{NIGHTLY}{run}) is not published: {escaped(standing.why)}"
    )


def escaped(text: str) -> str:
    """A text that Markdown shows as it is, on one line."""
    line = " ".join(text.split())
    for address in ("://", "www.", "@"):
        # an escaped address becomes a link all the same; one with an invisible space in it does not
        line = line.replace(address, f"{address[0]}\u200b{address[1:]}")
    return PUNCTUATION.sub(r"\\\1", line if len(line) <= LONGEST else f"{line[:LONGEST]} …")


DASHBOARD_UIALERTS = Banner()
