"""``optgap/AGV-v0``: the single environment."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from optgap.envs.agv.batch import COST_LIMITS, COST_NAMES
from optgap.envs.agv.config import AGVConfig
from optgap.envs.batched import BatchedEnv


class AGVFigures:
    """What both faces say besides: names and limits of costs, and the table of visits."""

    batch: Any
    cost_names: ClassVar[tuple[str, ...]] = COST_NAMES

    @property
    def cost_limits(self) -> NDArray[np.float64]:
        """(2,) limits of the mean costs a step."""
        return np.array(COST_LIMITS)

    @property
    def grid_shape(self) -> tuple[int, int]:
        """(rows, columns) of the visit table."""
        shape: tuple[int, int] = self.batch.grid_shape
        return shape

    @property
    def max_steps(self) -> int:
        """Steps after which an episode is truncated."""
        return int(self.batch.max_steps)


class AGVEnv(AGVFigures, BatchedEnv):
    """An automated guided vehicle finds its way to a target that it may not see, with a lidar and a sparse reward.

    ## Description
    A disc drives in a hall among axis-aligned boxes to a target that stands or moves; positions and actions are
    continuous (the tasks of arXiv 2404.12594; the paper's layouts, sensors and rewards are not public). In a step of ``dt``
    seconds the heading turns by omega dt, and the centre moves along the chord of its arc, so that the path is exactly
    the polyline of its positions (:mod:`optgap.co.dynamics.agv`). Collisions with boxes, walls and other vehicles are
    found at the exact time of impact, at any ``dt``: the vehicle stops there (1e-9 m before) with speed 0, and a
    differential drive completes its turn. Other vehicles drive on their loops and give way to no one.

    | scene | hall | target | steps |
    |---|---|---|---|
    | simple-static, simple-dynamic | 12 x 12 m, four boxes | in the far corner; patrols the far side | 2000 |
    | complex-static, complex-dynamic | 20 x 20 m, rooms, doors, pillars | in the last room; patrols it | 3000, 4000 |
    | warehouse | shelves, aisles, one-way zones, other vehicles, drawn anew each episode | | 2000 |
    | map | an occupancy grid read from ``map`` (MovingAI's format), start and target drawn | stands | 2000 |

    ## Action space
    ``Box(-1, 1, (2,), float32)``:

    | entry | differential drive | car |
    |---|---|---|
    | 0 | demanded speed: -1 is -0.3 m/s, 1 is the instance's ``max_speed`` (1 m/s), linear between | the same |
    | 1 | demanded turn rate: 1 is 1.5 rad/s to the left | demanded steering angle: 1 is 0.6 rad to the left |

    Speed follows with at most 1 m/s^2, the turn rate with 4 rad/s^2, the steering angle with 1.5 rad/s; a car has
    omega = v tan(delta) / 0.4 m. A ``max_speed`` below 0.3 m/s is the limit of driving back too. Anything outside of
    [-1, 1], NaN included, raises :class:`InvalidActionError` and changes nothing.

    ## Observation space
    ``Box`` (``beams`` + 11,) float32, all in [-1, 1], distances in [0, 1]:

    | column | content |
    |---|---|
    | 0 .. beams - 1 | lidar: distance to the first box, wall or vehicle, by ``lidar_range``; ahead, then counter-clockwise |
    | beams | distance to the target, by the hall's diagonal |
    | +1, +2 | cosine and sine of its bearing, from the heading |
    | +3 | speed by max_speed |
    | +4 | turn rate by 1.5 rad/s; car: steering angle by 0.6 rad |
    | +5, +6 | x, y; -1 and 1 are the hall's walls |
    | +7, +8 | cosine and sine of the heading |
    | +9, +10 | direction of the one-way zone under the vehicle, ahead and to the left; 0 where there is none |

    Velocities of the target and of other vehicles are not seen.

    ## Reward
    1 in the step at whose end the centre is within the goal radius (0.5 m) of the target, else 0: the return is 1
    exactly where the episode is a success.

    ## Costs
    ``info["cost"]``, (2,) float64, named by ``cost_names``, limits of their means a step in ``cost_limits`` (0.01 each):
    ``collision``, 1 in a step in which the vehicle runs into something or another vehicle into it; ``wrong-way``, metres
    driven against the direction of the one-way zone in which the step ends.

    ## Episode
    Terminates when the target is reached, and with ``collision="end"`` at the first collision; truncated after
    ``max_steps`` steps.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | scene | "simple-static" | see above |
    | kinematics | "differential" | or "car" |
    | collision | "stop" | or "end" |
    | beams | 24 | of the lidar, over 360 degrees |
    | lidar_range | 8.0 | m |
    | dt | 0.5 | s, up to 1e5, and so that a step is at most 1e5 m |
    | max_steps | None | None takes the scene's |
    | map | None | path of a map, for the scene "map" alone |
    | size | None | by name: arguments of the scene (``{"rows": 3}``), or fields of the instance (``{"max_speed": 2.0}``) |

    ``reset(options={"instance": instance})`` plays a given one, with its own ``dt``; its hall must not be larger than the
    scene's. A start or target in an obstacle, or one that cannot be reached, is an :class:`InputError` that names the
    instance, and the seed where it was drawn.

    ## Info
    ``cell`` (row * columns + column of ``grid_shape``, cells of 1 m), ``position`` ((2,) m), ``cost``, ``length`` (m driven),
    ``success`` (0 or 1), ``instance`` (name); at the end ``solution``, the (T + 1, 2) float64 centres, which after a success
    ``PATH_PLANNING.check`` takes and whose cost is ``length``.

    ## Version history
    v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 (Gymnasium's form)
    options_class = AGVConfig
