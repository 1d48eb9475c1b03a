"""Runs migrations on the connection that `db.migrations.upgrade` hands over; Alembic's command line is not used."""

from alembic import context

from db.migrations.upgrade import VERSION_TABLE
from db.schema.all_tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
