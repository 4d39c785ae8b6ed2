"""A night that carries lists over next to a full one of the same day: the same lists, and at what share of the time."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from contracts import lake
from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.fallback import is_own
from contracts.interval import Interval
from contracts.settings import Settings
from contracts.states import Row
from contracts.tables import RECOMMENDATIONS
from models.store.registry import chosen_folder
from nightshift.lookups.published import published
from spark_jobs.cluster.session import session
from spark_jobs.reporting.pseudonyms import pseudonym, pseudonym_key
from spark_jobs.score_users import lists

ROUNDING = 1e-4
"""Scores differ by no more than that because a user stands in another batch; two items this close can change places."""
NAMED = 5
"""Users that are named at most."""
FULL = "_full"
"""Column with the items of the full night."""


@dataclass(frozen=True)
class Compared:
    """A night twice: everyone scored, and with the lists of idle users carried over."""

    ds: date
    model_id: str
    idle_days: int
    idle_nights: int
    scored: int  # users whom both nights scored
    exact: int  # of these, lists that are the same to the last bit
    rounded: int  # the same but for rounding
    carried: int  # users whose list was carried over
    as_published: int  # of these, lists that are those of the night that scored them
    overlap: float  # of the items of a carried list, those that the full night gives too, mean
    alone: int  # users whom one of the nights alone has
    seconds_full: float
    seconds: float  # of the one that carries
    wrong: tuple[str, ...]  # pseudonyms of some users whose lists are not as they should be

    @property
    def holds(self) -> bool:
        """Whether every list is as it should be."""
        return not self.alone and self.exact + self.rounded == self.scored and self.as_published == self.carried


def compared(settings: Settings, ds: date | None, idle_days: int, idle_nights: int) -> Compared:
    """Scores a published night again, in full and with lists carried over; nothing is written into the lake.

    Raises:
        InputError: nothing was published for the night, or no list can be carried into it.
        ModelError: the night's model is not there any more, is damaged, or has lost its item vectors.
    """
    publication = published(settings, ds)
    with session("verify-incremental", settings) as spark:
        return compare(spark, settings, publication, idle_days, idle_nights)


def compare(spark: SparkSession, settings: Settings, publication: Row, idle_days: int, idle_nights: int) -> Compared:
    """The same for a row of `publications`, in a session of Spark."""
    night, model_id = Interval.of_night(publication[C.DS]), str(publication[C.MODEL_ID])
    model = chosen_folder(settings, model_id)
    full, partly = (_with(settings, days, idle_nights) for days in (None, idle_days))
    with tempfile.TemporaryDirectory(prefix="nightshift-") as scratch:
        # first nobody looks at the clock: Java compiles its plans, and the workers start
        made, _ = _scored(spark, partly, night, model, Path(scratch) / "first")
        if not made.where(_is_carried(night)).head(1):
            raise InputError(
                f"No list is carried into the night of {night.ds}: that takes a published night before it, by model "
                f"{model_id} and the same rules, and users of whom nothing came for {idle_days} days (--idle-days)."
            )
        spark.catalog.clearCache()  # also of what `lists` keeps
        carrying, seconds = _scored(spark, partly, night, model, Path(scratch) / "carrying")
        everyone, seconds_full = _scored(spark, full, night, model, Path(scratch) / "full")
        judged = _judged(everyone, carrying, lake.read(spark, settings, RECOMMENDATIONS), night, model_id).persist()
        [told] = judged.agg(
            _number(F.col("is_in_both") & ~F.col("is_carried")).alias("scored"),
            _number(F.col("is_exact")).alias("exact"),
            _number(F.col("is_close") & ~F.col("is_exact")).alias("rounded"),
            _number(F.col("is_carried")).alias("carried"),
            _number(F.col("is_as_published")).alias("as_published"),
            F.avg(F.when(F.col("is_carried"), F.col("overlap"))).alias("overlap"),
            _number(~F.col("is_in_both")).alias("alone"),
        ).collect()
        wrong = judged.where(~F.col("is_right")).orderBy(C.USER_ID).limit(NAMED).collect()
        spark.catalog.clearCache()
    key = pseudonym_key(settings)
    return Compared(
        night.ds,
        model_id,
        idle_days,
        idle_nights,
        **told.asDict(),
        seconds_full=seconds_full,
        seconds=seconds,
        wrong=tuple(pseudonym(row[C.USER_ID], key) for row in wrong),
    )


def _with(settings: Settings, idle_days: int | None, idle_nights: int) -> Settings:
    """The settings with other ones for idle users."""
    scoring = settings.scoring.model_copy(update={"idle_days": idle_days, "idle_nights": idle_nights})
    return settings.model_copy(update={"scoring": scoring})


def _scored(
    spark: SparkSession, settings: Settings, night: Interval, model: Path, scratch: Path
) -> tuple[DataFrame, float]:
    """Everyone's own lists of a night, user_id, items, scored_ds, and the seconds that they took."""
    begun = time.monotonic()
    rows = lists(spark, settings, night, model, scratch).rows.where(is_own(F.col)).persist(StorageLevel.DISK_ONLY)
    rows.count()
    return rows, time.monotonic() - begun


def _judged(
    everyone: DataFrame, carrying: DataFrame, published_lists: DataFrame, night: Interval, model_id: str
) -> DataFrame:
    """A row for each user of one of the two, and whether the list of the night that carries is right."""
    was = published_lists.where(is_own(F.col) & (F.col(C.MODEL_ID) == model_id))
    of_then = was.select(C.USER_ID, F.col(C.DS).alias(C.SCORED_DS), F.col(C.ITEMS).alias("_was"))
    full = everyone.select(C.USER_ID, F.col(C.ITEMS).alias(FULL))
    both = full.join(carrying, C.USER_ID, "full").join(of_then, [C.USER_ID, C.SCORED_DS], "left")
    in_both = F.col(FULL).isNotNull() & F.col(C.ITEMS).isNotNull()
    is_carried = in_both & _is_carried(night)
    is_scored = in_both & ~is_carried
    same = F.array_intersect(f"{FULL}.item_id", "items.item_id")
    return both.select(
        C.USER_ID,
        in_both.alias("is_in_both"),
        F.coalesce(is_carried, F.lit(False)).alias("is_carried"),
        F.coalesce(is_scored & (F.col(FULL) == F.col(C.ITEMS)), F.lit(False)).alias("is_exact"),
        F.coalesce(is_scored & _is_close(F.col(FULL), F.col(C.ITEMS)), F.lit(False)).alias("is_close"),
        F.coalesce(is_carried & (F.col("_was") == F.col(C.ITEMS)), F.lit(False)).alias("is_as_published"),
        (F.size(same) / F.size(C.ITEMS)).alias("overlap"),
    ).withColumn("is_right", F.col("is_close") | F.col("is_as_published"))


def _is_carried(night: Interval) -> Column:
    return F.col(C.SCORED_DS) < F.lit(night.ds)


def _is_close(left: Column, right: Column) -> Column:
    """Whether two lists have the same scores, place by place, but for rounding."""
    near = F.zip_with(left["score"], right["score"], lambda a, b: F.abs(a - b) <= ROUNDING * (1 + F.abs(a)))
    return (F.size(left) == F.size(right)) & F.forall(near, lambda is_near: F.coalesce(is_near, F.lit(False)))


def _number(flag: Column) -> Column:
    return F.count_if(flag).cast("int")
