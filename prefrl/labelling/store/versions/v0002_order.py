"""The oldest open question, and the leases that have not ended, are found without a search.

Revision ID: 0002
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the indices."""
    op.drop_index(op.f("ix_questions_state"), "questions")
    op.create_index(op.f("ix_questions_state_id"), "questions", ["state", "id"])
    op.create_index(op.f("ix_leases_until_s"), "leases", ["until_s"])
