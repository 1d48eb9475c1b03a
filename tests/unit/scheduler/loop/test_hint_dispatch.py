"""Which hints are sent: as many as a queue has room for, old ones only when it is empty."""

from db.ledger.dispatch_hints import Hint
from scheduler.loop.hint_dispatch import choose_hints


def _hints(count: int, *, was_sent: bool = False, queue: str = "scoring") -> list[Hint]:
    return [Hint(number, queue, was_sent) for number in range(count)]


def test_no_more_hints_are_sent_than_the_window_has_room_for() -> None:
    assert len(choose_hints(_hints(50), {"scoring": 95}, window=100)) == 5


def test_the_most_urgent_hints_are_kept() -> None:
    assert [hint.shard_id for hint in choose_hints(_hints(9), {"scoring": 0}, window=3)] == [0, 1, 2]


def test_a_hint_that_was_sent_is_sent_again_only_on_an_empty_queue() -> None:
    assert choose_hints(_hints(3, was_sent=True), {"scoring": 1}, window=100) == []
    assert len(choose_hints(_hints(3, was_sent=True), {"scoring": 0}, window=100)) == 3


def test_queues_do_not_take_each_others_room() -> None:
    waiting = _hints(3) + _hints(3, queue="training")
    chosen = choose_hints(waiting, {"scoring": 100, "training": 98}, window=100)
    assert [hint.queue for hint in chosen] == ["training", "training"]
