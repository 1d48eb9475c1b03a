"""The embedded server: private, adopted by a second command, gone when it is stopped."""

import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from scheduler.installation.embedded_redis import EmbeddedRedis, EmbeddedRedisError


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A server that is not started yet, in a folder with a blank in its name."""
    server = EmbeddedRedis(tmp_path / "my state")
    yield server
    server.stop()


def connect(server: EmbeddedRedis) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(server.socket_path))


def test_it_answers_once_it_is_started_and_never_evicts(server: EmbeddedRedis) -> None:
    assert not server.is_running()
    server.start()
    with connect(server) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("port") == {"port": "0"}


def test_nobody_else_can_enter_the_folder_of_its_socket(server: EmbeddedRedis) -> None:
    server.start()
    folder = server.socket_path.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_a_running_server_is_adopted_and_can_be_stopped_by_its_second_owner(
    server: EmbeddedRedis, tmp_path: Path
) -> None:
    server.start()
    second = EmbeddedRedis(tmp_path / "my state")
    second.start()
    assert second.pid is None
    second.stop()
    assert not server.is_running()


def test_what_is_queued_outlives_a_restart(server: EmbeddedRedis, tmp_path: Path) -> None:
    server.start()
    with connect(server) as client:
        client.rpush("queue", "hint")
    server.stop()
    again = EmbeddedRedis(tmp_path / "my state")
    again.start()
    with connect(again) as client:
        assert client.llen("queue") == 1
    again.stop()


def test_two_state_folders_have_two_servers(server: EmbeddedRedis, tmp_path: Path) -> None:
    other = EmbeddedRedis(tmp_path / "another state")
    server.start()
    other.start()
    assert server.socket_path != other.socket_path
    assert psutil.pid_exists(server.pid or 0)
    other.stop()
    assert server.is_running()


def test_a_server_that_cannot_start_shows_the_end_of_its_log(server: EmbeddedRedis, tmp_path: Path) -> None:
    data = tmp_path / "my state" / "redis" / "appendonlydir"
    data.parent.mkdir(parents=True)
    data.write_text("not a folder")
    with pytest.raises(EmbeddedRedisError, match=r"its log .* ends"):
        server.start()


def test_a_folder_that_is_a_link_is_refused(server: EmbeddedRedis, tmp_path: Path) -> None:
    folder = server.socket_path.parent
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.symlink_to(tmp_path)
    try:
        with pytest.raises(EmbeddedRedisError, match="belongs to another user"):
            server.start()
    finally:
        folder.unlink()
