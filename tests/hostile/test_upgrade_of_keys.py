"""A database of the first release: its keys have no maker, its idempotency keys go on."""

from alembic import command
from sqlalchemy import Engine, text

from db.access.api_keys import KeyRequest, check_key, create_key
from db.connections.engine import opened_engine, writing
from db.ledger.job_lifecycle import JobRequest, submit_job
from db.migrations import upgrade
from db.schema.states import JobKind, KeyRole
from tests.building import BOOK, book_definition, load_book

BEFORE = "0010"


def prepare_old(engine: Engine) -> None:
    """Make the tables as they were."""
    with writing(engine) as connection:
        config = upgrade._config()
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE)


def test_what_was_sent_before_the_upgrade_is_the_same_job_after_it(empty_database_url: str) -> None:
    with opened_engine(empty_database_url) as engine:
        prepare_old(engine)
        check_upgrade(engine)


def check_upgrade(engine: Engine) -> None:
    known = {"book": BOOK, "definition": book_definition().to_json()}
    asked = JobRequest(JobKind.TRAINING, BOOK, "test", {}, idempotency_key="night 7")
    with writing(engine) as connection:
        connection.execute(
            text("INSERT INTO tidemark_portfolios (name, title, definition, fingerprint, created_at, updated_at)"
                 " VALUES (:book, '', :definition, '', '2026-01-01', '2026-01-01')"), known,
        )  # fmt: skip
        connection.execute(
            text("INSERT INTO tidemark_jobs (kind, portfolio, state, priority, idempotency_key, request_fingerprint,"
                 " requested_by, definition, options, inputs, scored, rejected, shards_total, shards_open,"
                 " shards_failed, created_at) VALUES ('training', :book, 'queued', 100, 'night 7', :asked, 'test',"
                 " :definition, '{}', 0, 0, 0, 0, 0, 0, '2026-01-01')"), known | {"asked": asked.fingerprint},
        )  # fmt: skip
        connection.execute(
            text("INSERT INTO tidemark_api_keys (public_id, name, secret_hash, role, created_by, created_at)"
                 " VALUES ('3f9c2a10be77', 'old', :hash, 'admin', 'anna', '2026-01-01')"),
            {"hash": "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"},
        )  # fmt: skip
    assert upgrade.upgrade_database(engine) == BEFORE
    load_book(engine, [1])
    assert submit_job(engine, asked) == 1
    old = check_key(engine, "tdm_3f9c2a10be77_secret")
    assert old is not None
    assert old.parent is None
    text_of_key, made = create_key(engine, KeyRequest("new", KeyRole.READ), who="test", maker=old)
    assert made.parent == old.public_id
    assert check_key(engine, text_of_key) == made
