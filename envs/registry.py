"""Names of environment configurations: what ``env=<name>`` means in every script, and in a user's own package."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import gymnasium as gym

from optgap.co.core import Registry


class EnvironmentConfig(Protocol):
    """A plain dataclass (validated in ``__post_init__``) that makes an environment, single or batched.

    ``problem`` names the entry of :data:`optgap.co.core.PROBLEMS` that the environment solves, or is None; where it is
    set, ``make`` and ``make_vec`` take ``instances=`` (a list of that problem's instances to play instead of random ones).
    """

    problem: ClassVar[str | None]

    def make(self, **overrides: Any) -> gym.Env[Any, Any]:
        """One environment."""
        ...

    def make_vec(self, num_envs: int, **overrides: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
        """``num_envs`` copies, natively batched where the environment offers it, autoreset mode NEXT_STEP."""
        ...


ENVIRONMENTS = Registry("environment")  # name -> a class that is an EnvironmentConfig

ENVIRONMENTS.register("jssp", "optgap.envs.scheduling.config:JobShopConfig")
ENVIRONMENTS.register("isbjssp", "optgap.envs.scheduling.config:BlockingJobShopConfig")
ENVIRONMENTS.register("tsp", "optgap.envs.routing.config:TSPConfig")
ENVIRONMENTS.register("atsp", "optgap.envs.routing.config:ATSPConfig")
ENVIRONMENTS.register("cvrp", "optgap.envs.routing.config:CVRPConfig")
ENVIRONMENTS.register("op", "optgap.envs.routing.config:OrienteeringConfig")
ENVIRONMENTS.register("kp", "optgap.envs.routing.config:KnapsackConfig")
ENVIRONMENTS.register("tiny-slicing", "optgap.envs.slicing.tiny:TinySlicingConfig")
ENVIRONMENTS.register("slicing", "optgap.envs.slicing.config:SlicingConfig")
ENVIRONMENTS.register("deepsea", "optgap.envs.exploration.config:DeepSeaConfig")
ENVIRONMENTS.register("gridmaze", "optgap.envs.exploration.config:GridMazeConfig")
ENVIRONMENTS.register("pointmaze", "optgap.envs.exploration.config:PointMazeConfig")
ENVIRONMENTS.register("agv", "optgap.envs.agv.config:AGVConfig")
ENVIRONMENTS.register("finray", "optgap.envs.finray.config:FinRayConfig")
ENVIRONMENTS.register("portfolio", "optgap.envs.portfolio.config:PortfolioConfig")
ENVIRONMENTS.register("portfolio-markov", "optgap.envs.portfolio.config:MarkovPortfolioConfig")
ENVIRONMENTS.register("kuramoto-sivashinsky", "optgap.envs.pde.config:KuramotoSivashinskyConfig")
ENVIRONMENTS.register("burgers", "optgap.envs.pde.config:BurgersConfig")
ENVIRONMENTS.register("gym", "optgap.envs.gym_config:GymConfig")
for _name, _config in (
    ("cartpole", "CartPole"),
    ("acrobot", "Acrobot"),
    ("mountaincar", "MountainCar"),
    ("mountaincarcontinuous", "MountainCarContinuous"),
    ("pendulum", "Pendulum"),
    ("lunarlander", "LunarLander"),
):
    ENVIRONMENTS.register(_name, f"optgap.envs.gym_config:{_config}Config")
ENVIRONMENTS.register("minigrid", "optgap.envs.minigrid_config:MiniGridConfig")
for _name in ("DoorKey", "Fetch", "FourRooms", "GoToDoor", "KeyCorridor", "RedBlueDoors", "Unlock"):
    ENVIRONMENTS.register(f"minigrid-{_name.lower()}", f"optgap.envs.minigrid_config:{_name}Config")
for _name, _config in (
    ("doorkey-8x8", "DoorKey8x8"),
    ("keycorridor-s3r3", "KeyCorridorS3R3"),
    ("multiroom-n6", "MultiRoomN6"),
):
    ENVIRONMENTS.register(f"minigrid-{_name}", f"optgap.envs.minigrid_config:{_config}Config")
