"""Path planning: where the target and others are, what an instance must be, and what a check rejects."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optgap.co.core import InfeasibleError, InputError
from optgap.co.problems.path_planning import (
    PATH_PLANNING,
    PathPlanningInstance,
    check_playable,
    distance_to_box,
    distances_to_boxes,
)

BOX = np.array([4.0, 4.0, 6.0, 6.0])


def _instance(**changes: Any) -> PathPlanningInstance:
    fields: dict[str, Any] = {
        "bounds": [0, 0, 10, 10],
        "boxes": [BOX],
        "start": [1, 5, 0],
        "route": [[9, 5]],
        "name": "hall",
    }
    return PathPlanningInstance(**(fields | changes))


def test_a_target_drives_to_and_fro() -> None:
    route = [[0, 0], [4, 0], [4, 3]]
    instance = _instance(route=route, target_speed=0.5, target_phase=1.0)
    assert instance.route_length == 7.0
    for seconds, place in (
        (0, (1, 0)),
        (6, (4, 0)),
        (12, (4, 3)),
        (14, (4, 2)),
        (26, (0, 0)),
        (28, (1, 0)),
        (54, (0, 0)),
    ):
        np.testing.assert_allclose(instance.target_at(seconds), place, atol=1e-12)
    np.testing.assert_array_equal(_instance().target_at(7.0), [9, 5])


def test_others_drive_round_their_loops() -> None:
    loops = [[[1, 1], [3, 1], [3, 2], [3, 2]], [[5, 5], [6, 5], [6, 6], [5, 6]]]
    instance = _instance(loops=loops, loop_speeds=[1.0, 0.5], loop_phases=[2.5, 0.0])
    np.testing.assert_allclose(instance.others_at(0.0), [[3, 1.5], [5, 5]])
    back = 3 + math.sqrt(5)  # the padded loop's length: its last point leads to its first
    np.testing.assert_allclose(instance.others_at(back), [[3, 1.5], [6 - (0.5 * back - 2), 6]])
    np.testing.assert_allclose(instance.others_at(0.5 + math.sqrt(5) / 2)[0], [2, 1.5])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bounds": [0, 0, 10]}, "bounds of shape"),
        ({"bounds": [0, 0, -1, 10]}, "expected xmin < xmax"),
        ({"boxes": [[0, 0, 1, math.nan]]}, "finite numbers"),
        ({"boxes": [[1, 1, 1, 2]]}, "boxes .* expected xmin < xmax"),
        ({"route": np.zeros((0, 2))}, "route of 0 points"),
        ({"target_speed": 0.3}, "route of 1 points"),
        ({"target_speed": 1.0, "route": [[8, 8], [9, 9]]}, "target_speed is 1.0; expected below max_speed"),
        ({"target_phase": 1.0}, "target_phase is 1.0; expected 0 to 0"),
        ({"radius": 0}, "radius is 0.0; expected a number from 1e-06"),
        ({"dt": math.nan}, "dt is nan"),
        ({"lanes": [[0, 0, 1, 1, 1, 1]]}, "directions of length 1"),
        ({"loops": np.zeros((2, 3, 2))}, "loop_speeds of shape"),
    ],
)
def test_instances_that_cannot_be(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=f"instance hall: .*{says}"):
        _instance(**changes)


def test_arrays_are_read_only_copies() -> None:
    boxes = np.array([BOX])
    instance = _instance(boxes=boxes)
    boxes[0, 0] = 0.0
    assert instance.boxes[0, 0] == 4.0
    with pytest.raises(ValueError, match="read-only"):
        instance.boxes[0, 0] = 1.0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"start": [0.2, 5, 0]}, r"start \(0.2, 5\) is within 0.3 m of a wall"),
        ({"start": [3.8, 5, 0]}, r"start \(3.8, 5\) is within 0.3 m of box"),
        ({"start": [5, 5, 0]}, "of box"),
        ({"route": [[5, 5]]}, r"target \(5, 5\) is in box"),
        ({"route": [[9, 5], [2, 5]]}, "drives into it"),
        ({"route": [[9, 11]]}, "outside the hall"),
        ({"boxes": [[4, 0, 6, 9.5]]}, r"start \(1, 5\): no path to target \(9, 5\) for a vehicle of radius 0.3 m"),
        ({"loops": [[[1, 5.5], [3, 8]]], "loop_speeds": [1], "loop_phases": [0]}, "where vehicle 0 is at time 0"),
    ],
)
def test_instances_that_cannot_be_played(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=f"^hall: .*{says}"):
        check_playable(_instance(**changes))


def test_instances_that_can() -> None:
    check_playable(_instance())
    check_playable(_instance(start=[0.3, 0.3, 0]))  # touches two walls
    check_playable(
        _instance(start=[3.7, 5, 0], route=[[3.9, 3.9]])
    )  # the target is nearer to a box than the vehicle fits


OVER = [[1, 5], [3.7, 6.3], [6.3, 6.3], [8.6, 5]]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (np.zeros((0, 2)), "shape"),
        (np.zeros((3, 3)), "shape"),
        (np.array([[1, 5], [9, 5]]), "dtype int64"),
        ([[1.0, math.nan]], "point 0 is not finite"),
        ([[1.1, 5.0], *OVER], r"begins at \(1.1, 5\)"),
        ([[1.0, 5.0], [8.6, 5.0]], "chord 0, .* is 0 m from box"),
        ([[1.0, 5.0], [3.7, 6.2], [6.3, 6.3], [8.6, 5.0]], "chord 1, .*is 0.2[0-9]* m from box"),
        # Through the rounded corner: both ends are far enough, the chord between them is not.
        ([[1.0, 5.0], [3.7, 6.0], [4.0, 6.3], [6.3, 6.3], [8.6, 5.0]], "chord 1, .*is 0.212132 m from box"),
        ([[1.0, 5.0], [1.0, 9.8], [8.6, 5.0]], "point 1, .* in a wall"),
        ([[1.0, 5.0], [3.7, 6.3], [6.3, 6.3]], "ends 2.99666 m from the target"),
    ],
)
def test_a_check_rejects(path: Any, says: str) -> None:
    with pytest.raises(InfeasibleError, match=f"^hall: .*{says}"):
        PATH_PLANNING.check(_instance(), np.asarray(path))


def test_a_check_accepts_what_touches() -> None:
    path = np.array(OVER)
    PATH_PLANNING.check(_instance(), path)
    assert PATH_PLANNING.cost(_instance(), path) == pytest.approx(math.hypot(2.7, 1.3) + 2.6 + math.hypot(2.3, 1.3))
    PATH_PLANNING.check(_instance(route=[[1.3, 5.4]]), np.array([[1.0, 5.0]]))  # at the goal without a step


def test_a_moving_target_is_met_in_time() -> None:
    instance = _instance(boxes=np.zeros((0, 4)), route=[[5, 5], [9, 5]], target_speed=0.5, dt=1.0)
    path = np.column_stack([np.arange(1.0, 9.0), np.full(8, 5.0)])  # at 7 s the target is at 8.5
    PATH_PLANNING.check(instance, path)
    with pytest.raises(InfeasibleError, match="ends 1 m from the target"):
        PATH_PLANNING.check(instance, path[:-1])
    with pytest.raises(InfeasibleError, match="chord 0 is 2 m long; expected at most 1 m a step"):
        PATH_PLANNING.check(instance, path[[0, 2, 3, 4, 5, 6, 7]])


@given(st.lists(st.floats(-5, 15), min_size=4, max_size=4))
def test_distances_to_a_box_are_those_of_dense_points(ends: list[float]) -> None:
    a, b = np.reshape(ends, (2, 2))
    points = a + (b - a) * np.linspace(0, 1, 2001)[:, None]
    dense = min(float(distances_to_boxes(point, BOX[None])[0]) for point in points[::20])
    exact = float(distance_to_box(np.stack([a, b]), BOX)[0])
    assert exact <= dense + 1e-9
    assert exact >= dense - math.hypot(*(b - a)) / 100 - 1e-9
