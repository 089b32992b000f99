"""Copies of the high-fidelity simulation behind the surrogate's interface."""

from __future__ import annotations

import copy

import numpy as np
from numpy.typing import NDArray

from optgap.co.core import InputError
from optgap.envs.finray.high_fidelity import HighFidelity, HighFidelityConfig
from optgap.envs.finray.lattice_boltzmann import CELLS_LIMIT
from optgap.envs.finray.surrogate import empty_motion

F64 = NDArray[np.float64]


class HighFidelityRays:
    """What :class:`optgap.envs.finray.surrogate.Surrogate` offers, one simulation a copy, one after the other."""

    def __init__(self, copies: int, config: HighFidelityConfig) -> None:
        lattice = config.lattice()
        most = CELLS_LIMIT // (lattice.width * lattice.height)
        if copies > most:
            raise InputError(
                f"{copies} copies of a flow of {lattice.width} x {lattice.height} cells; expected at most {most}"
                f" (CELLS_LIMIT = {CELLS_LIMIT} cells)"
            )
        first = HighFidelity(config)  # settles the flow, once
        self.simulations = [first, *(copy.deepcopy(first) for _ in range(copies - 1))]
        self.control_step = config.control_step
        self.motion = empty_motion(copies, config.cells)

    def reset(self, which: NDArray[np.bool_], bend: F64) -> None:
        """Put the copies marked in ``which`` (B,) to rest, bent by ``bend`` (B, m): angles at equal parts of the ray."""
        for field in self.motion:
            field[which] = 0
        for b in np.flatnonzero(which).tolist():
            self.simulations[b].reset(bend[b])
            self._read(b)

    def advance(self, target: F64, skip: NDArray[np.bool_]) -> None:
        """A control step in every copy not in ``skip`` (B,), the moments going linearly to ``target`` (B,)."""
        motion = self.motion
        for b in np.flatnonzero(~skip).tolist():
            step = self.simulations[b].advance(float(motion.moment[b]), float(target[b]))
            motion.diverged[b] = bool(step.reason)
            motion.thrust[b], motion.lateral[b] = step.thrust, step.lateral
            motion.work[b] = step.power * self.control_step
            if not step.reason:
                motion.moment[b] = target[b]
            self._read(b)

    def reason(self, b: int) -> str:
        """Why copy ``b`` has diverged."""
        return self.simulations[b].reason

    def vorticity(self, b: int) -> tuple[F64, tuple[float, float, float, float]]:
        """Of copy ``b``, (height, width), with its left, right, lower and upper side."""
        return self.simulations[b].vorticity(), self.simulations[b].extent()

    def _read(self, b: int) -> None:
        self.motion.angle[b], self.motion.rate[b] = self.simulations[b].angle, self.simulations[b].rate
