"""The Loop page, its chart, and the file that holds both."""

import csv
import io
import re
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.connections.engine import writing
from db.portfolios.catalog import save_portfolio
from db.registry.champions import Decision, decide
from db.schema.states import KeyRole
from scheduler.cli.main import main
from tests.building import BOOK, book_definition
from tests.integration.api.server import RunningApi, running_api
from tests.integration.dashboard.window import opened
from tests.loop_story import tell_story

PAGE = "/portfolios/book/loop"
HOSTILE = '<script>alert("x")</script>'


def test_the_page_shows_the_whole_history_on_each_database(any_engine: Engine, tmp_path: Path) -> None:
    tell_story(any_engine)
    with running_api(any_engine, home=tmp_path) as api:
        shown = opened(api, KeyRole.READ, ["book"]).page(PAGE).text
    assert "Next look: after 1 more night, expected 6 January 2026." in shown
    for text in ("m2c", "recalibrated", "ROC AUC +0.0400 (+0.0100 to +0.0700)", "on 140 outcomes", "rolled back",
                 "complaints from the branches", "12 new bad outcomes, 300 are needed", "25.00\u00a0%"):  # fmt: skip
        assert text in shown, text


def test_other_pages_lead_to_it(api: RunningApi, engine: Engine) -> None:
    tell_story(engine)
    window = opened(api)
    for path in ("/", "/portfolios/book/models", "/portfolios/book/drift"):
        assert f'href="{PAGE}"' in window.page(path).text, path


def test_earlier_nights_are_on_another_page(api: RunningApi, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    nights = tell_story(engine)
    monkeypatch.setattr("scheduler.dashboard.pages.loop._NIGHTS_ON_A_PAGE", 3)
    window = opened(api)
    first = window.page(PAGE).text
    assert _listed(first) == nights[:1:-1]
    link = re.search(rf'href="({PAGE}\?before=\d+)#', first)
    assert link is not None
    assert _listed(window.page(link[1]).text) == nights[1::-1]


def test_the_chart_has_every_night_and_what_followed_it_in_its_table(api: RunningApi, engine: Engine) -> None:
    tell_story(engine)
    answer = opened(api).page(f"{PAGE}/charts/timeline.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [one["night"] for one in rows] == [f"2026-01-0{day}" for day in range(1, 6)]
    assert rows[2]["then"] == "m2 promoted; m2c refused"
    assert rows[4]["then"] == "m1 rolled back; m3 undecided"
    assert (rows[0]["expected bad rate"], rows[0]["realised bad rate"]) == ("0.2", "0.25")


def test_hostile_texts_do_nothing_on_the_page_and_in_the_file(
    api: RunningApi, engine: Engine, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell_story(engine)
    save_portfolio(engine, book_definition(title=HOSTILE), who=HOSTILE)
    with writing(engine) as connection:
        refused = Decision(
            BOOK, "m2c", "m1", promoted=False, reason=HOSTILE, figures={}, decided_by=HOSTILE, job_id=None
        )
        decide(connection, refused, champion_before=None)
    monkeypatch.setenv("TIDEMARK_DATABASE_URL", sqlite_url)
    file = tmp_path / "loop.html"
    assert main(["loop", "show", BOOK, "--out", str(file)]) == 0
    for text in (opened(api).page(PAGE).text, file.read_text(encoding="utf-8")):
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text


def _listed(page: str) -> list[int]:
    table = page.partition('id="section-nights"')[2]
    return [int(number) for number in re.findall(r'href="/jobs/(\d+)"', table)]
