"""Judges the vintages of a portfolio one after the other, each by those before it. Pure.

A surprising night is used once its neighbour confirms it; with a night that a person accepted, or that was confirmed,
what is usual begins anew: the world has changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from db.retraining.repeated_outcomes import EARLIER_NIGHTS, Overlap
from db.retraining.vintages import MEASURED, Vintage
from db.schema.states import SAID_BY_A_PERSON, USED, Trust
from worker.gate.outcome_trust import (
    OutcomeEvidence,
    Usual,
    chance_error,
    find_repeated,
    judge_outcomes,
    usual_of,
)

WAITING = frozenset({Trust.SURPRISING, Trust.CONTRADICTING})
_SEVERITY = {Trust.TRUSTED: 0, Trust.SURPRISING: 1, Trust.CONTRADICTING: 2}


@dataclass(frozen=True)
class MeasuredNight:
    """A vintage that was measured just now; `evidence` is None if its outcomes are not final."""

    vintage: Vintage
    evidence: OutcomeEvidence | None = None
    overlaps: tuple[Overlap, ...] = ()
    file: str = ""


class VintageJudge:
    """Judges the vintages of a portfolio. `nights` are all of them by scoring job, as judged so far.

    `held_out` tells the ROC AUC that a model version reached on held-out records, with its error. `count_left` tells
    how many outcomes of a job are left up to an id: fewer than there were if some were corrected.
    """

    def __init__(
        self,
        before: Mapping[int, Vintage],
        held_out: Callable[[str], tuple[float, float] | None],
        count_left: Callable[[int, int], int],
    ) -> None:
        self._before, self.nights = before, dict(before)
        self._held_out, self._count_left = held_out, count_left

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
            if vintage.trust in WAITING and vintage is self._before.get(job_id):
                judged = self._judged(vintage)
                if judged != vintage:
                    self.nights[job_id] = judged

    def confirm(self) -> None:
        """Trust surprising nights that a neighbour confirms; what is usual begins anew with the first of them.

        Neighbours are next to each other without those that have too few outcomes to say anything.
        """
        telling = [one for _, one in sorted(self.nights.items()) if _says_something(one)]
        confirmed: dict[int, int] = {}
        for first, second in pairwise(telling):
            for one, other in ((second, first), (first, second)):
                if one.trust is Trust.SURPRISING and self._is_alike(one, other):
                    confirmed[one.job_id] = other.job_id
        for job_id, by in confirmed.items():
            vintage = self.nights[job_id]
            why = f"{vintage.trust_reason}; confirmed by the outcomes of job {by}"
            vintage = replace(vintage, trust=Trust.TRUSTED, trust_reason=why)
            self.nights[job_id] = vintage.with_judged(confirmed_by=by, restarts=job_id < by)

    def _is_alike(self, surprising: Vintage, other: Vintage) -> bool:
        """Whether another night is surprising in the same direction, by the same measure, and came in another file."""
        if surprising.judged.get("file") == other.judged.get("file"):
            return False
        signs = judge_outcomes(_evidence_of(other), self._usual_for(surprising)).signs
        return bool(set(signs) & set(surprising.judged.get("signs", ())))

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

    def _still_holds(self, known: Vintage, vintage: Vintage) -> bool:
        """Whether what a person said, or a confirmation, still holds: nothing was corrected, and it is no worse."""
        if known.trust not in SAID_BY_A_PERSON and "confirmed_by" not in known.judged:
            return False
        measured, newest_id = known.figures.get(MEASURED, {}), known.newest_id or 0
        left = self._count_left(known.job_id, newest_id)
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
