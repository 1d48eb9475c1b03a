"""Gives a new table to the roles that load, read and erase, if the database has them."""

from sqlalchemy import Connection, Table, text

from db.migrations.database_roles import BOOKS, READERS

_MAY_HAND_OVER = text("""
    SELECT count(*) FROM pg_catalog.pg_roles
    WHERE rolname IN (:books, :readers) AND (rolname = :readers OR pg_has_role(current_user, oid, 'MEMBER'))
""")


def share_with_roles(connection: Connection, table: Table) -> None:
    """Let every process that needs the table use it, whichever of them created it."""
    if connection.dialect.name != "postgresql":
        return
    if connection.execute(_MAY_HAND_OVER, {"books": BOOKS, "readers": READERS}).scalar_one() == 2:
        name = connection.dialect.identifier_preparer.format_table(table)
        connection.exec_driver_sql(f"GRANT SELECT ON {name} TO {READERS}".replace("%", "%%"))
        connection.exec_driver_sql(f"ALTER TABLE {name} OWNER TO {BOOKS}".replace("%", "%%"))
