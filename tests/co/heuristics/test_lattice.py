"""State lattices: motions that join, paths that a vehicle can drive, never shorter than the exact ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optgap.co.core import SOLVERS, Budget, Status
from optgap.co.core import solve as run
from optgap.co.exact.visibility import shortest_length
from optgap.co.heuristics.lattice import HEADINGS, motions, search
from optgap.co.problems.path_planning import PATH_PLANNING, PathPlanningInstance, path_length
from optgap.co.problems.path_planning_instances import load_path_planning


@pytest.mark.parametrize("kinematics", ["differential", "car"])
def test_motions_begin_and_end_in_their_headings_on_the_grid(kinematics: str) -> None:
    spacing = 0.3
    for heading, mine in enumerate(motions(spacing, kinematics)):
        assert len(mine) == 5 if kinematics == "differential" else len(mine) == 4
        for motion in mine:
            np.testing.assert_allclose(motion.points[-1], np.array([motion.right, motion.up]) * spacing, atol=1e-12)
            assert motion.length == pytest.approx(path_length(motion.points))
            steps = np.diff(motion.points, axis=0)
            if not len(steps):
                continue
            forward = steps[0] @ [math.cos(heading * math.pi / 4), math.sin(heading * math.pi / 4)] > 0
            ways = np.unwrap(np.arctan2(*steps.T[::-1]) + (0 if forward else math.pi))
            change = (motion.heading - heading + 4) % HEADINGS - 4
            # The chords of an arc turn by 15 degrees; the first and the last by half of it.
            offset = math.remainder(ways[0] - heading * math.pi / 4, 2 * math.pi)
            assert abs(offset) < math.radians(7.5) + 1e-9
            assert (ways[-1] - ways[0]) * change >= 0
            assert abs(math.remainder(ways[-1] - motion.heading * math.pi / 4, 2 * math.pi)) < math.radians(7.5) + 1e-9
            assert (abs(np.diff(ways)) < math.radians(15) + 1e-9).all()


def test_straight_ahead_and_behind() -> None:
    ahead = PathPlanningInstance(bounds=[0, 0, 12, 12], start=[2, 6, 0.0], route=[[8, 6]])
    for kinematics in ("differential", "car"):
        path = search(ahead, kinematics)
        assert path is not None
        assert np.ptp(path[:, 1]) < 1e-9
        assert 5.5 <= path_length(path) <= 5.5 + 0.7 / 2.4
    behind = PathPlanningInstance(bounds=[0, 0, 12, 12], start=[8, 6, 0.0], route=[[2, 6]])
    turned = search(behind)
    assert turned is not None
    assert path_length(turned) <= 5.5 + 0.7 / 2.4  # turns on the spot first


@pytest.mark.parametrize("solver", ["lattice-a-star", "lattice-a-star-car"])
@pytest.mark.parametrize("name", ["simple-static-s1", "simple-dynamic-s1", "complex-static-s0", "warehouse-s1"])
def test_paths_are_feasible_and_no_shorter_than_the_exact(name: str, solver: str) -> None:
    instance = load_path_planning(name)
    result = run(SOLVERS.load(f"path-planning/{solver}"), PATH_PLANNING, instance, Budget())
    assert result.cost is not None
    horizon = (len(result.solution) - 1) * instance.dt if result.solution is not None else 0.0
    exact = shortest_length(instance, horizon)
    assert exact <= result.cost <= 1.25 * exact


def test_what_cannot_be_found() -> None:
    boxes = [[4, 0, 5, 12]]
    instance = PathPlanningInstance(bounds=[0, 0, 12, 12], boxes=boxes, start=[2, 6, 0], route=[[8, 6]])
    solver = SOLVERS.load("path-planning/lattice-a-star")
    assert run(solver, PATH_PLANNING, instance, Budget()).status is Status.NO_SOLUTION
    short = run(solver, PATH_PLANNING, load_path_planning("complex-static-s0"), Budget(seconds=1e-6))
    assert short.status is Status.NO_SOLUTION
