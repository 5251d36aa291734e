"""The budget is counted by an index, without a look at every question.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the index."""
    columns = ["state", "repeat_of", "wanted"]
    op.create_index(op.f("ix_questions_state_repeat_of_wanted"), "questions", columns)
