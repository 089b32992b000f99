"""Rewards, resets, padding and pickles of the scheduling environments."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from optgap.co.core import InputError, InvalidActionError
from optgap.co.problems.blocking_job_shop import BLOCKING_JOB_SHOP, BlockingJobShopInstance
from optgap.co.problems.job_shop import JOB_SHOP, JobShopInstance
from optgap.co.problems.job_shop_instances import load_job_shop
from optgap.envs.scheduling.config import (
    BlockingJobShopConfig,
    BlockingJobShopOptions,
    JobShopConfig,
    JobShopOptions,
)
from optgap.envs.scheduling.env import BlockingJobShopEnv, JobShopEnv
from optgap.envs.scheduling.vector_env import BlockingJobShopVectorEnv, JobShopVectorEnv

BOTH = pytest.mark.parametrize("env_class", [JobShopEnv, BlockingJobShopEnv])
TWO_BY_TWO = JobShopInstance.from_matrix([[0, 1], [1, 0]], [[3, 2], [4, 1]], name="two-by-two")
SINGLE = JobShopInstance.from_matrix([[0]], [[7]], name="single")


def random_shop(seed: int = 0, **size: Any) -> JobShopInstance:
    return JOB_SHOP.generate(np.random.default_rng(seed), **size)


def episode(env: Any, policy: int = 0, **reset: Any) -> tuple[list[float], dict[str, Any], list[dict[str, Any]]]:
    """Rewards, last information and all observations of an episode of random actions, drawn with seed ``policy``."""
    rng = np.random.default_rng(policy)
    observation, info = env.reset(**reset)
    rewards, observations, done = [], [observation], False
    while not done:
        observation, reward, done, _, info = env.step(rng.choice(np.flatnonzero(env.action_masks())))
        rewards.append(reward)
        observations.append(observation)
    return rewards, info, observations


# rewards


@BOTH
@pytest.mark.parametrize("options", [{}, {"autoplay": True}, {"wait": True, "candidates": "machine"}])
@pytest.mark.parametrize("seed", range(4))
def test_three_rewards_sum_to_minus_the_makespan(env_class: Any, options: dict[str, Any], seed: int) -> None:
    size = {"jobs": (2, 7), "machines": (1, 5)}
    results = {}
    for reward in ("makespan", "lower_bound", "sparse"):
        rewards, info, _ = episode(env_class(reward=reward, **size, **options), seed, seed=seed)
        assert sum(rewards) == -info["makespan"]
        assert all(r <= 0 for r in rewards)
        results[reward] = rewards, info["solution"].tolist()
    assert len({str(solution) for _, solution in results.values()}) == 1  # rewards change nothing else
    assert not any(results["sparse"][0][:-1])


def test_the_dense_reward_pays_the_first_bound_at_the_first_step() -> None:
    env = JobShopEnv(instances=[TWO_BY_TWO], reward="lower_bound")
    assert env.reset()[1]["lower_bound"] == 6  # machine 1: 4 + 2 units, job 1 begins; or job 0 ends at 5
    assert [env.step(action)[1] for action in (0, 1)] == [-6, 0]


def test_the_waiting_reward_counts_the_jobs_that_wait() -> None:
    # Three jobs on one machine: after the first starts two wait, then one, then none.
    shop = JobShopInstance.from_matrix([[0], [0], [0]], [[2], [2], [2]])
    env = JobShopEnv(instances=[shop], reward="waiting")
    env.reset()
    assert [env.step(j)[1] for j in (1, 0, 2)] == [-2, -1, 0]
    # A job in process does not wait, whatever becomes of it next.
    env = JobShopEnv(instances=[TWO_BY_TWO], reward="waiting")
    env.reset()
    assert [env.step(j)[1] for j in (0, 1, 0)] == [-1, -2, -1]  # both are ready again when the clock stands at 4


@BOTH
def test_an_episode_has_a_step_even_where_all_is_forced(env_class: Any) -> None:
    shop = SINGLE
    if env_class is BlockingJobShopEnv:
        shop = BlockingJobShopInstance(
            job_ptr=[0, 1],
            machine=[0],
            duration=[7],
            release=[0],
            n_machines=1,
            down_ptr=[0, 0],
            down_start=[],
            down_end=[],
        )
    rewards, info, _ = episode(env_class(instances=[shop], autoplay=True))
    assert rewards == [-7]
    assert info["solution"].tolist() == [0]


def test_autoplay_leaves_the_true_choices_alone() -> None:
    long, short = (JobShopEnv(jobs=4, machines=3, autoplay=autoplay) for autoplay in (False, True))
    for seed in range(5):
        instance = random_shop(seed, jobs=4, machines=3)
        rewards, info, _ = episode(long, seed, options={"instance": instance})
        short.reset(options={"instance": instance})
        order = np.argsort(info["solution"], kind="stable")
        steps, done = 0, False
        while not done:  # follow the first episode: of those allowed, the job that came first there
            mask = short.action_masks()
            assert mask.sum() > 1 or int(short.batch.state.left[0]) == 1 or steps == 0
            upcoming = short.batch.seen.next_operation[0]
            job = next(int(instance.job[o]) for o in order if upcoming[instance.job[o]] == o and mask[instance.job[o]])
            _, _, done, _, played = short.step(job)
            steps += 1
        assert played["makespan"] == info["makespan"]
        assert steps <= len(rewards)


# resets, instances, padding


def test_an_instance_given_at_reset_is_played_and_the_next_reset_draws_again() -> None:
    env = JobShopEnv(jobs=5, machines=4)
    given = random_shop(1, jobs=3, machines=2, name="given")
    _, info = env.reset(seed=0, options={"instance": given})
    assert info["instance"] == "given"
    _, info, _ = episode(env, options={"instance": given})
    JOB_SHOP.check(given, info["solution"])
    _, info = env.reset()
    assert info["instance"] == "random-5x4"


def test_padding_is_zero_and_a_smaller_instance_shows_the_same_numbers() -> None:
    given = random_shop(2, jobs=3, machines=2)
    tight, wide = JobShopEnv(instances=[given]), JobShopEnv(instances=[given], padding=(6, 20, 5))
    assert wide.observation_space["jobs"].shape[0] == 6
    episode(JobShopEnv(padding=(6, 20, 5), jobs=6, machines=3))
    episode(wide, options={"instance": random_shop(3, jobs=6, machines=3)})  # leaves nothing behind
    size = {"operations": 6, "jobs": 3, "machines": 2, "route": 6, "operation_job": 6, "operation_machine": 6}
    size |= {"next_operation": 3, "action_mask": 3, "shop": tight.observation_space["shop"].shape[0]}
    for small, large in zip(episode(tight)[2], episode(wide)[2], strict=True):
        for key, value in small.items():
            np.testing.assert_array_equal(large[key][: size[key]], value)
            rest = large[key][size[key] :]
            empty = -1 if key in ("operation_job", "operation_machine", "next_operation") else 0
            assert (rest == empty).all(), key


def test_a_reset_in_mid_episode_leaves_nothing_behind() -> None:
    fresh, used = JobShopEnv(jobs=(2, 6), machines=(1, 5)), JobShopEnv(jobs=(2, 6), machines=(1, 5))
    for seed in range(6):
        used.reset(seed=100 + seed)
        used.step(np.flatnonzero(used.action_masks())[0])
        assert data_equivalence(used.reset(seed=seed), fresh.reset(seed=seed), exact=True)


def test_sizes_are_drawn_from_the_whole_range() -> None:
    env = JobShopEnv(jobs=(2, 4), machines=[1, 3], graph=False)
    sizes = {env.reset(seed=seed)[1]["instance"] for seed in range(200)}
    assert sizes == {f"random-{j}x{m}" for j in (2, 3, 4) for m in (1, 2, 3)}
    assert env.observation_space["jobs"].shape[0] == 4
    assert env.observation_space["route"].shape[0] == 12


def test_instances_by_name_by_path_and_by_value(tmp_path: Path) -> None:
    file = tmp_path / "small.txt"
    file.write_text("2 2\n0 3 1 2\n1 4 0 1\n")
    for given in ("ft06", ["ft06"], (load_job_shop("ft06"),), load_job_shop("ft06")):
        _, info = JobShopEnv(instances=given).reset()
        assert info["instance"] == "ft06"
    for path in (file, str(file), [file]):
        _, info, _ = episode(JobShopEnv(instances=path))
        JOB_SHOP.check(TWO_BY_TWO, info["solution"])
    env = JobShopEnv(instances=["ft06", "ft20", TWO_BY_TWO])
    assert env.observation_space["jobs"].shape[0] == 20
    assert {env.reset(seed=seed)[1]["instance"] for seed in range(30)} == {"ft06", "ft20", "two-by-two"}


def test_without_the_graph_nothing_else_changes() -> None:
    with_graph, without = (episode(JobShopEnv(graph=graph), seed=1) for graph in (True, False))
    assert "operations" not in without[2][0]
    for a, b in zip(with_graph[2], without[2], strict=True):
        assert data_equivalence({k: v for k, v in a.items() if k != "operations"}, b, exact=True)


def test_information_at_every_step_and_at_the_end() -> None:
    env = JobShopEnv(instances=["ft06"])
    _, info = env.reset()
    # job 1 takes 47 units of time; the machines have at most 43 units of work each, and at most 7 must follow
    assert info == {"makespan": 0, "lower_bound": 47, "instance": "ft06"}
    _, info, _ = episode(env)
    assert info["solution"].dtype == np.int64
    assert info["makespan"] == info["lower_bound"] == JOB_SHOP.cost(load_job_shop("ft06"), info["solution"])


# the vector environment


def test_one_instance_a_copy_and_seeds_of_ones_own() -> None:
    shops = [random_shop(seed, jobs=3, machines=3, name=f"shop-{seed}") for seed in range(3)]
    env = JobShopVectorEnv(3, jobs=3, machines=3)
    env.reset(options={"instances": shops})
    assert [instance.name for instance in env.batch.instances] == ["shop-0", "shop-1", "shop-2"]
    observation, _ = env.reset(seed=[5, 9, None])
    single = JobShopEnv(jobs=3, machines=3)
    for copy_, seed in ((0, 5), (1, 9)):
        np.testing.assert_array_equal(observation["jobs"][copy_], single.reset(seed=seed)[0]["jobs"])
    for wrong in ([1], [1, 2, 3, 4]):
        with pytest.raises(InputError, match="seeds"):
            env.reset(seed=wrong)
    with pytest.raises(InputError, match="instances"):
        env.reset(options={"instances": shops[:2]})


def test_copy_false_shares_the_buffers_and_changes_no_value() -> None:
    kept, shared = JobShopVectorEnv(4, jobs=3, machines=3), JobShopVectorEnv(4, jobs=3, machines=3, copy=False)
    first, _ = kept.reset(seed=1)
    buffer, _ = shared.reset(seed=1)
    before = {key: value.copy() for key, value in first.items()}
    rng = np.random.default_rng(0)
    for _ in range(40):
        mask = kept.action_masks()
        action = (mask * rng.random(mask.shape)).argmax(1)
        a, b = kept.step(action), shared.step(action)
        assert data_equivalence(a[0], b[0], exact=True)
        np.testing.assert_array_equal(a[1], b[1])
        assert all(b[0][key] is buffer[key] for key in buffer)
    assert data_equivalence(before, first, exact=True)


def test_rewards_and_flags_are_the_callers_to_keep() -> None:
    env = JobShopVectorEnv(2, jobs=2, machines=2, copy=False)
    env.reset(seed=0)
    answers = [env.step(env.action_masks().argmax(1))[1:4] for _ in range(4)]
    shown = [[array.tolist() for array in answer] for answer in answers]
    for _ in range(3):
        env.step(env.action_masks().argmax(1))
    assert [[array.tolist() for array in answer] for answer in answers] == shown


def test_there_is_at_least_one_copy_and_no_picture_of_many() -> None:
    for wrong in (0, -1):
        with pytest.raises(InputError, match="num_envs"):
            JobShopVectorEnv(wrong)
    with pytest.raises(InputError, match="render"):
        JobShopVectorEnv(2, render_mode="rgb_array")


# pickles


@BOTH
def test_a_pickle_or_copy_in_mid_episode_goes_on_like_the_original(env_class: Any) -> None:
    env = env_class(jobs=(3, 5), machines=3, wait=True)
    env.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(5):
        env.step(rng.choice(np.flatnonzero(env.action_masks())))
    copies = [pickle.loads(pickle.dumps(env, protocol)) for protocol in (2, 4, 5)]  # noqa: S301  (our own)
    copies.append(copy.deepcopy(env))
    for _ in range(60):
        if env.batch.done[0]:
            answers = [each.reset() for each in (env, *copies)]
        else:
            action = rng.choice(np.flatnonzero(env.action_masks()))
            answers = [each.step(action) for each in (env, *copies)]
        for answer in answers[1:]:
            assert data_equivalence(answers[0], answer, exact=True)


def test_an_unpickled_blocking_shop_takes_instances_with_more_windows() -> None:
    env = BlockingJobShopEnv(jobs=2, machines=2, shutdown_probability=0.0)
    env.reset(seed=0)
    many = BLOCKING_JOB_SHOP.generate(
        np.random.default_rng(0), jobs=2, machines=2, shutdown_probability=0.8, mean_downtime=1.0
    )
    for protocol in (4, 5):
        other = pickle.loads(pickle.dumps(env, protocol))  # noqa: S301  (our own)
        _, info, _ = episode(other, options={"instance": many})
        BLOCKING_JOB_SHOP.check(many, info["solution"])


# configurations


@pytest.mark.parametrize(
    "config", [JobShopOptions, JobShopConfig, BlockingJobShopOptions, BlockingJobShopConfig], ids=lambda c: c.__name__
)
def test_configurations_make_the_environments_that_they_describe(config: Any) -> None:
    single, vector = config().make(graph=True), config().make_vec(3, graph=True)
    assert isinstance(single.unwrapped, BlockingJobShopEnv) == issubclass(config, BlockingJobShopOptions)
    assert isinstance(vector.unwrapped, BlockingJobShopVectorEnv) == issubclass(config, BlockingJobShopOptions)
    assert "operations" in single.observation_space.spaces
    assert vector.num_envs == 3
    assert vector.single_observation_space == single.observation_space
    batch = config().batch(2)
    assert (batch.jobs, batch.operations, batch.machines) == config().size()


def test_the_generator_takes_its_arguments_from_the_configuration() -> None:
    env = JobShopEnv(jobs=3, machines=2, low=7, high=7)
    env.reset(seed=0)
    instance = env.batch.instances[0]
    assert (instance.duration == 7).all()
    blocking = BlockingJobShopEnv(shutdown_probability=0.5, mean_downtime=20.0, jobs=10, machines=10)
    blocking.reset(seed=0)
    windows = blocking.batch.instances[0]
    lengths = windows.down_end - windows.down_start
    assert 18 < lengths.mean() < 22
    assert 0.45 < lengths.sum() / windows.down_end[windows.down_ptr[1:] - 1].sum() < 0.55
    shares = set()
    ranged = BlockingJobShopEnv(shutdown_probability=(0.0, 0.5), jobs=3, machines=2)
    for seed in range(20):
        ranged.reset(seed=seed)
        shares.add(len(ranged.batch.instances[0].down_start))
    assert len(shares) > 5


def test_a_forbidden_action_names_the_copy_and_what_is_allowed() -> None:
    env = JobShopEnv(instances=[TWO_BY_TWO], wait=True)
    env.reset()
    with pytest.raises(InvalidActionError, match=r"action 2 in copy 0 is not allowed; allowed now: \[0, 1\]"):
        env.step(2)  # nothing to wait for yet
    env.step(0)
    with pytest.raises(InvalidActionError, match=r"allowed now: \[1, 2\]"):
        env.step(0)


def test_reset_comes_first() -> None:
    for mode in ("ansi", "rgb_array", None):
        with pytest.raises(gym.error.ResetNeeded):
            JobShopEnv(render_mode=mode).render()


def test_a_blocking_shop_by_name_ends_with_a_schedule_that_passes_its_check() -> None:
    _, info, _ = episode(BlockingJobShopEnv(instances="blocking-3x3-p20-s1"))
    BLOCKING_JOB_SHOP.check(load_job_shop("blocking-3x3-p20-s1"), info["solution"])
