"""What a name on the command line means: a registered solver, shipped weights, or a run folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from optgap.agents.common.weights import WEIGHTS, require_weights, weights_folder, zoo_names
from optgap.co.benchmark.collections import problem_of
from optgap.co.core import SOLVERS, InputError, Solver

if TYPE_CHECKING:  # the rules need no torch
    from optgap.agents.common.contracts import Agent

BEAM = "beam"  # before the width, after @
RECONSTRUCT = "reconstruct"  # after @


def weights_digest(name: str) -> str | None:
    """SHA-256 of the weights behind a solver's name (``@...`` ignored); None where it names no weights."""
    folder = weights_folder(name.partition("@")[0])
    return None if folder is None else sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def find_agent(name: str, device: str = "cpu", env_config: Any = None) -> Agent:
    """The agent behind shipped weights or a run folder, on ``env_config`` instead of the environment of its training.

    Raises:
        InputError: neither, a damaged checkpoint, or weights that do not fit the environment.
    """
    from optgap.agents.common.checkpoint import load_agent

    return load_agent(require_weights(name), device, env_config)


def policy_solver(problem: str, name: str, how: str = "", device: str = "cpu") -> Solver[Any]:
    """Trained weights as a solver of ``problem``: greedy, or ``how`` a name says after @."""
    from optgap.agents.common.policy_solver import PolicySolver

    agent = find_agent(name, device)
    if agent.env_config.problem != problem:
        raise InputError(
            f"{name}: trained on {agent.env_config.problem or 'no optimization problem'}; expected {problem}"
        )
    if not how:
        return PolicySolver(agent, mode="greedy")
    if how.startswith(BEAM):
        return PolicySolver(agent, mode="beam", width=int(how.removeprefix(BEAM)))
    if how == RECONSTRUCT:
        return _reconstruction(agent, name)
    return PolicySolver(agent, mode="sample", samples=int(how))


def _reconstruction(agent: Any, name: str) -> Solver[Any]:
    from optgap.agents.bq.policy import BQPolicy
    from optgap.agents.bq.reconstruction import ReconstructionSolver

    policy = getattr(agent, "policy", None)
    if not isinstance(policy, BQPolicy):
        raise InputError(f"{name}@{RECONSTRUCT}: {type(agent).__name__} has no re-construction; the BQ agents have")
    return ReconstructionSolver(policy)


def find_solver(problem: str, name: str, device: str = "cpu") -> Solver[Any]:
    """The solver that ``name`` means.

    Args:
        name: ``scip`` (registered as ``<problem>/scip``), shipped weights or a run folder (greedy), or either of the
            latter with ``@128``, the best of 128 sampled solutions, ``@beam16``, a beam search of width 16, or
            ``@reconstruct``, pieces of the greedy solution solved anew until the time is over.
        device: of the weights.

    Raises:
        InputError: none of these; the message lists the right names.
    """
    if f"{problem}/{name}" in SOLVERS:
        solver: Solver[Any] = SOLVERS.load(f"{problem}/{name}")
        return solver
    base, at, how = name.rpartition("@")
    if not at:
        base, how = name, ""
    elif not re.fullmatch(rf"({BEAM})?0*[1-9][0-9]*|{RECONSTRUCT}", how, re.ASCII):
        raise InputError(
            f"{name}: expected a number of samples after @, for instance {base}@128, a beam's width, {base}@{BEAM}16, "
            f"or {base}@{RECONSTRUCT}"
        )
    if weights_folder(base) is not None:
        return policy_solver(problem, base, how, device)
    registered = solver_names(problem)
    near = get_close_matches(name, [*registered, *zoo_names()], n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    weights = f"; shipped weights: {', '.join(zoo_names())}" if zoo_names() else ""
    raise InputError(
        f"unknown solver {name!r} of {problem}{hint}; known: {', '.join(registered)}{weights}; or a run folder"
    )


def problem_for(said: str | None, instances: Sequence[str], solvers: Sequence[str]) -> str:
    """The problem of a command: the one said, else that of the weights among the solvers, else that of the instances.

    Raises:
        InputError: nothing tells it.
    """
    if said is not None:
        return said
    for solver in solvers:
        base = solver.partition("@")[0]
        if weights_folder(base) is not None and (problem := find_agent(base).env_config.problem) is not None:
            return problem
    return problem_of(instances)


@dataclass(frozen=True)
class Finder:
    """:func:`find_solver` for other processes: the packages that register names are imported there too."""

    plugins: tuple[str, ...]
    device: str = "cpu"

    def __call__(self, problem: str, name: str) -> Solver[Any]:
        if self.plugins:
            from cli import import_plugins

            import_plugins(",".join(self.plugins))
        return find_solver(problem, name, self.device)


def solver_names(problem: str) -> list[str]:
    """Registered solvers of ``problem``, without the problem's name."""
    return [name.removeprefix(f"{problem}/") for name in SOLVERS.names(f"{problem}/")]
