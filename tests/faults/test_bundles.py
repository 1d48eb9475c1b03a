"""A damaged model is refused before the first row, and nothing goes round in circles; a new model waits its turn."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from db.events.event_log import list_events
from db.ledger.job_control import retry_job
from db.ledger.job_lifecycle import get_job
from db.schema.states import FailureCause, JobState
from tests.faults.site import Site
from tests.waiting import wait_for

FAIL_SECONDS = 10
pytestmark = pytest.mark.faults


def truncate(bundle: Path) -> None:
    path = bundle / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(bundle: Path) -> None:
    path = bundle / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def own_bundle(site: Site) -> Path:
    """Give the site models of its own, and return the bundle of its champion."""
    models = site.installation.folder / "models"
    shutil.copytree(site.template.models, models)
    site.installation.settings["TIDEMARK_MODELS_URL"] = str(models)
    return models / site.template.model.version


def wait_for_failure(site: Site, job_id: int) -> None:
    """The job fails within ten seconds of its first claim, with the cause, and its shard was tried by nobody again."""
    wait_for(lambda: get_job(site.engine, job_id).started_at, 400, "a worker to claim a shard")
    wait_for(lambda: not get_job(site.engine, job_id).is_open, FAIL_SECONDS, "the job to fail")
    job = get_job(site.engine, job_id)
    assert (job.state, job.cause) == (JobState.FAILED, FailureCause.MODEL_UNREADABLE)
    assert site.template.model.version in (job.detail or "")


@pytest.mark.slow
@pytest.mark.fault(11)
@pytest.mark.parametrize("harm", [truncate, flip_a_bit, shutil.rmtree])
def test_a_damaged_model_fails_the_job_within_ten_seconds(laptop_site: Site, harm: Callable[[Path], None]) -> None:
    site = laptop_site
    harm(own_bundle(site))
    job_id = site.submit()
    site.start()
    wait_for_failure(site, job_id)
    assert get_job(site.engine, job_id).scored == 0
    claims = [one for one in list_events(site.engine, job_id, limit=1000) if one.event == "shard.claimed"]
    assert len(claims) <= 2, "one for each child"
    site.matrix.note(injected=1)


@pytest.mark.slow
@pytest.mark.fault(11)
def test_a_model_deleted_in_mid_job_fails_it_and_a_retry_ends_it_whole(laptop_site: Site) -> None:
    site = laptop_site
    bundle = own_bundle(site)
    kept = site.installation.folder / "kept"
    shutil.copytree(bundle, kept)
    site.inject({"point": "in_prediction", "delay": 0.3})
    job_id = site.submit()
    site.start(scoring_workers=1)
    site.wait_for_scores(job_id, 100)
    shutil.rmtree(bundle)
    worker = psutil.Process(site.installation.running[-1].pid)
    children = worker.children()
    for child in children:  # the one that holds the model in memory dies; the next one finds none
        site.kill_child(child)
    wait_for(lambda: not get_job(site.engine, job_id).is_open, 400, "the job to fail")
    events = list_events(site.engine, job_id, limit=1000)
    fresh = [one for one in events if one.event == "shard.claimed" and not one.who.endswith(f":{children[0].pid}")]
    (failed,) = [one for one in events if one.event == "job.failed"]
    assert len(fresh) == 1, "no crash loop"
    assert (failed.at - fresh[0].at).total_seconds() < FAIL_SECONDS
    assert get_job(site.engine, job_id).cause is FailureCause.MODEL_UNREADABLE
    shutil.copytree(kept, bundle)
    retry_job(site.engine, job_id, who="test")
    site.wait_until(job_id, JobState.DONE)
    site.noted.clear()  # the shard of the killed child was cancelled with its job, not taken back
    site.matrix.note(injected=1, what="deleted in mid-job")
    site.assert_whole(job_id)


@pytest.mark.slow
@pytest.mark.fault(15)
def test_a_model_promoted_in_mid_job_changes_nothing_of_the_job(site: Site) -> None:
    newer = copy_model(own_bundle(site))
    site.inject({"point": "in_prediction", "delay": 0.2})
    job_id = site.submit()
    site.start()
    site.wait_for_scores(job_id, 500)
    site.add_model(newer, seen=site.template.model.version)
    second = site.submit()
    site.matrix.note(injected=1)
    for one in (job_id, second):
        site.wait_until(one, JobState.DONE)
    assert get_job(site.engine, job_id).model_version == site.template.model.version
    site.assert_whole(job_id)
    assert get_job(site.engine, second).model_version == newer
    assert site.assert_whole(second, is_same_model=False).job.digest != site.template.digest


def copy_model(bundle: Path) -> str:
    """Save the same network again with another note: another content, so another version."""
    aside = bundle.with_name("aside")
    shutil.copytree(bundle, aside)
    document = json.loads((aside / "model.json").read_text())
    (aside / "model.json").write_text(json.dumps(document | {"notes": {"copy": True}}, sort_keys=True))
    manifest = json.loads((aside / "manifest.json").read_text())
    files = {name: hashlib.sha256((aside / name).read_bytes()).hexdigest() for name in manifest["files"]}
    address = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    version = "m" + address[: len(bundle.name) - 1]
    (aside / "manifest.json").write_text(json.dumps(manifest | {"version": version, "files": files}))
    aside.rename(bundle.with_name(version))
    return version
