"""Policies that see a statistic: its entries together are as long as one number, whatever their order in the observation."""

from __future__ import annotations

import numpy as np
import torch
from gymnasium import spaces

from optgap.agents.exploration.config import SOFEDQNConfig, SOFEPPOConfig
from optgap.agents.exploration.policies import StatisticActorCritic, StatisticQNetwork, StatisticScale
from optgap.agents.nn.mlp import MLPActorCritic

MAP = spaces.Box(0.0, 1.0, (1, 4, 4))
SPACE = spaces.Dict({"a": spaces.Discrete(3), "statistic": MAP, "z": spaces.Box(-1.0, 1.0, (2,))})


def observation() -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(0)
    shown = {"a": np.array([2, 0]), "statistic": rng.random((2, 1, 4, 4)), "z": rng.random((2, 2))}
    return {key: torch.as_tensor(value) for key, value in shown.items()}


def test_the_statistic_is_divided_by_the_root_of_its_size() -> None:
    seen = observation()
    flat = StatisticScale(SPACE)(seen)
    assert flat.shape == (2, 21)
    torch.testing.assert_close(flat[:, :3], torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
    torch.testing.assert_close(flat[:, 3:19], seen["statistic"].flatten(1).float() / 4)
    torch.testing.assert_close(flat[:, 19:], seen["z"].float())


def test_without_a_statistic_policies_are_the_usual_ones() -> None:
    space, config = spaces.Box(-1.0, 1.0, (5,)), SOFEPPOConfig()
    policies = []
    for kind in (StatisticActorCritic, MLPActorCritic):
        torch.manual_seed(3)
        policies.append(kind(space, spaces.Discrete(2), config))
    seen = torch.randn(7, 5)
    for one, other in zip(policies[0](seen), policies[1](seen), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert policies[0].state_dict().keys() == policies[1].state_dict().keys()


def test_action_values_see_the_scaled_statistic() -> None:
    torch.manual_seed(0)
    network = StatisticQNetwork(SPACE, spaces.Discrete(2), SOFEDQNConfig())
    seen = observation()
    with torch.no_grad():
        wanted = network.online(StatisticScale(SPACE)(seen)).numpy()
    np.testing.assert_array_equal(network.predict({key: value.numpy() for key, value in seen.items()}), wanted)
