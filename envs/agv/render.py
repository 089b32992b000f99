"""Pictures of halls: boxes, one-way zones, vehicles, lidar, target and the path so far."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from optgap.co.problems.path_planning import PathPlanningInstance

F64 = NDArray[np.float64]

SIDE = 640  # pixels of the longer side of the hall
MARGIN = 8  # pixels around it
FINER = 2  # drawn this many times as large, for smooth edges

FLOOR, WALL, BOX, LANE = (255, 255, 255), (60, 60, 60), (120, 124, 130), (222, 235, 247)
ARROW, BEAM, PATH = (120, 160, 200), (250, 190, 120), (40, 110, 190)
VEHICLE, OTHER, TARGET, ROUTE = (20, 60, 130), (150, 70, 150), (40, 160, 80), (180, 225, 190)


def frame(instance: PathPlanningInstance, path: F64, heading: float, places: F64, ends: F64) -> NDArray[np.uint8]:
    """An (H, W, 3) uint8 image, of one size for all instances of one hall.

    Args:
        instance: the hall.
        path: (T + 1, 2) m, centres so far; the vehicle is at the last.
        heading: of the vehicle in rad.
        places: (V + 1, 2) m, of the target and the other vehicles.
        ends: (beams, 2) m, where the lidar's beams end.
    """
    from PIL import Image, ImageDraw

    x0, y0, x1, y1 = instance.bounds.tolist()
    scale = FINER * SIDE / max(x1 - x0, y1 - y0)
    edge = FINER * MARGIN
    width, height = round((x1 - x0) * scale) + 2 * edge, round((y1 - y0) * scale) + 2 * edge

    def pixels(points: F64) -> list[tuple[float, float]]:
        rows = np.asarray(points, np.float64).reshape(-1, 2)
        return list(zip(edge + (rows[:, 0] - x0) * scale, height - edge - (rows[:, 1] - y0) * scale, strict=True))

    def corners(box: F64) -> list[tuple[float, float]]:
        return pixels(box[[0, 3, 2, 1]])  # the upper left one is first in pixels

    def disc(centre: F64, radius: float, **colours: tuple[int, int, int]) -> None:
        (x, y), r = pixels(centre)[0], max(radius * scale, 2.0 * FINER)
        draw.ellipse([x - r, y - r, x + r, y + r], width=2 * FINER, **colours)

    image = Image.new("RGB", (width, height), WALL)
    draw = ImageDraw.Draw(image)
    draw.rectangle(corners(instance.bounds), fill=FLOOR)
    for lane in instance.lanes:
        draw.rectangle(corners(lane[:4]), fill=LANE)
        middle, way = (lane[:2] + lane[2:4]) / 2, lane[4:] * instance.radius
        side = way[::-1] * [-1, 1]
        draw.polygon(pixels(np.stack([middle + way, middle - way + side, middle - way - side])), fill=ARROW)
    for box in instance.boxes:
        draw.rectangle(corners(box), fill=BOX)
    if len(instance.route) > 1:
        draw.line(pixels(instance.route), fill=ROUTE, width=2 * FINER)
    centre = path[-1]
    for end in ends:
        draw.line(pixels(np.stack([centre, end])), fill=BEAM, width=FINER)
    draw.line(pixels(path), fill=PATH, width=2 * FINER)
    disc(places[0], instance.goal_radius, outline=TARGET)
    disc(places[0], 0.15, fill=TARGET)
    for place in places[1:]:
        disc(place, instance.other_radius, fill=OTHER)
    disc(centre, instance.radius, fill=VEHICLE)
    nose = centre + instance.radius * np.array([np.cos(heading), np.sin(heading)])
    draw.line(pixels(np.stack([centre, nose])), fill=FLOOR, width=2 * FINER)
    return np.asarray(image.reduce(FINER))
