"""Constrained policy optimization (Achiam et al. 2017, arXiv 1705.10528), for any number of constraints."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from optgap.agents.common.approximator import Network
from optgap.agents.common.on_policy import explained_variance, mean_figures, standardized
from optgap.agents.common.rollout import Batch, RolloutBuffer, minibatches
from optgap.agents.constrained.agent import ConstrainedAgent
from optgap.agents.constrained.constraints import F64
from optgap.agents.constrained.cpo_config import CPOConfig
from optgap.agents.constrained.trust_region import conjugate_gradients, trust_region_step
from optgap.agents.nn.distributions import Distribution
from optgap.co.core import InputError


class CPO(ConstrainedAgent[CPOConfig]):
    """CPO; arguments are those of :class:`OnPolicyAgent`.

    The policy's parameters must not be those of its values, as in
    :class:`optgap.agents.nn.mlp.MLPActorCritic`: only they move within the trust region.
    """

    config_class = CPOConfig

    def _update(self, rollout: RolloutBuffer, learning_rate: float, rng: np.random.Generator) -> dict[str, float]:
        # Algorithm 1: estimate g, b_i, c_i and H of the rollout, solve the dual, take the step or recover, search the
        # line; then fit the value functions.
        batch = self._batch(rollout)
        figures = self._cost_figures() | self._improve(batch)
        figures |= self._fit_values(batch, learning_rate, rng)
        return figures | {"train/explained_variance": explained_variance(batch)}

    def _improve(self, batch: Batch) -> dict[str, float]:
        config, slack = self.config, self.slack
        moved = self._policy_parameters(batch)
        acting, objectives = self._objectives(batch)
        gradients = torch.stack([_gradient(objective, moved) for objective in objectives])  # (1 + m, P): g, b_1, ...

        # H: the Fisher matrix is the Hessian of the divergence from the acting policy, at that policy.
        old = self.interface.distribution(self._parameters(batch).detach(), batch.masks)
        slope = _gradient(old.divergence(acting).mean(), moved, keep=True)

        def product(vector: Tensor) -> Tensor:
            return _gradient(slope @ vector, moved) + config.damping * vector

        natural = torch.stack([conjugate_gradients(product, row, config.conjugate_iterations) for row in gradients])
        gram = (gradients.double() @ natural.double().T).cpu().numpy()
        step = trust_region_step(gram, slack, float(np.sqrt(2.0 * config.max_divergence)))
        direction = torch.from_numpy(step.weights).to(natural) @ natural

        taken, divergence = self._search(batch, moved, direction, old, slack)
        figures = {f"multiplier/{name}": float(x) for name, x in zip(self.streams, step.multipliers, strict=True)}
        return figures | {
            "train/feasible": float(step.feasible),
            "train/step": taken,
            "train/divergence": divergence,
            "train/entropy": float(old.entropy().mean()),
        }

    def _search(
        self,
        batch: Batch,
        moved: list[nn.Parameter],
        direction: Tensor,
        old: Distribution,
        slack: F64,
    ) -> tuple[float, float]:
        """Take the longest step tried that keeps the divergence and improves; its share of the whole, its divergence.

        No cost may exceed its limit, nor rise where it is beyond; the reward may fall only to lead a cost back.
        """
        config, start = self.config, parameters_to_vector(moved).detach().clone()
        share, allowed = 1.0, np.maximum(slack, 0.0)
        with torch.no_grad():
            before = self._objectives(batch)[1].cpu().numpy()
            for _ in range(config.line_search_steps):
                vector_to_parameters(start + share * direction, moved)
                tried, objectives = self._objectives(batch)
                change = objectives.cpu().numpy() - before
                divergence = float(old.divergence(tried).mean())
                improves = change[0] >= 0.0 or slack.min() < 0.0
                if divergence <= config.max_divergence and improves and (change[1:] <= allowed + 1e-6).all():
                    return share, divergence
                share *= config.line_search_factor
            vector_to_parameters(start, moved)
        return 0.0, 0.0

    def _fit_values(self, batch: Batch, learning_rate: float, rng: np.random.Generator) -> dict[str, float]:
        figures: dict[str, list[Tensor]] = defaultdict(list)
        for _ in range(self.config.value_epochs):
            for part in minibatches(batch, self.config.minibatch_size, rng):
                _, values, streams = self.approximator.evaluate(part.observations)
                assert streams is not None
                assert part.stream_returns is not None
                loss = nn.functional.mse_loss(values, part.returns)
                figures["train/value_loss"].append(loss.detach())
                loss = loss + (streams - part.stream_returns).square().mean(dim=0).sum()
                self.approximator.minimize(loss, learning_rate)
        return mean_figures(figures)

    def _parameters(self, batch: Batch) -> Tensor:
        return self.approximator.evaluate(batch.observations).parameters

    def _objectives(self, batch: Batch) -> tuple[Distribution, Tensor]:
        """The present policy, and (1 + m,) E[ratio A] of the reward and of each cost (equation 5)."""
        distribution = self.interface.distribution(self._parameters(batch), batch.masks)
        ratio = (distribution.log_probability(batch.actions) - batch.log_probabilities).exp()
        assert batch.stream_advantages is not None
        advantages = torch.cat([standardized(batch.advantages)[:, None], batch.stream_advantages], dim=1)
        return distribution, (ratio[:, None] * advantages).mean(dim=0)

    def _policy_parameters(self, batch: Batch) -> list[nn.Parameter]:
        """What the action distribution depends on."""
        if not isinstance(self.approximator, Network):
            raise InputError(f"policy {self.config.policy!r} is no torch module that Adam moves, which CPO needs")
        every = list(self.policy.parameters())

        def reached(output: Tensor) -> list[bool]:
            found = torch.autograd.grad(output, every, retain_graph=True, allow_unused=True)
            return [gradient is not None for gradient in found]

        outputs = self.approximator.evaluate(batch.select(torch.arange(2, device=self.device)).observations)
        assert outputs.streams is not None
        acts, values = reached(outputs.parameters.sum()), reached(outputs.values.sum() + outputs.streams.sum())
        if any(a and v for a, v in zip(acts, values, strict=True)):
            raise InputError(
                f"policy {self.config.policy!r} shares parameters with its values; CPO needs separate ones"
            )
        return [parameter for parameter, a in zip(every, acts, strict=True) if a]


def _gradient(output: Tensor, parameters: list[nn.Parameter], keep: bool = False) -> Tensor:
    """The gradient (P,) of a scalar, differentiable itself if ``keep``."""
    found = torch.autograd.grad(output, parameters, retain_graph=True, create_graph=keep, materialize_grads=True)
    return torch.cat([gradient.reshape(-1) for gradient in found])
