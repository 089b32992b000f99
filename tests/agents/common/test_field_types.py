"""Configurations made in Python are checked like those of a command line: one line that names the field."""

from __future__ import annotations

import math

import numpy as np
import pytest

from optgap.agents.a2c.config import A2CConfig
from optgap.agents.asynchronous.config import APTSACConfig, APTTD3Config
from optgap.agents.common.off_policy import OffPolicyConfig
from optgap.agents.ppo.config import PPOConfig
from optgap.agents.sac.config import SACConfig
from optgap.agents.td3.config import TD3Config
from optgap.co.core import InputError


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("learning_rate", "x", "a finite number"),
        ("learning_rate", None, "a finite number"),
        ("learning_rate", math.inf, "a finite number"),
        ("learning_rate", 10**400, "a finite number"),
        ("gamma", math.nan, "a finite number"),
        ("gamma", True, "a finite number"),
        ("num_envs", 2.0, "an integer"),
        ("num_envs", False, "an integer"),
        ("rollout_length", "8", "an integer"),
        ("policy", 3, "a text"),
        ("hidden_sizes", 64, "a list of integers"),
        ("hidden_sizes", [64, "x"], "a list of integers"),
        ("hidden_sizes", [10**9], "integers of at least 1, up to 16384"),
    ],
)
@pytest.mark.parametrize("config", [OffPolicyConfig, SACConfig, TD3Config, APTSACConfig, PPOConfig, A2CConfig])
def test_a_value_of_another_type_is_one_line(config, name, value, expected):
    with pytest.raises(InputError, match=f"^{config.__name__}: {name} is .*; expected {expected}$"):
        config(**{name: value})


@pytest.mark.parametrize(
    ("config", "name", "value"),
    [
        (SACConfig, "target_entropy", "low"),
        (SACConfig, "temperature", math.inf),
        (TD3Config, "exploration_noise", math.nan),
        (APTSACConfig, "address", 3),
        (APTSACConfig, "actors", 2.5),
        (APTSACConfig, "actors", 10**6),
        (APTTD3Config, "update_ratio", math.inf),
        (APTTD3Config, "heartbeat_seconds", math.inf),
        (PPOConfig, "normalize_advantage", "yes"),
    ],
)
def test_so_is_one_of_an_agent(config, name, value):
    with pytest.raises(InputError, match=f"^{config.__name__}: {name} is {value!r}; expected"):
        config(**{name: value})


def test_what_fits_is_kept():
    assert SACConfig(target_entropy=None, learning_rate=1, hidden_sizes=(8, 8)).learning_rate == 1
    assert SACConfig(target_entropy=-2.0, learning_rate=np.float64(1e-3)).target_entropy == -2.0
