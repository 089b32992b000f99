"""Mean-variance portfolios of few assets: at most K of N, each absent or within its limits.

    minimize    risk_aversion / 2 w' S w - mu' w
    subject to  sum w = 1,  at most ``cardinality`` of the w_i are not 0,  each of those in [least, cap]

Source: Markowitz, Portfolio Selection, Journal of Finance 7(1), 1952; with a limit on the number of assets: Bienstock,
Computational study of a family of mixed-integer quadratic programming problems, Mathematical Programming 74, 1996.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InfeasibleError, InputError, Instance, Sense

TOLERANCE = 1e-9  # of weights and their sum
LARGEST = 1e15  # of a return or covariance; SCIP takes 1e20 for infinity

F64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class MeanVarianceInstance(Instance):
    """N assets, of which at most K are held; arrays are read-only."""

    expected: F64  # (N,) return of each asset over a period
    covariance: F64  # (N, N) of the returns, symmetric, positive semidefinite
    risk_aversion: float = 1.0  # > 0
    cardinality: int = 10  # K >= 1
    least: float = 0.0  # smallest share of an asset that is held, in [0, cap]
    cap: float = 1.0  # largest share of an asset, in (0, 1]

    def __post_init__(self) -> None:
        where = f"instance {self.name}"
        for name in ("expected", "covariance"):
            try:
                array = np.array(getattr(self, name), np.float64)
            except (TypeError, ValueError):
                raise InputError(f"{where}: {name} cannot be read as numbers") from None
            object.__setattr__(self, name, array)
            if array.ndim and not np.isfinite(array).all():
                at = np.argwhere(~np.isfinite(array))[0].tolist()
                raise InputError(f"{where}: {name} of asset {at[0]} is not finite; expected numbers")
        n = len(self.expected) if self.expected.ndim == 1 else 0
        if n < 1 or self.covariance.shape != (n, n):
            raise InputError(
                f"{where}: expected of shape {self.expected.shape}, covariance of shape {self.covariance.shape}; "
                "expected (N,) and (N, N)"
            )
        for name in ("risk_aversion", "cardinality", "least", "cap"):
            if not isinstance(getattr(self, name), Real):
                raise InputError(f"{where}: {name} is {getattr(self, name)!r}; expected a number")
        scale = float(np.abs(self.covariance).max())
        if np.abs(self.covariance - self.covariance.T).max() > 1e-9 * scale:
            raise InputError(f"{where}: covariance is not symmetric")
        object.__setattr__(self, "covariance", (self.covariance + self.covariance.T) / 2)
        if max(scale, float(np.abs(self.expected).max())) > LARGEST or 0 < scale < 1 / LARGEST:
            raise InputError(
                f"{where}: covariances up to {scale:g}, returns up to {np.abs(self.expected).max():g}; "
                f"expected covariances of at least {1 / LARGEST:g}, all of at most {LARGEST:g}"
            )
        lowest = float(np.linalg.eigvalsh(self.covariance)[0])
        if lowest < -1e-9 * scale:
            raise InputError(f"{where}: covariance has the eigenvalue {lowest:g}; expected none below 0")
        if not 0 < self.risk_aversion < np.inf:
            raise InputError(f"{where}: risk_aversion is {self.risk_aversion}; expected a number above 0")
        if not self.cardinality >= 1 or self.cardinality % 1:
            raise InputError(f"{where}: cardinality is {self.cardinality}; expected a whole number, at least 1")
        if not 0 <= self.least <= self.cap <= 1 or self.cap == 0:
            raise InputError(f"{where}: least is {self.least}, cap is {self.cap}; expected 0 <= least <= cap <= 1")
        if not self.sizes:
            raise InputError(
                f"{where}: no {min(n, self.cardinality)} or fewer shares from {self.least:g} to {self.cap:g} sum to 1"
            )
        super().__post_init__()

    @property
    def n_assets(self) -> int:
        """N."""
        return len(self.expected)

    @property
    def sizes(self) -> range:
        """The numbers of assets whose shares can sum to 1 within the limits."""
        fewest = int(np.ceil(1 / self.cap - TOLERANCE))
        most = min(self.cardinality, self.n_assets)
        if self.least > 0:
            most = min(most, int(np.floor(1 / self.least + TOLERANCE)))
        return range(fewest, most + 1)


class MeanVariance:
    """Mean-variance with a limit on the number of assets. A solution is a (N,) array of weights."""

    name = "mean-variance"
    sense: Sense = "minimize"

    def generate(
        self, rng: np.random.Generator, *, assets: int = 20, cardinality: int = 5, factors: int = 3, **rest: Any
    ) -> MeanVarianceInstance:
        """Yearly returns of a factor model: loadings around 1 on the first factor and around 0 on the others.

        Args:
            assets: N.
            cardinality: K.
            factors: common to all assets, >= 1.
            rest: other fields of :class:`MeanVarianceInstance`; risk_aversion is 5, least 0.02 and cap 0.5 otherwise.
        """
        for name, value in (("assets", assets), ("factors", factors)):
            if value < 1:
                raise InputError(f"{name} is {value}; expected at least 1")
        loadings = 0.4 * rng.standard_normal((assets, factors))
        loadings[:, 0] += 1.0
        covariance = 0.15**2 * loadings @ loadings.T + np.diag(rng.uniform(0.1, 0.35, assets) ** 2)
        arguments: dict[str, Any] = {
            "name": f"mean-variance-{assets}-k{cardinality}",
            "expected": 0.06 * loadings[:, 0] + 0.03 * rng.standard_normal(assets),
            "covariance": covariance,
            "risk_aversion": 5.0,
            "cardinality": cardinality,
            "least": 0.02 if cardinality <= 50 else 0.0,
            "cap": min(1.0, max(0.5, 1.0 / min(assets, cardinality))),
        }
        return MeanVarianceInstance(**(arguments | rest))

    def check(self, instance: MeanVarianceInstance, solution: Any) -> None:
        """Raise :class:`InfeasibleError` unless the weights keep the limits, up to ``TOLERANCE``; any but 0 is held."""
        weights, name, n = np.asarray(solution), instance.name, instance.n_assets
        if weights.shape != (n,) or weights.dtype.kind != "f":
            raise InfeasibleError(
                f"{name}: weights of shape {weights.shape}, dtype {weights.dtype}; expected ({n},) floats"
            )
        if not abs(weights.sum() - 1) <= TOLERANCE * n:  # NaN compares false
            raise InfeasibleError(f"{name}: the weights sum to {weights.sum():.12g}; expected 1")
        held = np.flatnonzero(weights)
        if len(held) > instance.cardinality:
            raise InfeasibleError(f"{name}: {len(held)} assets are held; expected at most {instance.cardinality}")
        for i in held.tolist():
            if not instance.least - TOLERANCE <= weights[i] <= instance.cap + TOLERANCE or weights[i] < 0:
                raise InfeasibleError(
                    f"{name}: asset {i} has the weight {weights[i]:.12g}; "
                    f"expected 0 or {instance.least:g} to {instance.cap:g}"
                )

    def cost(self, instance: MeanVarianceInstance, solution: Any) -> float:
        """risk_aversion / 2 w' S w - mu' w."""
        weights = np.asarray(solution, np.float64)
        variance = float(weights @ instance.covariance @ weights)
        return instance.risk_aversion / 2 * variance - float(instance.expected @ weights)


MEAN_VARIANCE = MeanVariance()
