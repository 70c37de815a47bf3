"""A value that is fetched again in time, by one thread at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from flask_paseto.keys.refresh import (
    RETRY_INTERVAL,
    Fetched,
    FetchFailed,
    Refreshed,
)
from flask_paseto.keys.source import ForkSafeLock, _renew_locks

from .rings import Ticks

MINUTE, DAY = 60.0, 86_400.0


class Origin:
    """What is fetched: counts, and does as it is told."""

    def __init__(self) -> None:
        self.calls = 0
        self.former: list[int | None] = []
        self.fail: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, former: int | None) -> Fetched[int]:
        self.calls += 1
        self.former.append(former)
        number, fail = self.calls, self.fail
        self.gate.wait(20)
        if fail is not None:
            raise fail
        return Fetched(number, MINUTE)


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def origin() -> Iterator[Origin]:
    found = Origin()
    yield found
    found.gate.set()


@pytest.fixture
def kept(origin: Origin, ticks: Ticks) -> Refreshed[int]:
    return Refreshed(
        origin,
        name="the origin",
        timeout=timedelta(milliseconds=500),
        max_stale=timedelta(days=1),
        ticks=ticks,
    )


def settle(done: Callable[[], bool]) -> None:
    """Wait until a thread in the background has done its work."""
    for _ in range(2000):
        if done():
            return
        threading.Event().wait(0.005)
    raise AssertionError("the thread in the background does not come to an end")


def idle() -> bool:
    return not [t for t in threading.enumerate() if "the origin" in t.name]


def test_nobody_waits_for_the_first_value_but_who_asks_for_it(
    kept: Refreshed[int], origin: Origin
) -> None:
    origin.gate.clear()
    assert kept.current() is None
    origin.gate.set()
    kept.renew()
    assert kept.current() == 1
    assert origin.calls == 1


def test_a_young_value_is_given_without_asking(
    kept: Refreshed[int], origin: Origin, ticks: Ticks
) -> None:
    kept.renew()
    ticks.advance(0.79 * MINUTE)
    assert [kept.current() for _ in range(100)] == [1] * 100
    assert origin.calls == 1


def test_towards_its_end_it_is_fetched_while_requests_go_on(
    kept: Refreshed[int], origin: Origin, ticks: Ticks
) -> None:
    kept.renew()
    origin.gate.clear()
    ticks.advance(0.9 * MINUTE)
    assert [kept.current() for _ in range(50)] == [1] * 50
    origin.gate.set()
    settle(idle)
    assert kept.current() == 2
    assert origin.former == [None, 1]


def test_at_its_end_it_is_waited_for(
    kept: Refreshed[int], origin: Origin, ticks: Ticks
) -> None:
    """A worker that idled must not serve with keys that were taken back since."""
    kept.renew()
    ticks.advance(30 * MINUTE)
    assert kept.current() == 2


def test_when_it_cannot_be_fetched_the_last_one_stays_for_a_day(
    kept: Refreshed[int],
    origin: Origin,
    ticks: Ticks,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept.renew()
    origin.fail = FetchFailed("is closed")
    ticks.advance(MINUTE)

    assert kept.current() == 1
    settle(idle)
    calls = origin.calls
    assert [kept.current() for _ in range(100)] == [1] * 100
    assert origin.calls == calls  # the next attempt is due in half a minute
    ticks.advance(RETRY_INTERVAL)
    assert kept.current() == 1
    settle(idle)
    assert origin.calls == calls + 1
    ticks.advance(DAY)
    assert kept.current() is None
    settle(idle)
    assert kept.fault == "is closed"
    stay, gone = [each.getMessage() for each in caplog.records][::2]
    assert stay == "the origin is closed; the last good keys stay"
    assert gone == "the origin is closed; there are no good keys"

    origin.fail = None
    ticks.advance(RETRY_INTERVAL)
    kept.current()
    settle(idle)
    assert kept.current() == origin.calls


def test_a_bound_on_what_is_stale_is_none_on_what_is_not(
    origin: Origin, ticks: Ticks
) -> None:
    """A value serves to its own end; beyond that it is stale."""
    kept = Refreshed(
        origin,
        name="the origin",
        timeout=timedelta(milliseconds=500),
        max_stale=timedelta(seconds=1),
        ticks=ticks,
    )
    kept.renew()
    origin.gate.clear()
    ticks.advance(0.9 * MINUTE)
    assert [kept.current() for _ in range(3)] == [1] * 3
    origin.fail = FetchFailed("is closed")
    origin.gate.set()
    settle(idle)
    assert kept.current() == 2  # what was under way came after all
    ticks.advance(MINUTE)
    assert kept.current() is None
    settle(idle)
    assert kept.fault == "is closed"


def test_a_first_failure_does_not_speak_of_keys_that_stay(
    kept: Refreshed[int], origin: Origin, caplog: pytest.LogCaptureFixture
) -> None:
    origin.fail = FetchFailed("is closed")
    kept.renew()
    settle(idle)
    (told,) = [each.getMessage() for each in caplog.records]
    assert told == "the origin is closed; there are no good keys"


def test_nobody_waits_for_an_origin_that_has_failed(
    kept: Refreshed[int], origin: Origin, ticks: Ticks
) -> None:
    kept.renew()
    origin.fail = FetchFailed("is closed")
    ticks.advance(MINUTE)
    kept.current()
    settle(idle)
    origin.gate.clear()
    ticks.advance(RETRY_INTERVAL)

    before = threading.active_count()
    assert [kept.current() for _ in range(50)] == [1] * 50  # 25 s, if each waited
    assert threading.active_count() == before + 1


def test_an_origin_that_hangs_is_given_up_and_asked_anew(
    kept: Refreshed[int], origin: Origin, ticks: Ticks
) -> None:
    origin.gate.clear()
    kept.renew()
    assert kept.current() is None
    assert kept.fault == "did not answer within 0.5 seconds"
    for _ in range(10):
        ticks.advance(RETRY_INTERVAL)
        kept.current()
    assert origin.calls == 3  # threads that hang are not heaped up
    origin.gate.set()
    settle(idle)
    assert kept.current() is not None


def test_an_answer_that_comes_late_does_not_displace_a_newer_one(
    kept: Refreshed[int], origin: Origin, ticks: Ticks
) -> None:
    first_gate = origin.gate
    first_gate.clear()
    kept.renew()
    origin.gate = threading.Event()
    origin.gate.set()
    ticks.advance(RETRY_INTERVAL)
    kept.renew()
    assert kept.current() == 2
    first_gate.set()
    settle(idle)
    assert kept.current() == 2


def test_out_of_turn_it_is_asked_once_in_half_a_minute_however_many_ask(
    kept: Refreshed[int], origin: Origin, ticks: Ticks
) -> None:
    kept.renew()
    threads = [threading.Thread(target=kept.renew) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert origin.calls == 1
    ticks.advance(RETRY_INTERVAL - 1)
    kept.renew()
    assert origin.calls == 1
    ticks.advance(1)
    threads = [threading.Thread(target=kept.renew) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert origin.calls == 2
    assert kept.current() == 2


def test_who_comes_while_a_fetch_is_under_way_waits_for_the_same(
    kept: Refreshed[int], origin: Origin
) -> None:
    origin.gate.clear()
    assert kept.current() is None
    found: list[int | None] = []

    def ask() -> None:
        kept.renew()
        found.append(kept.current())

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    origin.gate.set()
    for thread in threads:
        thread.join()
    assert found == [1] * 5
    assert origin.calls == 1


@pytest.mark.requirement("KEY-6")
def test_of_an_exception_only_its_type_is_told(
    kept: Refreshed[int], origin: Origin, caplog: pytest.LogCaptureFixture
) -> None:
    origin.fail = RuntimeError("k4.local.secret")
    kept.renew()
    settle(idle)
    assert kept.current() is None
    assert kept.fault == "raised RuntimeError"
    assert "k4.local" not in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_process_fetches_for_itself(
    kept: Refreshed[int], origin: Origin
) -> None:
    """The thread and the lock of the parent are not there in a child of it."""
    origin.gate.clear()
    assert kept.current() is None
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        origin.gate = threading.Event()
        origin.gate.set()
        kept.renew()
        os.write(writing, str(kept.current()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100) == b"2"
    os.close(reading)
    os.close(writing)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_lock_held_at_a_fork_is_open_in_the_child() -> None:
    lock = ForkSafeLock()
    with lock:
        child = os.fork()
        if child == 0:
            with lock:
                os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_who_waited_for_its_turn_does_not_fetch_again(
    kept: Refreshed[int], origin: Origin, ticks: Ticks
) -> None:
    kept.renew()
    ticks.advance(MINUTE)
    with kept._lock:
        thread = threading.Thread(target=kept.current)
        thread.start()
        threading.Event().wait(0.2)  # it is at the lock
        kept._next = ticks() + 1  # as another caller leaves it
    thread.join()
    assert origin.calls == 1


def test_a_lock_that_is_renewed_is_open() -> None:
    lock = ForkSafeLock()
    lock._lock.acquire()
    _renew_locks()
    with lock:
        pass


def test_without_a_thread_the_last_value_stays(
    kept: Refreshed[int],
    ticks: Ticks,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A system may give no more, and the interpreter gives none at its end."""

    def give_none(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    kept.renew()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", give_none)
        ticks.advance(MINUTE)
        assert [kept.current() for _ in range(3)] == [1] * 3
        kept.renew()
    assert "no thread can be started" in caplog.text
    assert len(caplog.records) == 1
    ticks.advance(RETRY_INTERVAL)
    kept.current()
    settle(idle)
    assert kept.current() == 2
