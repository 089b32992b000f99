"""``optgap/DeepSea-v0``, ``optgap/GridMaze-v0`` and ``optgap/PointMaze-v0``: the single environments."""

from __future__ import annotations

from typing import Any

from optgap.envs.batched import BatchedEnv
from optgap.envs.exploration.config import DeepSeaConfig, GridMazeConfig, PointMazeConfig


class OnGrid:
    """Mixin of an environment over a batch that says the shape of its grid, and the length of its episodes."""

    batch: Any

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns; ``info["cell"]`` is row * columns + column."""
        shape: tuple[int, int] = self.batch.grid_shape
        return shape

    @property
    def max_steps(self) -> int:
        """Steps after which every episode has ended."""
        return int(self.batch.max_steps)


class DeepSeaEnv(OnGrid, BatchedEnv):
    """Dive N rows down, and find the treasure that one of 2^N ways leads to.

    ## Description
    Deep Sea (Osband et al. 2019, "Deep exploration via randomized value functions", JMLR 20, section 4.1; as in bsuite,
    Osband et al. 2020, arXiv 1908.03568, "deep_sea"). A diver begins in the top left cell of an N x N grid. Each step takes
    it one row down and one column to the right or to the left (at the left edge, straight down). A move right costs
    0.01 / N. Only N moves right, one after the other, reach the treasure in the bottom right corner: random play finds it
    with probability 2^-N, and the small cost leads what is learned without it the other way.

    ## Action space
    ``Discrete(2)``. In each cell one of the two moves right and the other left; which, ``mapping_seed`` draws, for all
    episodes. Anything else raises :class:`InvalidActionError` and changes nothing.

    ## Observation space
    ``Discrete(N * N)``: row * N + column. Networks that make it one-hot see bsuite's image, flattened. After the last step
    (bsuite: an image of zeros) the last cell is shown again: the diver has left the grid.

    ## Reward
    -0.01 / N for a move right, 0 for one left, and 1 for the move right in the last column, which only the last step can be.
    The best return is 1 - 0.01 = 0.99, of one sequence of actions; without the treasure the best is 0.

    ## Episode
    Terminated after N steps. Everything is deterministic: no seed of a reset changes anything.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | size | 10 | N, 2 to 100 |
    | mapping_seed | 0 | of the actions that move right, 50% each; None makes it action 1 everywhere |

    ``reset(options={"instance": sea})`` plays another :class:`optgap.envs.exploration.deep_sea.DeepSea` of this size.
    Not built: bsuite's stochastic variant.

    ## Info
    ``cell`` (as observed), ``position`` (2,) float64 (column, row), ``success`` (1.0 once the treasure is reached),
    ``instance`` (name); at the end ``solution``, the (N,) int64 cells passed.

    ## Version history
    v0: first version.
    """

    options_class = DeepSeaConfig


class GridMazeEnv(OnGrid, BatchedEnv):
    """Walk through a maze, cell by cell, with no reward: how much of it is seen?

    ## Description
    A grid of ``size`` x ``size`` cells, walled in; those of odd row and column (from 0) are rooms, joined by corridors one cell
    long. Depth-first search with backtracking draws a perfect maze (one way between any two cells); ``loops`` opens a
    share of the inner walls that it left. The agent begins in the top left room, in the same maze every episode.

    ## Action space
    ``Discrete(4)``: up, right, down, left. Moving into a wall leaves the agent where it is. Anything else raises
    :class:`InvalidActionError` and changes nothing.

    ## Observation space
    ``MultiDiscrete([size, size, 2, 2, 2, 2])`` uint8: row, column, and whether a wall is above, right, below, left.

    ## Reward
    None, always 0. With ``goal``: 1 for reaching the cell farthest from the start (the first one in reading order).

    ## Episode
    Truncated after ``max_steps``; terminated at the goal, where there is one.

    ## Arguments
    | name | default | meaning |
    |---|---|---|
    | size | 11 | rows and columns, walls included: odd, 11 to 41 |
    | maze_seed | 0 | of the maze; None draws another maze each episode |
    | loops | 0.0 | share of the inner walls left by the search that are opened, 0 to 1 |
    | goal | False | whether there is a reward to find |
    | max_steps | None | of an episode; None is 4 x free cells (196 in a perfect maze of size 11) |

    ``reset(options={"instance": maze})`` plays a :class:`optgap.envs.exploration.maze.Maze` of this size.

    ## Info
    ``cell`` (row * size + column), ``position`` (2,) float64 (column, row), ``coverage`` (share of the cells reachable from
    the start that this episode has visited, the start included), ``instance`` (name); at the end ``solution``, the
    (T + 1, 2) float64 positions.

    ## Version history
    v0: first version.
    """

    options_class = GridMazeConfig


class PointMazeEnv(OnGrid, BatchedEnv):
    """Drive a small body through a maze, with no reward: how much of it is seen?

    ## Description
    The mazes of ``optgap/GridMaze-v0`` with continuous positions. Lengths are in cells (cell (row, column) spans
    [column, column + 1] x [row, row + 1]), times in steps. The body is a square of side 0.25, parallel to the walls. In a step
    its velocity changes by ``max_acceleration`` x action; beyond ``max_speed`` it is scaled back to it. Then the body
    moves by its velocity in a straight line. Where it touches a wall it loses that component of its velocity and slides on
    along the wall for the rest of the step. Contacts are computed in closed form, so no speed takes it through a wall or a
    corner (1e-9 is the depth that counts as touching).

    ## Action space
    ``Box(-1, 1, (2,))`` float32: acceleration in x (columns) and y (rows). Out of range or NaN raises
    :class:`InvalidActionError` and changes nothing.

    ## Observation space
    ``Box(-1, 1, (4,))`` float32: x and y, scaled from [0, size] to [-1, 1], and the velocity in x and y by ``max_speed``.

    ## Reward
    None, always 0. With ``goal``: 1 for reaching the cell farthest from the start (the first one in reading order).

    ## Episode
    Begins at rest in the middle of the top left room. Truncated after ``max_steps``; terminated at the goal, where there
    is one. A cell is visited if the middle of the body is in it at the end of a step.

    ## Arguments
    Those of ``optgap/GridMaze-v0``, and

    | name | default | meaning |
    |---|---|---|
    | max_speed | 1.0 | cells a step, at most 10 |
    | max_acceleration | 0.5 | of each component, cells a step^2, at most 20 |

    ## Info
    ``cell`` (row * size + column), ``position`` (2,) float64 (x, y), ``coverage`` (share of the cells reachable from the
    start that this episode has visited, the start included), ``instance`` (name); at the end ``solution``, the
    (T + 1, 2) float64 positions.

    ## Version history
    v0: first version.
    """

    options_class = PointMazeConfig
