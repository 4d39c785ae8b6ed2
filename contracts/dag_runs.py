"""Names of the DAGs, and of the runs of fine-tuning that a night starts."""

from __future__ import annotations

NIGHTLY, WEEKLY, WATCH = "nightly_recommendations", "fine_tune_model", "watch_nights"
"""The DAGs."""

FOR_A_NIGHT, AFTER_DRIFT = "for-", "drift-"
"""How the id of a fine-tuning's run begins: before the id of the night that waits for its first model, and of the night
whose events have drifted."""
