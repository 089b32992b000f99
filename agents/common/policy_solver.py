"""A trained agent as a solver, so that rules, exact methods and networks meet in the same table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Literal, Protocol, runtime_checkable

import torch

from optgap.agents.common.contracts import Agent
from optgap.co.core import PROBLEMS, Budget, Incumbent, InputError, Instance, Result, Status

Mode = Literal["greedy", "sample", "beam"]


@runtime_checkable
class BatchedPolicy(Protocol):
    """A policy that plays many copies of an instance at once, faster than an environment a copy."""

    def play_copies(
        self,
        env_config: Any,
        instance: Instance,
        copies: int,
        greedy: bool,
        temperature: float,
        generator: torch.Generator,
    ) -> tuple[float, Any]:
        """(cost, solution) of the best of ``copies`` episodes on ``instance``."""
        ...


@runtime_checkable
class BeamPolicy(Protocol):
    """A policy that looks for an instance's solution by beam search."""

    def beam_search(self, instance: Instance, width: int) -> tuple[float, Any]:
        """(cost, solution) of the best of what a beam of ``width`` partial solutions ends at."""
        ...


class PolicySolver:
    """Solve an instance by playing the agent's environment on it.

    Args:
        agent: a trained agent whose environment configuration names a problem.
        mode: "greedy" plays once, the most likely action at each decision; "sample" plays the greedy episode and then
            samples, "beam" plays it and then searches (a :class:`BeamPolicy`); the best answer counts.
        samples: episodes in all, the greedy one included ("sample"); the budget's seconds may end it earlier.
        temperature: divides the logits when sampling; other than 1 for a :class:`BatchedPolicy` alone.
        copies: episodes played at once where the policy can (bounds memory).
        width: partial solutions that the search keeps ("beam").

    Raises:
        InputError: a value is out of its range, the agent's environment solves no problem or (when called) another one.
    """

    def __init__(
        self,
        agent: Agent,
        mode: Mode = "greedy",
        samples: int = 128,
        temperature: float = 1.0,
        copies: int = 128,
        width: int = 16,
    ) -> None:
        if mode not in ("greedy", "sample", "beam"):
            raise InputError(f"mode is {mode!r}; expected greedy, sample or beam")
        if samples < 1 or copies < 1 or width < 1 or not temperature > 0:
            raise InputError(
                f"samples {samples}, copies {copies}, width {width}, temperature {temperature}; "
                "expected 1 or more, 1 or more, 1 or more, above 0"
            )
        if mode == "beam" and not isinstance(getattr(agent, "policy", None), BeamPolicy):
            raise InputError(f"mode is beam; expected greedy or sample: {type(agent).__name__} has no beam search")
        if agent.env_config.problem is None:
            raise InputError(
                f"{type(agent.env_config).__name__} solves no problem; a solver needs an environment that does"
            )
        if temperature != 1.0 and not isinstance(getattr(agent, "policy", None), BatchedPolicy):
            raise InputError(f"temperature is {temperature}; expected 1: {type(agent).__name__} samples at no other")
        self.agent, self.mode, self.samples, self.temperature = agent, mode, samples, temperature
        self.copies, self.width = copies, width

    def __call__(self, instance: Instance, budget: Budget) -> Result:
        problem = PROBLEMS.load(str(self.agent.env_config.problem))
        begun = time.perf_counter()
        best: tuple[float, Any] | None = None
        incumbents: list[Incumbent] = []
        sign = 1.0 if problem.sense == "minimize" else -1.0
        threads = torch.get_num_threads()
        torch.set_num_threads(budget.threads)
        try:
            for cost, solution in self._episodes(instance, budget.seed):
                if best is None or sign * cost < sign * best[0]:
                    best = cost, solution
                    incumbents.append(Incumbent(time.perf_counter() - begun, cost, None))
                if time.perf_counter() - begun >= budget.seconds:
                    break
        except KeyboardInterrupt:
            if best is None:
                raise
        finally:
            torch.set_num_threads(threads)
        if best is None:
            return Result(None, Status.NO_SOLUTION)
        return Result(best[1], Status.FEASIBLE, incumbents=tuple(incumbents))

    def _episodes(self, instance: Instance, seed: int) -> Iterator[tuple[float, Any]]:
        """(cost, solution) of the greedy episode, then of the beam search or of the best of each round of samples."""
        policy = getattr(self.agent, "policy", None)
        rest = self.samples - 1 if self.mode == "sample" else 0
        if isinstance(policy, BatchedPolicy):
            generator = torch.Generator().manual_seed(seed)
            play = policy.play_copies
            config = self.agent.env_config
            yield play(config, instance, 1, True, 1.0, generator)
            while rest > 0:
                copies = min(rest, self.copies)
                yield play(config, instance, copies, False, self.temperature, generator)
                rest -= copies
        else:
            yield from self._played(instance, seed, rest)
        if self.mode == "beam":
            assert isinstance(policy, BeamPolicy)  # the constructor asked
            yield policy.beam_search(instance, self.width)

    def _played(self, instance: Instance, seed: int, rest: int) -> Iterator[tuple[float, Any]]:
        """The greedy episode of the environment, then ``rest`` sampled ones."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield self._episode(instance, True)
            for _ in range(rest):
                yield self._episode(instance, False)

    def _episode(self, instance: Instance, greedy: bool) -> tuple[float, Any]:
        """One episode of the single environment, padded as in training where the configuration has a padding."""
        config = self.agent.env_config
        overrides: dict[str, Any] = {"instances": [instance]}
        if hasattr(config, "size"):
            overrides["padding"] = config.size()
        env = config.make(**overrides)
        observation, _ = env.reset(seed=0)
        masks = getattr(env.unwrapped, "action_masks", None)
        while True:
            action, _ = self.agent.predict(observation, masks() if masks else None, deterministic=greedy)
            observation, _, terminated, truncated, info = env.step(action)
            if terminated or truncated:
                env.close()
                solution = info["solution"]
                return float(PROBLEMS.load(str(config.problem)).cost(instance, solution)), solution
