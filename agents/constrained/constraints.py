"""What an environment's constraints are, and what the present policy's costs are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError

F64 = NDArray[np.float64]

LOOSE = 1e6  # slack of a constraint without a limit
UNKNOWN = 1e30  # variance of a mean before its first measurement


@dataclass(frozen=True)
class Constraints:
    """m constraints: the mean cost of a step, in the long run, is at most the limit.

    Agents work in units of the limits (costs divided by ``unit``), so that all constraints are on one scale.
    """

    names: tuple[str, ...]
    limits: F64  # (m,), infinity where there is none

    @property
    def unit(self) -> F64:
        """(m,) the limits' absolute values; 1 where a limit is 0 or infinity."""
        return np.where((self.limits == 0.0) | np.isinf(self.limits), 1.0, np.abs(self.limits))

    def slack(self, costs: F64) -> F64:
        """(m,) how far the mean costs (m,) are below their limits, in units of these; negative: violated."""
        return np.minimum((self.limits - costs) / self.unit, LOOSE)


def constraints_of(env_config: Any, limits: Sequence[float] | None = None) -> Constraints:
    """The constraints of the environment that ``env_config`` makes: its ``cost_names`` and ``cost_limits``.

    Args:
        env_config: an environment's configuration.
        limits: in place of the environment's.

    Raises:
        InputError: the environment names no constraint, or the limits are missing, of another number or no numbers.
    """
    env = env_config.make()
    try:
        found = {name: _attribute(env, name) for name in ("cost_names", "cost_limits")}
    finally:
        env.close()
    if found["cost_names"] is None:
        raise InputError(f"{env} has no cost_names; expected an environment with constraints and info['cost']")
    names = tuple(str(name) for name in found["cost_names"])
    if not names:
        raise InputError(f"{env} has no constraint (cost_names is empty); expected at least one")
    given = found["cost_limits"] if limits is None else limits
    if given is None:
        raise InputError(f"{env} has no cost_limits; set limits (one for each of {', '.join(names)})")
    array = np.array(given, dtype=np.float64)
    if array.shape != (len(names),) or not (array > -np.inf).all():
        raise InputError(f"limits are {array.tolist()}; expected a number for each of {', '.join(names)}")
    return Constraints(names, array)


def _attribute(env: Any, name: str) -> Any:
    try:
        return env.get_wrapper_attr(name)
    except AttributeError:
        return None


class CostFilter:
    """Means per step of the present policy, and their standard errors: a Kalman filter over rollouts.

    Every rollout measures the means. The copies of the environment are independent, and steps of one copy are not, so
    the standard error of a measurement is that of a ratio of the copies' sums to their steps. Between two rollouts the
    policy changes; by how much is predicted, in its size alone (the change that was optimized on a rollout is
    overestimated by that rollout): its square joins the variance. A policy that moves fast is known from its newest
    rollouts, one that has settled from many.

    Args:
        count: number of means.
        memory: share of an estimate that the newest rollout replaces is at least 1 - ``memory``; 0: newest rollout only.
    """

    def __init__(self, count: int, memory: float) -> None:
        self.memory = memory
        self.mean: F64 = np.zeros(count)  # 0 before the first rollout
        self.variance: F64 = np.full(count, UNKNOWN)

    def measure(self, samples: F64, valid: NDArray[np.bool_]) -> F64:
        """Take a rollout in: ``samples`` (T, B, count), of which ``valid`` (T, B) count; its own means (count,)."""
        steps = valid.sum(axis=0).astype(np.float64)  # (B,)
        total = float(steps.sum())
        if not total:
            return self.mean
        by_copy = np.where(valid[..., None], samples, 0.0).sum(axis=0)  # (B, count)
        found: F64 = by_copy.sum(axis=0) / total
        copies = max(2, int((steps > 0).sum()))
        squares: F64 = ((by_copy - steps[:, None] * found) ** 2).sum(axis=0)
        noise = squares * copies / (copies - 1) / total**2
        gain = self.variance / np.maximum(self.variance + noise, np.finfo(np.float64).tiny)
        gain = np.maximum(gain, 1.0 - self.memory)
        self.mean = self.mean + gain * (found - self.mean)
        self.variance = (1.0 - gain) ** 2 * self.variance + gain**2 * noise
        return found

    def drift(self, change: F64) -> None:
        """The policy has changed, and with it the means, by about ``change`` (count,) up or down."""
        self.variance = self.variance + change**2

    @property
    def error(self) -> F64:
        """(count,) standard errors."""
        return np.sqrt(self.variance)

    def state(self) -> dict[str, float]:
        """The statistics, as :meth:`restore` takes them."""
        pairs = enumerate(zip(self.mean, self.variance, strict=True))
        return {f"{key}_{i}": float(x) for i, pair in pairs for key, x in zip(("mean", "variance"), pair, strict=True)}

    def restore(self, state: Mapping[str, float]) -> None:
        count = range(len(self.mean))
        self.mean, self.variance = (np.array([state[f"{key}_{i}"] for i in count]) for key in ("mean", "variance"))
