"""A mistake gets one clear line and the right exit code, never a traceback."""

from pathlib import Path
from shutil import copytree

import pytest

from tests.conftest import Databases
from tests.flow.installation import Installation

WRONG_USAGE, FAILED = 64, 3


@pytest.fixture(scope="module")
def loaded_home(tmp_path_factory: pytest.TempPathFactory, databases: Databases, book_files: tuple[Path, Path]) -> Path:
    """A state folder with a portfolio and its records, made once."""
    maker = Installation(tmp_path_factory.mktemp("loaded"))
    (maker.folder / "home").mkdir(mode=0o700)
    databases.copy_tables(maker.folder / "home" / "tidemark.db")
    portfolio, data = map(str, book_files)
    maker.run("portfolio", "add", portfolio)
    maker.run("load", "simulated_book", data)
    return maker.folder / "home"


@pytest.fixture
def with_book(laptop: Installation, loaded_home: Path) -> Installation:
    """An installation with a portfolio and its records, without a model."""
    copytree(loaded_home, laptop.folder / "home")
    return laptop


def said(installation: Installation, *arguments: str, expect: int = WRONG_USAGE) -> str:
    done = installation.run(*arguments, expect=expect)
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line and not line.startswith("Created Tidemark's tables")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("scroe",), "score"),
        (("score",), "NAME"),
        (("score", "nothing"), "nothing"),
        (("train", "nothing"), "nothing"),
        (("load", "nothing", "x.csv"), "nothing"),
        (("portfolio", "add", "absent.toml"), "absent.toml"),
        (("job", "show", "999"), "999"),
        (("job", "show", "abc"), "abc"),
        (("job", "cancel", "999"), "999"),
        (("model", "show", "m0"), "m0"),
        (("scores", "export", "999", "x.csv"), "999"),
        (("score", "nothing", "--no-such-option"), "--no-such-option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_names_what_was_wrong(
    laptop_with_tables: Installation, arguments: tuple[str, ...], expected: str
) -> None:
    assert expected in said(laptop_with_tables, *arguments)


def test_a_name_that_is_nearly_right_is_suggested(with_book: Installation) -> None:
    assert "simulated_book" in said(with_book, "score", "simulated_bok")


def test_scoring_without_a_model_says_how_to_get_one(with_book: Installation) -> None:
    assert "tidemark train simulated_book" in said(with_book, "score", "simulated_book")


def test_a_model_that_does_not_exist_is_named(with_book: Installation) -> None:
    assert "m123" in said(with_book, "score", "simulated_book", "--model", "m123")


def test_a_file_without_the_key_names_the_column(with_book: Installation) -> None:
    path = with_book.folder / "odd.csv"
    path.write_text("age,income\n1,2\n")
    assert "customer_id" in said(with_book, "load", "simulated_book", str(path))


def test_a_missing_data_file_is_named(with_book: Installation) -> None:
    assert "absent.csv" in said(with_book, "load", "simulated_book", "absent.csv")


def test_a_wrong_portfolio_file_names_key_and_nearest_valid_name(laptop: Installation) -> None:
    (laptop.folder / "wrong.toml").write_text('name = "book"\nkey = "id"\n[fields.age]\nkind = "numerical"\n')
    line = said(laptop, "portfolio", "add", "wrong.toml")
    assert "fields.age.kind" in line
    assert "numeric" in line
    assert "numerical" in line


@pytest.mark.parametrize("command", [("portfolio", "list"), ("score", "x"), ("up",), ("worker",)])
def test_a_database_that_is_down_is_named_without_its_password(laptop: Installation, command: tuple[str, ...]) -> None:
    laptop.settings["TIDEMARK_DATABASE_URL"] = "postgresql://user:secret@127.0.0.1:1/tidemark"
    line = said(laptop, *command, expect=FAILED)
    assert "127.0.0.1:1" in line
    assert "secret" not in line


def test_a_wrong_setting_is_named(laptop: Installation) -> None:
    laptop.settings["TIDEMARK_SHARD_ROWS"] = "many"
    line = said(laptop, "portfolio", "list")
    assert "TIDEMARK_SHARD_ROWS" in line
    assert "many" in line


def test_submitting_needs_no_redis(with_book: Installation) -> None:
    with_book.settings["TIDEMARK_REDIS_URL"] = "redis://127.0.0.1:1/0"
    assert with_book.json("train", "simulated_book", "--detach")["state"] == "queued"
