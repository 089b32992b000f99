"""The contract of an agent, and what ``agent=<name>`` means in every script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from optgap.co.core import Registry
from optgap.envs.registry import EnvironmentConfig

Callback = Callable[["Agent", dict[str, float]], bool | None]
"""Called after every update with the agent and its metrics, to which it may add; returning False stops ``learn``."""


class Agent(Protocol):
    """An agent learns on an environment, acts, and is saved and loaded without pickle.

    Constructed as ``AgentClass(env_config, config, seed=0, device="cpu")`` where ``config`` is the dataclass registered
    beside it; its ``checkpoint_interval`` counts updates, and at each such boundary ``learn`` resets the environments.
    All randomness derives from (seed, update counter), so that weights + optimizer + counters are the whole state of a
    run and a resumed run equals an uninterrupted one.
    """

    env_config: EnvironmentConfig
    config: Any
    steps: int  # environment steps taken so far
    updates: int  # updates done so far

    def learn(self, total_steps: int, callback: Callback | None = None) -> Self:
        """Train until ``self.steps >= total_steps`` (a resumed agent continues where it stopped)."""
        ...

    def predict(
        self,
        observation: Any,
        action_masks: Any = None,
        deterministic: bool = False,
        state: None = None,
        episode_start: Any = None,
    ) -> tuple[Any, None]:
        """Actions for a batch of observations or a single one (the Stable-Baselines3 convention).

        ``state`` and ``episode_start`` are there because Stable-Baselines3's ``evaluate_policy`` passes them.
        """
        ...

    def save(self, path: str | Path) -> None:
        """Write the folder ``path`` atomically: safetensors (weights, optimizer) and json (configuration, counters)."""
        ...

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu", env_config: EnvironmentConfig | None = None) -> Self:
        """Read what ``save`` wrote; weights of another version or shape raise :class:`InputError`.

        ``env_config`` replaces the stored environment, for instance by instances of another size.
        """
        ...


Recipe = dict[str, float | int | str | bool | list[int]]
"""Fields of an agent's configuration, and the values that suit one environment."""


@dataclass(frozen=True)
class AgentEntry:
    """What the registry holds: import strings of the agent's class and of its configuration dataclass.

    ``recipes`` is the import string of a ``dict[str, Recipe]`` by the environment's name: what the scripts put in the
    place of the configuration's defaults there. A field that is set on the command line wins.
    """

    agent: str
    config: str
    recipes: str | None = None


AGENTS = Registry("agent")  # name -> AgentEntry

AGENTS.register(
    "ppo",
    AgentEntry("optgap.agents.ppo.agent:PPO", "optgap.agents.ppo.config:PPOConfig", "optgap.agents.ppo.recipes:MLP"),
)
AGENTS.register("gnn-ppo", AgentEntry("optgap.agents.ppo.agent:PPO", "optgap.agents.ppo.config:GraphPPOConfig"))
AGENTS.register(
    "portfolio-ppo",
    AgentEntry(
        "optgap.agents.portfolio.agent:PortfolioPPO",
        "optgap.agents.portfolio.config:PortfolioPPOConfig",
        "optgap.agents.portfolio.recipes:PPO",
    ),
)
AGENTS.register("gnn-slim", AgentEntry("optgap.agents.slim.agent:SLIM", "optgap.agents.slim.config:SLIMConfig"))
AGENTS.register("gnn-pomo", AgentEntry("optgap.agents.pomo.agent:POMO", "optgap.agents.pomo.config:POMOConfig"))
AGENTS.register(
    "sb3-ppo",
    AgentEntry(
        "optgap.agents.sb3.agent:SB3PPO",
        "optgap.agents.sb3.config:SB3PPOConfig",
        "optgap.agents.portfolio.recipes:SB3_PPO",
    ),
)
AGENTS.register(
    "sb3-sac",
    AgentEntry(
        "optgap.agents.sb3.sac:SB3SAC",
        "optgap.agents.sb3.sac_config:SB3SACConfig",
        "optgap.agents.portfolio.recipes:SB3_SAC",
    ),
)
AGENTS.register("bq", AgentEntry("optgap.agents.bq.agent:BQ", "optgap.agents.bq.config:BQConfig"))
AGENTS.register(
    "bq-sil", AgentEntry("optgap.agents.bq.self_improvement:SelfImprovingBQ", "optgap.agents.bq.config:SILConfig")
)
AGENTS.register(
    "gbt-ppo",
    AgentEntry("optgap.agents.ppo.agent:PPO", "optgap.agents.gbt.config:GBTPPOConfig", "optgap.agents.gbt.recipes:PPO"),
)
AGENTS.register(
    "dqn",
    AgentEntry("optgap.agents.dqn.agent:DQN", "optgap.agents.dqn.config:DQNConfig", "optgap.agents.dqn.recipes:MLP"),
)
AGENTS.register(
    "gbt-dqn",
    AgentEntry("optgap.agents.dqn.agent:DQN", "optgap.agents.gbt.config:GBTDQNConfig", "optgap.agents.gbt.recipes:DQN"),
)
AGENTS.register("a2c", AgentEntry("optgap.agents.a2c.agent:A2C", "optgap.agents.a2c.config:A2CConfig"))
AGENTS.register("awr", AgentEntry("optgap.agents.awr.agent:AWR", "optgap.agents.awr.config:AWRConfig"))
AGENTS.register(
    "gbt-a2c",
    AgentEntry(
        "optgap.agents.a2c.agent:A2C", "optgap.agents.gbt.config:GBTA2CConfig", "optgap.agents.a2c.recipes:TREES"
    ),
)
AGENTS.register(
    "gbt-awr",
    AgentEntry(
        "optgap.agents.awr.agent:AWR", "optgap.agents.gbt.config:GBTAWRConfig", "optgap.agents.awr.recipes:TREES"
    ),
)
for _name, _class, _recipes in (
    ("clara", "CLARA", "PPO"),
    ("ipo", "IPO", "PPO"),
    ("ppo-lagrangian", "PPOLagrangian", "LAGRANGIAN"),
):
    AGENTS.register(
        _name,
        AgentEntry(
            f"optgap.agents.constrained.ppo:{_class}",
            f"optgap.agents.constrained.config:{_class}Config",
            f"optgap.agents.constrained.recipes:{_recipes}",
        ),
    )
AGENTS.register(
    "cpo",
    AgentEntry(
        "optgap.agents.constrained.cpo:CPO",
        "optgap.agents.constrained.cpo_config:CPOConfig",
        "optgap.agents.constrained.recipes:CPO",
    ),
)
AGENTS.register(
    "sac",
    AgentEntry(
        "optgap.agents.sac.agent:SAC", "optgap.agents.sac.config:SACConfig", "optgap.agents.sac.recipes:BY_ENVIRONMENT"
    ),
)
AGENTS.register(
    "gbt-sac",
    AgentEntry(
        "optgap.agents.sac.agent:SAC",
        "optgap.agents.gbt.config:GBTSACConfig",
        "optgap.agents.sac.recipes:BY_ENVIRONMENT",
    ),
)
AGENTS.register(
    "td3",
    AgentEntry(
        "optgap.agents.td3.agent:TD3", "optgap.agents.td3.config:TD3Config", "optgap.agents.td3.recipes:BY_ENVIRONMENT"
    ),
)
for _name in ("SAC", "TD3"):
    AGENTS.register(
        f"apt-{_name.lower()}",
        AgentEntry(
            f"optgap.agents.asynchronous.agents:APT{_name}",
            f"optgap.agents.asynchronous.config:APT{_name}Config",
            f"optgap.agents.asynchronous.recipes:{_name}",
        ),
    )
for _name, _class, _config, _recipes in (
    ("rnd-ppo", "agents:ExploringPPO", "RNDPPO", "RND_PPO"),
    ("sofe-ppo", "agents:ExploringPPO", "SOFEPPO", "SOFE_PPO"),
    ("sofe-a2c", "agents:ExploringA2C", "SOFEA2C", "A2C"),
    ("sofe-dqn", "agents:ExploringDQN", "SOFEDQN", "DQN"),
    ("derl-a2c", "derl:DeRLA2C", "DeRLA2C", "A2C"),
):
    AGENTS.register(
        _name,
        AgentEntry(
            f"optgap.agents.exploration.{_class}",
            f"optgap.agents.exploration.config:{_config}Config",
            f"optgap.agents.exploration.recipes:{_recipes}",
        ),
    )
