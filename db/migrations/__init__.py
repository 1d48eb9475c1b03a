"""The history of the tables by Alembic, the upgrade, and the roles of PostgreSQL."""
