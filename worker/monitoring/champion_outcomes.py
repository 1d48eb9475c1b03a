"""What became of a champion's own nights, against what its scores said."""

from db.connections.engine import Connection
from db.retraining.vintages import JUDGED, Vintage, find_champion_vintages
from worker.gate.outcome_deviation import Deviation, Level, find_deviation
from worker.gate.outcome_trust import chance_error


def deviation_of(connection: Connection, portfolio: str, version: str) -> Deviation:
    """Compare the usable outcomes of the nights that a version scored with its scores."""
    return find_deviation([_level_of(one) for one in find_champion_vintages(connection, portfolio, version)])


def _level_of(night: Vintage) -> Level:
    """A vintage of an older release does not know the error of its ROC AUC, which then is that of chance."""
    figures = night.figures
    measured = (figures.get(JUDGED, {}).get("evidence") or {}).get("auc_error")
    error = measured or chance_error(night.bad, night.outcomes - night.bad)
    expected = night.outcomes * figures["expected_bad_rate"]
    return Level(night.outcomes, night.bad, expected, figures.get("roc_auc"), error, figures.get("expected_roc_auc"))
