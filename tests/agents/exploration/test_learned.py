"""Bonuses of networks: what they are on seen and on unseen states, and what their networks learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from optgap.agents.exploration.config import ExploringPPOConfig
from optgap.agents.exploration.curiosity import ICM, Disagreement
from optgap.agents.exploration.rnd import RND, LearnedBonus, Transitions
from optgap.agents.nn.distributions import action_interface
from optgap.co.core import InputError

OBSERVATIONS = spaces.Box(-10, 10, (2,), np.float32)
DISCRETE = spaces.Discrete(4, start=3)
CONFIG = ExploringPPOConfig(bonus_hidden_sizes=[64], bonus_features=16)


def make(kind: type[LearnedBonus], actions: Any = DISCRETE) -> Any:
    torch.manual_seed(0)
    return kind(OBSERVATIONS, actions, action_interface(actions), CONFIG)


def walk(count: int, seed: int, shift: float = 0.0, noise: float = 0.0) -> Transitions:
    """Steps of length 1 in one of four directions from places around ``shift``."""
    rng = np.random.default_rng(seed)
    actions = rng.integers(4, size=count)
    before = rng.normal(size=(count, 2)) + shift
    steps = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])[actions] + noise * rng.normal(size=(count, 2))
    floats = (torch.tensor(part, dtype=torch.float32) for part in (before, before + steps))
    first, after = floats
    return Transitions(first, torch.tensor(actions), after)


def fit(module: LearnedBonus, seen: Transitions, steps: int, rate: float = 3e-3) -> None:
    rng = np.random.default_rng(0)
    optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=rate)
    for _ in range(steps):
        loss = module.loss(seen, rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize("kind", [RND, ICM, Disagreement])
def test_falls_where_it_learned(kind):
    module, seen, new = make(kind), walk(128, 1), walk(64, 2, shift=4.0)
    module.observe(seen)
    before, elsewhere = module.bonus(seen).mean(), module.bonus(new).mean()
    if kind is ICM:  # its features are learned too, and move: hold them, as a test of the forward model
        module.encoder.requires_grad_(False)
    fit(module, seen, 200)
    assert module.bonus(seen).mean() < 0.25 * before
    if kind is RND:  # models of the dynamics are right about places that they never saw where these are like others
        assert module.bonus(new).mean() > 0.8 * elsewhere
    assert module.bonus(new).shape == (64,)
    assert (module.bonus(new) >= 0).all()


def test_rnd_by_hand():
    """Against one wave, sqrt(2) cos(x / 2) of the normalized first number x in [-5, 5], a predictor that says 1/2."""
    config = ExploringPPOConfig(bonus_hidden_sizes=[1], bonus_features=1)
    module = RND(OBSERVATIONS, DISCRETE, action_interface(DISCRETE), config)
    with torch.no_grad():
        module.target[0].directions.copy_(torch.tensor([[0.5], [0.0]]))
        module.target[0].phases.zero_()
        module.target[1][0].weight.fill_(1.0)
        module.predictor[-1].weight.zero_()
        module.predictor[-1].bias.fill_(0.5)
    seen = Transitions(torch.zeros(2, 2), torch.zeros(2), torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
    module.observe(seen)  # mean (2, 0), deviation (1, 0)
    np.testing.assert_allclose(module.bonus(seen), [(np.sqrt(2) * np.cos(0.5) - 0.5) ** 2] * 2, rtol=1e-3)
    far = Transitions(torch.zeros(1, 2), torch.zeros(1), torch.tensor([[100.0, 0.0]]))
    np.testing.assert_allclose(module.bonus(far), [(np.sqrt(2) * np.cos(2.5) - 0.5) ** 2], rtol=1e-3)


def test_the_random_target_is_never_trained():
    module, seen = make(RND), walk(64, 0)
    module.observe(seen)
    before = [parameter.clone() for parameter in module.target.parameters()]
    fit(module, seen, 20)
    for old, new in zip(before, module.target.parameters(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=0)
        assert new.grad is None


@pytest.mark.parametrize("actions", [DISCRETE, spaces.MultiDiscrete([2, 2]), spaces.Box(-1, 1, (2,), np.float32)])
def test_icm_tells_actions(actions):
    """Actions that can be read off two observations are: the inverse loss begins at chance and falls."""
    module, seen = make(ICM, actions), walk(128, 0)
    if isinstance(actions, spaces.MultiDiscrete):
        seen = seen._replace(actions=torch.stack([seen.actions // 2, seen.actions % 2], dim=1))
    if isinstance(actions, spaces.Box):
        seen = seen._replace(actions=seen.next_observations - seen.observations)
    module.observe(seen)
    before = module.inverse_loss(seen).item()
    if not isinstance(actions, spaces.Box):
        assert before == pytest.approx(np.log(4), abs=0.05)
    fit(module, seen, 150)
    assert module.inverse_loss(seen).item() < before - 1.0


def test_icm_features_are_learned_by_the_inverse_model_alone():
    module, seen = make(ICM), walk(32, 0)
    module.observe(seen)
    module._forward_errors(seen.actions, *(part.detach() for part in module.encoded(seen))).mean().backward()
    assert all(parameter.grad is None for parameter in module.encoder.parameters())
    module.zero_grad()
    module.loss(seen, np.random.default_rng(0)).backward()
    together = [parameter.grad.clone() for parameter in module.encoder.parameters()]
    module.zero_grad()
    (0.8 * module.inverse_loss(seen)).backward()
    for one, other in zip(together, module.encoder.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad)


def test_equal_members_do_not_disagree():
    module, seen = make(Disagreement), walk(32, 0)
    module.observe(seen)
    assert (module.bonus(seen) > 0).all()
    for member in module.members[1:]:
        member.load_state_dict(module.members[0].state_dict())
    np.testing.assert_allclose(module.bonus(seen), 0.0, atol=1e-10)
    with torch.no_grad():  # one member says 1 more than the four others of every feature: variance 4/25
        module.members[0][-1].bias += 1.0
    np.testing.assert_allclose(module.bonus(seen), 0.16, rtol=1e-4)


def test_disagreement_cares_less_for_noise_than_curiosity_does():
    """What no model can predict stays a surprise, but its mean is learned alike by all (arXiv 1906.04161, section 3)."""
    ratios = []
    for kind in (ICM, Disagreement):
        module, noisy = make(kind), walk(512, 0, noise=2.0)
        module.observe(noisy)
        module.encoder.requires_grad_(False)
        before = module.bonus(noisy).mean()
        fit(module, noisy, 100)
        ratios.append((module.bonus(noisy).mean() / before).item())
    assert ratios[1] < 0.5 * ratios[0]


def test_a_bonus_of_some_columns_ignores_the_others() -> None:
    def build(columns: list[int]) -> RND:
        config = ExploringPPOConfig(bonus="rnd", bonus_columns=columns)
        return RND(OBSERVATIONS, DISCRETE, action_interface(DISCRETE), config)

    learned = build([1])
    assert learned.inputs == 1
    flat = torch.arange(6.0).reshape(3, 2)
    torch.testing.assert_close(learned.seen(flat), flat[:, 1:])
    torch.testing.assert_close(make(RND).seen(flat), flat)
    torch.testing.assert_close(build([-2]).seen(flat), flat[:, :1])
    for column in (2, -3):
        with pytest.raises(InputError, match=rf"bonus_columns is \[{column}\]; expected numbers from -2 to 1"):
            build([column])
    with pytest.raises(InputError, match="different integers"):
        ExploringPPOConfig(bonus="rnd", bonus_columns=[1, 1])
