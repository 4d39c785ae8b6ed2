"""The environment that peers run in: made once below the home, anew when its requirements change."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from contracts.cli import log, timed
from contracts.errors import NightshiftError

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def python_of_peers(home: Path, requirements: Path = REQUIREMENTS) -> Path:
    """The Python of an environment with these requirements, below ``home``; made if it is not there.

    Raises:
        NightshiftError: it cannot be made; the message has pip's last line, and where all of it is.
    """
    folder = home / "bench-model" / "peers"
    python, installed = folder / "bin" / "python", folder / "installed.txt"
    wanted = requirements.read_text()
    if installed.exists() and installed.read_text() == wanted:
        return python
    said = home / "bench-model" / "peers.log"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log.info("The peers' environment, 5 GB in %s, is made once: 2 to 20 minutes, what pip says is in %s", folder, said)
    with said.open("w") as out:
        for doing, command in (
            ("Making an environment", [sys.executable, "-I", "-m", "venv", str(folder)]),
            (
                f"Installing {requirements.name} of the peers",
                [str(python), "-I", "-m", "pip", "install", "--disable-pip-version-check", "-r", str(requirements)],
            ),
        ):
            with timed(doing):
                done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False)
            if done.returncode:
                out.flush()
                raise NightshiftError(
                    f"the environment of the peers could not be made: {last_line(said)} ({doing} ended with exit code "
                    f"{done.returncode}; all of it is in {said}). It needs {requirements} from a package index."
                )
    installed.write_text(wanted)
    return python


def last_line(said: Path) -> str:
    """The last line of an output that says something."""
    lines = [line.strip() for line in said.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "nothing was said"
