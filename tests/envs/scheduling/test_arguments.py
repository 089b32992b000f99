"""Wrong arguments of the scheduling environments are one clear line each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from optgap.co.core import InputError
from optgap.co.problems.blocking_job_shop import BLOCKING_JOB_SHOP
from optgap.co.problems.job_shop import JOB_SHOP, JobShopInstance
from optgap.envs.scheduling.config import (
    JobShopOptions,
)
from optgap.envs.scheduling.env import BlockingJobShopEnv, JobShopEnv

BOTH = pytest.mark.parametrize("env_class", [JobShopEnv, BlockingJobShopEnv])
TWO_BY_TWO = JobShopInstance.from_matrix([[0, 1], [1, 0]], [[3, 2], [4, 1]], name="two-by-two")
SINGLE = JobShopInstance.from_matrix([[0]], [[7]], name="single")


def random_shop(seed: int = 0, **size: Any) -> JobShopInstance:
    return JOB_SHOP.generate(np.random.default_rng(seed), **size)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"jobs": 0}, "jobs"),
        ({"jobs": "10"}, "jobs"),
        ({"jobs": 2.5}, "jobs"),
        ({"jobs": (3, 2)}, "jobs"),
        ({"jobs": (1, 2, 3)}, "jobs"),
        ({"machines": None}, "machines"),
        ({"machines": [0, 4]}, "machines"),
        ({"jobs": 10**12}, "jobs"),
        ({"jobs": 90_000, "machines": 90_000}, "operations"),
        ({"low": 5, "high": 4}, "low"),
        ({"low": -1}, "low"),
        ({"low": 0.5}, "low"),
        ({"high": "many"}, "high"),
        ({"high": 2**70}, "high"),
        ({"instances": []}, "instances"),
        ({"instances": 5}, "int"),
        ({"instances": [None]}, "NoneType"),
        ({"instances": ["ta99"]}, "ta99"),
        ({"instances": "no/such/file.txt"}, "no/such/file.txt"),
        ({"reward": "profit"}, "reward.*makespan, lower_bound, waiting, sparse"),
        ({"reward": None}, "reward"),
        ({"schedule": "semi-active"}, "schedule"),
        ({"candidates": "job"}, "candidates"),
        ({"padding": 5}, "padding"),
        ({"padding": (1, 2)}, "padding"),
        ({"padding": (0, 2, 3)}, "padding"),
        ({"padding": ("a", 2, 3)}, "padding"),
        ({"render_mode": "human"}, "render_mode"),
        ({"nonsense": 1}, "nonsense"),
    ],
    ids=str,
)
@BOTH
def test_a_wrong_argument_is_one_line(env_class: Any, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        env_class(**wrong)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"shutdown_probability": -0.1},
        {"shutdown_probability": 0.95},
        {"shutdown_probability": float("nan")},
        {"shutdown_probability": "often"},
        {"shutdown_probability": (0.2, 0.1)},
        {"shutdown_probability": (0.1, 0.2, 0.3)},
        {"mean_downtime": 0.5},
        {"mean_downtime": float("inf")},
        {"mean_downtime": float("nan")},
        {"mean_downtime": None},
        {"schedule": "active"},
    ],
    ids=str,
)
def test_a_wrong_argument_of_the_blocking_shop_is_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="|".join(wrong)) as error:
        BlockingJobShopEnv(**wrong)
    assert "\n" not in str(error.value)


def test_waiting_and_active_schedules_exclude_each_other() -> None:
    with pytest.raises(InputError, match="wait"):
        JobShopOptions(schedule="active", wait=True)


def test_instances_of_the_other_problem_are_refused() -> None:
    blocking = BLOCKING_JOB_SHOP.generate(np.random.default_rng(0), jobs=2, machines=2)
    for env_class, wrong in ((JobShopEnv, blocking), (BlockingJobShopEnv, TWO_BY_TWO)):
        with pytest.raises(InputError, match="plays instances of"):
            env_class(instances=[wrong])
        env = env_class(jobs=2, machines=2)
        env.reset(seed=0)
        shown = env.action_masks()
        with pytest.raises(InputError, match="plays instances of"):
            env.reset(options={"instance": wrong})
        np.testing.assert_array_equal(env.action_masks(), shown)
    for no_instance in ("ft06", None, 5):
        with pytest.raises(InputError):
            JobShopEnv().reset(options={"instance": no_instance})


def test_an_instance_that_does_not_fit_is_refused() -> None:
    env = JobShopEnv(jobs=3, machines=3)
    for large in (random_shop(jobs=4, machines=2), random_shop(jobs=2, machines=4)):
        with pytest.raises(InputError, match="holds 3, 9 and 3"):
            env.reset(options={"instance": large})
    recirculating = JobShopInstance(
        job_ptr=[0, 10], machine=[0] * 10, duration=[1] * 10, release=[0], n_machines=1, name="long"
    )
    with pytest.raises(InputError, match="10 operations"):
        env.reset(options={"instance": recirculating})


def test_sizes_as_numpy_integers_are_numbers_too() -> None:
    options = JobShopOptions(jobs=np.int64(3), machines=(np.int32(1), np.int64(2)), padding=(np.int64(4), 9, 3))
    assert options.size() == (4, 9, 3)
    assert JobShopOptions(jobs=np.int64(3), machines=2).size() == (3, 6, 2)
