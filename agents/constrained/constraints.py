"""What an environment's constraints are, and how far from its limits the present policy is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Constraints:
    """m constraints: the mean cost of a step, in the long run, is at most the limit.

    Agents work in units of the limits (costs divided by ``unit``), so that all constraints are on one scale.
    """

    names: tuple[str, ...]
    limits: F64  # (m,)

    @property
    def unit(self) -> F64:
        """(m,) the limits' absolute values; 1 where a limit is 0."""
        return np.where(self.limits == 0.0, 1.0, np.abs(self.limits))


def constraints_of(env_config: Any, limits: Sequence[float] | None = None) -> Constraints:
    """The constraints of the environment that ``env_config`` makes: its ``cost_names`` and ``cost_limits``.

    Args:
        env_config: an environment's configuration.
        limits: in place of the environment's.

    Raises:
        InputError: the environment names no constraint, or the limits are missing, of another number or not finite.
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
    if array.shape != (len(names),) or not np.isfinite(array).all():
        raise InputError(f"limits are {array.tolist()}; expected a finite number for each of {', '.join(names)}")
    return Constraints(names, array)


def _attribute(env: Any, name: str) -> Any:
    try:
        return env.get_wrapper_attr(name)
    except AttributeError:
        return None


class RunningMeans:
    """Means per step, over rollouts that count the less the older they are, and their standard errors.

    A rollout's weight is its number of steps, times ``memory`` for each rollout after it. The copies of the environment
    are independent, and steps of one copy are not, so the standard error of a rollout's mean is that of the mean of its
    copies' means.
    """

    def __init__(self, count: int, memory: float) -> None:
        self.memory = memory
        self.weight = 0.0  # sum of w
        self.sums: F64 = np.zeros(count)  # sum of w x mean
        self.variances: F64 = np.zeros(count)  # sum of w^2 x standard error^2

    def add(self, samples: F64, valid: NDArray[np.bool_]) -> None:
        """Take a rollout in: ``samples`` (T, B, count), of which ``valid`` (T, B) count."""
        steps = valid.sum(axis=0).astype(np.float64)  # (B,)
        total = float(steps.sum())
        if not total:
            return
        by_copy = np.where(valid[..., None], samples, 0.0).sum(axis=0)  # (B, count)
        mean = by_copy.sum(axis=0) / total
        deviations = by_copy - steps[:, None] * mean  # of the ratio estimator: sums less what they would be at the mean
        copies = max(2, int((steps > 0).sum()))
        error = (deviations**2).sum(axis=0) * copies / (copies - 1)  # (total x standard error)^2
        self.weight = self.memory * self.weight + total
        self.sums = self.memory * self.sums + total * mean
        self.variances = self.memory**2 * self.variances + error

    @property
    def mean(self) -> F64:
        """(count,); 0 before the first rollout."""
        return self.sums / self.weight if self.weight else self.sums

    @property
    def error(self) -> F64:
        """(count,) standard errors."""
        return np.sqrt(self.variances) / self.weight if self.weight else self.variances

    def state(self) -> dict[str, float]:
        """The statistics, as :meth:`restore` takes them."""
        figures = {"means_weight": self.weight}
        for i, (total, variance) in enumerate(zip(self.sums, self.variances, strict=True)):
            figures |= {f"means_sum_{i}": float(total), f"means_variance_{i}": float(variance)}
        return figures

    def restore(self, state: Mapping[str, float]) -> None:
        count = range(len(self.sums))
        self.weight = state["means_weight"]
        self.sums = np.array([state[f"means_sum_{i}"] for i in count])
        self.variances = np.array([state[f"means_variance_{i}"] for i in count])
