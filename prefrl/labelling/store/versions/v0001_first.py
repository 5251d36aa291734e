"""The tables as they were first released.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables."""
    revisions = op.create_table(
        "revision",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revision")),
    )
    op.bulk_insert(revisions, [{"id": 1, "number": 0}])
    for name in ("settings", "status"):
        op.create_table(
            name,
            sa.Column("key", sa.Text, nullable=False),
            sa.Column("value", sa.JSON, nullable=False),
            sa.PrimaryKeyConstraint("key", name=op.f(f"pk_{name}")),
        )
    op.create_table(
        "annotators",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("token_hash", sa.Text, nullable=False),
        sa.Column("added_s", sa.Float, nullable=False),
        sa.Column("seen_s", sa.Float),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_annotators")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_annotators_token_hash")),
    )
    _make_questions()
    _make_clips()


def _make_questions() -> None:
    op.create_table(
        "questions",
        sa.Column("id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("session", sa.BigInteger, nullable=False),
        sa.Column("policy_step", sa.BigInteger, nullable=False),
        sa.Column("model_version", sa.BigInteger),
        sa.Column("objective", sa.BigInteger, nullable=False),
        sa.Column("is_audit", sa.Boolean, nullable=False),
        sa.Column("repeat_of", sa.BigInteger),
        sa.Column("wanted", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("put_s", sa.Float, nullable=False),
        sa.Column("left_clip", sa.Text),
        sa.Column("right_clip", sa.Text),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_questions")),
        sa.ForeignKeyConstraint(
            ["repeat_of"], ["questions.id"], name=op.f("fk_questions_repeat_of_questions")
        ),
    )
    for column in ("state", "repeat_of", "left_clip", "right_clip"):
        op.create_index(op.f(f"ix_questions_{column}"), "questions", [column])
    op.create_table(
        "segments",
        sa.Column("question", sa.BigInteger, nullable=False),
        sa.Column("left", sa.LargeBinary, nullable=False),
        sa.Column("right", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("question", name=op.f("pk_segments")),
        _of_question("segments"),
    )
    op.create_table(
        "leases",
        sa.Column("question", sa.BigInteger, nullable=False),
        sa.Column("annotator", sa.Text, nullable=False),
        sa.Column("leased_s", sa.Float, nullable=False),
        sa.Column("until_s", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("question", "annotator", name=op.f("pk_leases")),
        _of_question("leases"),
    )
    op.create_index(op.f("ix_leases_annotator_until_s"), "leases", ["annotator", "until_s"])
    op.create_table(
        "answers",
        sa.Column("question", sa.BigInteger, nullable=False),
        sa.Column("annotator", sa.Text, nullable=False),
        sa.Column("p_left", sa.Float),
        sa.Column("response_time_s", sa.Float),
        sa.Column("answered_s", sa.Float),
        sa.Column("source", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("question", "annotator", name=op.f("pk_answers")),
        _of_question("answers"),
    )
    op.create_index(op.f("ix_answers_annotator"), "answers", ["annotator"])
    op.create_table(
        "predictions",
        sa.Column("question", sa.BigInteger, nullable=False),
        sa.Column("model_version", sa.BigInteger, nullable=False),
        sa.Column("p_left_by_head", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("question", "model_version", name=op.f("pk_predictions")),
        _of_question("predictions"),
    )


def _make_clips() -> None:
    op.create_table(
        "clip_specs",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("spec", sa.LargeBinary, nullable=False),
        sa.Column("wanted_s", sa.Float),
        sa.Column("worker", sa.Text),
        sa.Column("leased_until_s", sa.Float, nullable=False),
        sa.Column("num_begun", sa.Integer, nullable=False),
        sa.Column("num_failed", sa.Integer, nullable=False),
        sa.Column("failed_why", sa.Text),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_clip_specs")),
    )
    op.create_table(
        "clips",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("num_bytes", sa.BigInteger, nullable=False),
        sa.Column("used_s", sa.Float, nullable=False),
        sa.Column("meta", sa.JSON, nullable=False),
        sa.Column("mp4", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_clips")),
        sa.ForeignKeyConstraint(["key"], ["clip_specs.key"], name=op.f("fk_clips_key_clip_specs")),
    )
    op.create_index(op.f("ix_clips_used_s"), "clips", ["used_s"])


def _of_question(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["question"], ["questions.id"], name=op.f(f"fk_{table}_question_questions")
    )
