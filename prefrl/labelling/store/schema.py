"""The tables of the labelling store.

Times are seconds since 1970. Changes here need a version in `versions/`, and its number below.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

SCHEMA_VERSION = "0003"
VERSION_TABLE = "prefrl_version"
HUMAN = "human"  # the source of answers that people give, as the interchange layout has it

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# One row: whoever changes an answer or a question's state locks it first, and adds one.
revision = Table(
    "revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", JSON, nullable=False),
)

status = Table(
    "status",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", JSON, nullable=False),
)

questions = Table(
    "questions",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("session", BigInteger, nullable=False),
    Column("policy_step", BigInteger, nullable=False),
    Column("model_version", BigInteger),
    Column("objective", BigInteger, nullable=False),
    Column("is_audit", Boolean, nullable=False),
    # Sides swapped; those of an answered question only.
    Column("repeat_of", BigInteger, ForeignKey("questions.id")),
    Column("wanted", Integer, nullable=False),
    # open, answered, skipped, withdrawn; an open one with a lease that has not ended is leased.
    Column("state", Text, nullable=False),
    Column("put_s", Float, nullable=False),
    Column("left_clip", Text),
    Column("right_clip", Text),
    Index(None, "state", "id"),
    Index(None, "state", "repeat_of", "wanted"),
    Index(None, "repeat_of"),
    Index(None, "left_clip"),
    Index(None, "right_clip"),
)

# Apart from the questions, which are listed without them.
segments = Table(
    "segments",
    metadata,
    Column("question", BigInteger, ForeignKey("questions.id"), primary_key=True),
    Column("left", LargeBinary, nullable=False),
    Column("right", LargeBinary, nullable=False),
)

annotators = Table(
    "annotators",
    metadata,
    Column("name", Text, primary_key=True),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("added_s", Float, nullable=False),
    Column("seen_s", Float),
)

# A lease that has ended stays until its holder leases the question again: it says who had it last.
leases = Table(
    "leases",
    metadata,
    Column("question", BigInteger, ForeignKey("questions.id"), primary_key=True),
    Column("annotator", Text, primary_key=True),
    Column("leased_s", Float, nullable=False),
    Column("until_s", Float, nullable=False),
    Index(None, "annotator", "until_s"),
    Index(None, "until_s"),
)

answers = Table(
    "answers",
    metadata,
    Column("question", BigInteger, ForeignKey("questions.id"), primary_key=True),
    Column("annotator", Text, primary_key=True),
    Column("p_left", Float),  # NULL: a skip
    Column("response_time_s", Float),
    Column("answered_s", Float),
    Column("source", Text, nullable=False),
    Index(None, "annotator"),
)

clip_specs = Table(
    "clip_specs",
    metadata,
    Column("key", Text, primary_key=True),
    Column("spec", LargeBinary, nullable=False),
    # Somebody wants to see it, whether or not a pending question shows it.
    Column("wanted_s", Float),
    Column("worker", Text),
    Column("leased_until_s", Float, nullable=False),
    Column("num_begun", Integer, nullable=False),
    Column("num_failed", Integer, nullable=False),
    Column("failed_why", Text),
)

clips = Table(
    "clips",
    metadata,
    Column("key", Text, ForeignKey("clip_specs.key"), primary_key=True),
    Column("num_bytes", BigInteger, nullable=False),
    Column("used_s", Float, nullable=False),
    Column("meta", JSON, nullable=False),
    Column("mp4", LargeBinary, nullable=False),
    Index(None, "used_s"),
)

predictions = Table(
    "predictions",
    metadata,
    Column("question", BigInteger, ForeignKey("questions.id"), primary_key=True),
    Column("model_version", BigInteger, primary_key=True),
    Column("p_left_by_head", JSON, nullable=False),
)
