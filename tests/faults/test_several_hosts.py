"""The whole on several hosts, each a network namespace: servers, scheduler, API, workers; one is lost in mid-job."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.flow.installation import Installation
from tests.servers import newest_postgres
from tests.servers.network import Network, open_network, why_no_network
from tests.servers.postgres_binaries import reachable
from tests.servers.processes import make_folder, unprivileged, unprivileged_uid
from tests.servers.redis_server import find_redis_binary
from tests.trained_book import BOOK, CUSTOMERS, TrainedBook
from tests.waiting import wait_for

PASSWORD = "told-to-every-host"
API_PORT = 8400
START_SECONDS, JOB_SECONDS = 60.0, 240.0


@dataclass
class Cluster:
    """Hosts with the same settings: `office` gives commands and schedules, `web` answers, the others score."""

    network: Network
    office: Installation
    web: Installation
    first: Installation
    second: Installation


@pytest.fixture
def network() -> Iterator[Network]:
    """A network of hosts, where this machine allows one."""
    reason = why_no_network()
    if reason:
        pytest.skip(reason)
    with open_network() as network:
        yield network


@pytest.fixture
def cluster(network: Network, tmp_path: Path) -> Iterator[Cluster]:
    address = start_servers(network)
    settings = {
        "TIDEMARK_DATABASE_URL": f"postgresql://tidemark:{PASSWORD}@{address}:5432/postgres",
        "TIDEMARK_REDIS_URL": f"redis://:{PASSWORD}@{address}:6379/0",
        "TIDEMARK_MODELS_URL": str(tmp_path / "models"),
        "TIDEMARK_LEASE_SECONDS": "6",
        "TIDEMARK_HEARTBEAT_SECONDS": "1",
        "TIDEMARK_SWEEP_SECONDS": "1",
        "TIDEMARK_SHARD_ROWS": "4",  # hundreds of shards: the job must still run when a host is lost
    }
    hosts = [make_host(network, tmp_path, name, settings) for name in ("office", "web", "first", "second")]
    wait_for(lambda: answers(hosts[0]), START_SECONDS, "PostgreSQL and Redis to answer")
    yield Cluster(network, *hosts)
    network.kill_everything()
    for host in hosts:
        host.close()


def make_host(network: Network, folder: Path, name: str, settings: dict[str, str]) -> Installation:
    network.add_host(name)
    (folder / name).mkdir()
    return Installation(folder / name, settings, network.on(name))


def start_servers(network: Network) -> str:
    """Start PostgreSQL and Redis, both with a password, on a host of their own; return its address."""
    address = network.add_host("servers")
    binaries = newest_postgres()
    if binaries is None:
        pytest.skip("PostgreSQL is missing: install requirements-test.lock")
    programs = reachable(binaries).folder
    folder = make_folder("hosts", owner=unprivileged_uid())
    (folder / "password").write_text(PASSWORD)
    options = ["--auth", "scram-sha-256", "--pwfile", folder / "password", "--no-sync", "--encoding", "UTF8"]
    subprocess.run(
        [programs / "initdb", "-D", folder / "data", "--username", "tidemark", "--locale", "C", *options],
        check=True, capture_output=True, cwd=folder, **unprivileged(),
    )  # fmt: skip
    with (folder / "data" / "pg_hba.conf").open("a") as rules:
        rules.write("host all all samenet scram-sha-256\n")
    uid = str(unprivileged_uid() or os.getuid())
    as_nobody = ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups"]
    settings = [f"listen_addresses={address}", "port=5432", "unix_socket_directories=", "fsync=off"]
    postgres = [programs / "postgres", "-D", folder / "data", *(word for one in settings for word in ("-c", one))]
    redis = [find_redis_binary(), "--bind", address, "--port", "6379", "--requirepass", PASSWORD, "--save", ""]
    for command in ([*as_nobody, *postgres], redis):
        network.start("servers", command, folder)
    return address


def answers(office: Installation) -> bool:
    """Whether both servers answer on another host than their own."""
    settings = office.settings
    code = (
        "import sys, psycopg, redis\n"
        "psycopg.connect(sys.argv[1], connect_timeout=2).close()\n"
        "redis.Redis.from_url(sys.argv[2]).ping()\n"
    )
    urls = (settings["TIDEMARK_DATABASE_URL"], settings["TIDEMARK_REDIS_URL"])
    command = [*office.on_host, sys.executable, "-c", code, *urls]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("harm", ["its cable is cut", "its power is cut"])
def test_a_host_that_is_lost_in_mid_job_loses_and_doubles_nothing(
    cluster: Cluster, template: TrainedBook, harm: str
) -> None:
    office = cluster.office
    office.run("portfolio", "add", str(template.files[0]))
    office.run("load", BOOK, str(template.files[1]))
    office.start("scheduler")
    cluster.first.start("worker", "--queues", "training,scoring", "--concurrency", "1")
    office.json("train", BOOK, "--epochs", "1")
    cluster.second.start("worker", "--queues", "scoring,monitoring", "--concurrency", "1")

    job = submit_by_api(cluster)
    wait_for(lambda: len(scoring_hosts(office, job)) == 2, JOB_SECONDS, "both hosts to score")
    if harm == "its cable is cut":
        cluster.network.cut("first")
    else:
        cluster.network.kill("first")

    office.wait_for_job(job, "done", JOB_SECONDS)
    office.run("job", "verify", str(job))
    office.run("scores", "export", str(job), "scores.csv")
    with (office.folder / "scores.csv").open(newline="") as file:
        keys = [row["record_key"] for row in csv.DictReader(file)]
    assert len(keys) == len(set(keys)) == CUSTOMERS


def submit_by_api(cluster: Cluster) -> int:
    """Ask for the book to be scored, from the office, of the API on another host; return the job."""
    address = cluster.network.address_of("web")
    cluster.web.settings |= {"TIDEMARK_API_HOST": address, "TIDEMARK_API_PORT": str(API_PORT)}
    cluster.web.start("api")
    key = cluster.office.json("key", "create", "office", "--role", "operate")["key"]
    code = (
        "import sys\n"
        "from scheduler.client import Tidemark\n"
        "with Tidemark(sys.argv[1], sys.argv[2]) as tidemark:\n"
        "    print(tidemark.submit_scoring(sys.argv[3]).id)\n"
    )
    command = [*cluster.office.on_host, sys.executable, "-c", code, f"http://{address}:{API_PORT}", key, BOOK]

    def ask() -> int | None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return int(done.stdout) if done.returncode == 0 else None

    return wait_for(ask, START_SECONDS, "the API to take a job") or 0


def scoring_hosts(office: Installation, job: int) -> set[str]:
    """The hosts whose workers have told of this job."""
    shown = office.json("job", "show", str(job))
    assert shown["state"] in {"queued", "running"}, "the job ended before both hosts took part"
    message = str(shown)
    return {name for name in ("first", "second") if f"{name}:" in message or f"@{name}" in message}
