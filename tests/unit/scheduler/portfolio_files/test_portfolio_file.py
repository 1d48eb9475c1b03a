"""The portfolio file: what is read, and which words each mistake gets."""

import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from db.portfolios.definition import FieldKind, PortfolioDefinition, ScoreScale
from db.portfolios.retraining_policy import RetrainingPolicy
from scheduler.errors import UsageError
from scheduler.portfolio_files.problems import PortfolioFileError
from scheduler.portfolio_files.reader import parse_portfolio, read_policy_file, read_portfolio_file

EXAMPLE = Path(__file__).parents[4] / "examples" / "portfolios" / "credit_cards.toml"
TOP = 'name = "book"\nkey = "id"\n'
AGE = '[fields.AGE]\nkind = "numeric"\n'

MISTAKES = {
    "nothing at all": ("", "name: expected a name for the portfolio; it is missing"),
    "no key": (f'name = "book"\n{AGE}', "key: expected the name of the column that identifies a record; it is missing"),
    "no input": (TOP, "expected at least one section [fields.COLUMN], [history.NAME] or [events.NAME]; got none"),
    "capital letters in the name": (
        f'name = "Book"\nkey = "id"\n{AGE}',
        "f.toml:1: name: expected at most 64 lower-case",
    ),
    "a name that begins with a digit": (f'name = "1a"\nkey = "id"\n{AGE}', 'starting with a letter, got "1a"'),
    "a name too long": (f'name = "{"a" * 65}"\nkey = "id"\n{AGE}', "name: expected at most 64"),
    "a name that is a number": (
        f'name = 5\nkey = "id"\n{AGE}',
        "name: expected a text in quotes, not empty, got 5",
    ),
    "an unknown key at the top": (f"{TOP}tagret = 'y'\n{AGE}", "f.toml:3: tagret: unknown key; expected one of name"),
    "its nearest name": (f"{TOP}tagret = 'y'\n{AGE}", 'did you mean "target"?'),
    "a blank key": (f'name = "book"\nkey = " "\n{AGE}', 'key: expected a text in quotes, not empty, got " "'),
    "a source of three parts": (
        f'{TOP}source = "a.b.c"\n{AGE}',
        'source: expected "table" or "schema.table", got "a.b.c"',
    ),
    "a source half empty": (f'{TOP}source = ".b"\n{AGE}', "f.toml:3: source: expected a name of visible characters"),
    "a source with a NUL": (f'{TOP}source = "a\\u0000b"\n{AGE}', "source: expected a name of visible characters"),
    "a source of our own": (f'{TOP}source = "s.tidemark_jobs"\n{AGE}', "does not start with tidemark_"),
    "a column of our own": (
        f'{TOP}[fields.tidemark_row]\nkind = "numeric"',
        "fields.tidemark_row: expected a name that does",
    ),
    "a column too long": (f'{TOP}[fields.{"a" * 64}]\nkind = "numeric"', "at most 63 bytes (PostgreSQL's limit)"),
    "a limit of none": (
        f"{TOP}{AGE}[limits]\nrunning_shards = 0",
        "limits.running_shards: expected a whole number above 0, got 0",
    ),
    "a limit that is no number": (f"{TOP}{AGE}[limits]\nrunning_shards = true", "a whole number above 0, got true"),
    "no kind": (f"{TOP}[fields.AGE]\n", 'fields.AGE.kind: expected "numeric" or "categorical", it is missing'),
    "a kind misspelt": (
        f'{TOP}[fields.AGE]\nkind = "numerc"',
        'f.toml:4: fields.AGE.kind: expected "numeric" or "categ',
    ),
    "its nearest kind": (f'{TOP}[fields.AGE]\nkind = "numerc"', 'got "numerc"; did you mean "numeric"?'),
    "an unknown key of a field": (f"{TOP}{AGE}missing = [-9]", "fields.AGE.missing: unknown key; expected one of kind"),
    "a field without section": (f'{TOP}fields.AGE = "numeric"', "fields.AGE: expected a section [fields.AGE], got"),
    "fields that are no section": (f"{TOP}fields = 3", "fields: expected a section [fields], got 3"),
    "a dotted name without quotes": (
        f'{TOP}[fields.emp.var.rate]\nkind = "numeric"',
        'did you mean [fields."emp.var.rate"]?',
    ),
    "a missing code alone": (
        f"{TOP}{AGE}missing_codes = -9",
        "fields.AGE.missing_codes: expected a list of numbers or",
    ),
    "a truth value as missing code": (
        f"{TOP}{AGE}missing_codes = [true]",
        "expected numbers or texts in quotes, got true",
    ),
    "a number in quotes as code": (f'{TOP}{AGE}missing_codes = ["-9"]', "expected the number without quotes"),
    "the key as a field": (
        f'{TOP}[fields.id]\nkind = "numeric"',
        'fields.id: expected each column once, but "id" is already used by key',
    ),
    "the target as a field": (f'{TOP}target = "AGE"\n{AGE}', '"AGE" is already used by target'),
    "the date as a field": (f'{TOP}as_of = "AGE"\n{AGE}', '"AGE" is already used by as_of'),
    "names that differ in case": (
        f'{TOP}{AGE}[fields.Age]\nkind = "numeric"',
        'differs from "AGE" of fields.AGE only in case',
    ),
    "a field within a history": (
        f'{TOP}{AGE}[history.H]\nkind = "numeric"\ncolumns = ["AGE", "B"]',
        'f.toml:7: history.H.columns: expected each column once, but "AGE" is already used by fields.AGE',
    ),
    "a history of one": (
        f'{TOP}[history.H]\nkind = "numeric"\ncolumns = ["A"]',
        "expected at least 2 columns, oldest first",
    ),
    "a history without columns": (f'{TOP}[history.H]\nkind = "numeric"', "expected a list of column names in quotes"),
    "histories of two lengths": (
        f'{TOP}[history.H]\nkind="numeric"\ncolumns=["A", "B"]\n[history.I]\nkind="numeric"\ncolumns=["C", "D", "E"]',
        "history.I.columns: expected 2 columns as in history.H (all histories are of equal length), got 3",
    ),
    "odds of nothing": (f"{TOP}{AGE}[score]\nodds = 0", "score.odds: expected a number above 0, got 0"),
    "points that halve the odds": (
        f"{TOP}{AGE}[score]\npoints_to_double = -20",
        "score.points_to_double: expected a number",
    ),
    "points that are true": (
        f"{TOP}{AGE}[score]\npoints = true",
        "f.toml:6: score.points: expected a number, got true",
    ),
    "points without end": (f"{TOP}{AGE}[score]\npoints = inf", "score.points: expected a number, got inf"),
    "a budget of 5": (
        f"{TOP}{AGE}[rejects]\nbudget = 5",
        "rejects.budget: expected a share from 0 to 1 (0.01 is 1 %), got 5",
    ),
    "a budget of nan": (f"{TOP}{AGE}[rejects]\nbudget = nan", "rejects.budget: expected a number, got nan"),
    "a score that is a number": (f"score = 5\n{TOP}{AGE}", "score: expected a section [score], got 5"),
    "text without quotes": (f"name = book\n{TOP}", "f.toml:1: not valid TOML at column 8: Invalid value"),
    "the same key twice": (f"{TOP}{TOP}", "not valid TOML at column 14: Cannot overwrite a value"),
    "an endless list": (f"{TOP}title = [", "not valid TOML: Invalid value (at end of document)"),
    "lists without end": (f"{TOP}title = {'[' * 5000}", "not valid TOML: nested too deeply"),
    "a number of 5000 digits": (f"{TOP}title = {'1' * 5000}", "not valid TOML: Exceeds the limit"),
}


def read(text: str) -> PortfolioDefinition:
    return parse_portfolio(text, "f.toml")


@pytest.mark.parametrize("case", MISTAKES)
def test_each_mistake_tells_place_expectation_and_what_came(case: str) -> None:
    text, expected = MISTAKES[case]
    with pytest.raises(PortfolioFileError) as caught:
        read(text)
    assert expected in str(caught.value)


def test_all_mistakes_are_told_at_once_each_on_a_line_in_file_order() -> None:
    text = 'name = "Book"\nkey = 5\n[fields.AGE]\nkind = "x"\n[score]\nodds = -1\n'
    with pytest.raises(PortfolioFileError) as caught:
        read(text)
    assert [problem.line for problem in caught.value.problems] == [1, 2, 4, 6]
    assert len(str(caught.value).splitlines()) == 4


def test_a_wrong_portfolio_file_is_a_wrong_use() -> None:
    assert issubclass(PortfolioFileError, UsageError)


def test_the_smallest_file_gets_the_usual_values() -> None:
    definition = read(f"{TOP}{AGE}")
    assert (definition.title, definition.source, definition.target, definition.as_of) == ("book", "book", None, None)
    assert (definition.score, definition.reject_budget) == (ScoreScale(), 0.01)


def test_the_example_of_credit_cards_is_read_in_full() -> None:
    definition = read_portfolio_file(EXAMPLE)
    assert (definition.name, definition.key, definition.target) == ("credit_cards", "record_id", "target")
    assert {one.name: one.kind for one in definition.fields} == {
        "LIMIT_BAL": FieldKind.NUMERIC,
        "SEX": FieldKind.CATEGORICAL,
        "EDUCATION": FieldKind.CATEGORICAL,
        "MARRIAGE": FieldKind.CATEGORICAL,
        "AGE": FieldKind.NUMERIC,
    }
    assert [(one.name, one.columns[0], one.columns[-1]) for one in definition.histories] == [
        ("PAY", "PAY_6", "PAY_0"),
        ("BILL_AMT", "BILL_AMT6", "BILL_AMT1"),
        ("PAY_AMT", "PAY_AMT6", "PAY_AMT1"),
    ]


def test_missing_codes_are_numbers_in_numeric_and_texts_in_categorical_columns() -> None:
    text = f'{TOP}{AGE}missing_codes = [-9, "?"]\n[fields.SEX]\nkind = "categorical"\nmissing_codes = [-9, "x"]'
    assert [one.missing_codes for one in read(text).fields] == [(-9.0, "?"), ("-9", "x")]


def test_histories_may_have_missing_codes() -> None:
    text = f'{TOP}[history.H]\nkind = "numeric"\ncolumns = ["A", "B"]\nmissing_codes = [-1]'
    assert read(text).histories[0].missing_codes == (-1.0,)


def test_any_quoted_name_may_be_a_column_or_a_source() -> None:
    text = f'{TOP}source = "my schema.Größe %"\n[fields."Air temperature [K]"]\nkind = "numeric"'
    definition = read(text)
    assert (definition.source, definition.input_columns) == ("my schema.Größe %", ("Air temperature [K]",))


def test_a_missing_file_and_a_folder_are_told_in_one_line(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "no.toml", "the file does not exist"),
        (tmp_path, "expected a portfolio file, got a folder"),
    ):
        with pytest.raises(PortfolioFileError, match=message):
            read_portfolio_file(path)


def test_a_file_in_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b'name = "book"\ntitle = "Gr\xf6\xdfe"\n')
    with pytest.raises(PortfolioFileError, match=r"latin\.toml:2: expected UTF-8 text, got the byte 0xf6"):
        read_portfolio_file(path)


def test_a_file_with_a_byte_order_mark_and_windows_line_ends_is_read(tmp_path: Path) -> None:
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf" + f"{TOP}{AGE}".replace("\n", "\r\n").encode())
    assert read_portfolio_file(path).key == "id"


def test_reading_a_portfolio_file_loads_neither_pandas_nor_a_database_driver() -> None:
    program = (
        "import sys, scheduler.portfolio_files.reader; "
        "print(sorted({'pandas', 'numpy', 'pyarrow', 'sqlalchemy', 'tensorflow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ('refresh = "never"', "refresh", None),
        ('refresh = "when_outcomes_grow_by 0.5"', "refresh", 0.5),
        ('outcome_after = "180 days"', "outcome_after", 180),
        ('time_budget = "5 minutes"', "time_budget", 5),
    ],
)
def test_times_and_growth_of_the_loop_are_read(line: str, name: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(f"[retraining]\n{line}\n", encoding="utf-8")
    assert getattr(read_policy_file(path), name) == value
    assert RetrainingPolicy.from_document(asdict(read_policy_file(path))) == read_policy_file(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[retraining]\nrefresh = "sometimes"', "when_outcomes_grow_by 0.25"),
        ('[retraining]\noutcome_after = "6 months"', '"180 days"'),
        ("[retraining]\ntime_budget = 60", '"180 minutes"'),
        ("name = 'book'", "expected a section [retraining]"),
    ],
)
def test_what_a_policy_file_gets_wrong_is_named(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PortfolioFileError, match=re.escape(said)):
        read_policy_file(path)
