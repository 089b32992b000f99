from __future__ import annotations

import dataclasses

import pytest
from omegaconf import OmegaConf

from optgap.agents.ppo.config import GraphPPOConfig, PPOConfig
from optgap.agents.sb3.config import SB3PPOConfig
from optgap.co.core import InputError


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("num_envs", 0, "at least 1"),
        ("rollout_length", -1, "at least 1"),
        ("gamma", 1.5, r"in \[0, 1\]"),
        ("gae_lambda", -0.1, r"in \[0, 1\]"),
        ("clip_range", 0.0, "above 0"),
        ("epochs", 0, "at least 1"),
        ("minibatch_size", 0, "at least 1"),
        ("learning_rate", float("nan"), "a finite number"),
        ("learning_rate_schedule", "cosine", "constant or linear"),
        ("entropy_coefficient", -1.0, "at least 0"),
        ("value_coefficient", -1.0, "at least 0"),
        ("max_grad_norm", 0.0, "above 0"),
        ("target_kl", 0.0, "null or a number above 0"),
        ("hidden_sizes", [64, 0], "integers of at least 1"),
        ("checkpoint_interval", 0, "at least 1"),
    ],
)
def test_each_value_is_checked(name, value, expected):
    for config in (PPOConfig, GraphPPOConfig, SB3PPOConfig):
        with pytest.raises(InputError, match=f"{config.__name__}: {name} is .*; expected .*{expected}"):
            config(**{name: value})


def test_sizes_of_the_graph_network_are_checked():
    with pytest.raises(InputError, match="GraphPPOConfig: width is 0"):
        GraphPPOConfig(width=0)


@pytest.mark.parametrize("config", [PPOConfig, GraphPPOConfig, SB3PPOConfig])
def test_configurations_are_hydra_schemas(config):
    schema = OmegaConf.structured(config)
    schema.learning_rate = 0.5
    schema.target_kl = 0.02
    schema.hidden_sizes = [3]
    assert OmegaConf.to_object(schema) == dataclasses.replace(
        config(), learning_rate=0.5, target_kl=0.02, hidden_sizes=[3]
    )


def test_linear_schedule():
    config = PPOConfig(learning_rate=0.4, learning_rate_schedule="linear")
    assert [config.learning_rate_at(steps, 100) for steps in (0, 50, 100, 120)] == [0.4, 0.2, 0.0, 0.0]
    assert PPOConfig(learning_rate=0.4).learning_rate_at(99, 100) == 0.4
