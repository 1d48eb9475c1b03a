"""Real servers for tests: Redis and PostgreSQL in processes of their own, started lazily, always taken away again."""

from tests.servers.postgres_binaries import PostgresBinaries, newest_postgres, older_postgres
from tests.servers.postgres_server import GivenPostgres, PostgresServer
from tests.servers.redis_server import RedisServer

__all__ = ["GivenPostgres", "PostgresBinaries", "PostgresServer", "RedisServer", "newest_postgres", "older_postgres"]
