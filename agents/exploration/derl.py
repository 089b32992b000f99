"""Decoupled reinforcement learning (Schaefer et al. 2022, arXiv 2107.08966), on A2C: a reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from optgap.agents.common.approximator import Outputs
from optgap.agents.common.gae import generalized_advantages
from optgap.agents.common.rollout import RolloutBuffer
from optgap.agents.common.tensors import Tree, map_tree, to_tensor, to_tensors
from optgap.agents.exploration.agents import ExploringA2C
from optgap.agents.exploration.config import DeRLA2CConfig


class DeRLA2C(ExploringA2C):
    """An explorer acts in training and learns from rewards and bonuses; an exploiter learns from its steps without them.

    Both are A2C with weights of their own. The exploiter is what :meth:`predict` asks, and so what is evaluated. Its
    losses are weighted by pi_exploiter / pi_explorer at the actions, clipped from above at ``importance_clip``; the
    authors' own code (github.com/uoe-agents/derl) clips at 1 or, in its best settings, not at all.
    """

    config_class: type[DeRLA2CConfig] = DeRLA2CConfig

    def _make_policy(self) -> nn.Module:
        policy = super()._make_policy()
        policy.exploiter = super()._make_policy()
        return policy

    @property
    def exploiter(self) -> nn.Module:
        """What learns from the environment's rewards alone."""
        module: Any = self.policy.exploiter
        assert isinstance(module, nn.Module)
        return module

    def _outputs(self, observation: Tree) -> Outputs:
        with torch.no_grad():
            return Outputs(*self.exploiter(to_tensors(observation, self.device)))

    def _prepare(self, rollout: RolloutBuffer) -> None:
        self._rewards = rollout.rewards.copy()
        super()._prepare(rollout)

    def _update(self, rollout: RolloutBuffer, learning_rate: float, rng: np.random.Generator) -> dict[str, float]:
        return super()._update(rollout, learning_rate, rng) | self._exploit(rollout, learning_rate)

    def _exploit(self, rollout: RolloutBuffer, learning_rate: float) -> dict[str, float]:
        """One step of the exploiter on the explorer's rollout."""
        config, valid = self.config, rollout.valid
        assert self._collector is not None
        rows = map_tree(lambda array: array.reshape(-1, *array.shape[2:]), rollout.observations)
        values = (
            self._outputs(rows).values.reshape(valid.shape),
            self._outputs(self._collector.observation).values[None],
        )
        ends = rollout.terminated, rollout.truncated, valid
        expected = torch.cat(values).float().cpu().numpy()
        found = generalized_advantages(self._rewards, expected, *ends, config.gamma, config.gae_lambda)
        advantages, returns = (to_tensor(array[valid], self.device) for array in found)

        batch = rollout.batch(self.device)
        outputs = Outputs(*self.exploiter(batch.observations))
        distribution = self.interface.distribution(outputs.parameters, batch.masks)
        log_probabilities = distribution.log_probability(batch.actions)
        ratio = (log_probabilities.detach() - batch.log_probabilities).exp()
        weights = ratio.clamp(max=config.importance_clip)
        policy_loss = -(weights * advantages * log_probabilities).mean()
        value_loss = (weights * (outputs.values - returns).square()).mean()
        entropy = distribution.entropy().mean()
        loss = policy_loss + config.value_coefficient * value_loss - config.exploiter_entropy_coefficient * entropy
        self.approximator.minimize(loss, learning_rate)
        if (observe := getattr(self.exploiter, "observe", None)) is not None:
            observe(batch.observations)
        return {
            "exploiter/policy_loss": policy_loss.item(),
            "exploiter/value_loss": value_loss.item(),
            "exploiter/entropy": entropy.item(),
            "exploiter/importance": ratio.mean().item(),
        }
