"""The registry of model versions, with the state of each."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.dialects import postgresql, sqlite

from db.connections.engine import reading
from db.errors import NotFoundError
from db.portfolios.definition import PortfolioDefinition
from db.schema.model_tables import model_versions
from db.schema.states import ModelState


@dataclass(frozen=True)
class LearnedUntil:
    """The newest outcome of some records, its date, and the latest date of a target that the source holds itself.

    0 and empty if there is none.
    """

    outcome_id: int = 0
    outcome_date: str = ""
    as_of: str = ""


@dataclass(frozen=True)
class ModelVersion:
    """One immutable model version."""

    version: str
    portfolio: str
    state: ModelState
    job_id: int | None
    parent_version: str | None
    definition: PortfolioDefinition
    metrics: dict[str, Any]
    reference: dict[str, Any]
    created_at: datetime
    learned_outcome_id: int | None = None
    learned_outcome_date: str | None = None
    learned_as_of: str | None = None
    replaced_by: str | None = None
    learned_records: int | None = None
    judged_outcome_id: int | None = None
    judged_shadow_nights: int | None = None

    def was_judged(self, *, shadow_nights: int, wanted: int) -> bool:
        """Whether the gate has already judged it with all the shadow nights that it requires."""
        if self.judged_outcome_id is None:
            return False
        return min(self.judged_shadow_nights or 0, wanted) >= min(shadow_nights, wanted)

    @property
    def learned_until(self) -> "LearnedUntil":
        """The newest outcome that it was trained on."""
        return LearnedUntil(self.learned_outcome_id or 0, self.learned_outcome_date or "", self.learned_as_of or "")

    @property
    def kept_as(self) -> str:
        """The version under which its bundle is stored: the replacement if it was scrubbed."""
        return self.replaced_by or self.version


_MODEL_FIELDS = tuple(field.name for field in fields(ModelVersion))
MODEL_COLUMNS = tuple(model_versions.c[name] for name in _MODEL_FIELDS)


def get_model(engine: Engine, version: str) -> ModelVersion:
    """Return one model version. Raises `NotFoundError`."""
    with reading(engine) as connection:
        return find_model(connection, version)


def find_model(connection: Connection, version: str) -> ModelVersion:
    """Return one model version within the caller's transaction. Raises `NotFoundError`."""
    row = connection.execute(select(*MODEL_COLUMNS).where(model_versions.c.version == version)).one_or_none()
    if row is None:
        raise NotFoundError("model version", version, advice="List them with: tidemark model list PORTFOLIO")
    return as_model(row)


def find_model_of(engine: Engine, portfolio: str, version: str) -> ModelVersion | None:
    """Return a model version of this portfolio; None if it does not exist."""
    is_wanted = (model_versions.c.version == version, model_versions.c.portfolio == portfolio)
    with reading(engine) as connection:
        row = connection.execute(select(*MODEL_COLUMNS).where(*is_wanted)).one_or_none()
    return None if row is None else as_model(row)


def list_models(engine: Engine, portfolio: str) -> list[ModelVersion]:
    """Return a portfolio's model versions, newest first."""
    statement = select(*MODEL_COLUMNS).where(model_versions.c.portfolio == portfolio)
    with reading(engine) as connection:
        rows = connection.execute(statement.order_by(model_versions.c.created_at.desc()))
        return [as_model(row) for row in rows]


def register_model(  # noqa: PLR0913 - the columns of a model version
    connection: Connection,
    *,
    version: str,
    job_id: int | None,
    definition: PortfolioDefinition,
    metrics: dict[str, Any],
    reference: dict[str, Any],
    parent_version: str | None = None,
    learned_until: LearnedUntil | None = None,
    learned_records: int | None = None,
) -> None:
    """Add a candidate in the caller's transaction; an existing version is not changed."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values: dict[str, Any] = {
        "version": version,
        "portfolio": definition.name,
        "state": ModelState.CANDIDATE,
        "job_id": job_id,
        "parent_version": parent_version,
        "definition": definition.to_json(),
        "metrics": metrics,
        "reference": reference,
        "learned_outcome_id": None if learned_until is None else learned_until.outcome_id,
        "learned_outcome_date": None if learned_until is None else learned_until.outcome_date,
        "learned_as_of": None if learned_until is None else learned_until.as_of,
        "learned_records": learned_records,
    }
    connection.execute(dialect.insert(model_versions).values(**values).on_conflict_do_nothing())


def set_model_state(connection: Connection, version: str, state: ModelState) -> None:
    """Set the state of a version, in the caller's transaction."""
    connection.execute(update(model_versions).where(model_versions.c.version == version).values(state=state))


def as_model(row: Any) -> ModelVersion:
    """Return a row that begins with `MODEL_COLUMNS` as a model version."""
    values: dict[str, Any] = dict(zip(_MODEL_FIELDS, row, strict=False))
    values |= {"state": ModelState(values["state"]), "definition": PortfolioDefinition.from_json(values["definition"])}
    return ModelVersion(**values)
