"""Batches of episodes of ``optgap/FinRay-v0``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from optgap.co.core import InputError, InvalidActionError
from optgap.envs.batched import Observation
from optgap.envs.finray.objective import Objective
from optgap.envs.finray.render import frame
from optgap.envs.finray.surrogate import Motion

F64 = NDArray[np.float64]

PLACES = (0.1, 0.3, 0.5, 0.7, 0.9)  # arc lengths at which the ray is seen
PAST = 4  # control steps whose forces are seen
RATE_UNIT, FORCE_UNIT = 5.0, 2.0  # of what is seen
HIGHEST = 10.0  # of what is seen
BEND_LIMIT = 1.5  # rad, of a start
REASON = "<U120"


@dataclass(frozen=True)
class Start:
    """How an episode begins: at rest, bent.

    Args:
        name: for reports.
        bend: (m,) rad, angles at equal parts of the ray, from the base to the tip; linear between.
    """

    name: str
    bend: F64

    def __post_init__(self) -> None:
        try:
            bend = np.array(self.bend, np.float64)
        except (TypeError, ValueError):  # no numbers, or rows of different lengths
            bend = np.empty(0)
        if bend.ndim != 1 or len(bend) < 2 or not (np.abs(bend) <= BEND_LIMIT).all():
            raise InputError(f"start {self.name}: bend is {self.bend!r}; expected angles within {BEND_LIMIT:g} rad")
        bend.setflags(write=False)
        object.__setattr__(self, "bend", bend)


def draw_start(rng: np.random.Generator, bend: float) -> Start:
    """A start whose angle grows along the ray as a s + b s^2, a and b uniform with together at most ``bend`` rad."""
    first, second = rng.uniform(-bend / 2, bend / 2, 2)
    s = np.linspace(0, 1, 6)
    return Start("random", first * s + second * s * s)


class Rays(Protocol):
    """Rays in a flow, of either fidelity."""

    motion: Motion

    def reset(self, which: NDArray[np.bool_], bend: F64) -> None:
        """Put the copies marked in ``which`` (B,) to rest, bent by ``bend`` (B, m): angles at equal parts of the ray."""
        ...

    def advance(self, target: F64, skip: NDArray[np.bool_]) -> None:
        """A control step in every copy not in ``skip`` (B,), the moments going linearly to ``target`` (B,)."""
        ...

    def reason(self, b: int) -> str:
        """Why copy ``b`` has diverged."""
        ...

    def vorticity(self, b: int) -> tuple[F64, tuple[float, float, float, float]] | None:
        """Of copy ``b``, (height, width), with its left, right, lower and upper side; None where there is no field."""
        ...


class FinRayBatch:
    """``copies`` episodes, one random generator a copy; the arguments are the environment's."""

    constants: Sequence[str] = ()

    def __init__(
        self,
        copies: int,
        rays: Rays,
        *,
        objective: Objective,
        steps: int,
        control_step: float,
        max_moment: float,
        max_rate: float,
        bend: float,
    ) -> None:
        self.rays, self.objective, self.steps, self.control_step = rays, objective, steps, control_step
        self.max_moment, self.max_change, self.bend = max_moment, max_rate * control_step, bend
        self.instances: list[Start | None] = [None] * copies
        self.reward = np.zeros(copies)
        self.done, self.truncated = np.zeros(copies, np.bool_), np.zeros(copies, np.bool_)
        self.step_count = np.zeros(copies, np.int64)
        self.thrust_work, self.effort = np.zeros(copies), np.zeros(copies)  # W and E
        self.value = np.zeros(copies)  # J
        self.reasons = np.zeros(copies, REASON)
        self.actions = np.zeros((copies, steps, 1))
        self.tips = np.zeros((copies, steps + 1, 2))
        self.seen = np.zeros((copies, 2 * len(PLACES) + 2 * PAST + 4), np.float32)
        self._past = np.zeros((copies, PAST, 2))  # the newest first
        links = rays.motion.angle.shape[1]
        middles = (np.arange(links) + 0.5) / links
        self._look = np.array([np.interp(PLACES, middles, row) for row in np.eye(links)])  # (n, places)

    def reset(self, which: NDArray[np.bool_], rngs: Sequence[np.random.Generator]) -> None:
        """Draw a new start for, and restart, every copy marked in ``which`` (B,)."""
        for b in np.flatnonzero(which).tolist():
            self.instances[b] = draw_start(rngs[b], self.bend)
        self.restart(which)

    def put(self, b: int, instance: Any) -> None:
        """Give copy ``b`` a start."""
        if not isinstance(instance, Start):
            raise InputError(f"instance is a {type(instance).__name__}; expected a Start of a fin ray")
        self.instances[b] = instance

    def restart(self, which: NDArray[np.bool_]) -> None:
        """Restart the marked copies from the starts they have."""
        links = self.rays.motion.angle.shape[1]
        ends, bend = np.linspace(0, 1, links), np.zeros((len(which), links))
        for b in np.flatnonzero(which).tolist():
            start = self.instances[b]
            assert start is not None
            bend[b] = np.interp(ends, np.linspace(0, 1, len(start.bend)), start.bend)
        self.rays.reset(which, bend)
        for field in (self.reward, self.step_count, self.thrust_work, self.effort, self._past):
            field[which] = 0
        self.done[which] = self.truncated[which] = False
        self.reasons[which] = ""
        self.value[which] = self.objective.value(self.thrust_work, self.effort)[which]
        self._look_at(which)

    def step(self, action: F64, skip: NDArray[np.bool_]) -> None:
        """Demand the moments ``action`` (B, 1) x max_moment in every copy not in ``skip``."""
        share, motion = action[:, 0], self.rays.motion
        bad = ~((np.abs(share) <= 1.0) | skip)  # NaN compares false
        if bad.any():
            b = int(bad.argmax())
            raise InvalidActionError(f"action {action[b].tolist()} in copy {b}; expected a number in -1..1")
        wanted = np.where(skip, 0.0, share) * self.max_moment - motion.moment
        self.rays.advance(motion.moment + np.clip(wanted, -self.max_change, self.max_change), skip)
        played = ~skip
        self.actions[played, self.step_count[played]] = action[played]
        self.step_count[played] += 1
        self.thrust_work[played] += motion.thrust[played] * self.control_step
        self.effort[played] += np.maximum(motion.work[played], 0.0)
        self._past[played, 1:] = self._past[played, :-1]
        self._past[played, 0, 0], self._past[played, 0, 1] = motion.thrust[played], motion.lateral[played]
        value = self.objective.value(self.thrust_work, self.effort)
        self.reward[played] = (value - self.value)[played]
        self.value[played] = value[played]
        self.truncated[played] = (self.step_count[played] == self.steps) & ~motion.diverged[played]
        self.done[played] = self.truncated[played] | motion.diverged[played]
        for b in np.flatnonzero(played & motion.diverged).tolist():
            self.reasons[b] = self.rays.reason(b)
        self._look_at(played)

    def _look_at(self, which: NDArray[np.bool_]) -> None:
        """Fill ``seen`` and the tips' paths of the marked copies."""
        motion, k = self.rays.motion, len(PLACES)
        time = self.objective.time
        seen = np.empty(self.seen.shape)
        seen[:, :k] = motion.angle @ self._look
        seen[:, k : 2 * k] = motion.rate @ self._look / RATE_UNIT
        seen[:, 2 * k] = motion.moment / self.max_moment
        seen[:, 2 * k + 1 : -3] = self._past.reshape(len(seen), -1) / FORCE_UNIT
        seen[:, -3], seen[:, -2] = self.thrust_work / time, self.effort / time
        seen[:, -1] = 1.0 - self.step_count / self.steps
        self.seen[which] = np.clip(seen, -HIGHEST, HIGHEST)[which]
        tips = np.stack([np.cos(motion.angle).mean(1), np.sin(motion.angle).mean(1)], 1)
        self.tips[which, self.step_count[which]] = tips[which]

    def observation(self) -> NDArray[np.float32]:
        """(B, 22) buffer, not copied: the next step overwrites it."""
        return self.seen

    def info(self) -> Observation:
        """What the episodes have come to so far, (B,) each."""
        time = np.maximum(self.step_count, 1) * self.control_step
        return {
            "thrust": self.thrust_work / time,
            "power": self.effort / time,
            "efficiency": self.thrust_work / (self.effort + self.objective.epsilon),
            "reason": self.reasons,
        }

    def solution(self, b: int) -> F64:
        """(T, 1) actions of copy ``b`` so far: played again, also in the other fidelity, they are the actuation."""
        return self.actions[b, : self.step_count[b]].copy()

    def picture(self, b: int, mode: str) -> Any:
        """The ray, and the vorticity or the path of its tip as the flow carries it: an (H, W, 3) uint8 array."""
        assert mode == "rgb_array", "the only one"
        count, angle = int(self.step_count[b]), self.rays.motion.angle[b]
        nodes = np.zeros((len(angle) + 1, 2))
        nodes[1:] = np.cumsum(np.stack([np.cos(angle), np.sin(angle)], 1), 0) / len(angle)
        age = (count - np.arange(count + 1)) * self.control_step
        wake = self.tips[b, : count + 1] + np.stack([age, np.zeros(count + 1)], 1)
        figures = self.info()
        text = f"t {count * self.control_step:5.2f}   moment {self.rays.motion.moment[b]:+.2f}   " + "   ".join(
            f"{name} {figures[name][b]:+.3f}" for name in ("thrust", "power", "efficiency")
        )
        return frame(nodes, wake, self.rays.vorticity(b), text)

    def action_space(self) -> spaces.Box:
        """Space of one copy's action."""
        return spaces.Box(-1, 1, (1,))

    def observation_space(self) -> spaces.Box:
        """Space of one copy's observation."""
        return spaces.Box(-HIGHEST, HIGHEST, (self.seen.shape[1],))
