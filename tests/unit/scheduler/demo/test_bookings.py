"""The simulated bookings: repeatable, none after its customer's moment, and telling by order and time alone."""

import numpy as np
import pandas as pd
import pytest

from scheduler.demo.bookings import (
    EVENTS,
    PORTFOLIO,
    SPAN_DAYS,
    SPREAD,
    Bookings,
    simulate_booked_customers,
    simulate_bookings,
    usual_aggregates,
)
from scheduler.demo.simulator import TARGET, TRUE_OUTCOME, TRUE_PROBABILITY, best_possible_auc
from scheduler.portfolio_files.reader import parse_portfolio

CUSTOMERS = 4_000


@pytest.fixture(scope="module")
def bookings() -> Bookings:
    return simulate_bookings(pd.Series(np.arange(1, CUSTOMERS + 1)), seed=3)


@pytest.fixture(scope="module")
def habits(bookings: Bookings) -> pd.DataFrame:
    return pd.DataFrame(bookings.habits._asdict(), index=np.arange(1, CUSTOMERS + 1))


def _ages(bookings: Bookings) -> "pd.Series[float]":
    moments = bookings.moments.set_axis(np.arange(1, CUSTOMERS + 1))
    return (bookings.log["customer_id"].map(moments) - bookings.log["booked_at"]) / pd.Timedelta(days=1)


def test_the_same_seed_gives_the_same_bookings_and_another_seed_others(bookings: Bookings) -> None:
    again = simulate_bookings(pd.Series(np.arange(1, CUSTOMERS + 1)), seed=3)
    pd.testing.assert_frame_equal(again.log, bookings.log)
    assert not simulate_bookings(pd.Series([1, 2]), seed=4).log.equals(simulate_bookings(pd.Series([1, 2])).log)


def test_every_customer_has_about_as_many_bookings_in_order_and_none_after_the_moment(bookings: Bookings) -> None:
    counts = bookings.log.groupby("customer_id").size()
    assert len(counts) == CUSTOMERS
    assert counts.between(EVENTS - SPREAD, EVENTS + SPREAD).all()
    ages = _ages(bookings)
    assert ages.between(0, SPAN_DAYS).all()
    assert (ages.groupby(bookings.log["customer_id"]).diff().dropna() <= 0).all()


def test_income_that_stopped_is_two_months_old(bookings: Bookings, habits: pd.DataFrame) -> None:
    salary = bookings.log["kind"] == "salary"
    last = _ages(bookings)[salary].groupby(bookings.log["customer_id"][salary]).min().reindex(habits.index)
    assert (last[habits["has_stopped"]].dropna() >= 60).all()
    assert (last[~habits["has_stopped"]].dropna() < 31).all()


def test_cash_at_night_is_drawn_by_everyone_alike(bookings: Bookings, habits: pd.DataFrame) -> None:
    log = bookings.log
    at_night = (log["kind"] == "cash") & (log["booked_at"].dt.hour < 4)
    nights = at_night.groupby(log["customer_id"]).sum()
    usual, late = nights[~habits["draws_late"]].mean(), nights[habits["draws_late"]].mean()
    assert abs(usual / late - 1) < 0.05


def test_games_are_as_many_whatever_their_trend_and_later_where_it_rises(
    bookings: Bookings, habits: pd.DataFrame
) -> None:
    games = bookings.log["kind"] == "games"
    by_customer = _ages(bookings)[games].groupby(bookings.log["customer_id"][games])
    count = by_customer.size().groupby(habits["trend"]).mean()
    age = by_customer.mean().groupby(habits["trend"]).mean()
    assert count.max() / count.min() < 1.05
    assert age[1] + 20 < age[0] < age[-1] - 20


def test_the_portfolio_fits_the_customers_and_their_bookings() -> None:
    frame, log = simulate_booked_customers(2_000, unlabelled_share=0.2)
    definition = parse_portfolio(PORTFOLIO, "the demo's portfolio")
    [events] = definition.events
    assert {definition.key, TARGET, *definition.scored_columns} == {*frame} - {TRUE_OUTCOME, TRUE_PROBABILITY}
    assert [events.key, events.at, *events.columns] == list(log)
    assert 0.15 < frame[TARGET].isna().mean() < 0.25
    assert 0.75 < best_possible_auc(frame) < 0.83
    assert len(usual_aggregates(frame, log)) == len(frame)
