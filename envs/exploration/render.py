"""Pictures of grids: walls, cells visited in the episode, and the agent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FREE, WALL, VISITED, GOAL = range(4)
COLOURS = np.array([[255, 255, 255], [40, 44, 52], [173, 205, 235], [86, 180, 90]], np.uint8)  # by kind
AGENT = np.array([213, 70, 50], np.uint8)
TRAIL = np.array([40, 90, 160], np.uint8)
CHARACTERS = " #.G"
PIXELS = 480  # side of a picture, about


def frame(
    kinds: NDArray[np.int64], agent: NDArray[np.float64], trail: NDArray[np.float64] | None = None
) -> NDArray[np.uint8]:
    """Cells of ``kinds`` (R, C) as an (H, W, 3) image.

    Args:
        agent: (2,) x and y in cells; cell (row, column) spans [column, column + 1] x [row, row + 1].
        trail: (T, 2) positions to join by a line.
    """
    side = max(4, PIXELS // max(kinds.shape))
    image: NDArray[np.uint8] = COLOURS[kinds].repeat(side, axis=0).repeat(side, axis=1)
    height, width = image.shape[:2]
    if trail is not None and len(trail) > 1:
        parts = np.linspace(0, 1, 4 * side)[:, None, None]
        points = ((trail[:-1] + parts * np.diff(trail, axis=0)).reshape(-1, 2) * side).astype(np.int64)
        image[points[:, 1], points[:, 0]] = TRAIL
    y, x = np.ogrid[:height, :width]
    image[(x + 0.5 - agent[0] * side) ** 2 + (y + 0.5 - agent[1] * side) ** 2 < (0.3 * side) ** 2] = AGENT
    return image


def grid_text(title: str, kinds: NDArray[np.int64], agent: NDArray[np.float64]) -> str:
    """The same in characters: ``#`` a wall, ``.`` visited, ``G`` the goal, ``A`` the agent."""
    rows = [[CHARACTERS[kind] for kind in row] for row in kinds.tolist()]
    rows[int(agent[1])][int(agent[0])] = "A"
    return "\n".join([title, *("".join(row) for row in rows)])
