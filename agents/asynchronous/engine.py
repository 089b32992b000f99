"""What an engine is: it starts actors somewhere, carries what they send, and tells when they last showed life."""

from __future__ import annotations

from typing import Protocol

from optgap.agents.asynchronous.messages import Mail, Published
from optgap.co.core import OptgapError, Registry

ENGINES = Registry("engine")  # name -> a function (Assignment, Published, config) -> Engine

ENGINES.register("processes", "optgap.agents.asynchronous.processes:Processes")
ENGINES.register("ray", "optgap.agents.asynchronous.ray_engine:RayEngine")


class ActorsLostError(OptgapError):
    """Training cannot go on without its actors; what was learned is intact."""


class Engine(Protocol):
    """Runs actors.

    An actor plays with the newest published policy. What it plays waits in a queue of bounded length; while that is
    full, actors wait. No method waits for an actor, but ``close`` and (shortly) ``stop``, which wait for it to end.
    """

    def start(self, actor: int, generation: int) -> None:
        """Begin, or begin anew, an actor.

        Raises:
            ActorsLostError: there is nowhere left where it could run.
        """
        ...

    def stop(self, actor: int) -> None:
        """End an actor, whatever it does; what it sent before stays in the queue."""
        ...

    def publish(self, published: Published) -> None:
        """Make a policy the newest."""
        ...

    def receive(self, seconds: float) -> Mail | None:
        """The oldest message in the queue, for which it waits so long."""
        ...

    def waiting(self) -> int:
        """Length of the queue."""
        ...

    def silent(self, actor: int) -> float | None:
        """Seconds since the actor last finished a step, or waited in a full queue; None before the first one."""
        ...

    def close(self) -> None:
        """End everything that was started."""
        ...
