"""The body of the continuous maze keeps out of walls at any speed, and moves as exact arithmetic says."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Any

import gymnasium as gym
import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optgap.co.core import InvalidActionError
from optgap.envs.exploration.config import PointMazeConfig
from optgap.envs.exploration.continuous_maze import HALF_SIDE, slide
from optgap.envs.exploration.maze import Maze, MazeSource

HALF, DEPTH = Fraction(1, 8), Fraction(1, 10**9)


def deepest(walls: np.ndarray, x: float, y: float) -> float:
    """How deep the body at (x, y) is in a wall; negative is how far it is from all of them."""
    rows, columns = np.nonzero(walls)
    across = np.abs(columns + 0.5 - x) - 0.5 - HALF_SIDE
    along = np.abs(rows + 0.5 - y) - 0.5 - HALF_SIDE
    return float(-np.maximum(across, along).min())


def exact_slide(walls: np.ndarray, body: np.ndarray) -> list[float]:
    """A step in rational numbers, from one crossing of a line of the grid by an edge of the body to the next."""
    at, left = [Fraction(v) for v in body[:2].tolist()], Fraction(1)
    speed = [Fraction(v) for v in body[2:].tolist()]

    def cells(axis: int) -> range:
        """Rows (columns) that the body overlaps."""
        return range(floor(at[axis] - HALF + DEPTH), ceil(at[axis] + HALF - DEPTH))

    def next_line(axis: int) -> int:
        """The row (column) that the body enters next."""
        if speed[axis] > 0:
            return ceil(at[axis] + HALF - DEPTH)
        return floor(at[axis] - HALF + DEPTH) - 1

    while left > 0 and any(speed):
        waits = []
        for axis in (0, 1):
            if speed[axis]:
                line = next_line(axis)
                edge = at[axis] + HALF if speed[axis] > 0 else at[axis] - HALF
                target = Fraction(line if speed[axis] > 0 else line + 1)
                waits.append((max((target - edge) / speed[axis], Fraction(0)), axis, line))
        time, axis, line = min(waits, key=lambda wait: wait[0])
        if time >= left:
            at = [a + v * left for a, v in zip(at, speed, strict=True)]
            break
        at, left = [a + v * time for a, v in zip(at, speed, strict=True)], left - time
        others = cells(1 - axis)
        blocked = any(walls[i, line] if axis == 0 else walls[line, i] for i in others)
        forward = 1 if speed[axis] > 0 else -1
        if blocked:
            at[axis] = Fraction(line) - HALF if forward > 0 else Fraction(line + 1) + HALF
            speed[axis] = Fraction(0)
        else:
            at[axis] += 2 * DEPTH * forward  # over the line
    return [float(v) for v in (*at, *speed)]


@given(st.integers(0, 2**32), st.floats(0.05, 6.0), st.floats(0.1, 0.7))
def test_steps_are_those_of_exact_arithmetic(seed, fastest, density):
    rng = np.random.default_rng(seed)
    walls = np.ones((9, 9), np.bool_)
    walls[1:-1, 1:-1] = rng.random((7, 7)) < density
    walls[4, 4] = False
    body = np.array([4.5, 4.5, 0.0, 0.0])
    for _ in range(30):
        body[2:] = rng.uniform(-fastest, fastest, 2) * rng.choice([0.0, 1.0, 1.0, 1.0], 2)
        expected = exact_slide(walls, body)
        slide(walls, body)
        np.testing.assert_allclose(body[:2], expected[:2], atol=1e-7)
        assert body[2:].tolist() == expected[2:]
        assert deepest(walls, body[0], body[1]) < 1e-8


@given(
    st.integers(0, 100),
    st.sampled_from([0.3, 1.0, 4.0, 10.0]),
    st.lists(
        st.tuples(
            st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]) | st.floats(-1, 1), st.sampled_from([-1.0, 0.0, 1.0, 1e-9])
        ),
        min_size=1,
        max_size=60,
    ),
)
def test_the_body_never_enters_a_wall_and_keeps_its_limits(maze_seed, max_speed, actions):
    config = PointMazeConfig(maze_seed=maze_seed, max_speed=max_speed, max_acceleration=max_speed / 2)
    env: Any = config.make()
    env.reset()
    walls = env.unwrapped.batch.instances[0].walls
    been, before = {12}, np.zeros(2)
    for action in actions:
        observation, reward, *_, info = env.step(np.array(action))
        x, y = info["position"]
        assert deepest(walls, x, y) < 1e-8
        assert info["cell"] == floor(y) * 11 + floor(x)
        been.add(info["cell"])
        assert info["coverage"] == len(been) / 49
        velocity = env.unwrapped.batch.body[0, 2:].copy()
        assert np.hypot(*velocity) <= max_speed * (1 + 1e-12)
        # what a wall took from the velocity aside, it changed by the acceleration, scaled to the limit of speed
        wanted = before + max_speed / 2 * np.array(action)
        wanted *= min(1.0, max_speed / max(np.hypot(*wanted), 1e-300))
        kept = velocity != 0
        np.testing.assert_allclose(velocity[kept], wanted[kept], rtol=1e-12)
        before = velocity
        np.testing.assert_allclose(observation, [2 * x / 11 - 1, 2 * y / 11 - 1, *(velocity / max_speed)], atol=1e-6)
        assert reward == 0.0


def test_a_drive_by_hand():
    walls = np.ones((11, 11), bool)
    walls[1, 1:6] = walls[1:4, 5] = False  # a corridor to the right, and then down
    env: Any = PointMazeConfig(max_speed=1.0, max_acceleration=0.5).make()
    env.reset(options={"instance": Maze(name="hook", walls=walls)})
    root, speed = 5**0.5, 2 / 5**0.5 + 0.5
    drive = [
        ((1, 0), (2.0, 1.5), 13),
        ((1, 0), (3.0, 1.5), 14),
        ((0, 1), (3 + 2 / root, 1.875), 14),  # (1, 0.5) is held to a speed of 1; the floor stops it at 2 - 1/8
        ((1, 0), (4 + 2 / root, 1.875), 15),
        ((0, 1), (4 + 4 / root, 1.875), 16),  # on the floor until it is past 5.125, with no speed downwards left
        ((1, 1), (5.875, 1.875 + 0.5 / (speed**2 + 0.25) ** 0.5), 27),  # the wall at 6 - 1/8 stops it, not its fall
        ((0, 1), (5.875, 2.375 + 2 * 0.5 / (speed**2 + 0.25) ** 0.5), 38),
        ((0, 1), (5.875, 3.875), 38),
    ]
    for action, place, cell in drive:
        info = env.step(np.array(action, float))[4]
        assert info["position"] == pytest.approx(place, abs=1e-9)
        assert info["cell"] == cell
    assert info["coverage"] == 1.0


def test_a_driver_sees_the_whole_maze_in_the_steps_allowed():
    env: Any = PointMazeConfig().make()
    env.reset()
    maze = MazeSource(11, 0.0, 0)(np.random.default_rng(0))
    grid = nx.grid_2d_graph(11, 11).subgraph([tuple(cell) for cell in np.argwhere(~maze.walls).tolist()])
    edges = [(u, v, kind) for u, v, kind in nx.dfs_labeled_edges(grid, (1, 1)) if kind != "nontree" and u != v]
    tour = [u if kind == "reverse" else v for u, v, kind in edges]
    position, velocity, k, ended = np.array([1.5, 1.5]), np.zeros(2), 0, False
    while not ended:
        while k < len(tour) - 1 and np.abs(position - [tour[k][1] + 0.5, tour[k][0] + 0.5]).max() < 0.45:
            k += 1
        wanted = np.clip(np.array([tour[k][1] + 0.5, tour[k][0] + 0.5]) - position, -0.8, 0.8)
        observation, _, terminated, ended, info = env.step(np.clip((wanted - velocity) / 0.5, -1, 1))
        position, velocity = info["position"], observation[2:]
        assert not terminated
        if info["coverage"] == 1.0:
            break
    assert info["coverage"] == 1.0


def test_the_goal_ends_an_episode():
    walls = np.ones((11, 11), bool)
    walls[1, 1:4] = False
    config = PointMazeConfig(goal=True, max_steps=5)
    env = config.make()
    env.reset(options={"instance": Maze(name="short", walls=walls)})
    answers = [env.step(np.array([1.0, 0.0], np.float32))[1:4] for _ in range(2)]
    assert answers == [(0.0, False, False), (1.0, True, False)]
    env.reset(options={"instance": Maze(name="short", walls=walls)})
    answers = [env.step(np.array([-1.0, 0.0], np.float32))[1:4] for _ in range(5)]
    assert answers == [(0.0, False, False)] * 4 + [(0.0, False, True)]


def test_an_action_that_is_none_moves_no_copy():
    env, vector = gym.make("optgap/PointMaze-v0").unwrapped, PointMazeConfig().make_vec(2)
    env.reset()
    for wrong in ([0.0, 1.1], [np.nan, 0.0], [np.inf, 0.0], [0.0], 0.0, None, ["a", "b"]):
        with pytest.raises(InvalidActionError):
            env.step(wrong)
    vector.reset()
    with pytest.raises(InvalidActionError, match="in copy 1; expected two numbers"):
        vector.step(np.array([[0.0, 1.0], [0.0, -1.5]]))
    assert not vector.unwrapped.batch.state.steps.any()  # type: ignore[attr-defined]
