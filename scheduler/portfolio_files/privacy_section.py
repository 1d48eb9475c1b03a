"""Reads the sections [retention] and [privacy] of a portfolio file."""

from db.portfolios.privacy_policy import PrivacyPolicy
from scheduler.portfolio_files.values import Problems, Table, read_number, read_section, require_known_keys, shown

_KEPT = ("scores_days", "rejects_days")


def read_privacy(document: Table, problems: Problems) -> PrivacyPolicy:
    """Return how long results are kept and how keys are stored; by default without limit, and unchanged."""
    kept = read_section(document, ("retention",), problems)
    require_known_keys(kept, ("retention",), _KEPT, problems)
    days: dict[str, float | None] = dict.fromkeys(_KEPT)
    for name in _KEPT:
        if name in kept:
            days[name] = read_number(kept, ("retention", name), problems, default=1.0)
            if not 0 < (days[name] or 0) <= 36_500:
                problems.note(("retention", name), f"expected a number of days above 0, got {shown(kept[name])}")
    table = read_section(document, ("privacy",), problems)
    require_known_keys(table, ("privacy",), ("hashed_keys",), problems)
    hashed = table.get("hashed_keys", False)
    if not isinstance(hashed, bool):
        problems.note(("privacy", "hashed_keys"), f"expected true or false, got {shown(hashed)}")
        hashed = False
    return PrivacyPolicy(days["scores_days"], days["rejects_days"], hashed)
