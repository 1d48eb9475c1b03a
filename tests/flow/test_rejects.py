"""Records that cannot be scored, end to end: each is told with its field and reason, within the budget or not."""

import pandas as pd
import pytest

from tests.flow.installation import Installation
from tests.trained_book import BOOK, CUSTOMERS, TrainedBook


@pytest.mark.timeout(600)  # the first to ask trains
def test_bad_records_are_told_apart_and_every_one_is_accounted_for(
    trained_laptop: Installation, template: TrainedBook
) -> None:
    laptop, (portfolio, data) = trained_laptop, template.files
    frame = pd.read_csv(data, dtype="str")
    frame.loc[0, "age"] = "old"
    frame.loc[1, "income"] = "-inf"
    frame.loc[2, "customer_id"] = ""
    frame.loc[3, "customer_id"] = frame.loc[4, "customer_id"]
    frame.loc[5, "employment"] = "astronaut"
    frame.to_csv(laptop.folder / "bad.csv", index=False)
    laptop.run("load", BOOK, "bad.csv", "--replace")

    scored = laptop.json("score", BOOK)
    assert (scored["inputs"], scored["scored"], scored["rejected"]) == (CUSTOMERS, CUSTOMERS - 4, 4)
    laptop.run("rejects", "export", str(scored["job"]), "rejects.csv")
    rejects = pd.read_csv(laptop.folder / "rejects.csv", keep_default_na=False)
    assert set(zip(rejects["record_key"], rejects["field"], rejects["reason"], strict=True)) == {
        ("C000001", "age", "not_a_number"),
        ("C000002", "income", "infinite"),
        ("", "customer_id", "missing_key"),
        ("C000005", "customer_id", "duplicate_key"),
    }

    text = portfolio.read_text() + "\n[rejects]\nbudget = 0.001\n"
    (laptop.folder / "strict.toml").write_text(text)
    laptop.run("portfolio", "add", "strict.toml")
    failed = laptop.json("score", BOOK, expect=2)
    assert (failed["state"], failed["cause"], failed["inputs"]) == ("failed", "reject_budget", CUSTOMERS)
    laptop.run("scores", "export", str(failed["job"]), "failed.csv", expect=64)
