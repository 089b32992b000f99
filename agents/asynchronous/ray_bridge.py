"""The process that talks to Ray: it starts its actors, shows them the newest policy, and hands on what they play."""

from __future__ import annotations

import os
import queue
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from optgap.agents.asynchronous.board import Board
from optgap.agents.asynchronous.child import send_failure
from optgap.agents.asynchronous.messages import Assignment, Ended, Mail, Parcel, Published
from optgap.agents.asynchronous.player import Player

READY = "ready"
POLL = 0.02  # seconds between two looks at orders and policies
ANSWER = 1.0  # seconds after which an actor that has nothing answers so
HEAD_SECONDS = "15"  # until Ray gives up a head that is gone


class RemoteActor:
    """What runs in a process of Ray: a thread that plays, and calls that fetch what it played and bring policies."""

    def __init__(self, assignment: Assignment, actor: int, generation: int, published: Published, room: int) -> None:
        self._arguments = assignment, actor, generation
        self._published: Published | None = published
        self._played: queue.Queue[Parcel | Ended] = queue.Queue()
        self._room = threading.Semaphore(room)
        self._beat: float | None = None
        self._waiting = False
        threading.Thread(target=self._play_for_ever, daemon=True).start()

    def fetch(self, seconds: float) -> tuple[list[Parcel | Ended], float | None]:
        """All that was played, after waiting for some; and the seconds since the last step, None before the first one."""
        found: list[Parcel | Ended] = []
        try:
            found.append(self._played.get(timeout=seconds))
            while True:
                found.append(self._played.get_nowait())
        except queue.Empty:
            pass
        silent = None if self._beat is None else 0.0 if self._waiting else time.monotonic() - self._beat
        return found, silent

    def take(self, published: Published) -> None:
        """Play with this policy from the next step on."""
        self._published = published

    def free(self, count: int) -> None:
        """The learner has taken so many more parcels out of the queue."""
        self._room.release(count)

    def _play_for_ever(self) -> None:
        def newest() -> Published | None:
            published, self._published = self._published, None
            return published

        def beat() -> None:
            self._beat = time.monotonic()

        try:
            player = Player(*self._arguments, newest, beat)
            while True:
                self._waiting = True
                self._room.acquire()
                beat()
                self._waiting = False
                self._played.put(player.play())
        except Exception as error:
            send_failure(self._played.put, error)


class Bridge:
    """The bridge's state: Ray's actors, and the calls that they have not answered yet."""

    def __init__(self, pipe: Connection, assignment: Assignment, board: Board, room: int) -> None:
        import ray

        self.ray, self.pipe, self.board = ray, pipe, board
        self.assignment, self.room = assignment, room
        self.handles: dict[int, Any] = {}
        self.generations: dict[int, int] = {}
        self.taken: dict[int, int] = {}  # parcels that the actor knows the learner has taken
        self.calls: dict[Any, int] = {}  # reference of a call -> actor
        self.shown = board.number()
        self.node = ray.get_runtime_context().get_node_id()

    def run(self) -> None:
        """Until the learner says so, or the cluster is gone."""
        while True:
            while self.pipe.poll():
                order = self.pipe.recv()
                if order is None:
                    return
                self._obey(*order)
            self._show()
            if not self.calls:
                time.sleep(POLL)
                continue
            done, _ = self.ray.wait(list(self.calls), timeout=POLL)
            for call in done:
                self._hand_on(call, self.calls.pop(call))

    def _obey(self, actor: int, generation: int | None) -> None:
        """Start an actor, or end it where ``generation`` is None."""
        handle = self.handles.pop(actor, None)
        if handle is not None:
            self.calls = {call: other for call, other in self.calls.items() if other != actor}
            self.ray.kill(handle)
        if generation is None:
            return
        remote = self.ray.remote(RemoteActor)
        options = remote.options(num_cpus=1, max_concurrency=2, max_restarts=0, scheduling_strategy="SPREAD")
        arguments = self.assignment, actor, generation, self.board.read(), self.room
        self.handles[actor], self.generations[actor], self.taken[actor] = options.remote(*arguments), generation, 0
        self._fetch(actor)

    def _show(self) -> None:
        """Bring a new policy to all actors, and tell them of new room in the queue."""
        number = self.board.number()
        if number != self.shown and self.handles:
            self.shown = number
            policy = self.ray.put(self.board.read())
            for handle in self.handles.values():
                handle.take.remote(policy)
        for actor, handle in self.handles.items():
            taken = self.board.taken(actor)
            if taken > self.taken[actor]:
                handle.free.remote(taken - self.taken[actor])
                self.taken[actor] = taken

    def _fetch(self, actor: int) -> None:
        self.calls[self.handles[actor].fetch.remote(ANSWER)] = actor

    def _hand_on(self, call: Any, actor: int) -> None:
        try:
            found, silent = self.ray.get(call)
        except self.ray.exceptions.RayError as error:
            reason = str(error).strip().split("\n")[0]
            self._require_node()
            self.handles.pop(actor, None)
            self.pipe.send(Mail(actor, self.generations[actor], Ended(f"Ray says: {reason}")))
            return
        if silent is not None:
            self.board.beat(actor, silent)
        for content in found:
            self.pipe.send(Mail(actor, self.generations[actor], content))
        self._fetch(actor)

    def _require_node(self) -> None:
        """End where this machine's part of the cluster is dead: nothing can be started from it any more."""
        alive = any(node["Alive"] and node["NodeID"] == self.node for node in self.ray.nodes())
        if not alive:
            raise ConnectionError("this node has left the cluster")


def bridge(pipe: Connection, assignment: Assignment, board: Board, address: str | None, actors: int, room: int) -> None:
    """The bridge's process: says :data:`READY` or in one line why not, then serves until somebody is gone."""
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", HEAD_SECONDS)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    settings: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "ERROR"}
    if address is None:  # one core of Ray's an actor, however many there are: actors that wait share one
        settings |= {"address": "local", "num_cpus": actors, "include_dashboard": False}
    try:
        ray.init(**settings)
    except Exception as error:
        pipe.send(" ".join(str(error).split())[:300] or type(error).__name__)
        return
    try:
        pipe.send(READY)
        Bridge(pipe, assignment, board, room).run()
    except (EOFError, OSError):
        return  # the learner or the cluster is gone
    finally:
        ray.shutdown()
