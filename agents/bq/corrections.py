"""Sub-instances that a policy's own solutions lead to, with near-optimal continuations: dataset aggregation.

Imitation sees what is left of near-optimal solutions, a policy what is left after its own mistakes (a node left behind,
most of all): there it was taught nothing, and one mistake brings the next. DAgger (Ross, Gordon and Bagnell, AISTATS
2011) lets the expert label the states that the policy comes to. On a bisimulation quotient that is cheap: each such
state is an instance of its own, which the heuristic that made the labels solves in milliseconds.
"""

from __future__ import annotations

import numpy as np

from optgap.agents.bq.config import BQConfig
from optgap.agents.bq.labels import RenewedPool
from optgap.agents.bq.policy import BQPolicy
from optgap.agents.bq.tasks.task import Task
from optgap.agents.common.seeding import Stream, derived_seed
from optgap.envs.routing.config import RoutingConfig

FIRST = 2  # times the usual number of instances, with which a pool begins


class Corrections:
    """Labels of states of the policy's own solutions, in a pool that is emptied at every checkpoint.

    Args:
        env_config: gives the random instances.
        task: one that ``corrects``.
        config: how many, how often.
    """

    def __init__(self, env_config: RoutingConfig, task: Task, config: BQConfig) -> None:
        self.env_config, self.task, self.config = env_config, task, config
        self.pool = RenewedPool(config.own_interval, config.checkpoint_interval, FIRST)

    def grow(self, policy: BQPolicy, seed: int, updates: int) -> None:
        """Solve new instances greedily, where the number of updates says so, and label states on the way."""
        times, config = self.pool.due(updates), self.config
        if not times:
            return
        seed = derived_seed(seed, updates, Stream.ENVIRONMENT)
        rng = np.random.default_rng(seed)
        draw, size_of = self.env_config.source(), self.env_config.batch_class.size_of
        groups: dict[int, list[object]] = {}  # what is decoded together has one size
        for _ in range(times * config.own_instances):
            instance = draw(rng)
            groups.setdefault(size_of(instance), []).append(instance)
        for instances in groups.values():
            solutions = policy.play_instances(instances)
            for labels in self.task.correct(instances, solutions, config.own_states, config.label_effort, rng):
                self.pool.add(labels)
