"""Drawings of paths and plans: what stands where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from optgap.co.problems.multi_agent_path_finding import MAPFInstance
from optgap.co.problems.path_planning import PathPlanningInstance
from optgap.envs.agv.plans import path_figure, path_text, plan_figure, plan_text


def test_a_plan_by_hand() -> None:
    blocked = np.zeros((2, 4), bool)
    blocked[0, 1] = True
    instance = MAPFInstance(name="two", blocked=blocked, starts=np.array([0, 3]), goals=np.array([6, 2]))
    plan = np.array([[0, 4, 5, 6], [3, 2, 2, 2]])
    assert plan_text(instance, plan, width=30).splitlines() == [
        "two: 2 vehicles, 4 steps, the last arrives at 3",
        "+----+",
        "|a#Bb|",
        "|..A |",
        "+----+",
    ]
    assert plan_text(instance, plan, width=5) == "two: 2 vehicles, 4 steps, the last arrives at 3"
    axes = plan_figure(instance, plan).axes[0]
    lines = [line.get_xydata() for line in axes.lines if len(line.get_xydata()) > 1]
    np.testing.assert_allclose(lines[0] + 0.25, [[0, 0], [0, 1], [1, 1], [2, 1]])
    np.testing.assert_allclose(lines[1] - 0.25, [[3, 0], [2, 0], [2, 0], [2, 0]])


@pytest.mark.parametrize(
    ("bounds", "size"), [([0, 0, 12, 9], (60, 22)), ([0, 0, 2, 900], (1, 40)), ([0, 0, 900, 2], (60, 1))]
)
def test_a_path_is_drawn_in_any_hall(bounds: Any, size: tuple[int, int]) -> None:
    end = [bounds[2] - 0.5, bounds[3] - 0.5]
    instance = PathPlanningInstance(name="hall", bounds=bounds, start=[0.5, 0.5, 0.0], route=[end])
    for path in (np.array([[0.5, 0.5]]), np.array([[0.5, 0.5], end])):
        title, *lines = path_text(instance, path, width=80).splitlines()
        assert title == f"hall: {np.hypot(*(path[-1] - path[0])):.6g} m"
        assert (len(lines[0]) - 2, len(lines) - 2) == size
        assert path_figure(instance, path).axes[0].images[0].get_array().ndim == 3
    drawn = "".join(lines)
    assert "G" in drawn
    if min(size) > 1:
        assert lines[1:-1][0][1:-1].rstrip().endswith("G") or lines[2][1:-1].rstrip().endswith("G")
        assert drawn.count(".") > 30
        boxed = PathPlanningInstance(
            name="hall", bounds=bounds, start=[0.5, 0.5, 0.0], route=[end], boxes=[[4.0, 6.0, 8.0, 9.0]]
        )
        assert path_text(boxed, path).splitlines()[2].count("#") == 20
