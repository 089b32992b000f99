"""Arguments of ``optgap/AGV-v0``, which are its training configuration ``env=agv`` too."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InfeasibleError, InputError
from optgap.co.dynamics.agv import CELL, make_rules
from optgap.co.formats.movingai import read_map
from optgap.co.problems.agv_scenes import FIELDS, SCENES, make_scene
from optgap.co.problems.path_planning import LARGEST, PATH_PLANNING, SMALLEST, PathPlanningInstance
from optgap.envs.agv.batch import AGVBatch
from optgap.envs.batched import MadeById

MAX_STEPS = {"simple-static": 2000, "simple-dynamic": 2000, "complex-static": 3000, "complex-dynamic": 4000}
OTHER_MAX_STEPS = 2000  # of a warehouse, and of a map
MOST = {"beams": 4096, "max_steps": 1_000_000}  # arrays of more would fill the memory


@dataclass
class AGVConfig(MadeById):
    """``env=agv``; documented with the environment."""

    scene: str = "simple-static"
    kinematics: str = "differential"
    collision: str = "stop"
    beams: int = 24
    lidar_range: float = 8.0
    dt: float = 0.5
    max_steps: int | None = None
    map: Any = None
    size: Any = None

    problem: ClassVar[str | None] = None  # its return is success; an agent's path is compared with the shortest one
    figures: ClassVar[tuple[str, ...]] = ("success",)
    id: ClassVar[str] = "optgap/AGV-v0"

    def __post_init__(self) -> None:
        choices = {"scene": tuple(SCENES), "kinematics": ("differential", "car"), "collision": ("stop", "end")}
        for name, known in choices.items():
            if not isinstance(getattr(self, name), str) or getattr(self, name) not in known:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}")
        for name in ("dt", "lidar_range"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and not isinstance(value, bool) and SMALLEST <= value <= LARGEST):
                raise InputError(f"{name} is {value!r}; expected a number from {SMALLEST:g} to {LARGEST:g}")
        for name, least in (("beams", 0), ("max_steps", 1)):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST[name]
            if not (whole or (name == "max_steps" and value is None)):
                raise InputError(f"{name} is {value!r}; expected a whole number from {least} to {MOST[name]}")
        named = isinstance(self.size, Mapping) and all(isinstance(name, str) for name in self.size)
        if self.size is not None and (not named or not {"scene", "rng"}.isdisjoint(self.size)):
            raise InputError(f"size is {self.size!r}; expected arguments of the scene by name")
        if not isinstance(self.map, str | Path | None):
            raise InputError(f"map is {self.map!r}; expected the path of a file")
        if (self.map is None) == (self.scene == "map"):
            raise InputError(f"scene is {self.scene!r} and map is {self.map!r}; expected a map with scene 'map' alone")
        if isinstance(self.map, Path):
            self.map = str(self.map)

    def draw(self, rng: np.random.Generator) -> PathPlanningInstance:
        """A random instance of the scene: what ``PATH_PLANNING.generate`` draws.

        It is checked to be playable unless the scene promises that: the search for a path would take longer than an
        episode. A map promises nothing, nor does a scene some of whose fields are replaced.
        """
        if self.map is not None:
            read_map(self.map)  # what is wrong with a file is wrong with every seed
        size = {"dt": float(self.dt)} | ({} if self.map is None else {"path": self.map}) | dict(self.size or {})
        checked = self.scene == "map" or any(name in FIELDS for name in self.size or {})
        try:
            return (PATH_PLANNING.generate if checked else make_scene)(rng, scene=self.scene, **size)
        except InputError as error:
            seed: Any = rng.bit_generator.seed_seq
            raise InputError(f"{error} (drawn from seed {seed.entropy})") from None

    def judge(self, instance: PathPlanningInstance, solution: NDArray[np.float64]) -> dict[str, float]:
        """``path_gap`` of a checked path (T + 1, 2): its length by the exact shortest one's, less 1; NaN without success.

        Where the target moves, the shortest one is to wherever the target was until the episode's end: it knows the route
        (:func:`optgap.co.exact.visibility.shortest_length`), as the agent does not. NaN too where the episode starts at
        the goal: nothing is the shortest way then.
        """
        from optgap.co.exact.visibility import shortest_length

        try:
            PATH_PLANNING.check(instance, solution)
        except InfeasibleError:
            return {"path_gap": math.nan}
        shortest = shortest_length(instance, horizon=(len(solution) - 1) * instance.dt)
        return {"path_gap": PATH_PLANNING.cost(instance, solution) / shortest - 1.0 if shortest > 0 else math.nan}

    def batch(self, copies: int) -> AGVBatch:
        """``copies`` episodes over one kernel: what the environments face, and what fast rollouts use directly."""
        bounds = self.draw(np.random.default_rng(0)).bounds  # all instances of a scene have them
        steps = MAX_STEPS.get(self.scene, OTHER_MAX_STEPS) if self.max_steps is None else int(self.max_steps)
        return AGVBatch(
            copies,
            self.draw,
            rules=make_rules(self.kinematics == "car", self.collision == "end", int(self.beams), self.lidar_range),
            max_steps=steps,
            grid_shape=(math.ceil((bounds[3] - bounds[1]) / CELL), math.ceil((bounds[2] - bounds[0]) / CELL)),
        )
