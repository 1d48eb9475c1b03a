"""Scores and rejects over HTTP: a page at a time, or whole in three formats; metrics, models, schedules."""

import hashlib
import io
import json
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from db.results.shard_results import complete_scored_shard
from tests.building import add_model, claim, load_book, result_for, start_scoring
from tests.integration.api.conftest import RECORDS, REJECTED
from tests.integration.api.server import running_api


def test_pages_of_scores_hold_every_score_once_in_key_order(admin: httpx.Client, scored_job: int) -> None:
    keys: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = admin.get(f"/v1/jobs/{scored_job}/scores", params={"limit": 10, **cursor}).json()
        keys += [one["record_key"] for one in page["scores"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys) == RECORDS - REJECTED


def test_scores_come_whole_as_csv_parquet_and_arrow(admin: httpx.Client, scored_job: int) -> None:
    text = admin.get(f"/v1/jobs/{scored_job}/scores.csv").text.splitlines()
    parquet = pq.read_table(io.BytesIO(admin.get(f"/v1/jobs/{scored_job}/scores.parquet").content))
    arrow = pa.ipc.open_stream(admin.get(f"/v1/jobs/{scored_job}/scores.arrow").content).read_all()
    assert text[0] == "record_key,probability,points,band,model_version,reason_1,reason_2,reason_3,reason_4"
    assert len(text) - 1 == parquet.num_rows == arrow.num_rows == RECORDS - REJECTED
    assert parquet.equals(arrow)
    assert [line.split(",")[0] for line in text[1:]] == parquet.column("record_key").to_pylist()


def test_rejects_are_paged_filtered_and_whole(admin: httpx.Client, scored_job: int) -> None:
    path = f"/v1/jobs/{scored_job}/rejects"
    first = admin.get(path, params={"limit": 2}).json()
    rest = admin.get(path, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert len(first["rejects"] + rest["rejects"]) == REJECTED
    assert rest["next_cursor"] is None
    assert admin.get(path, params={"reason": "infinite"}).json()["rejects"] == []
    assert len(admin.get(f"{path}.csv").text.splitlines()) == REJECTED + 1


def test_csv_is_safe_to_open_in_a_spreadsheet_and_raw_on_request(admin: httpx.Client, engine: Engine) -> None:
    load_book(engine, ["=HYPERLINK(1)", "@x", "-5", "plain"], key_type="text")
    add_model(engine)
    job = start_scoring(engine)
    claimed = claim(engine)
    complete_scored_shard(engine, claimed, result_for(engine, claimed), worker="w1")
    safe = admin.get(f"/v1/jobs/{job.id}/scores.csv").text
    raw = admin.get(f"/v1/jobs/{job.id}/scores.csv", params={"raw": True}).text
    assert {line.split(",")[0] for line in safe.splitlines()[1:]} == {"'=HYPERLINK(1)", "'@x", "-5", "plain"}
    assert {line.split(",")[0] for line in raw.splitlines()[1:]} == {"=HYPERLINK(1)", "@x", "-5", "plain"}


def test_scores_of_a_job_that_is_not_done_are_not_given(admin: httpx.Client, engine: Engine) -> None:
    load_book(engine, [1])
    add_model(engine)
    admin.post("/v1/jobs", json={"kind": "scoring", "portfolio": "book"})
    assert admin.get("/v1/jobs/1/scores").status_code == 409
    assert admin.get("/v1/jobs/1/scores.csv").status_code == 409


def test_metrics_tell_jobs_records_rejects_and_the_champion(admin: httpx.Client, scored_job: int) -> None:
    text = admin.get("/metrics").text
    assert 'tidemark_jobs{kind="scoring",portfolio="book",state="done"} 1.0' in text
    assert f'tidemark_records_scored_total{{portfolio="book"}} {RECORDS - REJECTED}.0' in text
    assert f'tidemark_records_rejected_total{{portfolio="book"}} {REJECTED}.0' in text
    assert 'tidemark_champion_info{portfolio="book",version="m1"} 1.0' in text
    assert "tidemark_lease_losses_total 0.0" in text


def test_models_and_decisions_are_shown(admin: httpx.Client, engine: Engine) -> None:
    load_book(engine, [1])
    add_model(engine)
    assert admin.get("/v1/portfolios/book/models").json()["models"][0]["state"] == "champion"
    assert admin.get("/v1/models/m1").json()["decisions"][0]["promoted"] is True
    assert admin.get("/v1/portfolios/book/decisions").json()["decisions"][0]["version"] == "m1"
    assert admin.get("/v1/portfolios/book/drift").json()["reports"] == []


def test_a_models_report_is_its_card_and_its_absence_is_said(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMARK_MODELS_URL", str(tmp_path))
    load_book(engine, [1])
    add_model(engine)
    with running_api(engine) as api:
        client = api.client(api.key())
        assert client.get("/v1/models/m1/report").json()["type"] == "/problems/not-found"
        card = b'{"title": "The book", "held_out": {"rows": 12}}'
        (tmp_path / "m1").mkdir()
        (tmp_path / "m1" / "card.json").write_bytes(card)
        checksums = {"files": {"card.json": hashlib.sha256(card).hexdigest(), "card.md": "0" * 64}}
        (tmp_path / "m1" / "manifest.json").write_text(json.dumps(checksums))
        assert client.get("/v1/models/m1/report").json() == {"version": "m1", "card": json.loads(card)}
        (tmp_path / "m1" / "card.json").write_bytes(card.replace(b"12", b"13"))
        assert client.get("/v1/models/m1/report").status_code == 404


def test_a_schedule_is_added_changed_paused_and_removed(admin: httpx.Client, engine: Engine) -> None:
    load_book(engine, [1])
    add_model(engine)
    wanted = {"portfolio": "book", "cron": "30 2 * * *", "time_zone": "Europe/Berlin"}
    assert [admin.post("/v1/schedules", json=wanted).status_code for _ in range(2)] == [201, 200]
    assert admin.post("/v1/schedules/1/pause").json()["state"] == "paused"
    assert admin.post("/v1/schedules/1/resume").json()["state"] == "active"
    assert admin.post("/v1/schedules/1/run").status_code == 202
    assert admin.get("/v1/schedules/1").json()["runs"][0]["job"] == 1
    assert admin.delete("/v1/schedules/1").json()["state"] == "removed"
    assert admin.get("/v1/schedules").json()["schedules"] == []
    assert admin.post("/v1/schedules", json=wanted | {"cron": "no"}).status_code == 422


@pytest.mark.parametrize("kind", ["text/csv", "application/x-ndjson", "application/vnd.apache.parquet"])
def test_records_are_loaded_from_each_format(admin: httpx.Client, engine: Engine, kind: str) -> None:
    load_book(engine, [1])
    table = pa.table({"id": [1, 2], "bad": [0, 1], "amount": [3.5, None], "colour": ["red", None]})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    bodies = {
        "text/csv": b"id,bad,amount,colour\n1,0,3.5,red\n2,1,,\n",
        "application/x-ndjson": b'{"id":1,"bad":0,"amount":3.5,"colour":"red"}\n{"id":2,"bad":1}\n',
        "application/vnd.apache.parquet": sink.getvalue(),
    }
    answer = admin.post("/v1/portfolios/book/records", content=bodies[kind], headers={"Content-Type": kind})
    assert answer.status_code == 200, answer.text
    counts = {name: answer.json()[name] for name in ("loaded", "replaced", "total")}
    assert counts == {"loaded": 2, "replaced": 1, "total": 2}
