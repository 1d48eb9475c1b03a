"""`/metrics` for Prometheus: counted from the database at every scrape, so that all API processes agree."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from db.operations.metrics import Metrics, read_metrics
from db.operations.processes import Process, list_processes
from db.schema.states import Verdict
from scheduler.api.context import Caller, Reader
from scheduler.api.parameters import problems

router = APIRouter(tags=["health"])


class _Collector:
    """Turns counts into metric families when the registry asks."""

    def __init__(self, metrics: Metrics, processes: list[Process]) -> None:
        self._metrics = metrics
        self._processes = processes

    def collect(self) -> Iterable[Metric]:
        """Yield every family."""
        found = self._metrics
        yield _gauge("jobs", "Jobs by state.", ["portfolio", "kind", "state"], found.jobs)
        yield _gauge("open_shards", "Shards of jobs that have not ended.", ["queue", "state"], found.shards)
        yield _counter("records_scored", "Records that got a score.", found.records_scored)
        yield _counter("records_rejected", "Records that could not be scored.", found.records_rejected)
        rate = GaugeMetricFamily("tidemark_records_per_second", "Records finished in the last minute, per second.")
        rate.add_metric([], found.records_per_second)
        yield rate
        lost = CounterMetricFamily("tidemark_lease_losses", "Leases recovered from workers that stopped responding.")
        lost.add_metric([], found.lease_losses)
        yield lost
        said = "Foreign messages on a queue that workers dropped."
        strange = CounterMetricFamily("tidemark_messages_dropped", said, labels=["queue"])
        for queue, count in found.dropped_messages.items():
            strange.add_metric([queue], count)
        yield strange
        ages = {(queue,): seconds for queue, seconds in found.queue_age_seconds.items()}
        yield _gauge("queue_age_seconds", "How long the oldest waiting shard has been waiting.", ["queue"], ages)
        kinds: dict[tuple[str, ...], int] = {}
        for one in self._processes:
            kinds[(one.kind,)] = kinds.get((one.kind,), 0) + one.is_alive
        yield _gauge("processes", "Schedulers and workers active within the last minute.", ["kind"], kinds)
        champions = InfoMetricFamily("tidemark_champion", "The current champion's model version.", labels=["portfolio"])
        for portfolio, version in found.champions.items():
            champions.add_metric([portfolio], {"version": version})
        yield champions
        yield from _drift(found)


@router.get("/metrics", response_class=Response, responses={
    200: {"description": "Metrics.", "content": {
        "text/plain": {"schema": {"type": "string"}, "example": "tidemark_lease_losses_total 0.0\n"}}},
    **problems(403),
})  # fmt: skip
def metrics(caller: Reader) -> Response:
    """Return metrics for Prometheus: jobs, shards, records, rejects, lease losses, queue age, model versions, drift."""
    found = _within_reach(caller, read_metrics(caller.engine))
    registry = CollectorRegistry()
    registry.register(_Collector(found, list_processes(caller.engine)))
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _within_reach(caller: Caller, found: Metrics) -> Metrics:
    see = caller.may_see
    return Metrics(
        jobs={key: count for key, count in found.jobs.items() if see(key[0])},
        shards=found.shards,
        records_scored={name: count for name, count in found.records_scored.items() if see(name)},
        records_rejected={name: count for name, count in found.records_rejected.items() if see(name)},
        records_per_second=found.records_per_second,
        lease_losses=found.lease_losses,
        dropped_messages=found.dropped_messages,
        queue_age_seconds=found.queue_age_seconds,
        champions={name: version for name, version in found.champions.items() if see(name)},
        drift={name: one for name, one in found.drift.items() if see(name)},
    )


def _drift(found: Metrics) -> Iterable[Metric]:
    figures = GaugeMetricFamily("tidemark_drift", "Figures of the newest report.", labels=["portfolio", "figure"])
    verdicts = GaugeMetricFamily("tidemark_drift_verdict", "1 for the newest verdict.", labels=["portfolio", "verdict"])
    for portfolio, (verdict, values) in found.drift.items():
        for name, value in values.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                figures.add_metric([portfolio, name], value)
        for one in Verdict:
            verdicts.add_metric([portfolio, one], float(one == verdict))
    return figures, verdicts


def _gauge(
    name: str, said: str, labels: list[str], values: Mapping[tuple[str, ...], float] | Mapping[Any, float]
) -> Metric:
    family = GaugeMetricFamily(f"tidemark_{name}", said, labels=labels)
    for key, value in values.items():
        family.add_metric(list(key), value)
    return family


def _counter(name: str, said: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"tidemark_{name}", said, labels=["portfolio"])
    for portfolio, value in values.items():
        family.add_metric([portfolio], value)
    return family
