from __future__ import annotations

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from optgap.co.core import InputError
from optgap.envs.wrappers.costs import CostInfo, CostInfoVector

NAMES, LIMITS = ("heat", "noise"), (0.5, 2.0)


class Machine(gym.Env):
    """Three steps; costs of step k (1, 2, 3) are k and 10 k, told as ``tell(costs)`` says: an info, and a third result."""

    observation_space = spaces.Box(0, 1, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, tell):
        self.tell = tell

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self.observation_space.sample() * 0, {"other": 1}

    def step(self, action):
        self.count += 1
        info, *third = self.tell(np.array([1.0, 10.0]) * self.count)
        seen = np.full(1, self.count / 3, np.float32)
        return seen, 1.0, *third, self.count == 3, False, info


CONVENTIONS = {
    "dict": lambda c: ({"cost": {"noise": c[1], "heat": c[0], "more": 7.0}},),
    "dict of costs": lambda c: ({"cost": c.sum(), "costs": dict(zip(NAMES, c, strict=True))},),
    "list": lambda c: ({"constraint_costs": c.tolist()},),
    "array": lambda c: ({"cost": c.astype(np.float32)},),
    "keys": lambda c: ({"heat": c[0], "noise": float(c[1]), "cost_sum": c.sum()},),
    "six results": lambda c: ({"cost_sum": c.sum()}, c),
    "six results and names": lambda c: ({"heat": c[0], "noise": c[1]}, c.sum()),
}
SCALARS = {
    "scalar": lambda c: ({"cost": c[0]},),
    "integer": lambda c: ({"cost": int(c[0])},),
    "scalar under costs": lambda c: ({"costs": float(c[0])},),
    "one in a list": lambda c: ({"constraint_costs": [c[0]]},),
    "third result": lambda c: ({}, float(c[0])),
    "third result and sum": lambda c: ({"cost_sum": c[0]}, np.float64(c[0])),
}


def wrapped(tell, limits=LIMITS, names=NAMES):
    return CostInfo(Machine(tell), limits=limits, names=names)


@pytest.mark.filterwarnings("error", "ignore:.*is different from the unwrapped version")
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_costs_by_name_or_order(convention):
    env = wrapped(CONVENTIONS[convention])
    check_env(env, skip_render_check=True)
    assert env.get_wrapper_attr("cost_names") == NAMES
    np.testing.assert_array_equal(env.get_wrapper_attr("cost_limits"), LIMITS)
    _, info = env.reset(seed=0)
    assert info["other"] == 1
    np.testing.assert_array_equal(info["cost"], [0, 0])
    for k in (1, 2, 3):
        _, reward, terminated, truncated, info = env.step(0)
        assert (reward, terminated, truncated) == (1.0, k == 3, False)
        assert info["cost"].dtype == np.float64
        np.testing.assert_array_equal(info["cost"], [k, 10 * k])


@pytest.mark.parametrize("convention", SCALARS)
def test_one_cost(convention):
    env = wrapped(SCALARS[convention], [1.0], None)
    assert env.cost_names == ("cost",)
    env.reset(seed=0)
    for k in (1, 2):
        np.testing.assert_array_equal(env.step(0)[4]["cost"], [k])


@pytest.mark.parametrize("convention", CONVENTIONS | SCALARS)
def test_vector_environments_of_wrapped_ones_give_one_row_each(convention):
    names = NAMES if convention in CONVENTIONS else ("cost",)
    make = partial(wrapped, (CONVENTIONS | SCALARS)[convention], LIMITS[: len(names)], names)
    env = SyncVectorEnv([make] * 3, autoreset_mode=AutoresetMode.NEXT_STEP)
    env.reset(seed=0)
    for k in (1, 2, 3, 0, 1):  # the fourth step resets
        info = env.step(np.zeros(3, np.int64))[4]
        np.testing.assert_array_equal(info["cost"], np.tile([k, 10 * k], (3, 1))[:, : len(names)])


@pytest.mark.parametrize("convention", [name for name in CONVENTIONS | SCALARS if "result" not in name])
def test_wrapped_vector_environments_give_the_same(convention):
    names = NAMES if convention in CONVENTIONS else ("cost",)
    machines = SyncVectorEnv(
        [partial(Machine, (CONVENTIONS | SCALARS)[convention])] * 3, autoreset_mode=AutoresetMode.NEXT_STEP
    )
    env = CostInfoVector(machines, LIMITS[: len(names)], names)
    env.reset(seed=0)
    machines.envs[2].count = 1  # type: ignore[attr-defined]  # so that copies end at different times
    expected = [(1, 1, 2), (2, 2, 3), (3, 3, 0), (0, 0, 1), (1, 1, 2)]
    for ks in expected:
        info = env.step(np.zeros(3, np.int64))[4]
        assert info["cost"].dtype == np.float64
        np.testing.assert_array_equal(info["cost"], (np.outer(ks, [1, 10]))[:, : len(names)])


class SixResults(gym.vector.VectorEnv):
    """Two copies whose steps have six results."""

    num_envs = 2
    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def reset(self, *, seed=None, options=None):
        return np.zeros((2, 1)), {}

    def step(self, actions):
        ends = np.array([False, False])
        return np.zeros((2, 1)), np.ones(2), np.array([1.0, 2.0]), ends, ends, {}


def test_a_vector_environment_with_six_results():
    env = CostInfoVector(SixResults(), [1.0])
    env.reset(seed=0)
    np.testing.assert_array_equal(env.step(np.zeros(2))[4]["cost"], [[1], [2]])


def test_a_vector_environment_of_another_autoreset_mode():
    machines = SyncVectorEnv([partial(Machine, SCALARS["scalar"])], autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(InputError, match="autoreset mode"):
        CostInfoVector(machines, [1.0])


@pytest.mark.parametrize(
    ("tell", "message"),
    [
        (lambda c: ({"other": 1},), "reports no cost: its info has"),
        (lambda c: ({"cost": {"heat": 1.0}},), "are named heat; expected heat, noise"),
        (lambda c: ({"cost": 1.0},), r"has shape \(\); expected shape \(2,\)"),
        (lambda c: ({"cost": [1.0, 2.0, 3.0]},), r"has shape \(3,\)"),
        (lambda c: ({"cost": [1.0, np.nan]},), "cost 'noise' of .* is nan"),
        (lambda c: ({"cost": {"heat": np.inf, "noise": 1}},), "cost 'heat' of .* is inf"),
        (lambda c: ({"cost": "high"},), "is 'high'"),
        (lambda c: ({}, 1.0, 2.0), "has 7 results"),
    ],
)
def test_a_bad_cost_is_said(tell, message):
    env = wrapped(tell)
    env.reset(seed=0)
    with pytest.raises(InputError, match=message):
        env.step(0)


def test_a_copy_without_a_cost_is_said():
    tells = [SCALARS["scalar"], lambda c: ({},)]
    env = CostInfoVector(
        SyncVectorEnv([partial(Machine, tell) for tell in tells], autoreset_mode=AutoresetMode.NEXT_STEP), [1.0]
    )
    env.reset(seed=0)
    with pytest.raises(InputError, match=r"environment 1 of .* reports no cost"):
        env.step(np.zeros(2, np.int64))


@pytest.mark.parametrize(
    ("limits", "names", "message"),
    [
        ([], None, "finite numbers"),
        ([np.nan], None, "finite numbers"),
        ([1.0, 2.0], None, "expected names"),
        ([1.0, 2.0], ("heat",), "expected 2 different ones"),
        ([1.0, 2.0], ("heat", "heat"), "expected 2 different ones"),
        ([1.0], "heat", "expected 1 different ones"),
    ],
)
def test_names_and_limits_must_fit(limits, names, message):
    with pytest.raises(InputError, match=message):
        wrapped(SCALARS["scalar"], limits, names)
