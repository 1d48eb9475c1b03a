"""Writes a proposed portfolio file: TOML with a comment that gives the reason for each guess."""

# pyarrow.compute makes its functions at run time, so their names are unknown before.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from db.events.wording import counted
from scheduler.data_files.column_cleaning import clean_keys, flatten
from scheduler.portfolio_files.inference.column_profiles import ColumnProfile, Floats, Guess, guess_missing_codes
from scheduler.portfolio_files.inference.history_guessing import Histories, HistoryGuess
from scheduler.portfolio_files.problems import dotted, toml_text

SETTINGS = """\
[score]                      # points of a scorecard
points = 600                 # points at these odds
odds = 50                    # good to bad
points_to_double = 20        # this many more points double the odds

[rejects]
budget = 0.01                # a scoring job that cannot score more than this share of its records fails
"""


def write_title(file_name: str, looked_at: int, rows: int | None) -> str:
    """Return the opening comment."""
    of_all = f" of {rows:,}" if rows is not None else ""
    return (
        f"# Portfolio proposed by Tidemark from {toml_text(file_name)[1:-1]}.\n"
        f"# {looked_at:,}{of_all} rows were examined. Every line is a guess: correct it, delete columns that must not "
        "be\n"
        "# used (above all those that are known only after the bad event), then run: tidemark portfolio add FILE\n"
    )


def write_warnings(warnings: Iterable[str]) -> str:
    """Return comments about columns that may be known only after the outcome."""
    lines = [f"# WARNING: {one}" for one in warnings]
    return (
        "\n".join(
            [*lines, "# Delete such a column if it is known only after the outcome; otherwise every figure is wrong."]
        )
        + "\n"
    )


def write_roles(
    name: str,
    roles: dict[str, str],
    sample: pa.Table,
    truths: Floats | None,
    profiles: list[ColumnProfile],
) -> str:
    """Return the top of the file: name, source, key, target, as_of and the moment."""
    lines = [
        f"name = {toml_text(name)}",
        f"title = {toml_text(name.replace('_', ' ').replace('-', ' ').capitalize())}",
        f"source = {toml_text(name)}  # SQL table or view that holds the records",
        f"key = {toml_text(roles['key'])}  # {_tell_key(sample.column(roles['key']))}",
    ]
    if truths is None:
        lines.append(
            '# target = "COLUMN"  # 1 = the bad event, 0 = no bad event, empty = not known; needed for training'
        )
    else:
        lines.append(f"target = {toml_text(roles['target'])}  # 1 = the bad event; {_tell_target(truths)}")
    dates = [one.name for one in profiles if one.is_date]
    if "as_of" in roles:
        lines.append(f"as_of = {toml_text(roles['as_of'])}  # training holds out the latest records")
    elif dates:
        lines.append(
            f"# as_of = {toml_text(dates[0])}  # if this is the record's date: training holds out the latest records"
        )
    if "moment" in roles:
        lines.append(f"moment = {toml_text(roles['moment'])}  # when the record is judged: no later event is read")
    return "\n".join(lines) + "\n"


def _tell_key(column: pa.ChunkedArray) -> str:
    keys = clean_keys(flatten(column))
    twice = len(keys) - keys.null_count - pc.count_distinct(keys).as_py()
    if not twice and not keys.null_count:
        return "unique in the rows examined"
    bad_keys = f"{counted(twice, 'repeated key')}, {counted(keys.null_count, 'missing key')}"
    return f"WARNING: {bad_keys}; such records are rejected"


def _tell_target(truths: Floats) -> str:
    known = truths[~np.isnan(truths)]
    if np.unique(known).size < 2:
        return "WARNING: the examined rows do not contain both 0 and 1, so no model can be trained on them"
    return f"{known.mean():.2%} of the known outcomes are 1, {1 - known.size / truths.size:.2%} are not known"


def write_fields(profiles: list[ColumnProfile], histories: Histories) -> Iterator[str]:
    """Yield a section for each column outside the histories; those left out are comments."""
    in_histories = {column for one in histories.proposed for column in one.columns}
    for profile in profiles:
        if profile.name in in_histories:
            continue
        remark = histories.remarks.get(profile.name)
        reason = profile.reason if remark is None else f"{profile.reason}; {remark}"
        header = f"[{dotted(('fields', profile.name))}]"
        if profile.guess is Guess.LEFT_OUT:
            kind = Guess.CATEGORICAL if profile.values is None else Guess.NUMERIC
            yield f'# {header}  # left out: {reason}\n# kind = "{kind}"\n'
        else:
            codes = write_codes(profile.guess, [profile])
            yield f'{header}  # {reason}\nkind = "{profile.guess}"\n{codes}'


def write_history(history: HistoryGuess, profiles: dict[str, ColumnProfile]) -> str:
    """Return one history's section, with the reverse order as a comment."""
    codes = write_codes(history.kind, [profiles[column] for column in history.columns])
    return (
        f"[{dotted(('history', history.name))}]  # columns must be oldest first; ordered this way because "
        f"{toml_text(history.order_reason)[1:-1]}\n"
        f'kind = "{history.kind}"\n'
        f"columns = {_write_list(history.columns)}\n"
        f"# columns = {_write_list(history.columns[::-1])}  # the other way round\n{codes}"
    )


def _write_list(names: Iterable[str]) -> str:
    return f"[{', '.join(toml_text(name) for name in names)}]"


def write_codes(kind: Guess, profiles: list[ColumnProfile]) -> str:
    """Propose codes for "not known": texts among numbers as certain, special numbers as a comment."""
    texts = sorted({text for profile in profiles for text in profile.missing_texts})
    values = [profile.values for profile in profiles if profile.values is not None]
    shares = guess_missing_codes(np.concatenate(values)) if values and kind is Guess.NUMERIC else {}
    written = ""
    if texts:
        written = f'missing_codes = {_write_list(texts)}  # the only texts among the numbers: read as "not known"\n'
    if shares:
        codes = ", ".join([*map(toml_text, texts), *map(str, shares)])
        rates = ", ".join(f"{code}: {share:.2%}" for code, share in shares.items())
        written += (
            f'# missing_codes = [{codes}]  # far from the rest ({rates} of rows): use it if they mean "not known"\n'
        )
    return written
