"""Arguments of ``optgap/FinRay-v0``, which are its training configuration ``env=finray`` too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.envs.arguments import require_positive, require_whole
from optgap.envs.batched import MadeById
from optgap.envs.finray.batch import FinRayBatch, Rays
from optgap.envs.finray.chain import Ray
from optgap.envs.finray.objective import OBJECTIVES, Objective
from optgap.envs.finray.sinusoid import Sinusoid, shipped_sinusoid

if TYPE_CHECKING:
    from optgap.envs.finray.high_fidelity import HighFidelityConfig

Policy = Callable[[NDArray[Any], Any], NDArray[Any]]
"""(observations (B, 22), masks or None) -> actions (B, 1)."""

CONTROL_STEP = 0.05  # lengths of the ray by oncoming speed
FIDELITIES = ("surrogate", "high")
STEPS_LIMIT = 100_000
# In bending, density x speed^2 x length^3. The surrogate's time step resolves the first wave of such a ray: at the limit
# thrust is within 0.006 of that of a step 16 times as short; at ten times the limit it is off by 0.5.
STIFFNESS_LIMIT = 100.0


@dataclass
class FinRayConfig(MadeById):
    """``env=finray``; documented with the environment."""

    fidelity: str = "surrogate"
    objective: str = "thrust"
    steps: int = 200
    max_moment: float = 4.0
    max_rate: float = 24.0
    mass: float = 0.5
    stiffness: float = 3.0
    base_stiffness: float = 5.0
    base_damping: float = 0.05
    bending_damping: float = 0.03
    bend: float = 0.05
    power_limit: float = 1.0
    penalty: float = 1.0
    epsilon: float = 0.5

    problem: ClassVar[str | None] = None
    figures: ClassVar[tuple[str, ...]] = ("thrust", "power", "efficiency")
    id: ClassVar[str] = "optgap/FinRay-v0"

    def __post_init__(self) -> None:
        for name, known in (("fidelity", FIDELITIES), ("objective", OBJECTIVES)):
            if getattr(self, name) not in known:
                raise InputError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}")
        require_whole("steps", self.steps, 1, STEPS_LIMIT)
        for name in ("max_moment", "max_rate", "mass", "stiffness", "epsilon"):
            require_positive(name, getattr(self, name))
        for name in ("base_stiffness", "base_damping", "bending_damping", "bend", "power_limit", "penalty"):
            require_positive(name, getattr(self, name), zero=True)
        if self.bend > 1:
            raise InputError(f"bend is {self.bend!r}; expected at most 1 rad")
        if self.stiffness > STIFFNESS_LIMIT:
            raise InputError(
                f"stiffness is {self.stiffness!r}; expected at most STIFFNESS_LIMIT = {STIFFNESS_LIMIT:g}:"
                " the time step does not resolve the waves of a stiffer ray"
            )
        if self.fidelity == "high":
            self._high()

    @property
    def ray(self) -> Ray:
        """What the ray is made of."""
        numbers = (self.mass, self.stiffness, self.base_stiffness, self.base_damping, self.bending_damping)
        return Ray(*map(float, numbers))

    def rays(self, copies: int) -> Rays:
        """``copies`` rays in the flow of this fidelity."""
        if self.fidelity == "high":
            from optgap.envs.finray.high_batch import HighFidelityRays

            return HighFidelityRays(copies, self._high())
        from optgap.envs.finray.surrogate import Surrogate

        return Surrogate(copies, self.ray, control_step=CONTROL_STEP)

    def batch(self, copies: int) -> FinRayBatch:
        """``copies`` episodes: what the environments face, and what fast rollouts use directly."""
        return FinRayBatch(
            copies,
            self.rays(copies),
            objective=self.objective_of(self.objective),
            steps=int(self.steps),
            control_step=CONTROL_STEP,
            max_moment=float(self.max_moment),
            max_rate=float(self.max_rate),
            bend=float(self.bend),
        )

    def _high(self) -> HighFidelityConfig:
        """The high fidelity of this ray; :class:`InputError` where it would be unstable."""
        from optgap.envs.finray.high_fidelity import HighFidelityConfig

        return HighFidelityConfig(control_step=CONTROL_STEP, ray=self.ray)

    def objective_of(self, name: str) -> Objective:
        """One of the objectives, with these limits."""
        numbers = (self.steps * CONTROL_STEP, self.power_limit, self.penalty, self.epsilon)
        return Objective(name, *map(float, numbers))

    def baselines(self) -> dict[str, Policy]:
        """Policies to compare trained ones with: the best sinusoid of the default environment, and none at all."""
        best = shipped_sinusoid(self.objective, self.steps, CONTROL_STEP)
        still = Sinusoid(0.0, 1.0, 0.0, 0.0, self.steps, CONTROL_STEP)
        return {"still": still} if best is None else {"sinusoid": best, "still": still}
