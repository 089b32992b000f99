"""What an agent learns with: a network and Adam, or boosted trees that fit one more tree to the same gradient."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from optgap.agents.common.tensors import Tree, to_tensors


class Outputs(NamedTuple):
    """What an approximator says of B observations."""

    parameters: Tensor  # (B, P) float32, of the action distribution
    values: Tensor  # (B,) float32
    streams: Tensor | None = None  # (B, K) float32, values of further streams of rewards


@runtime_checkable
class Approximator(Protocol):
    """Maps observations to :class:`Outputs` and is moved against the gradient of a loss.

    An update calls ``hold`` with its observations, then ``evaluate`` with parts of what that returned, each followed by
    at most one ``minimize``.
    """

    optimizer: torch.optim.Optimizer  # of its torch parameters; its state is a part of a checkpoint

    def predict(self, observations: Tree) -> Outputs:
        """Outputs of observations as the environment gives them, NumPy arrays (B, ...); no gradient is kept."""
        ...

    def hold(self, observations: Tree, kept: int = 0) -> Tree:
        """Take the observations of an update, tensors (N, ...); what is returned, a row an observation, is evaluated.

        The first ``kept`` observations are those that the last ``kept`` rows of the call before were.
        """
        ...

    def evaluate(self, held: Tree) -> Outputs:
        """Outputs, to be differentiated, of some rows of what :meth:`hold` returned."""
        ...

    def minimize(self, loss: Tensor, learning_rate: float) -> None:
        """One step against the gradient of ``loss``, a mean over the rows that :meth:`evaluate` was given last."""
        ...


class Network:
    """A torch module and Adam.

    Args:
        module: its ``forward`` takes observations and returns :class:`Outputs`, or a plain tuple of them.
        learning_rate: step size before :meth:`minimize` says another.
        max_grad_norm: gradients are scaled down to this norm.
        device: where the module is.
    """

    def __init__(self, module: nn.Module, learning_rate: float, max_grad_norm: float, device: torch.device) -> None:
        self.module, self.max_grad_norm, self.device = module, max_grad_norm, device
        # Fused: on small networks an update is a fifth shorter on the CPU, because Adam's is one call for all weights.
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(
            module.parameters(), lr=learning_rate, eps=1e-5, fused=True
        )

    def predict(self, observations: Tree) -> Outputs:
        self.module.eval()
        with torch.no_grad():
            return Outputs(*self.module(to_tensors(observations, self.device)))

    def hold(self, observations: Tree, kept: int = 0) -> Tree:
        self.module.train()
        return observations

    def evaluate(self, held: Tree) -> Outputs:
        return Outputs(*self.module(held))

    def minimize(self, loss: Tensor, learning_rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), self.max_grad_norm)
        self.optimizer.step()
