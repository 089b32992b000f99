"""Batches of episodes of ``optgap/AGV-v0``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from optgap.co.core import InputError, InvalidActionError
from optgap.co.dynamics.agv import (
    BESIDE_BEAMS,
    CELL,
    Rules,
    empty_fleet,
    first_invalid,
    put_hall,
    reset_batch,
    step_batch,
)
from optgap.co.dynamics.agv_floor import Floors
from optgap.co.problems.path_planning import PathPlanningInstance, check_playable
from optgap.envs.agv.render import frame
from optgap.envs.batched import Observation

COST_NAMES = ("collision", "wrong-way")
COST_LIMITS = (0.01, 0.01)


class AGVBatch:
    """``copies`` episodes on instances that ``draw(rng)`` returns, one random generator a copy.

    Args:
        rules: kinematics, collisions and lidar.
        max_steps: of an episode.
        grid_shape: (rows, columns) of the visit table, in which every instance's hall must fit.
    """

    constants: Sequence[str] = ()

    def __init__(
        self,
        copies: int,
        draw: Callable[[np.random.Generator], PathPlanningInstance],
        *,
        rules: Rules,
        max_steps: int,
        grid_shape: tuple[int, int],
    ) -> None:
        self.draw, self.rules, self.max_steps, self.grid_shape = draw, rules, max_steps, grid_shape
        self.floors = Floors(copies)
        self.halls, self.fleet = empty_fleet(copies, max_steps, len(rules.beams))
        self.instances: list[PathPlanningInstance | None] = [None] * copies

    @property
    def reward(self) -> NDArray[np.float64]:
        """(B,) of the last step."""
        return self.fleet.reward

    @property
    def done(self) -> NDArray[np.bool_]:
        """(B,) whether the episode has ended."""
        return self.fleet.done

    @property
    def truncated(self) -> NDArray[np.bool_]:
        """(B,) whether it ended by its number of steps alone."""
        return self.fleet.truncated

    def reset(self, which: NDArray[np.bool_], rngs: Sequence[np.random.Generator]) -> None:
        """Draw a new instance for, and restart, every copy marked in ``which`` (B,)."""
        for b in np.flatnonzero(which).tolist():
            self._put(b, self.draw(rngs[b]))
        self.restart(which)

    def put(self, b: int, instance: PathPlanningInstance) -> None:
        """Give copy ``b`` an instance, which must be playable and fit into the visit table."""
        if not isinstance(instance, PathPlanningInstance):
            name = getattr(instance, "name", "unnamed")
            raise InputError(f"instance {name} is a {type(instance).__name__}; the environment plays path planning")
        check_playable(instance)
        self._put(b, instance)

    def _put(self, b: int, instance: PathPlanningInstance) -> None:
        (x0, y0, x1, y1), (rows, columns) = instance.bounds.tolist(), self.grid_shape
        if x1 - x0 > columns * CELL or y1 - y0 > rows * CELL:
            size, most = f"{x1 - x0:g} x {y1 - y0:g}", f"{columns * CELL:g} x {rows * CELL:g}"
            raise InputError(f"instance {instance.name} has a hall of {size} m; expected at most the scene's, {most} m")
        self.floors.put(b, instance.bounds, instance.boxes)
        self.halls, self.fleet = put_hall(self.halls, self.fleet, b, instance, columns)
        self.instances[b] = instance

    def restart(self, which: NDArray[np.bool_]) -> None:
        """Restart the marked copies on the instances they have."""
        reset_batch(self.floors.arrays, self.floors.of, self.halls, self.fleet, self.rules, which)

    def step(self, action: NDArray[np.float64], skip: NDArray[np.bool_]) -> None:
        """Drive every copy not in ``skip`` for a step with ``action`` (B, 2)."""
        bad = first_invalid(action, skip)
        if bad >= 0:
            raise InvalidActionError(f"action {action[bad].tolist()} in copy {bad}; expected two numbers in -1..1")
        step_batch(self.floors.arrays, self.floors.of, self.halls, self.fleet, self.rules, action, skip)

    def observation(self) -> NDArray[np.float32]:
        """(B, beams + 11) buffer, not copied: the next step overwrites it."""
        return self.fleet.seen

    def info(self) -> Observation:
        """Where the vehicles are and what the episodes have come to, (B,) or (B, 2), not copied."""
        fleet = self.fleet
        return {
            "cell": fleet.cell,
            "position": fleet.position,
            "cost": fleet.cost,
            "length": fleet.length,
            "success": fleet.success,
        }

    def solution(self, b: int) -> NDArray[np.float64]:
        """(T + 1, 2) centres of copy ``b`` so far, in m; after a success what ``Problem.check`` takes."""
        return self.fleet.path[b, : self.fleet.step[b] + 1].copy()

    def picture(self, b: int, mode: str) -> Any:
        """The hall, the lidar and the path so far: an (H, W, 3) uint8 array."""
        instance = self.instances[b]
        assert instance is not None, "reset first"
        assert mode == "rgb_array", "the only one"
        fleet, n = self.fleet, len(self.rules.beams)
        angle = fleet.heading[b] + np.arctan2(self.rules.beams[:, 1], self.rules.beams[:, 0])
        reach = fleet.seen[b, :n].astype(np.float64) * self.rules.reach
        ends = fleet.position[b] + reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        places = fleet.places[b, : self.halls.movers[b]]
        return frame(instance, self.solution(b), float(fleet.heading[b]), places, ends)

    def action_space(self) -> spaces.Box:
        """Space of one copy's action."""
        return spaces.Box(-1, 1, (2,))

    def observation_space(self) -> spaces.Box:
        """Space of one copy's observation."""
        low = np.full(len(self.rules.beams) + BESIDE_BEAMS, -1, np.float32)
        low[: len(self.rules.beams) + 1] = 0  # beams, and the distance to the target
        return spaces.Box(low, np.ones_like(low))
