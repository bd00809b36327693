"""The registry's schema, step by step: Alembic's revisions under ``versions/``; import from schema.py."""
