"""Grid worlds of MiniGrid (Chevalier-Boisvert et al. 2023, arXiv 2306.13831), observed as categories."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig
from optgap.envs.minigrid_view import View


class CategoricalGrid(gym.ObservationWrapper[dict[str, Any], Any, dict[str, Any]], RecordConstructorArgs):
    """What a MiniGrid environment shows, as the integers of spaces that say how many values each has.

    | key | space | |
    |---|---|---|
    | ``image`` | MultiDiscrete (V * V * 3,) uint8 | for each of the V x V cells in view: object, colour, state of a door |
    | ``direction`` | Discrete(4) | where the agent looks |
    | ``mission`` | MultiDiscrete (W,) uint8 | which word fills each of its W gaps; absent where the mission never varies |

    Raises:
        InputError: the environment is not of MiniGrid, or its mission is no sentence with gaps.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gym.ObservationWrapper.__init__(self, env)
        from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX, STATE_TO_IDX
        from minigrid.core.mission import MissionSpace
        from minigrid.minigrid_env import MiniGridEnv

        space = env.observation_space
        if not (isinstance(space, spaces.Dict) and isinstance(space.spaces.get("mission"), MissionSpace)):
            raise InputError(f"{env}: shows {space}; expected the image, direction and mission of MiniGrid")
        mission: Any = space["mission"]
        cells = int(np.prod((space["image"].shape or ())[:-1]))
        sizes = np.tile([len(OBJECT_TO_IDX), len(COLOR_TO_IDX), len(STATE_TO_IDX)], cells)
        parts: dict[str, spaces.Space[Any]] = {
            "image": spaces.MultiDiscrete(sizes, dtype=np.uint8),
            "direction": space["direction"],
        }
        gaps = mission.ordered_placeholders or []
        self._words: dict[str, NDArray[np.uint8]] = {}
        if gaps:
            parts["mission"] = spaces.MultiDiscrete([len(words) for words in gaps], dtype=np.uint8)
            for choice in product(*map(enumerate, gaps)):
                sentence = mission.mission_func(*(word for _, word in choice))
                self._words[sentence] = np.array([index for index, _ in choice], np.uint8)
        self.observation_space = spaces.Dict(parts)
        inner: Any = env.unwrapped
        own = (type(inner).gen_obs, type(inner).gen_obs_grid)
        if own == (MiniGridEnv.gen_obs, MiniGridEnv.gen_obs_grid):
            inner.gen_obs = View(inner)

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        shown = {"image": observation["image"].reshape(-1), "direction": observation["direction"]}
        if self._words:
            shown["mission"] = self._words[observation["mission"]].copy()
        return shown


@dataclass
class MiniGridConfig(GymConfig):
    """Any environment of MiniGrid: ``env=minigrid env.id=MiniGrid-Empty-8x8-v0``.

    The agent sees the 7 x 7 cells before it (:class:`CategoricalGrid`). Success in step t of at most T earns
    1 - 0.9 t / T, everything else 0.
    """

    needs = ("minigrid", "minigrid")
    wrappers = (CategoricalGrid,)
    id: str = "MiniGrid-Empty-5x5-v0"


@dataclass
class DoorKeyConfig(MiniGridConfig):
    """Take the key, open the door, reach the goal."""

    id: str = "MiniGrid-DoorKey-5x5-v0"


@dataclass
class DoorKey8x8Config(DoorKeyConfig):
    """The same in a room of twice the side: random play hardly ever gets there."""

    id: str = "MiniGrid-DoorKey-8x8-v0"


@dataclass
class FetchConfig(MiniGridConfig):
    """Take, of two objects, the one that the mission names; taking the other ends the episode."""

    id: str = "MiniGrid-Fetch-5x5-N2-v0"


@dataclass
class FourRoomsConfig(MiniGridConfig):
    """Find the goal in four rooms within 100 steps."""

    id: str = "MiniGrid-FourRooms-v0"


@dataclass
class GoToDoorConfig(MiniGridConfig):
    """Stand before the door of the colour that the mission names and say so."""

    id: str = "MiniGrid-GoToDoor-5x5-v0"


@dataclass
class KeyCorridorConfig(MiniGridConfig):
    """Find the key, open the locked room, take the ball."""

    id: str = "MiniGrid-KeyCorridorS3R1-v0"


@dataclass
class KeyCorridorS3R3Config(KeyCorridorConfig):
    """The same with three rows of rooms."""

    id: str = "MiniGrid-KeyCorridorS3R3-v0"


@dataclass
class MultiRoomN6Config(MiniGridConfig):
    """Pass six rooms in a row, a closed door between any two, and reach the goal in the last, within 120 steps."""

    id: str = "MiniGrid-MultiRoom-N6-v0"


@dataclass
class RedBlueDoorsConfig(MiniGridConfig):
    """Open the red door, then the blue one."""

    id: str = "MiniGrid-RedBlueDoors-6x6-v0"


@dataclass
class UnlockConfig(MiniGridConfig):
    """Find the key and open the door."""

    id: str = "MiniGrid-Unlock-v0"
