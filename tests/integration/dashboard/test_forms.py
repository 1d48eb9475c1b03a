"""What forms change, who may send them, and that a form of another site changes nothing."""

import httpx
import pytest
from sqlalchemy import Engine

from db.connections.engine import writing
from db.ledger.job_lifecycle import JobRequest, get_job, list_jobs, submit_job
from db.registry.champions import Decision, decide, get_champion
from db.retraining.promotion import is_held
from db.schema.states import JobKind, JobState, KeyRole
from tests.building import BOOK, load_book
from tests.integration.api.server import RunningApi
from tests.integration.dashboard.window import events_of, opened

WHY = "because the test says so"
FORMS = (
    "/sign-out", "/jobs", "/jobs/actions", "/jobs/1/cancel", "/models/m1/promote", "/portfolios/book/rollback",
    "/portfolios/book/retraining/hold", "/portfolios/book/customer", "/portfolios/book/customer/save",
)  # fmt: skip


def submit_training(engine: Engine) -> int:
    return submit_job(engine, JobRequest(JobKind.TRAINING, BOOK, "test", {}))


@pytest.mark.usefixtures("two_nights")
@pytest.mark.parametrize("token", ["", "wrong", "é"])
def test_a_form_without_its_token_changes_nothing(api: RunningApi, engine: Engine, token: str) -> None:
    window = opened(api)
    before = events_of(engine)
    answer = window.send("/models/m2/promote", {"why": WHY, "token": token})
    assert answer.status_code == 403
    assert "<h1>The key does not allow this</h1>" in answer.text
    assert events_of(engine) == before


@pytest.mark.usefixtures("two_nights")
def test_a_token_of_another_session_changes_nothing(api: RunningApi, engine: Engine) -> None:
    foreign = opened(api).token()
    assert opened(api).send("/models/m2/promote", {"why": WHY, "token": foreign}).status_code == 403
    champion = get_champion(engine, BOOK)
    assert champion is not None
    assert champion.version == "m1"


@pytest.mark.usefixtures("two_nights")
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_that_another_site_sends_is_refused_whatever_it_holds(api: RunningApi, site: str) -> None:
    answer = opened(api).send("/models/m2/promote", {"why": WHY}, headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", FORMS)
def test_every_form_wants_a_session(api: RunningApi, path: str) -> None:
    assert api.client(None).post(path, headers={"Accept": "text/html"}).status_code == 401


def test_a_job_is_submitted_once_however_often_the_form_is_sent(api: RunningApi, engine: Engine) -> None:
    load_book(engine, [1, 2])
    window = opened(api, KeyRole.OPERATE)
    form = {"portfolio": BOOK, "kind": "training", "once": "abcdefgh12"}
    places = [window.send("/jobs", form).headers["location"] for _ in range(2)]
    assert places == ["/jobs/1?done=submitted"] * 2
    job = list_jobs(engine)[0]
    assert job.requested_by.startswith("key ")
    assert window.page(places[0]).status_code == 200


@pytest.mark.parametrize(("action", "state"), [("cancel", JobState.CANCELLED), ("pause", JobState.PAUSED)])
def test_a_job_is_changed_and_the_log_says_by_whom_and_why(
    api: RunningApi, engine: Engine, action: str, state: JobState
) -> None:
    load_book(engine, [1])
    job_id = submit_training(engine)
    window = opened(api, KeyRole.OPERATE)
    answer = window.send(f"/jobs/{job_id}/{action}", {"why": WHY})
    assert answer.headers["location"] == f"/jobs/{job_id}?done={action}"
    assert get_job(engine, job_id).state is state
    event, who, why = events_of(engine)[-1]
    assert (event, why) == (f"job.{state}", WHY)
    assert who.startswith("key ")


def test_what_the_state_does_not_allow_is_told_as_a_page(api: RunningApi, engine: Engine) -> None:
    load_book(engine, [1])
    answer = opened(api).send(f"/jobs/{submit_training(engine)}/retry")
    assert answer.status_code == 409
    assert "only a failed job can be retried" in answer.text


def test_a_filter_chooses_what_an_action_changes(api: RunningApi, engine: Engine) -> None:
    load_book(engine, [1])
    load_book(engine, [1], name="other", source="other")
    first, second = submit_training(engine), submit_job(engine, JobRequest(JobKind.TRAINING, "other", "test", {}))
    window = opened(api)
    asked = {"action": "cancel", "portfolio": BOOK, "kind": "", "state": "queued"}
    assert window.send("/jobs/actions", asked).status_code == 422  # many jobs at once: not without a reason
    assert "1 changed" in window.send("/jobs/actions", asked | {"why": WHY}).text
    assert [get_job(engine, one).state for one in (first, second)] == [JobState.CANCELLED, JobState.QUEUED]


@pytest.mark.usefixtures("two_nights")
def test_a_champion_is_promoted_rolled_back_and_held_with_a_reason(api: RunningApi, engine: Engine) -> None:
    window = opened(api)
    assert window.send("/models/m2/promote", {"why": WHY}).headers["location"] == "/portfolios/book/models?done=promote"
    assert "The champion was changed." in window.page("/portfolios/book/models?done=promote").text
    assert window.send("/portfolios/book/rollback", {"why": "it was not"}).status_code == 303
    champion = get_champion(engine, BOOK)
    assert champion is not None
    assert champion.version == "m1"
    assert window.send("/portfolios/book/retraining/hold", {"why": WHY}).status_code == 303
    assert is_held(engine, BOOK)
    events_found = [
        one for one in events_of(engine) if one[0] in ("model.promoted", "model.rolled_back", "retraining.hold")
    ]
    assert all(who.startswith("key ") for _, who, _ in events_found[-3:])


@pytest.mark.usefixtures("two_nights")
def test_a_suspicious_model_is_promoted_only_where_the_box_is_ticked(api: RunningApi, engine: Engine) -> None:
    strange = {"suspicious": [{"column": "recovered", "told": "recovered nearly decides the outcome by itself"}]}
    refused = Decision(BOOK, "m2", "m1", promoted=False, reason="r", figures=strange, decided_by="gate", job_id=None)
    with writing(engine) as connection:
        decide(connection, refused, champion_before=get_champion(engine, BOOK))
    window = opened(api)
    page = window.page("/portfolios/book/models").text
    assert page.count('name="accept_suspicious"') == 1
    assert "Suspicious: recovered nearly decides the outcome by itself." in page
    assert window.send("/models/m2/promote", {"why": WHY}).status_code == 409
    assert window.send("/models/m2/promote", {"why": WHY, "accept_suspicious": "true"}).status_code == 303
    champion = get_champion(engine, BOOK)
    assert champion is not None
    assert champion.version == "m2"


@pytest.mark.usefixtures("two_nights")
@pytest.mark.parametrize("why", ["", "x", "a\nb", "y" * 501])
def test_a_promotion_without_a_proper_reason_is_refused(api: RunningApi, why: str) -> None:
    answer = opened(api).send("/models/m2/promote", {"why": why})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "text/html; charset=utf-8")


@pytest.mark.usefixtures("two_nights")
def test_roles_decide_which_forms_are_shown_and_taken(api: RunningApi, engine: Engine) -> None:
    job_id = submit_training(engine)

    def tried(role: KeyRole) -> tuple[bool, bool, list[int]]:
        window = opened(api, role)
        shown = (
            "Submit a job" in window.page("/jobs").text,
            ">Promote<" in window.page("/portfolios/book/models").text,
        )
        sent: list[httpx.Response] = [
            window.send("/portfolios/book/retraining/hold", {"why": WHY}),
            window.send(f"/jobs/{job_id}/pause"),
        ]
        return (*shown, [one.status_code for one in sent])

    assert tried(KeyRole.READ) == (False, False, [403, 403])
    assert tried(KeyRole.OPERATE) == (True, False, [403, 303])
    assert tried(KeyRole.ADMIN) == (True, True, [303, 303])
