"""The figure that training shows: the greedy policy's mean gap on a fixed set of random instances."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from batches import batch_player, batches
from naming import solver_names
from optgap.agents.common.contracts import Agent
from optgap.agents.common.policy_solver import PolicySolver
from optgap.co.core import PROBLEMS, SOLVERS, Budget, Instance, MissingExtraError, optimality_gap, solve
from optgap.co.formats.files import read_text, write_text
from optgap.envs.registry import EnvironmentConfig

SEED = 20_011  # of the validation instances: no training seed is derived from it
PREFERRED = ("cp-sat", "branch-and-bound", "ruin-recreate", "ils")  # near the optimum in seconds; the first there is


class Validation:
    """Instances that no run trains on, with a reference cost each.

    The references are by the first solver of :data:`PREFERRED` that the problem has and that is installed, otherwise
    the best of all registered solvers; they are kept in ``file``, so that a resumed run is measured against the same ones.

    Args:
        env_config: its ``source()``, where it has one, draws the instances; otherwise ``Problem.generate`` does, with
            those of its arguments that are fields of the configuration.
        seconds: budget of a solver for a reference.
        tell: called with a line before each instance.
    """

    def __init__(
        self, env_config: EnvironmentConfig, count: int, seconds: float, file: Path, tell: Callable[[str], None]
    ) -> None:
        self.name = name = str(env_config.problem)
        self.problem = PROBLEMS.load(name)
        draw = _source(env_config)
        self.instances = [draw(np.random.default_rng([SEED, index])) for index in range(count)]
        if file.exists():
            stored = json.loads(read_text(file))
            self.solver, self.references = stored["solver"], stored["references"]
        else:
            self.solver, self.references = _references(name, self.instances, seconds, tell)
            write_text(file, json.dumps({"solver": self.solver, "references": self.references}, indent=1) + "\n")

    def gap(self, agent: Agent) -> float:
        """Mean gap of the agent's greedy policy, a fraction."""
        costs = self._costs(agent)
        gaps = [optimality_gap(*pair, self.problem.sense) for pair in zip(costs, self.references, strict=True)]
        return fmean(gaps)

    def _costs(self, agent: Agent) -> list[float]:
        """Checked costs of the agent's greedy solutions; in batches where the policy plays those."""
        play = batch_player(agent)
        policy, budget = PolicySolver(agent, mode="greedy"), Budget(seconds=3600)
        found: dict[int, float] = {}
        parts = batches(self.name, self.instances) if play is not None else [[i] for i in range(len(self.instances))]
        for part in parts:
            some = [self.instances[index] for index in part]
            if play is None:
                solutions = [policy(instance, budget).solution for instance in some]
            else:
                solutions = list(play(some))
            for index, instance, solution in zip(part, some, solutions, strict=True):
                self.problem.check(instance, solution)  # an episode ends with a solution
                found[index] = float(self.problem.cost(instance, solution))
        return [found[index] for index in range(len(self.instances))]


def can_validate(env_config: EnvironmentConfig) -> bool:
    """Whether the environment solves a problem that has solvers to compare with."""
    return env_config.problem is not None and bool(solver_names(env_config.problem))


def _source(env_config: Any) -> Callable[[np.random.Generator], Instance]:
    if hasattr(env_config, "source"):
        drawn: Callable[[np.random.Generator], Instance] = env_config.source()
        return drawn
    generate = PROBLEMS.load(env_config.problem).generate
    fields = {item.name: getattr(env_config, item.name) for item in dataclasses.fields(env_config)}
    size = {name: fields[name] for name in inspect.signature(generate).parameters if name in fields}
    return lambda rng: generate(rng, **size)


def _references(
    name: str, instances: list[Instance], seconds: float, tell: Callable[[str], None]
) -> tuple[str, list[float]]:
    problem, budget = PROBLEMS.load(name), Budget(seconds=seconds)
    names = solver_names(name)
    strong = [solver for solver in PREFERRED if solver in names]
    names = [*strong, *(solver for solver in names if solver not in strong)]
    best: list[float] = []
    used: set[str] = set()
    better = min if problem.sense == "minimize" else max
    for index, instance in enumerate(instances):
        tell(f"reference solutions {index + 1}/{len(instances)}")
        costs: dict[str, float] = {}
        for solver in names:
            try:
                cost = solve(SOLVERS.load(f"{name}/{solver}"), problem, instance, budget).cost
            except MissingExtraError:
                continue
            if cost is not None:
                costs[solver] = cost
            if solver in strong and cost is not None:
                break
        winner = better(costs, key=costs.__getitem__)
        used.add(winner)
        best.append(costs[winner])
    return used.pop() if len(used) == 1 else f"the best of {len(names)} solvers", best
