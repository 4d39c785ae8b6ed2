"""The whole system once, on the demo data: history, model, two nights; then where to look and what it found.

    python -m nightshift.demo        (make run)

All but the demo data goes through Airflow. What is already done, as the tables tell, is not done again.
"""

from __future__ import annotations

from contracts.cli import NoArguments, main
from contracts.settings import Settings
from nightshift.demo import story


def run(settings: Settings, _: NoArguments) -> None:
    """Does what is not done yet, then tells."""
    story.do_all(settings)
    story.tell(settings)


if __name__ == "__main__":
    main(__doc__, NoArguments, run)
