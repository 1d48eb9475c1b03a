"""The contract between scheduler and workers: queue names, task names, and messages with only ids."""

import re
from typing import Any

SCORING_QUEUE = "scoring"
TRAINING_QUEUE = "training"
MONITORING_QUEUE = "monitoring"
QUEUES = (SCORING_QUEUE, TRAINING_QUEUE, MONITORING_QUEUE)

TASK_OF_QUEUE = {queue: f"tidemark.work_on_{queue}" for queue in QUEUES}

# Served by every worker that serves the scoring queue: a person waits for the answer.
ONLINE_QUEUE = "online"
ONLINE_TASK = "tidemark.answer_online"
# Ids of the requests too: busy workers check here between two batches when they are notified.
ONLINE_LIST = "tidemark:online"
ONLINE_CALLS = "tidemark:online:calls"  # what is published here says no more than that something waits
ONLINE_ANSWERS = "tidemark:online:answers"  # ids of answered requests are published here
ONLINE_LIST_LENGTH = 1000
BELL_SECONDS = 60  # then Redis forgets these, and that an answer is there

REDIS_TIMEOUT_SECONDS = 5.0

_REQUEST_ID = re.compile(r"[0-9a-f]{32}")


def shard_hint(shard_id: int) -> dict[str, int]:
    """The arguments of every task: a shard that may be worth trying first."""
    return {"shard_id": shard_id}


def online_hint(request_id: str) -> dict[str, str]:
    """The arguments of the task that answers an online request: the id of its row in the database."""
    return {"request_id": request_id}


def is_request_id(text: str) -> bool:
    """Whether a text has the form of an online request's id."""
    return _REQUEST_ID.fullmatch(text) is not None


def bell_of(request_id: str) -> str:
    """The Redis list that an API of an older version reads."""
    return f"tidemark:online:{request_id}"


def celery_settings() -> dict[str, Any]:
    """Settings that both ends of the queue share.

    SQL holds the truth, so a message may be acknowledged before the work, nothing is prefetched, no results are kept.
    """
    return {
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_backend": None,
        "task_ignore_result": True,
        "task_acks_late": False,
        "task_default_queue": SCORING_QUEUE,
        "task_create_missing_queues": True,
        "worker_disable_prefetch": True,
        "worker_prefetch_multiplier": 1,
        "broker_connection_retry_on_startup": True,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
    }
