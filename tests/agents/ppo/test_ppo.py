"""PPO learns what is trivially learnable, to a threshold, and the same seed gives the same weights."""

from __future__ import annotations

import itertools

import gymnasium as gym
import numpy as np
import pytest
import torch

from optgap.agents.common.contracts import AGENTS
from optgap.agents.nn.mlp import MLPActorCritic
from optgap.agents.ppo.agent import PPO
from optgap.agents.ppo.config import PPOConfig
from optgap.co.core import InputError
from optgap.envs.gym_config import GymConfig


def agent_for(name: str, seed: int = 0, **changes) -> PPO:
    settings = {"rollout_length": 64, "minibatch_size": 64, "epochs": 4, "learning_rate": 3e-3, "hidden_sizes": [16]}
    return PPO(GymConfig(id=f"optgap-test/{name}-v0"), PPOConfig(**(settings | changes)), seed=seed)


def weights(agent: PPO) -> torch.Tensor:
    return torch.cat([parameter.detach().ravel() for parameter in agent.policy.parameters()])


def test_identity():
    agent = agent_for("Identity").learn(4000)
    shown = np.arange(2, 6)
    actions, _ = agent.predict(shown, deterministic=True)
    np.testing.assert_array_equal(actions, shown)
    assert 4000 <= agent.steps < 4000 + 8 * 64


def test_continuous_actions():
    agent = agent_for("Target", minibatch_size=128, learning_rate=1e-2).learn(8000)
    shown = np.linspace(-1, 1, 9)[:, None]
    actions, _ = agent.predict(shown, deterministic=True)
    best = np.hstack([np.full_like(shown, 0.5), -0.5 * shown])
    assert ((actions - best) ** 2).sum(axis=1).mean() < 0.02  # 1 for uniform actions
    assert agent.action_space.contains(agent.predict(shown[0])[0])


def test_the_best_allowed_action_is_found_through_the_masks_alone():
    agent = agent_for("MaskedChoice", entropy_coefficient=0.01, learning_rate=1e-2).learn(
        8000
    )  # a forbidden action would have raised
    allowed = np.zeros((20, 6), np.bool_)
    for row, three in enumerate(itertools.combinations(range(6), 3)):
        allowed[row, list(three)] = True
    values = np.where(allowed, [0.0, 1.0, 0.2, 0.8, 0.4, 0.6], -1)
    actions, _ = agent.predict({"nothing": np.zeros((20, 1), np.float32)}, allowed, deterministic=True)
    chosen = values[np.arange(20), actions]
    assert (chosen >= 0).all()
    assert (values.max(axis=1) - chosen).mean() < 0.02  # 0.35 for random actions; one wrong choice of the 20 is 0.01
    single, _ = agent.predict({"nothing": np.zeros(1, np.float32)}, allowed[3], deterministic=True)
    assert single == actions[3]
    assert np.shape(single) == ()


def test_credit_travels_through_a_corridor():
    agent = agent_for("Corridor", entropy_coefficient=0.01, gamma=0.95).learn(8000)
    np.testing.assert_array_equal(agent.predict(np.arange(7), deterministic=True)[0], 1)


def test_values_after_termination_and_truncation():
    """Reward 1 a step, gamma 0.8: n steps to a termination are worth (1 - 0.8^n) / 0.2, an endless stream 1 / 0.2 = 5.

    Both fail if a reset step is trained on or the wrong value bootstraps.
    """
    settings = {"gamma": 0.8, "gae_lambda": 0.9, "learning_rate": 1e-2, "epochs": 10, "minibatch_size": 128}
    agent = agent_for("Clock", **settings).learn(5000)
    values = agent.policy(torch.arange(5))[1].detach().numpy()
    np.testing.assert_allclose(values, (1 - 0.8 ** np.arange(5, 0, -1)) / 0.2, atol=0.05)
    endless = PPO(GymConfig("optgap-test/Clock-v0", {"endless": True}), agent.config).learn(5000)
    assert endless.policy(torch.zeros(1, dtype=torch.int64))[1].item() == pytest.approx(5.0, abs=0.1)


@pytest.mark.slow
def test_cartpole():
    from stable_baselines3.common.evaluation import evaluate_policy

    agent = PPO(GymConfig("CartPole-v1"), PPOConfig(learning_rate=1e-3), seed=0).learn(50_000)
    mean, _ = evaluate_policy(agent, gym.make("CartPole-v1"), n_eval_episodes=10, warn=False)
    assert mean >= 475


def test_the_seed_determines_the_weights_and_the_callers_generators_do_not_matter():
    def run(seed):
        return weights(agent_for("Identity", seed).learn(1500))

    torch.manual_seed(1)
    first = run(0)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    np.random.seed(3)  # noqa: NPY002
    assert torch.equal(run(0), first)
    assert not torch.equal(run(1), first)
    torch.manual_seed(1)
    run(0)
    assert torch.equal(torch.get_rng_state(), state)


def test_learning_in_two_calls_equals_one():
    """Off a checkpoint boundary (every 20 updates): the environments play on where the first call left them."""
    whole = agent_for("Identity", num_envs=2).learn(1500)
    parts = agent_for("Identity", num_envs=2).learn(300)
    assert parts.updates % 20 != 0
    assert torch.equal(weights(parts.learn(1500)), weights(whole))
    assert parts.learn(100).steps == whole.steps  # already further


def test_resuming_at_a_boundary_equals_going_on(tmp_path):
    settings = {"num_envs": 2, "checkpoint_interval": 2, "normalize_reward": True}

    def save(agent, metrics):
        if agent.updates == 2:
            agent.save(tmp_path / "checkpoint")

    whole = agent_for("MaskedChoice", **settings).learn(700, save)
    assert whole.updates > 4
    assert torch.equal(weights(PPO.load(tmp_path / "checkpoint").learn(700)), weights(whole))


def test_callback_sees_every_update_and_may_stop():
    seen = []

    def callback(agent, metrics):
        seen.append((agent.updates, agent.steps, dict(metrics)))
        return len(seen) < 3

    agent = agent_for("Identity", num_envs=2).learn(10_000, callback)
    assert [update for update, _, _ in seen] == [1, 2, 3]
    assert seen[-1][1] == agent.steps
    assert all(np.isfinite(list(metrics.values())).all() for _, _, metrics in seen)
    assert 0 <= seen[0][2]["episode/return"] <= 16
    assert seen[0][2]["episode/length"] == 16


def test_linear_learning_rate_and_target_kl():
    rates = []
    agent = agent_for("Identity", num_envs=2, learning_rate=1e-2, learning_rate_schedule="linear")
    agent.learn(1000, lambda agent, metrics: rates.append(metrics["train/learning_rate"]))
    assert rates[0] == 1e-2
    np.testing.assert_allclose(np.diff(rates), np.diff(rates)[0], rtol=0.1)
    assert 0 < rates[-1] < 2.5e-3
    cautious = agent_for("Identity", num_envs=2, learning_rate=1e-2, target_kl=1e-12)
    first = weights(cautious)
    cautious.learn(100)
    assert cautious.optimizer.state[next(cautious.policy.parameters())]["step"] == 1  # one step, then too far
    assert not torch.equal(first, weights(cautious))


def test_predict_takes_one_or_many_and_samples_from_torch():
    agent = agent_for("Target")
    many, state = agent.predict(np.zeros((5, 1)))
    assert many.shape == (5, 2)
    assert state is None
    one, _ = agent.predict(np.zeros(1))
    assert one.shape == (2,)
    torch.manual_seed(0)
    first, _ = agent.predict(np.zeros(1))
    torch.manual_seed(0)
    assert np.array_equal(agent.predict(np.zeros(1))[0], first)
    assert not np.array_equal(agent.predict(np.zeros(1))[0], first)


def test_evaluate_policy_of_stable_baselines3():
    from stable_baselines3.common.evaluation import evaluate_policy

    agent = agent_for("Corridor", num_envs=2)
    mean, _ = evaluate_policy(agent, gym.make("optgap-test/Corridor-v0"), n_eval_episodes=2, warn=False)
    assert 0 <= mean <= 1


def test_a_policy_of_ones_own_may_have_dropout():
    config = PPOConfig(policy=f"{__name__}:WithDropout", num_envs=2, rollout_length=16, hidden_sizes=[8])
    env_config = GymConfig("optgap-test/Identity-v0")
    first, second = (weights(PPO(env_config, config, seed=4).learn(100)) for _ in range(2))
    assert torch.equal(first, second)


class WithDropout(MLPActorCritic):
    def forward(self, observation):
        parameters, values = super().forward(observation)
        return torch.nn.functional.dropout(parameters, 0.5, self.training), values


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda(tmp_path):
    agent = PPO(GymConfig("optgap-test/MaskedChoice-v0"), PPOConfig(num_envs=2, rollout_length=16), device="cuda")
    agent.learn(100).save(tmp_path / "checkpoint")
    other = PPO.load(tmp_path / "checkpoint", device="cpu")
    assert torch.equal(weights(other), weights(agent).cpu())


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("optgap.agents.nn.mlp:Nothing", "cannot be imported"),
        ("no_such_module:Policy", "cannot be imported"),
        ("MLPActorCritic", "expected package.module:Class"),
        ("optgap.agents.nn.mlp:mlp", "is not a torch.nn.Module class"),
    ],
)
def test_wrong_policies(policy, message):
    with pytest.raises(InputError, match=message):
        PPO(GymConfig("CartPole-v1"), PPOConfig(policy=policy))


def test_wrong_seed_and_device():
    with pytest.raises(InputError, match="seed is -1"):
        PPO(GymConfig("CartPole-v1"), seed=-1)
    with pytest.raises(InputError, match="device is 'gpu'; expected auto, cpu"):
        PPO(GymConfig("CartPole-v1"), device="gpu")
    with pytest.raises(InputError, match=r"torch sees \d+ CUDA device"):
        PPO(GymConfig("CartPole-v1"), device="cuda:99")


def test_registered():
    entry = AGENTS.load("ppo")
    assert (entry.agent, entry.config) == ("optgap.agents.ppo.agent:PPO", "optgap.agents.ppo.config:PPOConfig")
