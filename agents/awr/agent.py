"""Advantage-weighted regression (Peng et al. 2019, arXiv 1910.00177): imitate past actions, the better the more."""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import chain, islice, repeat

import numpy as np
import torch
from torch import Tensor, nn

from optgap.agents.awr.config import AWRConfig
from optgap.agents.common.collector import Collector
from optgap.agents.common.on_policy import OnPolicyAgent, explained_variance, mean_figures, standardized
from optgap.agents.common.rollout import Batch, RolloutBuffer, minibatches
from optgap.agents.common.tensors import Tree, map_tree, to_tensor
from optgap.envs.registry import EnvironmentConfig

VALUED = 8192  # observations whose values are computed at a time


class AWR(OnPolicyAgent[AWRConfig]):
    """AWR; arguments are those of :class:`OnPolicyAgent`.

    The two regressions of algorithm 1, of the value and of the policy, take their steps together on the same
    minibatches, so that a tree can serve both. Returns and weights are those of the values before the first step.
    """

    config_class = AWRConfig

    def __init__(
        self, env_config: EnvironmentConfig, config: AWRConfig | None = None, seed: int = 0, device: str = "cpu"
    ) -> None:
        super().__init__(env_config, config, seed, device)
        rows = self.config.num_envs * self.config.rollout_length
        self._replay: deque[RolloutBuffer] = deque(maxlen=max(1, self.config.replay_size // rows))

    def _restart(self) -> Collector:
        self._replay.clear()
        return super()._restart()

    def _update(self, rollout: RolloutBuffer, learning_rate: float, rng: np.random.Generator) -> dict[str, float]:
        # Algorithm 1: add the trajectories to the buffer D (line 4), ...
        self._replay.append(rollout)
        batch = self._remembered()
        # ... and regress the values on the returns (line 5) and the policy on the weighted actions (line 6).
        config = self.config
        figures: dict[str, list[Tensor]] = defaultdict(list)
        shuffled = chain.from_iterable(minibatches(batch, config.minibatch_size, rng) for _ in repeat(None))
        for part in islice(shuffled, config.gradient_steps):
            parameters, values, _ = self.approximator.evaluate(part.observations)
            distribution = self.interface.distribution(parameters, part.masks)
            advantages = standardized(part.advantages) if config.normalize_advantage else part.advantages
            weights = advantage_weights(advantages, config.beta, config.weight_max)

            policy_loss = -(weights * distribution.log_probability(part.actions)).mean()
            value_loss = nn.functional.mse_loss(values, part.returns)
            entropy = distribution.entropy().mean()
            loss = policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy
            self.approximator.minimize(loss, learning_rate)

            figures["train/policy_loss"].append(policy_loss.detach())
            figures["train/value_loss"].append(value_loss.detach())
            figures["train/entropy"].append(entropy.detach())
            figures["train/weight"].append(weights.mean())
            figures["train/clipped_weights"].append((weights == config.weight_max).float().mean())
        return mean_figures(figures) | {
            "train/explained_variance": explained_variance(batch),
            "train/replay": float(len(batch.advantages)),
        }

    def _remembered(self) -> Batch:
        """All transitions of the buffer, with the returns R of TD(lambda) and the advantages R - V of the present V.

        Its rollouts follow one another in time, so that one recursion serves them all; the value after the newest is
        of the present V already.
        """
        whole, newest = RolloutBuffer.join(self._replay), self._replay[-1]
        shown = map_tree(lambda array: to_tensor(array.reshape(-1, *array.shape[2:]), self.device), whole.observations)
        held = self.approximator.hold(shown, kept=whole.valid.size - newest.valid.size)
        rows = torch.arange(whole.valid.size, device=self.device)
        with torch.no_grad():
            values = [self.approximator.evaluate(_at(part, held)).values for part in rows.split(VALUED)]
        whole.values[:-1] = torch.cat(values).detach().cpu().numpy().reshape(whole.valid.shape)
        whole.estimate_advantages(self.config.gamma, self.config.gae_lambda)
        valid = rows[torch.from_numpy(whole.valid.ravel()).to(self.device)]
        return whole.batch(self.device)._replace(observations=_at(valid, held))


def advantage_weights(advantages: Tensor, beta: float, weight_max: float) -> Tensor:
    """exp(A / beta), at most ``weight_max`` (section 3.2 and appendix), of advantages A (N,)."""
    return (advantages / beta).exp().clamp(max=weight_max)


def _at(rows: Tensor, held: Tree) -> Tree:
    return map_tree(lambda tensor: tensor[rows], held)
