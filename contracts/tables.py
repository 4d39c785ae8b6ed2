"""Every table once: columns, types, key and partitioning, in Spark's DDL so that nothing heavy is imported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from contracts.columns import Columns as C
from contracts.errors import InputError
from contracts.fallback import FALLBACK_USER


@dataclass(frozen=True)
class Column:
    """A column: its name, its Spark SQL type, whether it may be null, and what it means."""

    name: str
    type: str
    doc: str
    nullable: bool = False

    @property
    def ddl(self) -> str:
        """The column as Spark DDL, for example ``user_id string NOT NULL``."""
        return f"{self.name} {self.type}{'' if self.nullable else ' NOT NULL'}"


@dataclass(frozen=True)
class Table:
    """A Delta table below the lake root."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    partition_by: tuple[str, ...] = ()

    @property
    def ddl(self) -> str:
        """The schema as Spark DDL, as ``spark.createDataFrame(rows, ddl)`` takes it."""
        return ", ".join(column.ddl for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    def check(self, actual: dict[str, str], where: str, *, may_be_older: bool = False) -> None:
        """Compares column types (name -> Spark simple string) with the contract.

        A table that ``may_be_older`` than a column may lack it where the column can be null: it reads as null there,
        and the next write adds it (`contracts.lake`).

        Raises:
            InputError: one error that lists every difference.
        """
        expected = {column.name: column.type for column in self.columns}
        needed = [column.name for column in self.columns if not (may_be_older and column.nullable)]
        differences = [f"missing column {name} ({expected[name]})" for name in needed if name not in actual]
        differences += [f"unexpected column {name} ({actual[name]})" for name in actual if name not in expected]
        differences += [
            f"column {name} is {actual[name]}, expected {expected[name]}"
            for name in expected
            if name in actual and actual[name] != expected[name]
        ]
        if differences:
            raise InputError(
                f"{where}: {'; '.join(differences)}. The contract of {self.name} stands in "
                "contracts/tables.py; correct what writes it, or migrate the table."
            )


SOURCES = ("repeat", "interest", "together", "match", "text", "popular")
"""Where a candidate can come from: own target events, own other ones, co-occurrence, closeness to the user's vector, to
the texts of their newest events, popularity."""

FALLBACK = "fallback"
"""Source of every item of a list that is nobody's own: of the row to fall back on, and of a user of whom no event
says anything."""

LIST_SOURCES = (*SOURCES, FALLBACK)
"""What a recommendation can name as its source."""

RANKED_ITEM = "struct<rank:int,item_id:string,score:double,source:string,because:string>"

EVENTS = Table(
    "events",
    "Clean behaviour events of the days that passed the gate; `ds` is the first day whose log brought the event.",
    (
        Column(C.EVENT_ID, "string", "hash of the normalised record: the same record twice has the same id"),
        Column(C.USER_ID, "string", "who"),
        Column(C.ITEM_ID, "string", "what"),
        Column(C.BEHAVIOUR, "string", "view, cart, purchase, …: one of the settings' behaviours"),
        Column(C.EVENT_TIME, "timestamp", "when, UTC"),
        Column(C.QUANTITY, "double", "how many", nullable=True),
        Column(C.PRICE, "double", "price of one, in the shop's currency", nullable=True),
        Column(C.SESSION_ID, "string", "names the basket, where the log does", nullable=True),
        Column(C.RATING, "double", "how much the user liked it, on the scale of ingest.rating_scale", nullable=True),
        Column(C.DS, "date", "day that brought it"),
    ),
    key=(C.EVENT_ID,),
    partition_by=(C.DS,),
)

EVENTS_REPEATED = Table(
    "events_repeated",
    "Clean events that the log of another day brings too, on each day that repeats them: an event counts once, in "
    "`events`. They are kept because the day that it counts on may be delivered anew without it.",
    EVENTS.columns,
    key=(C.DS, C.EVENT_ID),
    partition_by=(C.DS,),
)

EVENTS_REJECTED = Table(
    "events_rejected",
    "Every log record that is not an event, with the first reason that applies.",
    (
        Column(C.EVENT_ID, "string", "hash of the record"),
        Column(C.REASON, "string", "why: one of ingest.events.REASONS"),
        Column(C.RAW, "string", "the record as it came, JSON"),
        Column(C.SOURCE_FILE, "string", "the file that brought it, below the landing folder or the mapping's path"),
        Column(C.DS, "date", "day that brought it"),
    ),
    # a day's log may bring again what an earlier one was refused
    key=(C.DS, C.EVENT_ID),
    partition_by=(C.DS,),
)

INGEST_COUNTS = Table(
    "ingest_counts",
    "The balance of each day's logs: raw = clean + rejected + duplicates.",
    (
        Column(C.DS, "date", "day of the log"),
        Column("files", "bigint", "log files read; 0 where a day has none"),
        Column("raw", "bigint", "records found"),
        Column("clean", "bigint", "rows written to events"),
        Column("rejected", "bigint", "rows written to events_rejected"),
        Column("duplicates", "bigint", "records that repeat another one, of this day's log or another's"),
    ),
    key=(C.DS,),
)

INGEST_FILES = Table(
    "ingest_files",
    "The log files that each day was taken in from: what arrives later is not among them.",
    (
        Column(C.DS, "date", "day of the log"),
        Column(C.SOURCE_FILE, "string", "the file, below the logs' folder"),
        Column("records", "bigint", "records found"),
        Column("bytes", "bigint", "size of the file"),
        Column("modified", "timestamp", "when the file was last written, UTC"),
    ),
    key=(C.DS, C.SOURCE_FILE),
)

ITEMS = Table(
    "items",
    "The catalogue, versioned by day: attributes and the text that the model reads. As of a night, it is read by "
    "`contracts.catalogue`.",
    (
        Column(C.DS, "date", "day from which the catalogue says so"),
        Column(
            C.WHOLE, "boolean", "row of a whole catalogue, which replaces all before; else of a log that names items"
        ),
        Column(C.ITEM_ID, "string", "what"),
        Column(C.TITLE, "string", "name", nullable=True),
        Column(C.DESCRIPTION, "string", "longer text", nullable=True),
        Column(C.DEPARTMENT, "string", "coarsest group", nullable=True),
        Column(C.CATEGORY, "string", "group within the department", nullable=True),
        Column(C.PRODUCT_TYPE, "string", "finest group", nullable=True),
        Column(C.BRAND, "string", "brand", nullable=True),
        Column(C.SIZE, "string", "package size", nullable=True),
        Column(C.PRICE, "double", "list price", nullable=True),
        Column(C.AVAILABLE, "boolean", "can be sold now; true where the catalogue does not say"),
        Column(C.TEXT, "string", "the attributes rendered by the prompt template"),
        Column(C.TEXT_HASH, "string", "sha-256 of the text"),
        Column(C.MADE_FROM, "string", "hash of the files and rules that the day's catalogue was made from"),
    ),
    key=(C.DS, C.ITEM_ID),
    partition_by=(C.DS, C.WHOLE),
)

ITEMS_REJECTED = Table(
    "items_rejected",
    "Every catalogue record that is not an item, with its reason.",
    (
        Column(C.DS, "date", "day from which the catalogue says so"),
        Column(C.ITEM_ID, "string", "what, where it is known", nullable=True),
        Column(C.REASON, "string", "why"),
        Column(C.RAW, "string", "the record as it came, JSON"),
        Column(C.SOURCE_FILE, "string", "the file that brought it, below the landing folder or the mapping's path"),
    ),
    key=(C.DS, C.SOURCE_FILE, C.RAW),
    partition_by=(C.DS,),
)

QUALITY_RESULTS = Table(
    "quality_results",
    "One row per expectation and run.",
    (
        Column(C.DS, "date", "the night"),
        Column(C.RUN_ID, "string", "Airflow run"),
        Column(C.SUITE, "string", "events, items, recommendations, …"),
        Column(C.EXPECTATION, "string", "what is expected, unique within the suite"),
        Column(C.SEVERITY, "string", "critical stops the night, warning goes on the report"),
        Column(C.SUCCESS, "boolean", "met"),
        Column(C.EXPECTED, "string", "bounds, as text"),
        Column(C.OBSERVED, "string", "value found, as text", nullable=True),
    ),
    key=(C.RUN_ID, C.SUITE, C.EXPECTATION),
    partition_by=(C.DS,),
)

SEQUENCE = (C.ITEM_IDS, C.BEHAVIOURS, C.TIMES, C.SESSIONS, C.RATINGS)
"""Columns that are a user's history, an entry an event."""

SEQUENCES = Table(
    "sequences",
    "Histories and targets of users: what the model is trained and tested on. Histories are oldest first.",
    (
        Column(C.SNAPSHOT_ID, "string", "names interval end, windows and caps"),
        Column(C.SPLIT, "string", "train, validation, test or latest"),
        Column(C.USER_ID, "string", "who"),
        Column(C.ITEM_IDS, "array<string>", "items of the events before the split's window"),
        Column(C.BEHAVIOURS, "array<string>", "behaviours of the same events"),
        Column(C.TIMES, "array<bigint>", "times of the same events, seconds of the shop's clock"),
        Column(C.SESSIONS, "array<bigint>", "hashes of their session_id; 0 where the log names none"),
        Column(C.RATINGS, "array<float>", "their ratings; null where none of them has one", nullable=True),
        Column(
            C.TARGETS,
            "array<string>",
            "distinct items of target events inside the window, ascending; empty for train and latest",
        ),
    ),
    key=(C.SNAPSHOT_ID, C.SPLIT, C.USER_ID),
    partition_by=(C.SNAPSHOT_ID, C.SPLIT),
)

GAIN_OVER = "gain over "
"""A segment of `model_evaluations` that begins so, with the name of a rival, has what the challenger gained over it."""

MODEL_EVALUATIONS = Table(
    "model_evaluations",
    "Metrics on the test window, for the challenger, the champion, the untuned model and each baseline.",
    (
        Column(C.MODEL_ID, "string", "a model, or baseline/<name>"),
        Column(C.SNAPSHOT_ID, "string", "sequences that it was tested on"),
        Column(C.SEGMENT, "string", "all, a part of the users or items, or the rival that was to be beaten"),
        Column(C.METRIC, "string", "ndcg@10, recall@10, …"),
        Column(C.VALUE, "double", "mean over users"),
        Column(C.CI_LOW, "double", "lower end of the 95% interval", nullable=True),
        Column(C.CI_HIGH, "double", "upper end of the 95% interval", nullable=True),
        Column(C.USERS, "bigint", "users in the mean"),
    ),
    key=(C.MODEL_ID, C.SNAPSHOT_ID, C.SEGMENT, C.METRIC),
)

MODEL_DECISIONS = Table(
    "model_decisions",
    "Why a challenger became the champion, or not: what was looked at, with the bounds. A row with an empty rival has "
    "the decision.",
    (
        Column(C.SNAPSHOT_ID, "string", "sequences that it was tested on"),
        Column(C.MODEL_ID, "string", "the challenger"),
        Column("rival", "string", "a model or baseline/<name>; empty in the row of the decision"),
        Column(C.SEGMENT, "string", "all, or a part of the users or items"),
        Column(C.METRIC, "string", "ndcg@10, coverage@10 or diversity@10"),
        Column(C.VALUE, "double", "gain over the rival; of coverage and diversity the share of it", nullable=True),
        Column(C.CI_LOW, "double", "lower end of the 95% interval", nullable=True),
        Column(C.CI_HIGH, "double", "upper end of the 95% interval", nullable=True),
        Column(C.BOUND, "double", "which the value, or its interval, must not be below", nullable=True),
        Column("passed", "boolean", "it is not; in the row of the decision, promoted"),
        Column("critical", "boolean", "a failure keeps the challenger out"),
        Column("why", "string", "in words"),
    ),
    key=(C.SNAPSHOT_ID, C.MODEL_ID, "rival", C.SEGMENT, C.METRIC),
)

ITEM_VECTORS = Table(
    "item_vectors",
    "The vectors of every item, for each text that it had.",
    (
        Column(C.MODEL_ID, "string", "which model"),
        Column(C.ITEM_ID, "string", "what"),
        Column(C.TEXT_HASH, "string", "the text that was encoded"),
        Column(C.VECTOR, "array<float>", "its product with a user's vector is the score of a match"),
        Column(C.TEXT_VECTOR, "array<float>", "what the text alone says, of length one; zeros for the text of all"),
    ),
    key=(C.MODEL_ID, C.ITEM_ID, C.TEXT_HASH),
    partition_by=(C.MODEL_ID,),
)

DRIFT_RESULTS = Table(
    "drift_results",
    "How the week that ends with a night compares with what the night's model was trained on.",
    (
        Column(C.DS, "date", "the night"),
        Column(C.RUN_ID, "string", "Airflow run"),
        Column(C.MODEL_ID, "string", "model of the night, with whose training it is compared"),
        Column(C.MEASURE, "string", "behaviours, new_items, new_users, volume, volume_of_night, or an attribute"),
        Column(C.VALUE, "double", "how far it has moved; null where it was not measured", nullable=True),
        Column(C.BOUND, "double", "beyond which it has drifted; null where it is only shown", nullable=True),
        Column(C.DRIFTED, "boolean", "whether the value lies beyond the bound"),
        Column(C.NAME, "string", "what of it has moved most: a behaviour, a value of the attribute", nullable=True),
        Column(C.BEFORE, "double", "share, or events, of that in training", nullable=True),
        Column(C.NOW, "double", "the same in the week", nullable=True),
        Column(C.NOTE, "string", "why it was not measured", nullable=True),
        Column(C.ASKED, "boolean", "whether the night asked for a fine-tuning"),
        Column(C.DECISION, "string", "why, or why not"),
    ),
    key=(C.DS, C.MEASURE),
)

RECOMMENDATIONS = Table(
    "recommendations",
    "What the app reads: one row per night and user, best item first, and one for whoever has none.",
    (
        Column(C.DS, "date", "the night; the recommendations are for the day after"),
        Column(C.USER_ID, "string", f"who; {FALLBACK_USER} in the row for every user that has none of their own"),
        Column(
            C.ITEMS,
            f"array<{RANKED_ITEM}>",
            "N items, rank 1 first; fewer only where [audit] max_short_lists lets them pass",
        ),
        Column(C.MODEL_ID, "string", "model that scored"),
        Column(C.RUN_ID, "string", "run that scored"),
        Column(
            C.SCORED_DS,
            "date",
            "night that scored the list: an earlier one where it was carried over ([scoring] idle_days); null: ds",
            nullable=True,
        ),
    ),
    key=(C.DS, C.USER_ID),
    partition_by=(C.DS,),
)

PUBLICATIONS = Table(
    "publications",
    "One row per night that was published or held: a reader follows the newest published one.",
    (
        Column(C.DS, "date", "the night"),
        Column(C.RUN_ID, "string", "Airflow run"),
        Column(C.STATUS, "string", "published or held"),
        Column(C.REASONS, "array<string>", "why it was held; empty when published"),
        Column(C.MODEL_ID, "string", "model that scored"),
        Column(
            C.MODEL_AS_OF,
            "date",
            "day before which its events lie; later than the day after the night: it knew what users would do",
            nullable=True,
        ),
        Column(C.USERS, "bigint", "users with recommendations of their own"),
        Column(C.CONTENT_HASH, "string", "hash of the night's rows: equal hashes, equal recommendations"),
        Column(C.TABLE_VERSIONS, "map<string,bigint>", "version of every table that the night used"),
        Column(C.MEASURES, "map<string,double>", "what the audit measured: coverage, churn, …"),
        Column(C.PUBLISHED_AT, "timestamp", "when the row was written, UTC"),
    ),
    # a run that was held can be published when it is run again, and the other way round
    key=(C.DS, C.RUN_ID, C.STATUS),
)

HINDSIGHT_RESULTS = Table(
    "hindsight_results",
    "How a published night's lists met what users did in the 7 days after it, next to simple rules.",
    (
        Column(C.DS, "date", "the night"),
        Column(C.RECOMMENDER, "string", "recommendations, or a baseline"),
        Column(C.METRIC, "string", "ndcg@10, recall@10, hit_rate@10"),
        Column(C.VALUE, "double", "mean over the judged users; null where there are none", nullable=True),
        Column(C.CI_LOW, "double", "lower end of the 95% interval", nullable=True),
        Column(C.CI_HIGH, "double", "upper end of the 95% interval", nullable=True),
        Column(C.GAIN, "double", "recommendations minus this one, mean over the same users", nullable=True),
        Column(C.GAIN_LOW, "double", "lower end of the gain's 95% interval", nullable=True),
        Column(C.GAIN_HIGH, "double", "upper end of the gain's 95% interval", nullable=True),
        Column(C.USERS, "bigint", "users judged: those with a target event in the window"),
        Column(C.USERS_WITH_LIST, "bigint", "users with a list, of whom a large shop's sample is judged"),
        Column(C.MODEL_ID, "string", "model that made the lists"),
        Column(C.CONTENT_HASH, "string", "content hash of the night's publication"),
        Column(C.SOURCE, "string", "where the target events of the window come from: events or landing"),
    ),
    key=(C.DS, C.RECOMMENDER, C.METRIC),
)

NIGHT_STEPS = Table(
    "night_steps",
    "What each step of a night took and did, in its last run.",
    (
        Column(C.DS, "date", "the night"),
        Column(C.STEP, "string", "the program: clean_events, score_users, …"),
        Column(C.SECONDS, "double", "from the start of the program, Java's too, to its end"),
        Column(C.COUNTS, "map<string,bigint>", "what it did: users scored, items encoded, …"),
        Column(C.ENDED_AT, "timestamp", "when, UTC"),
    ),
    key=(C.DS, C.STEP),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        EVENTS,
        EVENTS_REPEATED,
        EVENTS_REJECTED,
        INGEST_FILES,
        INGEST_COUNTS,
        ITEMS,
        ITEMS_REJECTED,
        QUALITY_RESULTS,
        SEQUENCES,
        MODEL_EVALUATIONS,
        MODEL_DECISIONS,
        ITEM_VECTORS,
        DRIFT_RESULTS,
        RECOMMENDATIONS,
        PUBLICATIONS,
        HINDSIGHT_RESULTS,
        NIGHT_STEPS,
    )
}
"""All tables by name, in the order in which a night writes them."""


def staging(table: Table, ds: date) -> Table:
    """A table of one night before its audit."""
    return replace(table, name=f"staging/{table.name}_{ds}")


def _nullable(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    return tuple(replace(column, nullable=True) for column in columns)


_WHY_REJECTED = tuple(Column(name, "string", "of a rejected record", nullable=True) for name in (C.REASON, C.RAW))

RECORDS = Table(
    "records",
    "The records of some days' logs, before the gate: what is no duplicate within its own day's log.",
    (
        *_nullable(EVENTS.columns),
        *_WHY_REJECTED,
        Column(C.SOURCE_FILE, "string", "the file that brought it"),
        Column(C.FATE, "string", "clean, repeated or rejected"),
    ),
    key=(C.DS, C.EVENT_ID, C.FATE),
    partition_by=(C.DS,),
)

CATALOGUE_RECORDS = Table(
    "catalogue_records",
    "The records of a run's catalogue, before the gate: items, and rejects with their reason.",
    (
        *_nullable(ITEMS.columns),
        *_WHY_REJECTED,
        Column(C.SOURCE_FILE, "string", "the file that brought it", nullable=True),
    ),
    key=(C.DS, C.ITEM_ID, C.RAW),
)


def waiting_table(table: Table, ds: date) -> Table:
    """A table of what the run of a night has cleaned and the gate has not passed; a night has one folder of them."""
    return replace(table, name=f"{intake_folder(ds)}/{table.name}")


def intake_folder(ds: date) -> str:
    """Where they are, below the lake's root."""
    return f"staging/intake_{ds}"
