"""The versions of the tables, an Alembic script each; a script that was released never changes."""
