"""Runs migrations on the connection that `db.upgrade` hands over; Alembic's command line is not used."""

from alembic import context

from db.every_table import metadata
from db.upgrade import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
