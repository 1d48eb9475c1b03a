"""Alembic migrations: the history of Tidemark's tables."""
