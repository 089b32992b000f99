"""Pictures of a fin ray in its flow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

VIEW = (-0.5, 3.0, -1.0, 1.0)  # left, right, lower, upper; lengths of the ray
SCALE = 200  # pixels a length
FINER = 2  # drawn this many times as large, for smooth edges
STRONGEST = 10.0  # vorticity of the full colour
FLUID, RAY, BASE, TEXT = (255, 255, 255), (20, 30, 60), (200, 90, 30), (60, 60, 60)
CLOCKWISE, COUNTER = (35, 90, 190), (200, 50, 50)


def frame(
    nodes: F64, wake: F64, field: tuple[F64, tuple[float, float, float, float]] | None, text: str
) -> NDArray[np.uint8]:
    """An (H, W, 3) uint8 image.

    Args:
        nodes: (n + 1, 2) of the ray, from the base.
        wake: (T, 2) where the flow has carried what the tip left; drawn where there is no ``field``.
        field: vorticity (height, width), row 0 the lowest, and its left, right, lower and upper side; or None.
        text: a line below.
    """
    from PIL import Image, ImageDraw

    left, right, low, high = VIEW
    scale = SCALE * FINER
    size = round((right - left) * scale), round((high - low) * scale)

    def pixels(points: F64) -> list[tuple[float, float]]:
        return list(zip((points[:, 0] - left) * scale, (high - points[:, 1]) * scale, strict=True))

    image = Image.new("RGB", size, FLUID)
    if field is not None:
        values, sides = field
        coloured = Image.fromarray(colours(values[::-1]))
        x = np.array([left, right]) - sides[0]
        y = sides[3] - np.array([high, low])
        height, width = values.shape
        per_x, per_y = width / (sides[1] - sides[0]), height / (sides[3] - sides[2])
        box = (x[0] * per_x, y[0] * per_y, x[1] * per_x, y[1] * per_y)
        image = coloured.transform(size, Image.Transform.EXTENT, box, Image.Resampling.BILINEAR, fillcolor=FLUID)
    draw = ImageDraw.Draw(image)
    if field is None:
        for before, after in zip(wake[:-1], wake[1:], strict=True):
            shade = CLOCKWISE if after[1] > before[1] else COUNTER
            draw.line(pixels(np.stack([before, after])), fill=shade, width=2 * FINER)
    draw.line(pixels(nodes), fill=RAY, width=4 * FINER, joint="curve")
    (x0, y0), radius = pixels(nodes[:1])[0], 5 * FINER
    draw.ellipse([x0 - radius, y0 - radius, x0 + radius, y0 + radius], fill=BASE)
    small = image.reduce(FINER)
    ImageDraw.Draw(small).text((8, small.height - 18), text, fill=TEXT)
    return np.asarray(small)


def colours(vorticity: F64) -> NDArray[np.uint8]:
    """(H, W, 3): white without vorticity, to full colours at +-``STRONGEST``."""
    share = np.clip(np.abs(vorticity) / STRONGEST, 0, 1)[..., None]
    full = np.where(vorticity[..., None] > 0, np.array(COUNTER), np.array(CLOCKWISE))
    shades: NDArray[np.uint8] = np.rint((1 - share) * np.array(FLUID) + share * full).astype(np.uint8)
    return shades
