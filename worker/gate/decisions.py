"""The gate's decision as a stored row, and judgements that passed but have to wait."""

from dataclasses import replace

from db.ledger.shard_leases import Claim
from db.registry.champions import Champion, Decision
from worker.gate.judgement import Judgement, Outcome

GATE = "gate"


def held_back(judgement: Judgement) -> Judgement:
    """Return the judgement for a portfolio on hold: a promotion becomes undecided."""
    if judgement.outcome is not Outcome.PROMOTE:
        return judgement
    return replace(judgement, promoted=False, outcome=Outcome.UNDECIDED, reason="the portfolio is on hold")


def decision_of(
    claim: Claim, version: str, champion_before: Champion, judgement: Judgement, *, is_first: bool, made: str
) -> Decision:
    """Return a judgement as a stored row. A job has one decision; the control's decision only refers to the job."""
    return Decision(
        portfolio=claim.job.portfolio,
        version=version,
        against_version=champion_before.version,
        promoted=judgement.promoted,
        reason=judgement.reason,
        figures=judgement.figures | {"made": made, "job": claim.job.id},
        decided_by=GATE,
        job_id=claim.job.id if is_first else None,
        action="undecided" if judgement.outcome is Outcome.UNDECIDED else GATE,
    )
