"""What the batches of all routing and selection problems share: instances, state, errors, the scale of positions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import InputError, Instance, InvalidActionError
from optgap.co.dynamics.routing import RouteState, empty_state
from optgap.envs.batched import Observation
from optgap.envs.routing.render import frame, route_text

DRAWS = 1000  # random instances that are drawn until one leaves something to decide
SHOWN = 20  # allowed actions that an error message lists


@njit(cache=True)
def scale_nodes(points: NDArray[np.float64], nodes: NDArray[np.float32]) -> float:
    """Write ``points`` (n, 2) into ``nodes`` (N, 2), moved and scaled to the unit square, both axes alike, then zeros.

    Returns the factor of the scale: lengths of ``nodes`` per length of ``points``.
    """
    n = len(points)
    low_x, low_y = points[:, 0].min(), points[:, 1].min()
    extent = max(points[:, 0].max() - low_x, points[:, 1].max() - low_y)
    if extent <= 0.0:
        extent = 1.0
    for j in range(n):
        nodes[j, 0] = (points[j, 0] - low_x) / extent
        nodes[j, 1] = (points[j, 1] - low_y) / extent
    nodes[n:] = 0.0
    return 1.0 / extent  # type: ignore[no-any-return]


class RoutingBatch(ABC):
    """``copies`` episodes on instances drawn by ``draw(rng)``, one random generator a copy.

    Args:
        nodes: most nodes (items) of an instance that ``draw`` returns: N, the shape of the padding.
    """

    problem: ClassVar[str]
    kind: ClassVar[type[Instance]]  # of its instances
    parts: ClassVar[str] = "nodes"  # what N counts
    constants: Sequence[str]

    def __init__(
        self,
        copies: int,
        nodes: int,
        draw: Callable[[np.random.Generator], Any],
        *,
        actions: int | None = None,
        longest: int | None = None,
    ) -> None:
        self.nodes, self.draw = nodes, draw
        self.n_actions = nodes if actions is None else actions
        self.state: RouteState = empty_state(copies, nodes, self.n_actions, longest or nodes)
        self.instances: list[Any] = [None] * copies
        self.reward = np.zeros(copies)
        self.done = np.zeros(copies, np.bool_)

    @staticmethod
    @abstractmethod
    def size_of(instance: Any) -> int:
        """Nodes (items) of an instance."""

    @staticmethod
    @abstractmethod
    def playable(instance: Any) -> bool:
        """Whether there is a first decision to make."""

    @abstractmethod
    def actions(self, instance: Any, solution: Any) -> list[int]:
        """The actions that build a solution that ``Problem.check`` accepts.

        An episode that collects goes on after them where the solution leaves room.
        """

    @abstractmethod
    def _write(self, b: int, instance: Any) -> None:
        """Write an instance that fits into the arrays of copy ``b``."""

    @abstractmethod
    def _restart(self, which: NDArray[np.bool_]) -> None:
        """Restart the marked copies."""

    @abstractmethod
    def _step(self, action: NDArray[np.int64], skip: NDArray[np.bool_]) -> int:
        """Step the copies not in ``skip``; -1, or the first copy whose action is not allowed."""

    @abstractmethod
    def observation(self) -> Observation:
        """The buffers by name, not copied: the next step overwrites them."""

    @abstractmethod
    def info(self) -> Observation:
        """Figures of the episodes so far, (B,) each, not copied."""

    @abstractmethod
    def observation_space(self) -> spaces.Space[Any]:
        """Space of one copy's observation."""

    @classmethod
    def require(cls, instance: Any) -> None:
        """Raise :class:`InputError` unless ``instance`` is one of this problem in which there is something to decide."""
        if not isinstance(instance, cls.kind):
            name, kind = getattr(instance, "name", "unnamed"), type(instance).__name__
            raise InputError(f"instance {name} is a {kind}; the environment plays instances of {cls.problem}")
        if not cls.playable(instance):
            raise InputError(
                f"instance {instance.name} leaves nothing to decide; expected {cls.parts} of which one can be chosen"
            )

    def reset(self, which: NDArray[np.bool_], rngs: Sequence[np.random.Generator]) -> None:
        """Draw a new instance for, and restart, every copy marked in ``which`` (B,)."""
        todo = which
        for _ in range(DRAWS):
            for b in np.flatnonzero(todo).tolist():
                self._place(b, self.draw(rngs[b]))
            self.restart(todo)
            todo = todo & (self.state.n_left == 0)
            if not todo.any():
                return
        raise InputError(f"{DRAWS} random instances of {self.problem} in a row leave nothing to decide")

    def put(self, b: int, instance: Any) -> None:
        """Give copy ``b`` an instance; it must be of the right problem and fit the padding."""
        self.require(instance)
        self._place(b, instance)

    def _place(self, b: int, instance: Any) -> None:
        size = self.size_of(instance)
        if size > self.nodes:
            raise InputError(
                f"instance {instance.name} has {size} {self.parts}; the environment holds {self.nodes} (padding)"
            )
        self._write(b, instance)
        self.instances[b] = instance

    def restart(self, which: NDArray[np.bool_]) -> None:
        """Restart the marked copies on the instances they have."""
        self._restart(which)
        self.reward[which] = 0.0
        self.done[which] = False

    def step(self, action: NDArray[np.int64], skip: NDArray[np.bool_]) -> None:
        """Act in every copy not in ``skip``; ``reward`` and ``done`` are written in place."""
        bad = self._step(action, skip)
        if bad >= 0:
            allowed = np.flatnonzero(self.state.mask[bad]).tolist()
            more = f" and {len(allowed) - SHOWN} more" if len(allowed) > SHOWN else ""
            raise InvalidActionError(
                f"action {int(action[bad])} in copy {bad} is not allowed; allowed now: {allowed[:SHOWN]}{more}"
            )

    def masks(self) -> NDArray[np.int8]:
        """(B, A) buffer, 1 where an action is allowed."""
        return self.state.mask

    def solution(self, b: int) -> NDArray[np.int64]:
        """What copy ``b`` has decided so far, (K,) int64; at the end of the episode what ``Problem.check`` takes."""
        return self.state.order[b, : self.state.entries[b]].copy()

    def picture(self, b: int, mode: str) -> Any:
        """The solution so far, drawn: an (H, W, 3) uint8 array, or text where ``mode`` is "ansi"."""
        draw = route_text if mode == "ansi" else frame
        return draw(self.instances[b], self.solution(b))

    def action_space(self) -> spaces.Discrete:
        """Space of one copy's action."""
        return spaces.Discrete(self.n_actions)
