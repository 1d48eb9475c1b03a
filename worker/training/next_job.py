"""The next job of the training queue, by its task."""

from collections.abc import Callable

from db.ledger.shard_leases import Claim
from db.schema.states import JobTask
from worker.contract.messages import TRAINING_QUEUE
from worker.replay.replay_job import REPLAY, replay_claimed
from worker.runtime.context import WorkerContext, claimed_shard
from worker.training.regate_job import judge_again_claimed
from worker.training.retrain_job import retrain_claimed
from worker.training.train_job import train_claimed
from worker.training.watch_job import watch_champion_claimed

_CARRY_OUT: dict[JobTask, Callable[[WorkerContext, Claim], None]] = {
    JobTask.TRAIN: train_claimed,
    JobTask.FINE_TUNE: retrain_claimed,
    JobTask.PRETRAIN: retrain_claimed,
    JobTask.GATE: judge_again_claimed,
    JobTask.WATCH: watch_champion_claimed,
}


def train_next_job(context: WorkerContext, hint: int | None = None) -> bool:
    """Carry out the hinted job, or the best waiting one; return whether there was one."""
    with claimed_shard(context, TRAINING_QUEUE, hint) as claim:
        if claim is not None:
            is_replay = REPLAY in claim.job.options
            (replay_claimed if is_replay else _CARRY_OUT[claim.job.task])(context, claim)
    return claim is not None
