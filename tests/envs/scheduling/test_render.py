"""Gantt charts: what is drawn where."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from optgap.co.problems.blocking_job_shop import BLOCKING_JOB_SHOP, BlockingJobShopInstance
from optgap.co.problems.job_shop import JobShopInstance
from optgap.envs.scheduling.render import bars, gantt, gantt_frame, gantt_text

SHOP = JobShopInstance.from_matrix([[0, 1], [1, 0]], [[3, 2], [4, 1]], name="two-by-two")
START = np.array([0, 4, 0, 4])

# Job 0: machine 0 from 0 to 2, then blocked until job 1 leaves machine 1, which is down from 3 to 7.
BLOCKED = BlockingJobShopInstance(
    job_ptr=[0, 2, 3],
    machine=[0, 1, 1],
    duration=[2, 2, 5],
    release=[0, 0],
    n_machines=2,
    down_ptr=[0, 0, 1],
    down_start=[3],
    down_end=[7],
    name="blocked",
)
BLOCKED_START = np.array([0, 9, 0])


def rectangles(figure: Any) -> list[tuple[float, float, float, str | None, float | None]]:
    """(machine, begin, end, hatch, transparency) of every bar."""
    found = []
    for patch in figure.axes[0].patches:
        middle = patch.get_y() + patch.get_height() / 2
        end = patch.get_x() + patch.get_width()
        found.append((middle, patch.get_x(), end, patch.get_hatch(), patch.get_alpha()))
    return found


def test_bars_of_a_job_shop() -> None:
    assert bars(SHOP, START) == [(0, 0, 0, 3, 3), (0, 1, 4, 6, 6), (1, 1, 0, 4, 4), (1, 0, 4, 5, 5)]
    assert bars(SHOP, np.array([0, -1, -1, -1])) == [(0, 0, 0, 3, 3)]
    assert bars(SHOP, np.full(4, -1)) == []


def test_bars_of_a_blocking_shop_last_until_the_job_leaves() -> None:
    BLOCKING_JOB_SHOP.check(BLOCKED, BLOCKED_START)
    assert bars(BLOCKED, BLOCKED_START) == [(0, 0, 0, 2, 9), (0, 1, 9, 11, 11), (1, 1, 0, 9, 9)]


def test_every_operation_is_one_bar_in_its_machines_row() -> None:
    figure = gantt(SHOP, START)
    assert sorted(rectangles(figure)) == [
        (0, 0, 3, None, None),
        (0, 4, 5, None, None),
        (1, 0, 4, None, None),
        (1, 4, 6, None, None),
    ]
    axes = figure.axes[0]
    assert axes.get_xlim() == (0, 6)
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # machine 0 on top
    assert "6" in axes.get_title()
    colours = [patch.get_facecolor() for patch in axes.patches]
    assert colours[0] == colours[1] != colours[2] == colours[3]  # one a job


def test_blocking_is_hatched_and_down_times_are_shaded_up_to_the_end() -> None:
    found = rectangles(gantt(BLOCKED, BLOCKED_START))
    assert [bar[:3] for bar in found if bar[3]] == [(0, 2, 9)]
    assert [bar[:3] for bar in found if bar[4] is not None] == [(1, 3, 7)]
    early = gantt(BLOCKED, np.array([0, -1, -1]), horizon=5)
    assert [bar[:3] for bar in rectangles(early) if bar[4] is not None] == [(1, 3, 5)]


def test_text() -> None:
    assert gantt_text(SHOP, START, width=12).splitlines() == [
        "two-by-two: 4 of 4 operations, makespan 6",
        "M0 |000000..11..|",
        "M1 |111111110000|",
        "   0           6",
    ]
    assert gantt_text(BLOCKED, BLOCKED_START, width=11).splitlines() == [
        "blocked: 3 of 3 operations, makespan 11",
        "M0 |00-------..|",
        "M1 |111####1100|",
        "   0         11",
    ]
    assert gantt_text(SHOP, np.full(4, -1), width=4).splitlines()[1:3] == ["M0 |....|", "M1 |....|"]


def test_text_keeps_its_columns_in_a_large_shop() -> None:
    shop = JobShopInstance.from_matrix(np.arange(12)[None].repeat(70, 0), np.full((70, 12), 5))
    lines = gantt_text(shop, np.full(840, -1)).splitlines()[1:13]
    assert len({len(line) for line in lines}) == 1
    assert lines[9].startswith("M9  |")
    assert lines[11].startswith("M11 |")


def test_a_frame_shows_what_is_drawn() -> None:
    empty, full = gantt_frame(BLOCKED, np.full(3, -1)), gantt_frame(BLOCKED, BLOCKED_START)
    assert empty.dtype == full.dtype == np.uint8
    assert empty.shape == full.shape
    assert full.shape[2] == 3
    coloured = (full.max(2).astype(int) - full.min(2)) > 60  # greys and white have equal channels
    assert coloured.mean() > 0.05 > ((empty.max(2).astype(int) - empty.min(2)) > 60).mean()


@pytest.mark.parametrize("env_id", ["optgap/JobShop-v0", "optgap/BlockingJobShop-v0"])
def test_frames_of_an_episode_have_one_size(env_id: str) -> None:
    env: Any = gym.make(env_id, jobs=2, machines=2, render_mode="rgb_array")
    env.reset(seed=0)
    frames, done = [env.render()], False
    while not done:
        _, _, done, _, _ = env.step(env.unwrapped.action_masks().argmax())
        frames.append(env.render())
    assert len({frame.shape for frame in frames}) == 1
    assert all(a is not b and (a != b).any() for a, b in zip(frames[:-1], frames[1:], strict=True))


@pytest.mark.parametrize("env_id", ["optgap/JobShop-v0", "optgap/BlockingJobShop-v0"])
def test_text_of_an_episode_counts_its_operations(env_id: str) -> None:
    env: Any = gym.make(env_id, jobs=3, machines=2, render_mode="ansi")
    env.reset(seed=0)
    done = False
    while not done:
        assert f"{(env.unwrapped.batch.solution(0) >= 0).sum()} of 6 operations" in env.render()
        _, _, done, _, info = env.step(env.unwrapped.action_masks().argmax())
    assert f"6 of 6 operations, makespan {info['makespan']}" in env.render()


def test_nothing_is_rendered_unless_asked() -> None:
    env = gym.make("optgap/JobShop-v0").unwrapped
    env.reset()
    assert env.render() is None
