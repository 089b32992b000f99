"""``optgap/KuramotoSivashinsky-v0`` and ``optgap/Burgers-v0``: the single environments."""

from __future__ import annotations

from typing import Any

from optgap.envs.batched import BatchedEnv
from optgap.envs.pde.config import BurgersConfig, KuramotoSivashinskyConfig

METADATA: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}


class KuramotoSivashinskyEnv(BatchedEnv):
    """Calm a chaotic flame front, with four actuators, for the least dissipation and power.

    ## Description
    u_t + u u_x + u_xx + u_xxxx = f on a periodic line of length 8 pi. Waves longer than 2 pi feed on the front
    (exp(i q x) grows as q^2 - q^4), u u_x hands what they take to shorter ones, which are damped. The energy <u^2> / 2 (< >
    is the mean over the line) changes by P - D: dissipation D = <u_xx^2>, power P = <u_x^2> + <u f>. Four actuators
    push at x = 0, L/4, L/2 and 3L/4: f = sum_i a_i exp(-(x - X_i)^2 / 2) / sqrt(2 pi), a_i constant over a control step of
    0.25 time units. Everything is dimensionless.

    The task of Zeng & Graham 2021 (Phys. Rev. E 104, 014210, arXiv 2104.05437) on the longer line that Liu & Wang 2021
    (Proc. R. Soc. A 477, 20210618, arXiv 2108.00128) and Liu et al. 2024 (arXiv 2401.11349) train on. Different from their
    public code:

    - Reward -(D + P) as Zeng & Graham define it. The code sums <d2^2> + <d1^2> + <u f> with undivided differences: d2 = dx^2
      u_xx, so D weighs dx^4 = 0.024 of it, and d1 is dx (u^2)_x in the place of u_x. Returns do not compare.
    - An actuator at x = 0 pushes on both sides of it; in the code it is cut off at the seam, half of it is missing.
    - Fourier-Galerkin with 21 waves and an exponential Runge-Kutta scheme of fourth order (:mod:`optgap.envs.pde.spectral`),
      time step 1/16; the code has differences of fourth (upwind) and sixth order and 250 Runge-Kutta steps of 0.001.
      Over a control step ours is within 1e-5 of a reference of 128 steps.
    - Starts: the code draws one of 200 stored fields. Ours are noise (8 longest waves, coefficients N(0, 1)) left alone for
      50 time units.

    At this length chaos is a transient. Left alone, the front settles on three steady cells, the costliest state it knows
    (D = P = 1.91; chaos has 0.9 on average): a tenth of the starts has, half of them by the end of their episode. Flat, u
    constant, it would cost nothing. Actuators at quarters of the line cannot push the wave sin(2 pi 2 x / L), which grows,
    so no linear feedback holds u = 0; on a uniform flow u = 1 it does (the baseline ``lqr``), if it gets there. Bucci et
    al. 2019 (Proc. R. Soc. A 475, 20190351) steer between the unstable steady states of L = 22 instead.

    ## Action space
    ``Box(-1, 1, (4,))`` float32: a_i / 0.5. Anything outside, NaN included, raises :class:`InvalidActionError` and changes
    nothing.

    ## Observation space
    ``Box(-20, 20, (points,))`` float32: u at x_j = j L / points.

    ## Reward
    -(D + P), each the mean over the control step (trapezoidal rule over the time steps). Mean returns of 200 episodes:
    no force -1082, random actions -1083, ``lqr`` -399; standard deviations of an episode 351, 345, 92.

    ## Episode
    Truncated after ``steps`` control steps (400 are 100 time units): the task goes on. Terminated where |u| exceeds 20
    or is not a number (full force for 400 steps reaches 11): the reward is then -100 for each step that was left, the
    observation is clipped to the space, ``info["reason"]`` is "diverged".

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | points | 64 | of the grid, even, 8 to 1024, (points - 1) // 3 waves are kept; the shortest has wave number 2 or more |
    | substeps | 4 | time steps of a control step; too few to be stable at |u| = 20 raise :class:`InputError` |
    | steps | 400 | control steps of an episode |
    | length | 8 pi | L |

    ``reset(options={"instance": field})`` begins with a :class:`optgap.envs.pde.field_batch.Field` of ``points`` values.

    ## Info
    ``dissipation``, ``power`` (D and P, means over the episode so far), ``reason`` ("", or "diverged"), ``instance`` (name);
    at the end ``solution``, the (T, 4) float64 actions.

    ## Version history
    v0: first version.
    """

    metadata = METADATA
    options_class = KuramotoSivashinskyConfig


class BurgersEnv(BatchedEnv):
    """Lift and level a wave with two actuators, so that it follows a target that rises and falls.

    ## Description
    u_t + u u_x = nu u_xx + f on a periodic line of length 1, nu = 0.01. Two actuators push at X = 0.25 and 0.75:
    f = sum_i a_i exp(-(15 (x - X_i))^2), a_i from -0.025 to 0.075, constant over a control step of 0.5 time units. The field
    begins as 0.2 + 0.2 (c exp(-25 (x - 0.5)^2) + (1 - c) sin(4 pi x)), c uniform in 0..1, and should follow
    0.5 + 0.05 sin(pi t / 15) everywhere. The mean of u grows by the mean force alone, 0.0177 per time unit at most, so the
    first half of an episode is a climb; a flow carries what an actuator pushes around the line in two time units.
    Everything is dimensionless.

    The set-up of Liu & Wang 2021 (Proc. R. Soc. A 477, 20210618, arXiv 2108.00128), which Liu et al. 2024 (arXiv 2401.11349)
    use again. Different from their public code:

    - The observation has the phase of the target besides the error. Without it the same observation calls for different
      actions at different times.
    - The end of an episode is a truncation: the target goes on. The code ends the task there.
    - The code says that its line has length 2, but takes derivatives as on one of length 1; so is this one.
    - Fourier-Galerkin with 49 waves and an exponential Runge-Kutta scheme of fourth order (:mod:`optgap.envs.pde.spectral`),
      time step 1/24; the code has upwind differences of second order, which want u > 0, and 500 Euler steps of 0.001.
      Over a control step ours is within 1e-5 of a reference of 200 steps. The mean of u is conserved to rounding.

    ## Action space
    ``Box(-1, 1, (2,))`` float32: a_i = 0.025 + 0.05 x action; no force is the action -0.5. Anything outside, NaN included,
    raises :class:`InvalidActionError` and changes nothing.

    ## Observation space
    ``Box`` float32, (points + 2,):

    | column | content | bounds |
    |---|---|---|
    | 0 .. points - 1 | u - target at x_j = j / points | -1.55 .. 1.55 |
    | points, points + 1 | sine and cosine of the target's phase pi t / 15 | -1 .. 1 |

    ## Reward
    -10 x the mean over the line of (u - target)^2, at the end of the control step. It is at most that of the mean of u, which
    bounds every control's return: -9.32 on average over 200 starts. Random actions earn -21.9, no force -42.0, and the baseline
    ``proportional`` (the mean pushed to the target, both actuators alike) -9.38: little is left to learn but to find it.

    ## Episode
    Truncated after ``steps`` control steps (60 are 30 time units, one period of the target). Terminated where |u| exceeds 1 or is
    not a number: the reward is then -24.025 (of an error of 1.55 everywhere) for each step that was left, the observation is
    clipped to the space, ``info["reason"]`` is "diverged". No control does that in 60 steps: the equation keeps the order
    of solutions and forces, and full force reaches 0.81.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | points | 150 | of the grid, even, 8 to 1024, (points - 1) // 3 waves are kept; cell Reynolds number 1 / (points nu) to 2 |
    | substeps | 12 | time steps of a control step; too few to be stable at |u| = 1 raise :class:`InputError` |
    | steps | 60 | control steps of an episode |
    | viscosity | 0.01 | nu |

    ``reset(options={"instance": field})`` begins with a :class:`optgap.envs.pde.field_batch.Field` of ``points`` values.

    ## Info
    ``error`` (root mean square error over the line and the episode so far), ``reason`` ("", or "diverged"), ``instance`` (name);
    at the end ``solution``, the (T, 2) float64 actions.

    ## Version history
    v0: first version.
    """

    metadata = METADATA
    options_class = BurgersConfig
