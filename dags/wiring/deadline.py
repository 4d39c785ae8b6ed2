"""What is asked at the deadline of a night."""

from __future__ import annotations

import logging

from airflow.sdk import get_current_context

from contracts.dag_runs import NIGHTLY
from contracts.notices import Notice
from contracts.settings import load_settings
from wiring.alerts import announce, night_of

log = logging.getLogger(__name__)

TO_DO = (
    "If no run of the night is under way, see whether the DAG {dag} is paused, do what its last message said, and run "
    "nightshift night {night}. The deadline is [alerts] deadline in nightshift.toml."
)


def ask() -> None:
    """Tells people when the running task's night is not published."""
    from nightshift.alerts.standing import stand

    context = get_current_context()
    night = night_of(context)
    found = stand(load_settings(), night)
    if not found.is_behind:
        log.info("Readers see the lists of %s: the night %s is published.", found.live, night)
        return
    running = context["ti"].get_dr_count(NIGHTLY, states=["running"])
    under_way = " A run of the nightly DAG is under way." if running else ""
    what = f"At the deadline the night {night} is not published: {found.why.rstrip('.')}.{under_way}"
    log.warning(what)
    announce(context, Notice("missing", night, what, TO_DO.format(dag=NIGHTLY, night=night)))
