"""``optgap/FinRay-v0``: the single environment."""

from __future__ import annotations

from typing import Any

from optgap.envs.batched import BatchedEnv
from optgap.envs.finray.config import FinRayConfig


class FinRayEnv(BatchedEnv):
    """A flexible fin ray in an oncoming flow is actuated by a moment at its base, and is to swim.

    ## Description
    A fish's fin is carried by rays that muscles actuate at the base (the task of arXiv 2401.11349, whose fluid model and
    observations are not public). Here a ray is an inextensible elastic beam in a plane flow, held at its base, free at its
    tip, trailing. All quantities are dimensionless: length of the ray, oncoming speed and fluid density are 1, the flow
    comes along +x, so that times are in lengths by speed, forces a unit of span.

    Two fidelities have the same ray, observations, actions and rewards. ``fidelity="surrogate"``: ten rigid links in fluid
    forces of unsteady thin-aerofoil theory and drag, with coefficients fitted to the other
    (:mod:`optgap.envs.finray.surrogate`). ``fidelity="high"``: 64 links in a lattice-Boltzmann flow with an immersed
    boundary at Reynolds number 500 (:mod:`optgap.envs.finray.high_fidelity`), thousands of times slower; the flow has
    settled around the straight ray before an episode.

    ## Action space
    ``Box(-1, 1, (1,), float32)``: the demanded base moment, a share of ``max_moment``. In a control step of 0.05 the moment
    goes linearly toward it, by at most 0.05 ``max_rate``. A number outside of [-1, 1], NaN included, raises
    :class:`InvalidActionError` and changes nothing.

    ## Observation space
    ``Box(-10, 10, (22,), float32)``, clipped:

    | column | content |
    |---|---|
    | 0 .. 4 | angles of the ray at arc lengths 0.1, 0.3, 0.5, 0.7, 0.9, rad; 0 is straight along +x |
    | 5 .. 9 | their rates, by 5 rad a time unit |
    | 10 | moment, by ``max_moment`` |
    | 11 .. 18 | mean thrust and lateral force (the fluid's along +y) of the last four control steps, newest first, by 2 |
    | 19, 20 | W and E of the episode so far (below), by the time of a whole episode |
    | 21 | share of the episode that is left |

    ## Reward
    The change of J, so that the return is J of the episode exactly. With T = 0.05 ``steps`` the time of an episode, W the
    integral of the thrust (minus the fluid's force along x; the oncoming speed is 1) so far, and E the sum over control
    steps of the work that the moment put in, where that is above 0 (a muscle gets nothing back):

    | objective | J |
    |---|---|
    | "thrust" | W / T |
    | "efficiency" | W / (E + ``epsilon``) |
    | "limited-thrust" | W / T - ``penalty`` max(0, E / T - ``power_limit``) |

    ## Episode
    At rest at first, the angle growing along the ray as a s + b s^2 with a, b uniform in +-``bend`` / 2 rad. Truncated after
    ``steps`` control steps. Terminates where the ray diverges: a link turns by more than pi or unboundedly fast, or the
    flow's simulation leaves its range; ``info["reason"]`` says which, the observation is that before the step, and the step
    counts as one without forces and work.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | fidelity | "surrogate" | or "high" |
    | objective | "thrust" | or "efficiency", "limited-thrust" |
    | steps | 200 | of an episode |
    | max_moment | 4.0 | by density x speed^2 x length^2 |
    | max_rate | 24.0 | of the moment, a time unit |
    | mass | 0.5 | of the ray per length, by density x length |
    | stiffness | 3.0 | in bending, by density x speed^2 x length^3 |
    | base_stiffness | 5.0 | of the torsional spring at the base |
    | base_damping | 0.05 | moment at the base by rate |
    | bending_damping | 0.03 | of the ray (Kelvin-Voigt) |
    | bend | 0.05 | rad, of a start, at most |
    | power_limit | 1.0 | of "limited-thrust" |
    | penalty | 1.0 | of "limited-thrust" |
    | epsilon | 0.5 | of "efficiency" |

    Numbers go up to 1e6, ``stiffness`` to 100: the time step does not resolve the waves of a stiffer ray.

    ``reset(options={"instance": Start(name, bend)})`` begins with given angles (:class:`optgap.envs.finray.batch.Start`).

    ## Info
    ``thrust`` and ``power`` (means of the episode so far: W and E by time), ``efficiency`` (W / (E + epsilon)), ``reason``
    (text, empty unless the ray has diverged), ``instance`` (name); at the end ``solution``, the (T, 1) float64 actions.

    ## Version history
    v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 (Gymnasium's form)
    options_class = FinRayConfig
