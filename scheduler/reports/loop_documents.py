"""The report about a portfolio's loop as a JSON document: the API's answer, and what the command line prints. Pure."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from db.retraining.loop_history import LoopDecision, LoopEvent, LoopNight, LoopTraining
from db.retraining.next_look import tell_next
from scheduler.reports.loop_gains import realise
from scheduler.reports.loop_report import LoopReport, ModelStory, Retraining


def to_document(report: LoopReport, nights: Sequence[LoopNight], *, next_cursor: str | None = None) -> dict[str, Any]:
    """Return the report as a JSON document, newest rows first; `nights` are those to list, oldest first."""
    look = report.next_look
    return {
        "portfolio": report.portfolio,
        "title": report.title,
        "champion": report.champion,
        "next": asdict(look) | {"kind": look.kind.value, "said": tell_next(look)},
        "totals": asdict(report.totals),
        "models": [_describe_model(one) for one in reversed(report.models)],
        "retrainings": [_describe_retraining(one) for one in reversed(report.retrainings)],
        "refusals": [_describe_refusal(one, report) for one in reversed(report.refusals)],
        "trainings": [_describe_training(one) for one in reversed(report.trainings)],
        "events": [_describe_event(one) for one in reversed(report.events)],
        "nights": [_describe_night(one) for one in reversed(nights)],
        "left_out": list(report.left_out),
        "next_cursor": next_cursor,
    }


def _describe_model(one: ModelStory) -> dict[str, Any]:
    model = one.model
    names = ("version", "job_id", "parent_version", "replaced_by", "learned_records", "created_at")
    document: dict[str, Any] = {name: getattr(model, name) for name in names} | {"state": model.state.value}
    names = ("made", "promoted_at", "retired_at", "ended_by", "nights", "first_night", "last_night", "verdicts")
    document |= {name: getattr(one, name) for name in (*names, "unusable_nights")}
    document["job"] = document.pop("job_id")
    return document | {"realised": asdict(one.realised)}


def _describe_retraining(one: Retraining) -> dict[str, Any]:
    decision = one.decision
    document = {"decision": decision.id, "at": decision.at, "version": decision.version, "against": decision.against}
    document |= {
        "made": one.made,
        "outcome": one.outcome,
        "after_night": one.after_night,
        "reason": decision.reason,
        "by": decision.by,
    }
    document |= {"job": decision.job_id, "seconds": one.seconds, "watched_outcomes": one.watched_outcomes}
    return document | {name: [asdict(c) for c in getattr(one, name)] for name in ("measured", "watched", "own_nights")}


def _describe_refusal(one: LoopDecision, report: LoopReport) -> dict[str, Any]:
    names = ("at", "version", "against", "reason", "by")
    return {name: getattr(one, name) for name in names} | {"decision": one.id, "made": report.made(one.version)}


def _describe_training(one: LoopTraining) -> dict[str, Any]:
    names = ("requested_by", "created_at", "finished_at", "seconds", "detail")
    document = {name: getattr(one, name) for name in names} | {"job": one.job_id, "task": one.task.value}
    reason = one.result.get("reason")
    return document | {"state": one.state.value, "about_job": one.subject, "reason": reason}


def _describe_event(one: LoopEvent) -> dict[str, Any]:
    return {"at": one.at, "event": one.event, "who": one.who, "why": one.why, "job": one.job_id}


def _describe_night(one: LoopNight) -> dict[str, Any]:
    names = ("date", "model_version", "scored", "unusable_reason", "trust", "trust_reason")
    document = {name: getattr(one, name) for name in names} | {"job": one.job_id}
    verdict = None if one.verdict is None else one.verdict.value
    return document | {"verdict": verdict, "realised": asdict(realise([one]))}
