"""Real servers for tests: Redis and PostgreSQL in processes of their own, started lazily, always taken away again."""

from tests.servers.postgres_binaries import PostgresBinaries, newest_postgres, older_postgres
from tests.servers.postgres_server import GivenPostgres, PostgresServer
from tests.servers.redis_server import RedisServer
from tests.servers.tcp_proxy import Pair, TcpProxy

__all__ = [
    "GivenPostgres",
    "Pair",
    "PostgresBinaries",
    "PostgresServer",
    "RedisServer",
    "TcpProxy",
    "newest_postgres",
    "older_postgres",
]
