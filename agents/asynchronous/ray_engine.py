"""The engine on Ray, for one machine or a cluster: an actor of Ray an actor.

Ray's library ends the process that uses it when its head dies, so it is used in a process of its own, the bridge. Where
that dies, with the head or alone, a new one takes its place: it starts Ray anew, or joins the given cluster again. Only
where the cluster is gone the run ends, with what was learned.
"""

from __future__ import annotations

import socket
import threading
import time
from importlib.util import find_spec
from urllib.parse import urlsplit

from optgap.agents.asynchronous.child import Child, MailEngine, room
from optgap.agents.asynchronous.config import AsynchronousSettings
from optgap.agents.asynchronous.engine import ActorsLostError
from optgap.agents.asynchronous.messages import Assignment, Ended, Mail, Published
from optgap.agents.asynchronous.ray_bridge import READY, bridge
from optgap.co.core import InputError, MissingExtraError

REACH = 5.0  # seconds that an address may take to answer
JOIN = 45.0  # seconds to join a cluster, once its address has answered
LAUNCH = 180.0  # seconds to start Ray on a busy machine
LEAVE = 10.0  # seconds to leave it


class RayEngine(MailEngine):
    """Actors of Ray; an :class:`optgap.agents.asynchronous.engine.Engine`.

    Raises:
        MissingExtraError: ray is not installed.
        InputError: the address is malformed, nothing answers there, or what answers is no Ray head of this version.
    """

    def __init__(self, assignment: Assignment, published: Published, config: AsynchronousSettings) -> None:
        if find_spec("ray") is None:
            raise MissingExtraError("ray", "distributed")
        super().__init__(assignment, published, config)
        self.config = config
        self.generations: dict[int, int] = {}
        self.child: Child | None = None
        self._connect()

    def start(self, actor: int, generation: int) -> None:
        self.generations[actor] = generation
        self.inbox.begin(actor, generation)
        child = self.child
        if child is None or not child.process.is_alive():
            try:
                child = self._connect()
            except InputError as error:
                raise ActorsLostError(f"the Ray cluster is gone: {error}") from None
        _tell(child, (actor, generation))

    def stop(self, actor: int) -> None:
        self.generations.pop(actor, None)
        if self.child is not None:
            _tell(self.child, (actor, None))

    def close(self) -> None:
        if self.child is not None:
            _tell(self.child, None)
            self.child.end(time.monotonic() + LEAVE)
            self.child = None

    def _connect(self) -> Child:
        """A bridge that has started or joined a cluster."""
        self.close()
        address = self.config.address
        if address not in (None, "auto"):
            require_answer(address)
        settled, told = threading.Event(), [""]

        def note(message: str) -> None:
            told[0] = message
            settled.set()

        def lost(code: int | None) -> None:
            settled.set()
            for actor, generation in list(self.generations.items()):
                self.inbox.put(Mail(actor, generation, Ended("the process that joined Ray is gone")))

        arguments = self.assignment, self.board, address, self.config.actors, room(self.config)
        self.child = Child(bridge, arguments, self.inbox, lost, note)
        settled.wait(LAUNCH if address is None else JOIN)
        if told[0] != READY:
            self.close()
            where = "Ray cannot be started here" if address is None else f"address {address} cannot be joined"
            why = told[0] or "no answer in time"
            if address is not None:
                why += " (expected a head of this version of Ray; where it asks for a token, in RAY_AUTH_TOKEN)"
            raise InputError(f"engine=ray: {where}: {why}")
        return self.child


def require_answer(address: str) -> None:
    """Raise an :class:`InputError` of one line, within seconds, unless something listens at ``address``."""
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or port is None:
        raise InputError(f"address is {address!r}; expected host:port, ray://host:port or auto")
    try:
        socket.create_connection((host, port), timeout=REACH).close()
    except OSError as error:
        raise InputError(f"no Ray cluster answers at {address}: {error.strerror or error}") from None


def _tell(child: Child, order: tuple[int, int | None] | None) -> None:
    """Send an order to a bridge, None to end; where it is gone, :class:`Ended` of all its actors is on its way."""
    try:
        child.connection.send(order)
    except OSError:
        return
