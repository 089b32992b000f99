"""The actors of a run, whatever runs them: those that die or hang are started anew, and nobody waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable

from optgap.agents.asynchronous.engine import ActorsLostError, Engine
from optgap.agents.asynchronous.messages import Ended, Parcel
from optgap.co.core import InputError

TICK = 0.5  # seconds between two looks at the actors
STARTING = 300.0  # seconds that an actor may take before its first step, to compile
FAILURES = 5  # of an actor in a row, without anything sent in between, that end the run


class Fleet:
    """Starts ``actors`` actors and gives what they play.

    A hung actor is one that has been silent for ``heartbeat_seconds``.

    Args:
        clock: seconds, for tests.
    """

    def __init__(
        self,
        engine: Engine,
        actors: int,
        heartbeat_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine, self.heartbeat_seconds, self.clock = engine, heartbeat_seconds, clock
        self.restarts = 0
        self._generations = [0] * actors
        self._failures = [0] * actors
        self._started = [clock()] * actors
        self._looked = clock()
        for actor in range(actors):
            engine.start(actor, 0)

    def next(self) -> Parcel:
        """What some actor played; waits for it.

        Raises:
            InputError: an actor cannot play this environment at all.
            ActorsLostError: an actor fails again and again, or there is nowhere left to run it.
        """
        while True:
            self._look()
            mail = self.engine.receive(TICK)
            if mail is None:
                continue
            if isinstance(mail.content, Parcel):  # of an earlier life, too: what was played was played
                self._failures[mail.actor] = 0
                return mail.content
            if mail.generation == self._generations[mail.actor]:
                self._replace(mail.actor, mail.content)

    def waiting(self) -> int:
        """Length of the queue."""
        return self.engine.waiting()

    def close(self) -> None:
        """End all actors."""
        self.engine.close()

    def _look(self) -> None:
        """Find the hung ones, at most every :data:`TICK` seconds."""
        now = self.clock()
        if now - self._looked < TICK:
            return
        self._looked = now
        for actor, started in enumerate(self._started):
            silent = self.engine.silent(actor)
            if silent is None:
                if now - started > max(STARTING, self.heartbeat_seconds):
                    self._replace(actor, Ended(f"it took no step in {now - started:.0f} s"))
            elif silent > self.heartbeat_seconds:
                self._replace(actor, Ended(f"it has finished no step for {silent:.0f} s (heartbeat_seconds)"))

    def _replace(self, actor: int, ended: Ended) -> None:
        """Start an actor anew; its rollouts that arrived stay, the steps since then are lost."""
        if ended.fatal:
            raise InputError(f"actor {actor}: {ended.reason}")
        self._failures[actor] += 1
        if self._failures[actor] >= FAILURES:
            raise ActorsLostError(f"actor {actor} failed {FAILURES} times in a row: {ended.reason}")
        self.restarts += 1
        self._generations[actor] += 1
        self.engine.stop(actor)
        self.engine.start(actor, self._generations[actor])
        self._started[actor] = self.clock()
