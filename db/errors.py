"""Errors of the database, translated into our own classes."""

_SHOWN_NAMES = 10


class DatabaseError(Exception):
    """Base of every error that `db` raises."""


class DatabaseUnreachableError(DatabaseError):
    """The database does not answer, or broke the connection."""

    def __init__(self, address: str, reason: str) -> None:
        self.address = address
        self.reason = reason
        super().__init__(
            f"cannot use the database {address}: {reason}. Check TIDEMARK_DATABASE_URL and that the server is running."
        )


class DatabaseReadRefusedError(DatabaseUnreachableError):
    """The database answers, but denies reading to this user."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.args = (f"the database {address} denies reading: {reason}. Grant this user SELECT on it.",)


class DatabaseWriteRefusedError(DatabaseError):
    """The database answers but refuses to write: disk full, read-only, or no right to."""

    def __init__(self, address: str, reason: str, *, is_disk_full: bool = False) -> None:
        self.address = address
        self.reason = reason
        self.is_disk_full = is_disk_full
        super().__init__(f"the database {address} refuses writes: {reason}")


class SchemaOutdatedError(DatabaseError):
    """The database holds Tidemark's tables in another version than this program's."""

    def __init__(self, found: str, expected: str) -> None:
        self.found = found
        self.expected = expected
        super().__init__(
            f"the database has schema version {found}, this program needs {expected}. "
            "Make a backup, then run: tidemark database upgrade"
        )


class NotFoundError(DatabaseError):
    """A named thing does not exist; `known` are the existing names, the most similar first."""

    def __init__(self, thing: str, name: object, known: tuple[str, ...] = (), advice: str = "") -> None:
        self.thing = thing
        self.name = name
        self.known = known
        more = f" and {len(known) - _SHOWN_NAMES} more" if len(known) > _SHOWN_NAMES else ""
        there = f" There are: {', '.join(known[:_SHOWN_NAMES])}{more}." if known else ""
        super().__init__(f"{thing} {name} does not exist.{there}{' ' + advice if advice else ''}")


class SourceError(DatabaseError):
    """The source table or view of a portfolio is missing, or lacks a column."""


class SourceNotGrantedError(SourceError):
    """A portfolio names a source that is not granted to it. The message is the same if the table does not exist."""

    def __init__(self, portfolio: str, source: str) -> None:
        self.portfolio = portfolio
        self.source = source
        super().__init__(
            f"the source {source} is not granted to the portfolio {portfolio}, or does not exist. An administrator "
            f"without a portfolio limit grants it with: tidemark portfolio grant {portfolio} {source} (or POST "
            f"/v1/portfolios/{portfolio}/sources); then tidemark load {portfolio} DATA creates it if it does not exist"
        )


class SourceReservedError(SourceError):
    """A portfolio names a table of Tidemark or of the database, which cannot be granted."""

    def __init__(self, source: str) -> None:
        self.source = source
        super().__init__(
            f"the source {source} is reserved for Tidemark or the database, or is a view over such a table: no "
            "portfolio may read it, and it cannot be granted. Choose another table or view"
        )


class SourceForbiddenError(SourceError):
    """The database's user may not read the source."""

    def __init__(self, source: str, user: str | None, reason: str) -> None:
        self.source = source
        self.reason = reason
        schema, _, _ = source.rpartition(".")
        usage = f"GRANT USAGE ON SCHEMA {schema} TO {user or 'USER'}; " if schema and "schema" in reason else ""
        super().__init__(
            f"the source {source} may not be read by the database user {user or 'of this process'}: {reason}. "
            f"Its owner allows it with: {usage}GRANT SELECT ON {source} TO {user or 'USER'}"
        )


class SourceBusyError(DatabaseError):
    """A timeout or a limit ended reading the source; it may work another time."""

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = reason
        super().__init__(
            f"the source {source} could not be read: {reason}. Check what locks or slows it, and the database's "
            "statement and lock timeouts"
        )


class KeyTypeError(DatabaseError):
    """Keys of a data file do not fit the key column of the source table."""

    def __init__(self, source: str, key: str, table_type: str, file_type: str) -> None:
        self.source = source
        super().__init__(
            f"the key column {key} of table {source} holds {table_type} keys, the file holds {file_type} keys. "
            "Correct the file, or load it with --replace to recreate the table."
        )


class LeaseLostError(DatabaseError):
    """The shard is no longer this worker's: its lease ran out, or its job was cancelled. Write nothing."""

    def __init__(self, shard_id: int, token: int) -> None:
        self.shard_id = shard_id
        self.token = token
        super().__init__(f"the lease of shard {shard_id} with token {token} is lost; nothing was written")


class KeyTooWideError(DatabaseError):
    """A requested key has more rights, or a later expiry, than the requesting key."""

    def __init__(self, field: str, expected: str) -> None:
        self.field = field
        super().__init__(f"{field}: a key cannot create a key with wider rights than its own; expected {expected}")


class StateConflictError(DatabaseError):
    """The current state does not allow the requested change."""


class IdempotencyConflictError(DatabaseError):
    """An idempotency key was used before for another request."""

    def __init__(self, key: str, job_id: int) -> None:
        self.key = key
        self.job_id = job_id
        super().__init__(f"the idempotency key {key!r} belongs to job {job_id}, which was a different request")


class KeySecretMissingError(DatabaseError):
    """A portfolio stores keys as hashes, and this process has no secret to make them with."""

    def __init__(self, portfolio: str) -> None:
        self.portfolio = portfolio
        super().__init__(
            f"portfolio {portfolio} stores keys as hashes, which needs TIDEMARK_KEY_SECRET: one secret, the same in "
            "every process on every host"
        )


class KeySecretWrongError(KeySecretMissingError):
    """This process has a different secret from the one that hashes the installation's keys."""

    def __init__(self, portfolio: str) -> None:
        self.portfolio = portfolio
        DatabaseError.__init__(
            self,
            f"portfolio {portfolio} stores keys as hashes, and TIDEMARK_KEY_SECRET is not the secret that they were "
            "hashed with so far: set the same one in every process on every host",
        )
