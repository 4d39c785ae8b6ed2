"""Stopping what `make ui` started."""

from __future__ import annotations

import subprocess
import time

import psutil

from nightshift.runtime.services import stop


def test_stop_ends_children_in_process_groups_of_their_own_and_those_that_ignore_sigterm() -> None:
    script = "trap '' TERM; setsid sleep 60 & setsid bash -c 'trap \"\" TERM; while true; do sleep 0.1; done' & wait"
    process = subprocess.Popen(["bash", "-c", script], start_new_session=True)
    leader = psutil.Process(process.pid)
    while len(family := leader.children(recursive=True)) < 2:
        time.sleep(0.05)
    stop([process.pid], patience=1)
    # at once: whoever calls it relies on their being gone
    assert not any(member.is_running() for member in (leader, *family))
