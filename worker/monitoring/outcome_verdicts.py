"""Judges measured vintages against what earlier nights reached, and stores the verdicts with what follows from them."""

from dataclasses import dataclass, replace

from db.connections.engine import Connection
from db.events.event_log import record_event
from db.portfolios.definition import PortfolioDefinition
from db.registry.versions import find_model
from db.retraining.outcomes import count_again_as_new
from db.retraining.repeated_outcomes import EARLIER_NIGHTS, Overlap
from db.retraining.vintages import (
    MEASURED,
    Vintage,
    change_vintage,
    count_outcomes_until,
    find_newest_of_job,
    find_vintages,
    save_vintage,
)
from db.schema.states import SAID_BY_A_PERSON, USED, Trust
from worker.gate.outcome_trust import (
    JudgedNight,
    OutcomeEvidence,
    Usual,
    chance_error,
    find_confirmed,
    find_repeated,
    judge_outcomes,
    usual_of,
)

WHO = "monitor"
_WAITING = frozenset({Trust.SURPRISING, Trust.CONTRADICTING})
_SEVERITY = {Trust.TRUSTED: 0, Trust.SURPRISING: 1, Trust.CONTRADICTING: 2}


@dataclass(frozen=True)
class MeasuredNight:
    """A vintage that was measured just now; `evidence` is None if its outcomes are not final."""

    vintage: Vintage
    evidence: OutcomeEvidence | None = None
    overlaps: tuple[Overlap, ...] = ()
    file: str = ""


def judge_nights(connection: Connection, definition: PortfolioDefinition, measured: list[MeasuredNight]) -> list[int]:
    """Judge the measured vintages and those that wait for a confirmation; store what has changed.

    Returns the scoring jobs whose outcomes are not used. Call it under the lock of the portfolio's trigger.
    """
    before = find_vintages(connection, definition.name)
    judge = _Judge(connection, before)
    for one in sorted(measured, key=lambda one: one.vintage.job_id):
        known = before.get(one.vintage.job_id)
        if known is None or (known.newest_id or 0) <= (one.vintage.newest_id or 0):  # else measured again since
            judge.take(one)
    judge.look_again()
    judge.confirm()
    for job_id, vintage in sorted(judge.nights.items()):
        if vintage is not before.get(job_id):
            _store(connection, before.get(job_id), vintage)
    return [job_id for job_id, one in sorted(judge.nights.items()) if one.trust in _WAITING]


class _Judge:
    """The vintages of a portfolio by scoring job, while they are judged."""

    def __init__(self, connection: Connection, before: dict[int, Vintage]) -> None:
        self._connection, self._before, self.nights = connection, before, dict(before)

    def take(self, measured: MeasuredNight) -> None:
        """Judge a vintage that was measured just now."""
        vintage, known = measured.vintage, self._before.get(measured.vintage.job_id)
        used_until = 0 if known is None else known.judged.get("used_until", 0)
        vintage = vintage.with_judged(used_until=used_until)
        if measured.evidence is not None:
            used = {job_id for job_id, one in self.nights.items() if one.is_used}
            evidence = replace(measured.evidence, repeats=find_repeated(measured.overlaps, used))
            vintage = vintage.with_judged(evidence=evidence.to_document(), file=measured.file)
            vintage = self._judged(vintage)
            if known is not None and self._still_holds(known, vintage):
                kept = {name: one for name, one in known.judged.items() if name in {"restarts", "confirmed_by"}}
                vintage = replace(vintage, trust=known.trust, trusted_by=known.trusted_by).with_judged(**kept)
        self.nights[vintage.job_id] = vintage

    def look_again(self) -> None:
        """Judge those that wait by what is usual now: a person may have accepted a night before them."""
        for job_id, vintage in sorted(self.nights.items()):
            if vintage.trust in _WAITING and vintage is self._before.get(job_id):
                judged = self._judged(vintage)
                if judged != vintage:
                    self.nights[job_id] = judged

    def confirm(self) -> None:
        """Trust surprising nights that a neighbour confirms; what is usual begins anew with the first of them."""
        telling = [one for _, one in sorted(self.nights.items()) if _says_something(one)]
        judged = [_judged_night(one) for one in telling]
        for job_id, by in sorted(find_confirmed(judged).items()):
            vintage = self.nights[job_id]
            why = f"{vintage.trust_reason}; confirmed by the outcomes of job {by}"
            vintage = replace(vintage, trust=Trust.TRUSTED, trust_reason=why)
            self.nights[job_id] = vintage.with_judged(confirmed_by=by, restarts=job_id < by)

    def _judged(self, vintage: Vintage) -> Vintage:
        found = judge_outcomes(_evidence_of(vintage), self._usual_for(vintage))
        vintage = replace(vintage, trust=found.trust, trust_reason=found.reason or None)
        return vintage.with_judged(verdict=str(found.trust), signs=list(found.signs))

    def _usual_for(self, vintage: Vintage) -> Usual:
        """What the nights before it reached that the same model scored, back to the last change that is believed."""
        earlier = [one for job_id, one in sorted(self.nights.items(), reverse=True) if job_id < vintage.job_id]
        repeats = any(_evidence_of(one).repeats is not None for one in earlier[:EARLIER_NIGHTS] if one.is_used)
        same: list[OutcomeEvidence] = []
        for one in earlier:
            if one.model_version == vintage.model_version and one.is_used:
                same.append(_evidence_of(one))
                if one.judged.get("restarts"):
                    break
        return usual_of(same, self._held_out(vintage.model_version), repeats=repeats)

    def _held_out(self, version: str) -> tuple[float, float] | None:
        metrics = find_model(self._connection, version).metrics
        if not all(name in metrics for name in ("roc_auc", "rows", "bad_rate")):
            return None
        bad = round(metrics["rows"] * metrics["bad_rate"])
        return metrics["roc_auc"], chance_error(bad, round(metrics["rows"]) - bad)

    def _still_holds(self, known: Vintage, vintage: Vintage) -> bool:
        """Whether what a person said, or a confirmation, still holds: nothing was corrected, and it is no worse."""
        if known.trust not in SAID_BY_A_PERSON and "confirmed_by" not in known.judged:
            return False
        measured, newest_id = known.figures.get(MEASURED, {}), known.newest_id or 0
        left = count_outcomes_until(self._connection, known.job_id, newest_id)
        if left != measured.get("rows") and (vintage.newest_id or 0) > newest_id:
            return False
        verdict_before = Trust(known.judged.get("verdict", Trust.CONTRADICTING))
        is_worse = _SEVERITY[Trust(vintage.judged["verdict"])] > _SEVERITY[verdict_before]
        return known.trust is Trust.REJECTED or not is_worse


def _evidence_of(vintage: Vintage) -> OutcomeEvidence:
    """What was measured; of a vintage of an older release, what its figures say."""
    document = vintage.judged.get("evidence")
    if document is not None:
        return OutcomeEvidence.from_document(document)
    expected = vintage.outcomes * vintage.figures.get("expected_bad_rate", 0.0)
    error = chance_error(vintage.bad, vintage.outcomes - vintage.bad)
    return OutcomeEvidence(vintage.outcomes, vintage.bad, expected, vintage.figures.get("roc_auc"), error, None)


def _says_something(vintage: Vintage) -> bool:
    """Whether it could confirm another night, or speak against it."""
    is_judged = vintage.trust in USED or vintage.trust is Trust.SURPRISING
    return is_judged and vintage.outcomes > 0 and _evidence_of(vintage).can_speak


def _judged_night(vintage: Vintage) -> JudgedNight:
    assert vintage.trust is not None, "only judged vintages are asked"
    signs, file = tuple(vintage.judged.get("signs", ())), vintage.judged.get("file", "")
    return JudgedNight(vintage.job_id, vintage.trust, signs, file)


def _store(connection: Connection, before: Vintage | None, vintage: Vintage) -> None:
    """Write a vintage, give outcomes that were held back new ids, and record an event if the trust has changed."""
    was_used, newest_id = before is not None and before.is_used, vintage.newest_id or 0
    if vintage.is_used and before is not None and not was_used:
        if find_newest_of_job(connection, vintage.job_id) != newest_id:
            return  # outcomes arrived meanwhile: the job that measures them follows
        after_id = vintage.judged.get("used_until", 0)
        vintage = vintage.renumbered(count_again_as_new(connection, vintage.job_id, after_id=after_id))
    if vintage.is_used:
        vintage = vintage.with_judged(used_until=vintage.newest_id or 0)
    if before is not None and before.newest_id == newest_id and before.outcomes == vintage.outcomes:
        change_vintage(connection, vintage)
    else:
        save_vintage(connection, vintage)
    _tell_change(connection, before, vintage)


def _tell_change(connection: Connection, before: Vintage | None, vintage: Vintage) -> None:
    trust_before, event, why = None if before is None else before.trust, None, vintage.trust_reason or "judged anew"
    if vintage.trust in _WAITING and vintage.trust is not trust_before:
        event, why = "outcomes.distrusted", _tell(vintage)
    elif vintage.trust is Trust.TRUSTED and trust_before is not None and trust_before not in USED:
        event = "outcomes.trusted"
    if event is not None:
        record_event(connection, event, who=WHO, why=why, job_id=vintage.job_id, portfolio=vintage.portfolio)


def _tell(vintage: Vintage) -> str:
    wait = "; they are used when another night confirms it" if vintage.trust is Trust.SURPRISING else ""
    accept = f"tidemark outcomes trust {vintage.portfolio} --job {vintage.job_id}"
    return f"outcomes {vintage.trust}: {vintage.trust_reason}{wait}. Load a corrected file, or accept them: {accept}"
