"""Rules across the entries of a portfolio file: at least one input, equal histories, each column used once."""

from collections import Counter

from db.portfolios.definition import PortfolioDefinition
from scheduler.portfolio_files.values import Problems, Table, shown


def require_inputs(document: Table, problems: Problems) -> None:
    """Note a file without inputs."""
    if not any(document.get(name) for name in ("fields", "history", "events")):
        problems.note((), "expected at least one section [fields.COLUMN], [history.NAME] or [events.NAME]; got none")


def require_equal_lengths(definition: PortfolioDefinition, problems: Problems) -> None:
    """Note histories with a different length from most, because the network reads all of them month by month."""
    lengths = {history.name: len(history.columns) for history in definition.histories if len(history.columns) > 1}
    if len(set(lengths.values())) < 2:
        return
    # Of equally common lengths the first one in the file is taken as meant.
    usual = Counter(lengths.values()).most_common(1)[0][0]
    like = next(name for name, length in lengths.items() if length == usual)
    for name, length in lengths.items():
        if length != usual:
            message = f"expected {usual} columns as in history.{like} (all histories are of equal length), got {length}"
            problems.note(("history", name, "columns"), message)


def require_single_use(definition: PortfolioDefinition, problems: Problems) -> None:
    """Note columns that are used twice; to SQLite, names that differ only in case are the same column."""
    roles = (
        *(("key", definition.key), ("target", definition.target)),
        *(("as_of", definition.as_of), ("entity", definition.entity)),
        ("moment", None if definition.moment == definition.as_of else definition.moment),
    )
    uses = [((role,), column) for role, column in roles if column]
    uses += [(("fields", one.name), one.name) for one in definition.fields]
    uses += [(("history", one.name, "columns"), column) for one in definition.histories for column in one.columns]
    first: dict[str, tuple[str, str]] = {}
    for path, column in uses:
        used = first.get(column.casefold())
        if used is None:
            first[column.casefold()] = (".".join(path), column)
        elif used[1] == column:
            problems.note(path, f"expected each column once, but {shown(column)} is already used by {used[0]}")
        else:
            problems.note(path, f"the column {shown(column)} differs from {shown(used[1])} of {used[0]} only in case")
