"""People and programs who use the installation: each a thread that draws its next action from a seed."""

import io
import threading
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import httpx
import pandas as pd

from scheduler.demo.simulator import simulate_customers
from tests.soak.journal import Journal
from tests.soak.receivers import Receivers
from tests.soak.site import BUSY, KEY, Book, Site

# Refusals that are right: what is asked for is not possible as things stand, and the answer says so.
_RIGHT = {404, 409, 422}
_NOT_THERE = {502, 503, 504}
_PAUSE_SECONDS = (0.2, 2.0)
_REVOKED_SECONDS = 2.0
_LARGEST_BOOK = 10_000

Action = Callable[["Person"], None]


class Person(threading.Thread):
    """One who draws an action, does it, and pauses; until told to stop."""

    def __init__(
        self, name: str, seed: str, site: Site, journal: Journal, *, versions: Mapping[str, list[str]],
        receivers: Receivers, actions: Mapping[Action, int],
    ) -> None:  # fmt: skip
        super().__init__(name=name, daemon=True)
        self.random = Random(seed)
        self.site = site
        self.journal = journal
        self.versions = versions
        self.receivers = receivers
        self.client = site.client()
        self.ending = threading.Event()
        self._actions = actions

    def run(self) -> None:
        """Act until told to stop."""
        while not self.ending.wait(self.random.uniform(*_PAUSE_SECONDS)):
            act = self.random.choices([*self._actions], [*self._actions.values()])[0]
            try:
                act(self)
            except httpx.HTTPError as error:
                self._not_answered(act.__name__, type(error).__name__)
        self.client.close()

    def send(self, action: str, method: str, path: str, **options: Any) -> httpx.Response | None:
        """Send a request; None where it was refused for a right reason, or while something was harmed."""
        answer = self.client.request(method, path, **options)
        if answer.is_success:
            self.journal.note(action)
            return answer
        if answer.status_code in _RIGHT:
            self.journal.note(action, refused=f"{answer.status_code} {answer.json().get('title')}")
        elif answer.status_code in _NOT_THERE:
            self._not_answered(action, str(answer.status_code))
        else:
            self.journal.find("an answer is a success or a right refusal", f"{action}: {answer.status_code} {path}")
        return None

    def book(self, *names: str) -> Book:
        """One of these books, or of the busy ones."""
        return self.site.books[self.random.choice(names or BUSY)]

    def a_job(self) -> dict[str, Any] | None:
        """One of the newest jobs."""
        answer = self.send("list jobs", "GET", "/v1/jobs", params={"limit": 30})
        return self.random.choice(answer.json()["jobs"]) if answer is not None and answer.json()["jobs"] else None

    def _not_answered(self, action: str, how: str) -> None:
        self.journal.note(action, refused=f"not answered ({how})")
        if self.journal.was_calm(self.journal.seconds):
            self.journal.find("the API answers while nothing is harmed", f"{action}: {how}")


def load(person: Person) -> None:
    """Load new people, or some of the present ones again."""
    book = person.book()
    with book.lock:
        is_growing = person.random.random() < 0.5 and len(book.frame) < _LARGEST_BOOK
        frame = _new_people(person, book.name) if is_growing else book.some(person.random, 200)
        path, headers = f"/v1/portfolios/{book.name}/records", {"Content-Type": "text/csv"}
        sent = person.send("load", "POST", path, content=frame.to_csv(index=False), headers=headers)
        if sent is not None and is_growing:
            book.frame = pd.concat([book.frame, frame], ignore_index=True)


def _new_people(person: Person, book: str) -> pd.DataFrame:
    number = person.random.randrange(10**9)
    frame = simulate_customers(100, number, text_keys=True).drop(columns=["true_probability", "true_outcome"])
    frame[KEY] = [f"soak-{book}-{number}-{row:04d}-{person.random.randbytes(6).hex()}" for row in range(len(frame))]
    return frame


def score(person: Person) -> None:
    """Ask for a book to be scored, with any priority, perhaps with an idempotency key sent twice."""
    asked = {
        "kind": "scoring",
        "portfolio": person.book().name,
        "priority": person.random.choice(["interactive", "normal", "nightly"]),
        "reasons": person.random.random() < 0.5,
    }
    headers = {"Idempotency-Key": person.random.randbytes(16).hex()}
    first = person.send("score", "POST", "/v1/jobs", json=asked, headers=headers)
    if first is not None and person.random.random() < 0.3:
        again = person.send("score again by its key", "POST", "/v1/jobs", json=asked, headers=headers)
        if again is not None and again.json()["job"] != first.json()["job"]:
            person.journal.find("one idempotency key is one job", f"jobs {first.json()['job']}, {again.json()['job']}")


def interfere(person: Person) -> None:
    """Pause, resume, retry or cancel a job; what is paused is resumed at the end at the latest."""
    job = person.a_job()
    action = person.random.choice(["pause", "resume", "resume", "retry", "cancel"])
    if job is not None and job["portfolio"] in BUSY and job["kind"] == "scoring":
        person.send(action, "POST", f"/v1/jobs/{job['job']}/{action}", json={"why": "soak"})


def export(person: Person) -> None:
    """Take a job's scores away, all or a page."""
    job = person.a_job()
    if job is not None and job["kind"] == "scoring":
        form = person.random.choice(["scores", "scores.csv", "scores.parquet", "rejects.csv"])
        person.send(f"export {form}", "GET", f"/v1/jobs/{job['job']}/{form}")


def score_at_once(person: Person) -> None:
    """Score some records over the API."""
    book = person.book()
    records = book.some(person.random, 5).drop(columns=["default_next_month"]).astype(object)
    rows = records.where(records.notna(), None).to_dict("records")
    person.send("score at once", "POST", "/v1/score", json={"portfolio": book.name, "records": rows})


def schedule(person: Person) -> None:
    """Add, pause, resume, run or remove a schedule that is due every minute."""
    found = person.send("list schedules", "GET", "/v1/schedules")
    if found is None:
        return
    known = found.json()["schedules"]
    if not known or person.random.random() < 0.3:
        wanted = {"portfolio": person.book().name, "cron": "* * * * *", "time_zone": "Europe/Berlin"}
        person.send("add schedule", "POST", "/v1/schedules", json=wanted)
        return
    one = person.random.choice(known)["schedule"]
    action = person.random.choice(["pause", "resume", "run", "remove"])
    if action == "remove":
        person.send("remove schedule", "DELETE", f"/v1/schedules/{one}")
    else:
        person.send(f"{action} schedule", "POST", f"/v1/schedules/{one}/{action}")


def erase(person: Person) -> None:
    """Erase a person, who must be found nowhere from then on."""
    book = person.book()
    with book.lock:
        key = book.some(person.random, 1)[KEY].iloc[0]
        sent = person.send("erase", "POST", f"/v1/portfolios/{book.name}/erasures", json={"record_key": key})
        if sent is None:
            return  # perhaps erased all the same: the key is not used again
        book.frame = book.frame[book.frame[KEY] != key]
        book.erased.append(key)
        if not sent.json()["proven"]:
            person.journal.note("erase", refused="not proven yet")


def promote(person: Person) -> None:
    """Make another version the champion, or go back to the one before."""
    book = person.book()
    if person.random.random() < 0.3:
        person.send("roll back", "POST", f"/v1/portfolios/{book.name}/rollback", json={"why": "soak"})
        return
    version = person.random.choice(person.versions[book.name])
    person.send("promote", "POST", f"/v1/models/{version}/promote", json={"why": "soak"})


def turn_keys(person: Person) -> None:
    """Make a key, use it, revoke it: from two seconds later on it must be refused."""
    wanted = {"name": "short", "role": "read", "portfolios": [person.book().name], "expires_in_days": 1}
    made = person.send("make key", "POST", "/v1/keys", json=wanted)
    if made is None:
        return
    key = {"Authorization": f"Bearer {made.json()['key']}"}
    person.send("use key", "GET", "/v1/jobs", headers=key)
    if person.send("revoke key", "DELETE", f"/v1/keys/{made.json()['id']}") is None:
        return
    person.ending.wait(_REVOKED_SECONDS)
    answer = person.client.get("/v1/jobs", headers=key)
    if answer.is_success:
        person.journal.find("a revoked key is refused", f"key {made.json()['id']}, {_REVOKED_SECONDS} s later")


def turn_webhooks(person: Person) -> None:
    """Register a webhook whose receiver is slow, refuses or vanished; or switch one of them off."""
    found = person.send("list webhooks", "GET", "/v1/webhooks")
    if found is None:
        return
    bad = [one for one in found.json()["webhooks"] if one["is_active"] and "/good" not in one["url"]]
    if len(bad) > 6 or (bad and person.random.random() < 0.4):
        person.send("switch off webhook", "DELETE", f"/v1/webhooks/{person.random.choice(bad)['webhook']}")
        return
    wanted = {"url": person.receivers.bad_url(person.random), "events": ["job.*", "model.promoted"]}
    person.send("register webhook", "POST", "/v1/webhooks", json=wanted)


def bring_outcomes(person: Person) -> None:
    """Load what became of some people."""
    book = person.book()
    with book.lock:
        frame = book.some(person.random, 50)[[KEY, "default_next_month"]].dropna()
        frame.columns = [KEY, "outcome"]
        frame["outcome_date"] = "2026-11-01"
        text = io.StringIO()
        frame.astype({"outcome": int}).to_csv(text, index=False)
        headers = {"Content-Type": "text/csv"}
        person.send(
            "bring outcomes", "POST", f"/v1/portfolios/{book.name}/outcomes", content=text.getvalue(), headers=headers
        )


def train(person: Person) -> None:
    """Train another version, small and held back."""
    asked = {"kind": "training", "portfolio": person.book().name, "epochs": 1, "hold": True, "trees": False}
    person.send("train", "POST", "/v1/jobs", json=asked | {"seed": person.random.randrange(1000)})


# What each of them does, and how often in comparison.
CAST: dict[str, dict[Action, int]] = {
    "loader": {load: 3, bring_outcomes: 1},
    "operator": {score: 4, interfere: 4, schedule: 2, export: 2},
    "clerk": {score_at_once: 4, export: 2, erase: 3},
    "administrator": {promote: 3, turn_keys: 3, turn_webhooks: 3, erase: 2, train: 0},
}
