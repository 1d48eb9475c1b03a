"""A damaged model is refused before the first row, quickly, and nothing goes round in circles."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from db.jobs import get_job
from db.states import FailureCause, JobState
from tests.faults.site import Site
from tests.waiting import wait_for

pytestmark = pytest.mark.faults


def truncate(bundle: Path) -> None:
    path = bundle / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(bundle: Path) -> None:
    path = bundle / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_damaged_model_fails_the_job_within_ten_seconds(laptop_site: Site) -> None:
    site = laptop_site
    models = site.installation.folder / "models"
    shutil.copytree(site.template.models, models)
    site.installation.settings["TIDEMARK_MODELS_URL"] = str(models)
    bundle = models / site.template.model.version
    whole = site.installation.folder / "whole"
    shutil.copytree(bundle, whole)
    site.installation.start("up")
    first = site.submit()
    site.wait_until(first, JobState.DONE, 90)
    harms: list[Callable[[Path], None]] = [truncate, flip_a_bit, shutil.rmtree]
    for harm in harms:
        site.installation.kill_everything(site.installation.running[-1])
        shutil.rmtree(bundle, ignore_errors=True)
        shutil.copytree(whole, bundle)
        harm(bundle)
        site.installation.start("up")
        job_id = site.submit()
        wait_for(lambda job_id=job_id: get_job(site.engine, job_id).started_at, 60, "a worker to claim a shard")
        wait_for(lambda job_id=job_id: not get_job(site.engine, job_id).is_open, 10, "the job to fail")
        job = get_job(site.engine, job_id)
        assert (job.state, job.cause, job.scored) == (JobState.FAILED, FailureCause.MODEL_UNREADABLE, 0)
        assert site.template.model.version in (job.detail or "")
