"""Settings are held against each other, and a wrong one is told by its name."""

import pytest
from pydantic import ValidationError

from db.settings import describe_invalid_settings
from scheduler.settings import SchedulerSettings


def test_a_sweep_must_not_be_longer_than_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_LEASE_SECONDS", "20")
    monkeypatch.setenv("TIDEMARK_SWEEP_SECONDS", "20")
    assert SchedulerSettings().sweep_seconds == 20
    monkeypatch.setenv("TIDEMARK_SWEEP_SECONDS", "21")
    with pytest.raises(ValidationError) as wrong:
        SchedulerSettings()
    message = describe_invalid_settings(wrong.value)
    assert "TIDEMARK_SWEEP_SECONDS (21) must not be longer than TIDEMARK_LEASE_SECONDS (20)" in message


def test_a_lease_must_outlive_two_heartbeats_before_any_worker_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_LEASE_SECONDS", "8")
    with pytest.raises(ValidationError) as wrong:
        SchedulerSettings()
    message = describe_invalid_settings(wrong.value)
    assert message == "TIDEMARK_LEASE_SECONDS (8) must be more than twice TIDEMARK_HEARTBEAT_SECONDS (5)"
