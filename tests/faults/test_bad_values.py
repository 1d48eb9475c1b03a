"""Records that cannot be scored are told apart and accounted for, whatever becomes of the workers meanwhile."""

import signal

import pandas as pd
import pytest
from sqlalchemy import text

from db.connections.engine import reading
from db.schema.states import JobState
from db.sources.loading import load_records
from scheduler.data_files.record_file import open_data_file
from scheduler.portfolio_files.reader import read_portfolio_file
from tests.faults.site import Site
from tests.trained_book import CUSTOMERS

BAD = {
    ("C000001", "age", "not_a_number"),
    ("C000002", "income", "infinite"),
    (None, "customer_id", "missing_key"),
    ("C000005", "customer_id", "duplicate_key"),
}
pytestmark = [pytest.mark.faults, pytest.mark.slow]


def load_bad_values(site: Site) -> None:
    """Load the book again with text for a number, an infinity, no key, and the same key twice."""
    portfolio, data = site.template.files
    frame = pd.read_csv(data, dtype="str")
    frame.loc[0, "age"] = "old"
    frame.loc[1, "income"] = "-inf"
    frame.loc[2, "customer_id"] = ""
    frame.loc[3, "customer_id"] = frame.loc[4, "customer_id"]
    path = site.installation.folder / "bad.csv"
    frame.to_csv(path, index=False)
    definition = read_portfolio_file(portfolio)
    file = open_data_file(path, definition)
    frames = (batch.frame for batch in file.batches())
    load_records(site.engine, definition, frames, key_type=file.key_type, replace_all=True, who="test")


@pytest.mark.fault(10)
def test_bad_values_are_each_rejected_once_though_workers_die(site: Site) -> None:
    load_bad_values(site)
    site.inject({"point": "before_commit", "signal": int(signal.SIGKILL), "times": 2})
    job_id = site.submit()
    site.start()
    site.wait_until(job_id, JobState.DONE)
    site.matrix.note(injected=len(BAD), what="bad values")
    site.assert_whole(job_id, rejected=len(BAD), inputs=CUSTOMERS)
    with reading(site.engine) as connection:
        rows = text("SELECT record_key, field, reason FROM tidemark_rejects WHERE job_id = :job")
        assert {tuple(row) for row in connection.execute(rows, {"job": job_id})} == BAD
