"""`tidemark train`: submit a training job, and wait for it."""

from typing import TYPE_CHECKING, Annotated

import typer

from db.events.wording import counted
from db.schema.states import NetworkSize
from scheduler.cli.commands.submitted import tell_detached, wait_for
from scheduler.cli.exit_codes import REFUSED
from scheduler.cli.options import AcceptSuspicious, IdempotencyKey, Json, PortfolioName, Priority, Timeout, Wait

if TYPE_CHECKING:
    from db.ledger.job_lifecycle import Job
    from scheduler.cli.session import Session

Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Random seed.")]
Seeds = Annotated[
    int | None,
    typer.Option("--seeds", min=1, max=16, help="Train this many times the usual number of ensemble members."),
]
Epochs = Annotated[int | None, typer.Option("--epochs", min=1, max=1000, help="Maximum number of epochs.")]
Size = Annotated[
    NetworkSize | None,
    typer.Option(
        "--size", help="Width of the network: small (scores 1.9 times as fast), usual or large. [default: usual]"
    ),
]
StartFrom = Annotated[
    str | None,
    typer.Option("--from", metavar="VERSION", help="Start from this version's network and input transform."),
]
TimeLimit = Annotated[
    float | None,
    typer.Option("--time-limit", min=0.1, metavar="MIN", help="Stop fitting after about this many minutes."),
]
Sample = Annotated[
    int | None, typer.Option("--sample", min=100, metavar="RECORDS", help="Train on at most this many records.")
]
ClassWeights = Annotated[
    bool, typer.Option("--class-weights", help="Give both outcomes equal weight while fitting (for rare events).")
]
Trees = Annotated[bool, typer.Option("--trees/--no-trees", help="Include boosted trees in the model where they help.")]
Quick = Annotated[
    bool,
    typer.Option("--quick", help="Train a first model in seconds. A full training follows and has to pass the gate."),
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        min=2,
        max=50,
        metavar="K",
        help="Also cross-validate with this many folds; the model card shows the result.",
    ),
]
Hold = Annotated[bool, typer.Option("--hold", help="Do not promote the new model.")]

_NEXT_STEPS = {
    "suspicious": "Next: if the column is known only after the outcome, remove it from the portfolio file and train "
    "again. If it is known beforehand: tidemark train {portfolio} --accept-suspicious, or: "
    "tidemark model promote {version} --accept-suspicious",
    "chance": "Next: check the target and the key, load more records with known outcomes, or add more informative "
    "columns. To use it anyway: tidemark model promote {version}",
}


def train(
    name: PortfolioName,
    seed: Seed = None,
    seeds: Seeds = None,
    epochs: Epochs = None,
    size: Size = None,
    start_from: StartFrom = None,
    time_limit: TimeLimit = None,
    sample: Sample = None,
    class_weights: ClassWeights = False,
    trees: Trees = True,
    quick: Quick = False,
    folds: Folds = None,
    hold: Hold = False,
    accept_suspicious: AcceptSuspicious = False,
    wait: Wait = True,
    timeout: Timeout = None,
    priority: Priority = "normal",
    idempotency_key: IdempotencyKey = None,
    json: Json = False,
) -> int:
    """Train a model on the labelled records; the gate decides whether it becomes the champion."""
    from scheduler.cli.session import open_session
    from scheduler.requests.job_submission import Request, submit_training

    numbers = {"seed": seed, "seeds": seeds, "epochs": epochs, "time_limit": time_limit}
    numbers |= {"sample": sample, "folds": folds}
    chosen = {"size": size and str(size), "from": start_from, "trees": None if trees else False}
    flags = {"class_weights": class_weights, "quick": quick, "hold": hold, "accept_suspicious": accept_suspicious}
    given = {option: value for option, value in (numbers | chosen).items() if value is not None}
    given |= {option: True for option, is_set in flags.items() if is_set}
    with open_session(wants_json=json) as session:
        asked = Request(who=session.who, idempotency_key=idempotency_key, priority=priority)
        job_id = submit_training(session.engine, name, asked, options=given)
        if not wait:
            return tell_detached(session, job_id)
        return _tell_trained(session, wait_for(session, job_id, timeout))


def _tell_trained(session: "Session", job: "Job") -> int:
    from scheduler.cli.commands.job import exit_code_of, show_failure

    result = job.result or {}
    document = {"job": job.id, "state": job.state, "model_version": job.model_version, "seconds": job.seconds}
    names = ("metrics", "folds", "counts", "promoted", "reason", "refused_for", "suspicious", "full_training_job")
    found = {name: result.get(name) for name in names}
    session.output.emit(document | found | {"cause": job.cause, "detail": job.detail})
    if job.result is None:
        show_failure(session, job)
        return exit_code_of(job)
    session.output.show_table(
        ("held-out records", "value"), result["metrics"].items(), title=f"Model {job.model_version}"
    )
    if "folds" in result:
        figures = result["folds"]["figures"]
        rows = [(name, one["mean"], f"{one['low']:.4f} to {one['high']:.4f}") for name, one in figures.items()]
        title = f"{counted(result['folds']['folds'], 'fold')}, {result['folds']['by']}"
        session.output.show_table(("cross-validation", "mean", "95 % interval"), rows, title=title)
    session.output.show(f"{'Promoted' if result['promoted'] else 'Not promoted'}: {result['reason']}.")
    if result.get("full_training_job") is not None:
        session.output.say(f"The full training follows as job {result['full_training_job']}.")
    if result.get("refused_for") is not None:
        session.output.say(
            _NEXT_STEPS[result["refused_for"]].format(portfolio=job.portfolio, version=job.model_version)
        )
        return REFUSED
    session.output.say(f"Next: tidemark score {job.portfolio}")
    return exit_code_of(job)
