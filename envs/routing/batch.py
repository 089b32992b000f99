"""What the batches of all routing and selection problems share: instances, state, errors, the scale of positions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numba import njit
from numpy.typing import NDArray

from optgap.co.core import InputError, Instance, InvalidActionError
from optgap.co.dynamics.options import KERNEL
from optgap.co.dynamics.routing import RouteState, empty_state
from optgap.co.problems.distances import row
from optgap.envs.batched import Observation
from optgap.envs.routing.render import frame, route_text

DRAWS = 1000  # random instances that are drawn until one leaves something to decide
TINY = 1e-300  # of an extent whose reciprocal is a number
SHOWN = 20  # allowed actions that an error message lists


@njit(cache=True, **KERNEL)
def scale_nodes(
    copies: NDArray[np.int64], points: NDArray[np.float64], nodes: NDArray[np.float32], scale: NDArray[np.float64]
) -> None:
    """Write ``points`` (K, n, 2) into the ``copies`` (K,) of ``nodes`` (B, N, 2), then zeros.

    They are moved and scaled to the unit square, both axes alike; ``scale`` (B,) is then the length in ``nodes`` of one
    in ``points``.
    """
    n = points.shape[1]
    for k in range(len(copies)):
        b = copies[k]
        low_x = high_x = points[k, 0, 0]
        low_y = high_y = points[k, 0, 1]
        for j in range(1, n):
            x, y = points[k, j, 0], points[k, j, 1]
            low_x, high_x = x if x < low_x else low_x, x if x > high_x else high_x
            low_y, high_y = y if y < low_y else low_y, y if y > high_y else high_y
        extent = max(high_x - low_x, high_y - low_y)
        factor = 1.0 / extent if extent > TINY else 1.0
        for j in range(n):
            nodes[b, j, 0] = (points[k, j, 0] - low_x) * factor
            nodes[b, j, 1] = (points[k, j, 1] - low_y) * factor
        nodes[b, n:] = 0.0
        scale[b] = factor


class Instances(Sequence[Any]):
    """The instances of a batch's copies. A random one is made when it is first asked for, which is seldom."""

    def __init__(self, copies: int) -> None:
        self._held: list[Any] = [None] * copies

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, b: Any) -> Any:
        held = self._held[b]
        if isinstance(held, tuple):
            kind, fields, k = held
            held = self._held[b] = kind(**row(fields, k))
        return held

    def __setitem__(self, b: int, instance: Any) -> None:
        self._held[b] = instance

    def draw(self, copies: Sequence[int], kind: type[Instance], fields: dict[str, Any]) -> None:
        """Give the ``copies`` (K,) the instances with ``fields`` of K rows."""
        for k, b in enumerate(copies):
            self._held[b] = (kind, fields, k)


@dataclass(frozen=True)
class InstanceSource:
    """Where the instance of an episode comes from: one of ``given``, or a random one of a random size."""

    problem: Any
    size: str  # the argument of ``Problem.draw`` that is drawn from ``sizes``
    sizes: tuple[int, int]
    rest: dict[str, Any]  # other arguments of ``Problem.draw``
    given: list[Any] | None

    def __call__(self, rng: np.random.Generator) -> Any:
        """The instance of an episode, as the batched environments would give it for the same generator."""
        if self.given is not None:
            return self.pick(rng)
        least, most = self.sizes
        size = int(rng.integers(least, most + 1)) if least < most else least
        return self.problem.generate(rng, **{self.size: size}, **self.rest)

    def pick(self, rng: np.random.Generator) -> Any:
        """One of the given instances."""
        assert self.given is not None
        return self.given[int(rng.integers(len(self.given))) if len(self.given) > 1 else 0]

    def draw(
        self, copies: list[int], rngs: Sequence[np.random.Generator]
    ) -> Iterator[tuple[list[int], dict[str, Any]]]:
        """Random instances for ``copies``, copy b's from ``rngs[b]``: those of one size together, with their fields."""
        least, most = self.sizes
        groups: dict[int, list[int]] = {} if least < most else {least: copies}
        if least < most:
            for b in copies:
                groups.setdefault(int(rngs[b].integers(least, most + 1)), []).append(b)
        for size, some in groups.items():
            yield some, self.problem.draw([rngs[b] for b in some], **{self.size: size}, **self.rest)


class RoutingBatch(ABC):
    """``copies`` episodes on instances from ``source``, one random generator a copy.

    Args:
        nodes: most nodes (items) of an instance: N, the shape of the padding.
    """

    problem: ClassVar[str]
    kind: ClassVar[type[Instance]]  # of its instances
    parts: ClassVar[str] = "nodes"  # what N counts
    sized: ClassVar[str] = "coordinates"  # field of ``kind`` with an entry for each of them
    constants: Sequence[str]

    def __init__(
        self,
        copies: int,
        nodes: int,
        source: InstanceSource,
        *,
        actions: int | None = None,
        longest: int | None = None,
    ) -> None:
        self.nodes, self.source = nodes, source
        self.n_actions = nodes if actions is None else actions
        self.state: RouteState = empty_state(copies, nodes, self.n_actions, longest or nodes)
        self.instances = Instances(copies)
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
    def _write_drawn(self, copies: NDArray[np.int64], fields: dict[str, Any]) -> None:
        """Write random instances, all of one size, into the arrays of ``copies`` (K,); ``fields`` have a row for each."""

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
            if self.source.given is not None:
                for b in np.flatnonzero(todo).tolist():
                    self._place(b, self.source.pick(rngs[b]))
            else:
                for copies, fields in self.source.draw(np.flatnonzero(todo).tolist(), rngs):
                    self._require_room(fields["name"], fields[self.sized].shape[1])
                    self.instances.draw(copies, self.kind, fields)
                    self._write_drawn(np.array(copies), fields)
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
        self._require_room(instance.name, self.size_of(instance))
        self._write(b, instance)
        self.instances[b] = instance

    def _require_room(self, name: str, size: int) -> None:
        if size > self.nodes:
            raise InputError(f"instance {name} has {size} {self.parts}; the environment holds {self.nodes} (padding)")

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
