"""Memory that a learner shares with the processes it starts: the newest policy, and how each actor is doing.

The memory has no name in the file system (its file is removed before it is used), so that no kill leaves any behind. No
lock guards it, because a process that is killed while it holds one would stop all others: there are two slots for
policies, the learner writes into the older one, and a reader that a checksum tells of a torn copy reads again.
"""

from __future__ import annotations

import time
import zlib
from ctypes import c_byte, c_double, c_int64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.agents.asynchronous.messages import Published

FIELDS = 4  # of a slot: version, steps, length and checksum of the weights
ATTEMPTS = 1000


class Board:
    """Handed to processes at their start; they see what is written later.

    Args:
        context: of multiprocessing.
        actors: how many there are.
        published: the first policy; no later one may have more bytes.
    """

    def __init__(self, context: Any, actors: int, published: Published) -> None:
        self.size = len(published.weights)
        self._newest = context.RawArray(c_int64, 1)  # publications so far; the newest is in slot newest % 2
        self._slots = context.RawArray(c_int64, 2 * FIELDS)
        self._weights = context.RawArray(c_byte, 2 * max(self.size, 1))
        self._beats = context.RawArray(c_double, actors)
        self._taken = context.RawArray(c_int64, actors)
        self.publish(published)

    def publish(self, published: Published) -> None:
        """Make a policy the newest; one writer alone."""
        data = published.weights
        if len(data) > self.size:
            raise ValueError(f"a policy of {len(data)} bytes on a board for {self.size}")
        number = self._newest[0] + 1
        slot = number % 2
        self._bytes(slot, len(data))[:] = np.frombuffer(data, np.uint8)
        fields = published.version, published.steps, len(data), zlib.crc32(data)
        self._slots[slot * FIELDS : slot * FIELDS + FIELDS] = fields
        self._newest[0] = number

    def read(self) -> Published:
        """The newest policy."""
        for _ in range(ATTEMPTS):
            slot = self._newest[0] % 2
            version, steps, length, checksum = self._slots[slot * FIELDS : slot * FIELDS + FIELDS]
            data = self._bytes(slot, length).tobytes()
            if zlib.crc32(data) == checksum:
                return Published(version, steps, data)
            time.sleep(1e-4)
        raise RuntimeError("no whole policy on the board")

    def number(self) -> int:
        """Publications so far: what costs nothing to compare."""
        return int(self._newest[0])

    def beat(self, actor: int, silent: float = 0.0) -> None:
        """The actor showed life so many seconds ago."""
        self._beats[actor] = time.monotonic() - silent

    def forget(self, actor: int) -> None:
        """The actor begins anew."""
        self._beats[actor], self._taken[actor] = 0.0, 0

    def silent(self, actor: int) -> float | None:
        """Seconds since the last beat; None where there was none."""
        last = self._beats[actor]
        return None if last == 0.0 else time.monotonic() - last

    def take(self, actor: int) -> None:
        """The learner has taken one more of the actor's parcels out of the queue; it alone calls this."""
        self._taken[actor] += 1

    def taken(self, actor: int) -> int:
        """How many that are, since the actor began."""
        return int(self._taken[actor])

    def _bytes(self, slot: int, length: int) -> NDArray[np.uint8]:
        return np.frombuffer(self._weights, np.uint8)[slot * self.size :][:length]
