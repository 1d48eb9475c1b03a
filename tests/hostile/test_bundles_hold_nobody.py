"""Nobody who gets hold of the models folder finds a person in it; bundles of older releases are scrubbed of them."""

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load, save
from sqlalchemy import Engine

from db.connections.engine import open_engine, writing
from db.events.event_log import list_events
from db.ledger.job_lifecycle import Job, JobRequest, get_job, submit_job
from db.migrations.upgrade import prepare_database
from db.portfolios.catalog import save_portfolio
from db.portfolios.definition import FieldDefinition, FieldKind, PortfolioDefinition
from db.registry.champions import get_champion
from db.registry.versions import get_model, register_model
from db.retraining.promotion import promote_version
from db.schema.states import JobKind, JobState, ModelState
from db.settings import DatabaseSettings
from db.sources.loading import load_records
from scheduler.installation.stored_bundles import RECORDS, VALUES, find_bundles_with_people, may_hold_records_of
from scheduler.loop.shard_planning import plan_queued_jobs
from scheduler.requests.job_submission import Request, submit_scrubbing
from transformer.bundles.bundle import MODEL, load_bundle, publish_contents
from transformer.bundles.held_out_scores import HELD_OUT, HeldOutScores
from transformer.bundles.manifest import MANIFEST, People, fetch_checked, read_manifest
from transformer.records.splitting import hash_order
from transformer.scoring.scorer import Scorer
from worker.monitoring.next_job import monitor_next_job
from worker.runtime.bundle_reading import load_stored
from worker.runtime.context import WorkerContext, open_context
from worker.runtime.settings import WorkerSettings
from worker.scoring.model_cache import ModelSlot
from worker.training.next_job import train_next_job

BOOK, ROWS, CAUGHT = "book", 1000, 150
FIELDS = {"amount": "numeric", "debt": "numeric", "surname": "categorical", "town": "categorical", "sex": "categorical"}


def definition() -> PortfolioDefinition:
    fields = tuple(FieldDefinition(name, FieldKind(kind)) for name, kind in FIELDS.items())
    return PortfolioDefinition(BOOK, "A book", BOOK, "id", "bad", fields=fields, segments=("town", "amount"))


def people() -> pd.DataFrame:
    """Every amount, debt and surname is one person's alone; a few towns are of three people each."""
    random = np.random.default_rng(5)
    amount = 1_000_000 + random.permutation(ROWS) * 977.0 + 0.0625 * np.arange(ROWS)
    bad = random.random(ROWS) < 1 / (1 + np.exp(-(amount - amount.mean()) / amount.std() * 2))
    return pd.DataFrame(
        {
            "id": [f"person-{number:05d}" for number in range(ROWS)],
            "bad": bad.astype(float),
            "amount": amount,
            "debt": np.exp(random.normal(9, 2, ROWS)),
            "surname": [f"Zz{number * 7919 % 100_003}qx" for number in range(ROWS)],
            "town": [f"Hamlet{number // 3}qy" if number < 30 else f"City{number % 2}" for number in range(ROWS)],
            "sex": random.choice(["f", "m"], ROWS),
        }
    )


def prepared(engine: Engine) -> Engine:
    prepare_database(engine)
    save_portfolio(engine, definition(), who="test")
    frame = people().assign(tidemark_unreadable=None)
    load_records(engine, definition(), [frame], key_type="text", who="test")
    return engine


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WorkerContext, str]]:
    """A worker whose models folder holds one bundle, and its version."""
    home = tmp_path_factory.mktemp("home")
    url = f"sqlite:///{home / 'tidemark.db'}"
    engine = prepared(open_engine(url))
    context = open_context(WorkerSettings(home=home), DatabaseSettings(database_url=url))
    submit_job(engine, JobRequest(JobKind.TRAINING, BOOK, "test", {"epochs": 1, "trees": False}))
    plan_queued_jobs(engine, shard_rows=100)
    assert train_next_job(context)
    (folder,) = Path(context.settings.bundles_url).iterdir()
    yield context, folder.name
    context.engine.dispose()
    engine.dispose()


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def traces_of(frame: pd.DataFrame) -> Iterator[bytes]:
    """Every way in which a person's own values may stand in a file."""
    for name in ("id", "surname"):
        yield from (value.encode() for value in frame[name])
    yield from (town.encode() for town in frame["town"].unique() if town.startswith("Hamlet"))
    for name in ("amount", "debt"):
        for value in frame[name]:
            yield from (repr(float(value)).encode(), struct.pack("<d", value), struct.pack("<f", value))


def test_no_byte_of_the_models_folder_is_of_a_person(trained: tuple[WorkerContext, str]) -> None:
    context, version = trained
    contents = bytes_of(Path(context.settings.bundles_url))
    assert {MODEL, HELD_OUT, "card.json", "reasons.safetensors"} <= set(contents)
    whole = b"\n".join(contents.values())
    # Four bytes are found by chance in megabytes; a number stands as such in no file but those of the network's.
    found = [trace for trace in traces_of(people()) if len(trace) > 4 and trace in whole]
    assert found == []
    document = json.loads(contents[MODEL])
    assert document["transform"]["categories"] == {"surname": [], "town": ["City0", "City1"], "sex": ["f", "m"]}
    assert find_bundles_with_people(context.engine, context.settings.bundles_url) == []
    assert version in read_manifest_text(context, version)


def read_manifest_text(context: WorkerContext, version: str) -> str:
    return (Path(context.settings.bundles_url) / version / MANIFEST).read_text()


def test_no_number_that_is_one_persons_alone_is_kept_beside_the_weights(trained: tuple[WorkerContext, str]) -> None:
    context, version = trained
    document = json.loads((Path(context.settings.bundles_url) / version / MODEL).read_text())
    kept = set(document["transform"]["edges"]["amount"]) | set(document["transform"]["edges"]["debt"])
    bins = document["reference"]["field_bins"]["numeric"]
    kept |= {number for one in bins.values() for number in (*one["edges"], one["lowest"], one["highest"])}
    kept |= {value for name in ("amount", "debt") for value in document["reference"]["canary"]["records"][name]}
    kept |= {document["reasons"]["reference"][name] for name in ("amount", "debt")}
    assert len(kept) > 150
    assert not kept & {*people()["amount"], *people()["debt"]}
    assert max(one for one in kept if one is not None) < people()["amount"].max()


def test_who_guesses_keys_without_the_secret_finds_none_of_the_held_out(trained: tuple[WorkerContext, str]) -> None:
    context, version = trained
    kept = HeldOutScores.load(context.settings.bundles_url, version)
    assert len(kept.hashes) == CAUGHT
    guesses = np.array([f"person-{number:05d}" for number in range(ROWS)], dtype=object)
    wrong = [HeldOutScores.of(guesses, np.zeros(ROWS), np.zeros(ROWS), secret=one) for one in (b"", b"tidemark")]
    for hashes in (hash_order(guesses), *(one.hashes for one in wrong)):
        assert len(np.intersect1d(kept.hashes, hashes)) == 0


def aged(models: Path, version: str, into: Path) -> str:
    """Write a bundle as releases before this one did: records as canary, hashes without a key."""
    contents = fetch_checked(str(models), version, read_manifest(str(models), version))
    document = json.loads(contents[MODEL])
    frame = people().iloc[:100]
    canary = {name: frame[name].tolist() for name in FIELDS}
    scored = Scorer(load_bundle(str(models), version), version).score(frame)
    document["reference"]["canary"] = {
        "records": canary,
        "probabilities": scored.probabilities.tolist(),
        "arithmetic": 2,
    }
    document["transform"].pop("holders")
    contents[MODEL] = json.dumps(document, sort_keys=True).encode()
    target = load(contents[HELD_OUT])["target"]
    hashes = np.sort(hash_order(people()["id"].to_numpy()[: len(target)]))
    contents[HELD_OUT] = save(
        {"hashes": hashes, "target": target, "probability": load(contents[HELD_OUT])["probability"]}
    )
    old = publish_contents(contents, str(into), people=People.RECORDS)
    manifest = json.loads((into / old / MANIFEST).read_text())
    del manifest["people"]
    (into / old / MANIFEST).write_text(json.dumps(manifest))
    return old


@pytest.fixture
def older(
    any_database_url: str, trained: tuple[WorkerContext, str], tmp_path: Path
) -> Iterator[tuple[WorkerContext, str]]:
    """An installation whose champion's bundle is of an older release."""
    engine = open_engine(any_database_url)
    models = tmp_path / "models"
    models.mkdir()
    old = aged(Path(trained[0].settings.bundles_url), trained[1], models)
    prepared(engine)
    with writing(engine) as connection:
        register_model(connection, version=old, job_id=None, definition=definition(), metrics={}, reference={})
    promote_version(engine, old, who="test", why="")
    yield WorkerContext(engine, WorkerSettings(models_url=str(models)), "w1"), old
    engine.dispose()


def scrub(context: WorkerContext, version: str) -> Job:
    job_id = submit_scrubbing(context.engine, version, Request("ann"))
    plan_queued_jobs(context.engine, shard_rows=100)
    assert monitor_next_job(context)
    job = get_job(context.engine, job_id)
    assert job.state is JobState.DONE, job.detail
    return job


def test_a_scrubbed_bundle_holds_no_record_and_scores_as_before_to_the_bit(older: tuple[WorkerContext, str]) -> None:
    context, old = older
    url, frame = context.settings.bundles_url, people()
    assert may_hold_records_of(context.engine, url, BOOK) == [old]
    before = Scorer(load_bundle(url, old), old).score(frame)
    new = (scrub(context, old).result or {})["replaced_by"]
    after = Scorer(load_bundle(url, new), new).score(frame)
    np.testing.assert_array_equal(before.probabilities, after.probabilities)
    assert [path.name for path in Path(url).iterdir()] == [new], "the old files are gone"
    whole = b"\n".join(bytes_of(Path(url)).values())
    assert [one for one in (*frame["id"], *frame["surname"]) if one.encode() in whole] == []
    assert len(np.intersect1d(HeldOutScores.load(url, new).hashes, hash_order(frame["id"].to_numpy()))) == 0
    assert may_hold_records_of(context.engine, url, BOOK) == []
    assert [one.holds for one in find_bundles_with_people(context.engine, url)] == [VALUES]


def test_scrubbing_keeps_champion_history_and_whatever_names_the_old_version(older: tuple[WorkerContext, str]) -> None:
    context, old = older
    engine, url = context.engine, context.settings.bundles_url
    slot = ModelSlot(engine, url)
    job = scrub(context, old)
    new = (job.result or {})["replaced_by"]
    champion, row, before = get_champion(engine, BOOK), get_model(engine, new), get_model(engine, old)
    assert champion is not None
    assert (champion.version, row.state, before.state) == (new, ModelState.CHAMPION, ModelState.RETIRED)
    assert (row.parent_version, before.kept_as, row.kept_as) == (old, new, new)
    assert any(one.event == "model.scrubbed" and one.who == "ann" for one in list_events(engine, job.id))
    # A job that was pinned to the old version goes on: its workers find the bundle.
    assert slot.scorer(old).schema == load_stored(engine, url, old).schema
    outcome = slot.canary(old, job.id)
    assert outcome is not None
    assert outcome.mismatches == 0
    assert (scrub(context, old).result or {})["replaced_by"] == new, "again is harmless"


def test_a_process_that_was_killed_before_the_old_files_went_is_finished_by_the_next(
    older: tuple[WorkerContext, str],
) -> None:
    context, old = older
    url = Path(context.settings.bundles_url)
    kept = bytes_of(url / old)
    scrub(context, old)
    (url / old).mkdir()
    for name, content in kept.items():
        (url / old / name).write_bytes(content)
    assert [one.holds for one in find_bundles_with_people(context.engine, str(url)) if one.version == old] == [RECORDS]
    scrub(context, old)
    assert not (url / old).exists()


def test_a_bundle_that_does_not_score_as_its_canary_says_is_noticed(trained: tuple[WorkerContext, str]) -> None:
    context, version = trained
    url = Path(context.settings.bundles_url)
    contents = fetch_checked(str(url), version, read_manifest(str(url), version))
    document = json.loads(contents[MODEL])
    document["calibration"]["intercept"] += 0.01
    contents[MODEL] = json.dumps(document).encode()
    other = publish_contents(contents, str(url.parent / "others"), people=People.NONE)
    slot = ModelSlot(context.engine, str(url.parent / "others"))
    outcome = slot.canary(other, 1)
    assert outcome is not None
    assert outcome.mismatches > outcome.records // 2
    assert hashlib.sha256(contents[MODEL]).hexdigest() in (url.parent / "others" / other / MANIFEST).read_text()
