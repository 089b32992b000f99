"""Mazes are what they are said to be, and walks through them are counted rightly."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optgap.co.core import InputError, InvalidActionError
from optgap.envs.exploration.config import GridMazeConfig, PointMazeConfig
from optgap.envs.exploration.maze import MOVES, Maze, MazeSource, free_cells, generate_maze
from optgap.envs.registry import ENVIRONMENTS

ID = "optgap/GridMaze-v0"
sizes = st.integers(5, 20).map(lambda k: 2 * k + 1)


def graph_of(maze: Maze) -> nx.Graph:
    """Free cells, joined where they share a side."""
    grid = nx.grid_2d_graph(*maze.walls.shape)
    return grid.subgraph([tuple(cell) for cell in np.argwhere(~maze.walls).tolist()])


@given(sizes, st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_a_maze_is_connected_and_has_the_loops_asked_for(size, seed, loops):
    maze = generate_maze(np.random.default_rng(seed), size, loops)
    graph = graph_of(maze)
    assert nx.is_connected(graph)
    rooms = (size - 1) // 2
    opened = round(loops * (rooms - 1) ** 2)
    assert len(nx.cycle_basis(graph)) == opened  # none: a tree, so one way between any two cells
    assert len(graph) == free_cells(size, loops) == maze.reachable
    assert not maze.walls[1::2, 1::2].any()
    assert maze.walls[::2, ::2].all()


@given(sizes, st.integers(0, 2**32))
def test_distances_are_those_of_networkx(size, seed):
    rng = np.random.default_rng(seed)
    maze = generate_maze(rng, size, 0.2)
    walls = maze.walls.copy()
    walls[1:-1, 1:-1] |= rng.random((size - 2, size - 2)) < 0.1  # some cells are cut off
    walls[1, 1] = False
    maze = Maze(name="cut", walls=walls)
    lengths = nx.single_source_shortest_path_length(graph_of(maze), (1, 1))
    expected = np.full(walls.shape, -1)
    for cell, length in lengths.items():
        expected[cell] = length
    np.testing.assert_array_equal(maze.distances, expected)
    assert maze.reachable == len(lengths)
    assert expected.flat[maze.farthest] == max(lengths.values())


def test_a_seed_is_a_maze():
    mazes = [MazeSource(21, 0.1, seed)(np.random.default_rng(9)) for seed in range(6)]
    assert len({maze.walls.tobytes() for maze in mazes}) == 6
    np.testing.assert_array_equal(mazes[3].walls, MazeSource(21, 0.1, 3)(np.random.default_rng(0)).walls)
    assert mazes[3].name == "maze-21-l0.1-s3"


def test_another_maze_each_episode_where_no_seed_is_given():
    config = GridMazeConfig(maze_seed=None, max_steps=2)
    vector, single = config.make_vec(3), config.make()
    vector.reset(seed=5)
    single.reset(seed=6)
    seen = set()
    for _ in range(4):
        walls = vector.unwrapped.batch.state.walls  # type: ignore[attr-defined]
        np.testing.assert_array_equal(walls[1], single.unwrapped.batch.state.walls[0])  # type: ignore[attr-defined]
        seen |= {maze.tobytes() for maze in walls}
        for _ in range(3):
            vector.step(np.zeros(3, int))
        single.reset()
    assert len(seen) == 12


@pytest.mark.parametrize("arguments", [{}, {"size": 15, "loops": 0.3, "maze_seed": 7}, {"maze_seed": None}])
def test_a_random_walk_sees_the_set_of_cells_it_was_in(arguments):
    env: Any = GridMazeConfig(**arguments).make()
    rng = np.random.default_rng(1)
    observation, info = env.reset(seed=1)
    maze = env.unwrapped.batch.instances[0]
    size, (row, column), been, path = len(maze.walls), (1, 1), set(), []
    free = int((~maze.walls).sum())
    for step in range(4 * free + 1):
        been.add((row, column))
        path.append((column, row))
        around = [maze.walls[row + i, column + j] for i, j in MOVES]
        assert observation.tolist() == [row, column, *around]
        assert info["cell"] == row * size + column
        assert info["position"].tolist() == [column, row]
        assert info["coverage"] == len(been) / free
        if step == 4 * free:
            break
        action = int(rng.integers(4))
        if not around[action]:
            row, column = row + MOVES[action][0], column + MOVES[action][1]
        observation, *answer, info = env.step(action)
        assert answer == [0.0, False, step + 1 == 4 * free]
    np.testing.assert_array_equal(info["solution"], path)
    assert info["coverage"] > 0.1


def test_a_tour_sees_everything():
    env: Any = GridMazeConfig().make()
    env.reset()
    graph = graph_of(env.unwrapped.batch.instances[0])
    tour = list(nx.dfs_labeled_edges(graph, (1, 1)))  # there and back along every corridor
    moves = [(v, u) if kind == "reverse" else (u, v) for u, v, kind in tour if kind != "nontree" and u != v]
    for a, b in moves:
        _, _, terminated, truncated, info = env.step(MOVES.index((b[0] - a[0], b[1] - a[1])))
        assert not terminated
        assert not truncated
    assert info["coverage"] == 1.0
    assert info["cell"] == 12


@pytest.mark.parametrize("loops", [0.0, 0.4])
def test_the_goal_is_reached_by_the_shortest_way_and_ends_the_episode(loops):
    config = GridMazeConfig(size=13, loops=loops, goal=True)
    maze = MazeSource(13, loops, 0)(np.random.default_rng(0))
    goal = divmod(maze.farthest, 13)
    way = nx.shortest_path(graph_of(maze), (1, 1), goal)
    actions = [MOVES.index((b[0] - a[0], b[1] - a[1])) for a, b in zip(way, way[1:], strict=False)]
    assert len(actions) == maze.distances.max()
    envs: list[Any] = [config.make(), config.make(max_steps=len(actions))]
    for env in envs:  # reached in the last step allowed: terminated
        env.reset()
        answers = [env.step(action) for action in actions]
        assert [answer[1:4] for answer in answers] == [(0.0, False, False)] * (len(way) - 2) + [(1.0, True, False)]
    vector: Any = config.make_vec(2, max_steps=len(actions))
    vector.reset()
    answers = [vector.step(np.array([action, 0])) for action in actions]
    assert answers[-1][1].tolist() == [1.0, 0.0]
    assert answers[-1][2].tolist() == [True, False]
    assert answers[-1][3].tolist() == [False, True]


def test_what_the_wrappers_read():
    for config, name in ((GridMazeConfig, "gridmaze"), (PointMazeConfig, "pointmaze")):
        assert ENVIRONMENTS.load(name) is config
        assert config.figures == ("coverage",)
        single: Any = config(size=13).make()
        vector: Any = config(size=13).make_vec(3)
        assert single.unwrapped.grid_shape == vector.unwrapped.grid_shape == (13, 13)
        _, info = single.reset(seed=0)
        assert isinstance(info["cell"], int)
        assert isinstance(info["coverage"], float)
        _, info = vector.reset(seed=0)
        shapes = {key: (info[key].dtype, info[key].shape) for key in ("cell", "position", "coverage")}
        assert shapes == {"cell": (np.int64, (3,)), "position": (np.float64, (3, 2)), "coverage": (np.float64, (3,))}


def test_after_an_episode_the_copy_that_is_reset_is_at_the_start_again():
    vector = GridMazeConfig(max_steps=3).make_vec(2)
    vector.reset(seed=0)
    for _ in range(3):
        *_, truncated, info = vector.step(np.array([1, 2]))
    assert truncated.all()
    assert (info["cell"] != 12).any()
    _, rewards, terminated, truncated, info = vector.step(np.array([9, -1]))
    for array in (rewards, terminated, truncated):
        assert not array.any()
    assert info["cell"].tolist() == [12, 12]
    assert info["coverage"].tolist() == [1 / 49, 1 / 49]


def test_a_maze_of_ones_own():
    walls = np.ones((11, 11), bool)
    walls[5, 2:5] = walls[8, 8] = False  # the last is cut off: it does not count
    env = GridMazeConfig(goal=True).make()
    _, info = env.reset(options={"instance": Maze(name="own", walls=walls, start=(5, 2))})
    assert info["coverage"] == 1 / 3
    assert env.step(1)[4]["coverage"] == 2 / 3
    assert env.step(1)[1:3] == (1.0, True)
    with pytest.raises(InputError, match=r"expected a Maze of \(11, 11\)"):
        env.reset(options={"instance": Maze(name="own", walls=walls[4:7], start=(1, 2))})
    with pytest.raises(InputError, match="is not a free cell"):
        Maze(name="own", walls=walls)
    with pytest.raises(InputError, match="gap in the outer wall"):
        Maze(name="own", walls=walls[5:], start=(0, 2))


@pytest.mark.parametrize("env_id", [ID, "optgap/PointMaze-v0"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"size": 9},
        {"size": 43},
        {"size": 12},
        {"size": 11.0},
        {"maze_seed": -1},
        {"loops": -0.1},
        {"loops": 1.1},
        {"loops": float("nan")},
        {"goal": 1},
        {"max_steps": 0},
        {"max_steps": 1.5},
    ],
)
def test_an_argument_out_of_its_range_is_one_line(env_id, arguments):
    with pytest.raises(InputError, match=next(iter(arguments))) as error:
        gym.make(env_id, **arguments)
    assert "\n" not in str(error.value)


def test_an_action_that_is_none_moves_no_copy():
    env, vector = gym.make(ID).unwrapped, GridMazeConfig().make_vec(2)
    env.reset()
    for wrong in (4, -1, 1.0, None, [1]):
        with pytest.raises(InvalidActionError):
            env.step(wrong)
    vector.reset()
    with pytest.raises(InvalidActionError, match="action 4 in copy 1; expected 0 to 3"):
        vector.step(np.array([1, 4]))
    assert not vector.unwrapped.batch.state.steps.any()  # type: ignore[attr-defined]


def test_pictures():
    for config, action in ((GridMazeConfig, 1), (PointMazeConfig, np.array([1.0, 0.0]))):
        env: Any = config(goal=True).make(render_mode="ansi")
        env.reset()
        text = env.render().splitlines()
        assert text[0] == "maze-11-s0: step 0, coverage 0.020"
        assert text[1] == text[-1] == "#" * 11
        assert text[2][1] == "A"
        assert sum(row.count("G") for row in text[1:]) == 1
        env = config().make(render_mode="rgb_array")
        env.reset()
        blank = env.render()
        for _ in range(5):
            env.step(action)
        assert blank.shape == env.render().shape == (473, 473, 3)
        assert (blank != env.render()).any()
