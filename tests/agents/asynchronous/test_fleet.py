"""Supervision by a clock that does not run by itself, and memory that is shared without locks."""

from __future__ import annotations

import threading
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optgap.agents.asynchronous.board import Board
from optgap.agents.asynchronous.child import Inbox, room
from optgap.agents.asynchronous.config import APTSACConfig
from optgap.agents.asynchronous.engine import ActorsLostError
from optgap.agents.asynchronous.fleet import FAILURES, STARTING, TICK, Fleet
from optgap.agents.asynchronous.messages import Ended, Mail, Parcel, Published
from optgap.co.core import InputError

CONTEXT = get_context("spawn")
PARCEL = Parcel(None, None, None, None, {})


class Scripted:
    """Time passes only while something is waited for; ``at`` says what comes when, ``beats`` who shows life when."""

    def __init__(self, at: dict[float, Mail]) -> None:
        self.now, self.at = 0.0, dict(sorted(at.items()))
        self.beats: dict[int, float] = {}
        self.orders: list[tuple] = []

    def clock(self):
        return self.now

    def start(self, actor, generation):
        self.orders.append(("start", actor, generation))
        self.beats.pop(actor, None)

    def stop(self, actor):
        self.orders.append(("stop", actor))

    def receive(self, seconds):
        due = next(iter(self.at), None)
        if due is not None and due <= self.now + seconds:
            self.now = max(self.now, due)
            return self.at.pop(due)
        self.now += seconds
        return None

    def silent(self, actor):
        return self.now - self.beats[actor] if actor in self.beats else None


def fleet_of(engine: Scripted, actors: int = 2, heartbeat_seconds: float = 10.0) -> Fleet:
    return Fleet(engine, actors, heartbeat_seconds, engine.clock)


def test_a_hung_actor_is_started_anew_after_its_silence():
    engine = Scripted({30.0: Mail(0, 0, PARCEL)})
    fleet = fleet_of(engine)
    engine.beats = {0: 29.0, 1: 5.0}
    assert fleet.next() is PARCEL
    assert engine.orders[2:] == [("stop", 1), ("start", 1, 1)]
    assert fleet.restarts == 1


def test_silence_is_measured_with_a_tick_and_not_before():
    engine = Scripted({14.9: Mail(0, 0, PARCEL)})
    fleet = fleet_of(engine)
    engine.beats = {0: 14.0, 1: 5.0}
    fleet.next()
    assert fleet.restarts == 0
    engine.at = {15.0 + 2 * TICK: Mail(0, 0, PARCEL)}
    fleet.next()
    assert fleet.restarts == 1


def test_an_actor_may_compile_before_its_first_step():
    engine = Scripted({STARTING - 1: Mail(0, 0, PARCEL), STARTING + 2: Mail(0, 0, PARCEL)})
    fleet = fleet_of(engine)
    engine.beats = {0: 10 * STARTING}
    fleet.next()
    assert fleet.restarts == 0
    fleet.next()
    assert fleet.restarts == 1


def test_what_a_dead_actor_played_is_kept_and_its_second_death_ignored():
    engine = Scripted({1.0: Mail(0, 0, Ended("killed")), 1.1: Mail(0, 0, PARCEL), 1.2: Mail(0, 0, Ended("killed"))})
    fleet = fleet_of(engine)
    assert fleet.next() is PARCEL
    engine.at[1.3] = Mail(1, 0, PARCEL)
    fleet.next()
    assert fleet.restarts == 1
    assert engine.orders[2:] == [("stop", 0), ("start", 0, 1)]


def test_failures_in_a_row_end_the_run_and_a_parcel_forgives_them():
    deaths = {float(number): Mail(0, number, Ended("no memory")) for number in range(FAILURES - 1)}
    engine = Scripted(deaths | {FAILURES - 0.5: Mail(0, FAILURES - 1, PARCEL)})
    fleet = fleet_of(engine)
    assert fleet.next() is PARCEL
    more = range(FAILURES - 1, 2 * FAILURES)
    engine.at = {100.0 + number: Mail(0, number, Ended("no memory")) for number in more}
    with pytest.raises(ActorsLostError, match="actor 0 failed 5 times in a row: no memory"):
        fleet.next()
    assert fleet.restarts == 2 * FAILURES - 2
    with pytest.raises(InputError, match="actor 1: no such id"):
        fleet_of(Scripted({0.0: Mail(1, 0, Ended("no such id", fatal=True))})).next()


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40), st.binary(max_size=50)), min_size=1))
def test_the_newest_policy_is_read(policies):
    board = Board(CONTEXT, 1, Published(0, 0, bytes(50)))
    for count, (version, steps, weights) in enumerate(policies, start=2):
        board.publish(Published(version, steps, weights))
        assert board.number() == count
        assert board.read() == Published(version, steps, weights)


def test_no_torn_policy_is_ever_read():
    """A writer without pause, in a thread; every policy is one byte, many times."""
    size = 100_000
    board, ended = Board(CONTEXT, 1, Published(0, 0, bytes(size))), threading.Event()

    def write():
        for version in range(1, 400):
            board.publish(Published(version, version, bytes([version % 256]) * size))
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    last = 0
    while not ended.is_set():
        found = board.read()
        assert len(found.weights) == size
        assert set(found.weights[::97]) == {found.weights[0]}
        assert board.read().version >= last
        last = found.version
    writer.join()
    assert board.read().version == 399


def test_a_reader_waits_for_a_whole_policy(monkeypatch):
    board = Board(CONTEXT, 1, Published(1, 10, b"abc"))
    whole = board._bytes(1, 3).copy()
    board._bytes(1, 3)[:] = 0  # as if a writer were at work
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        board._bytes(1, 3)[:] = whole

    monkeypatch.setattr("optgap.agents.asynchronous.board.time.sleep", sleep)
    assert board.read() == Published(1, 10, b"abc")
    assert len(waited) == 1
    monkeypatch.setattr("optgap.agents.asynchronous.board.time.sleep", lambda seconds: None)
    board._bytes(1, 3)[:] = 0
    with pytest.raises(RuntimeError, match="no whole policy"):
        board.read()
    with pytest.raises(ValueError, match="4 bytes on a board for 3"):
        board.publish(Published(2, 10, b"abcd"))


def test_what_is_received_makes_room_for_the_present_life_alone():
    board = Board(CONTEXT, 2, Published(0, 0, b""))
    inbox = Inbox(board)
    inbox.begin(0, 0)
    for generation in (0, 0, 1):
        inbox.put(Mail(0, generation, PARCEL))
    assert len(inbox) == 3
    inbox.get(0.1)
    assert board.taken(0) == 1
    inbox.begin(0, 1)  # died; one of its parcels still lies there
    assert board.taken(0) == 0
    inbox.get(0.1)
    assert board.taken(0) == 0
    inbox.get(0.1)
    assert board.taken(0) == 1
    assert inbox.get(0.001) is None
    assert [room(APTSACConfig(queue=queue, actors=4)) for queue in (1, 8, 11)] == [1, 2, 2]
    assert board.silent(1) is None
    board.beat(1, silent=5.0)
    assert board.silent(1) == pytest.approx(5.0, abs=1.0)
