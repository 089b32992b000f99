"""Muon for the matrices of a network and AdamW for the rest, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon

OTHERS = 0.2  # step size of AdamW in units of Muon's


class MuonAdamW(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) on the given matrices, AdamW on all other parameters.

    Muon's steps are scaled to the root mean square of AdamW's (Liu et al. 2025), so that one step size serves both:
    each group's ``lr`` is to be set to ``group["factor"]`` times it.

    Args:
        matrices: parameters with two axes: hidden layers, not embeddings or heads.
        others: all other parameters.
        lr: step size.
        weight_decay: of both.
    """

    def __init__(
        self, matrices: Iterable[nn.Parameter], others: Iterable[nn.Parameter], lr: float, weight_decay: float
    ) -> None:
        self.muon = Muon(list(matrices), lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        self.adamw = AdamW(list(others), lr=OTHERS * lr, weight_decay=weight_decay)
        self.muon.param_groups[0]["factor"], self.adamw.param_groups[0]["factor"] = 1.0, OTHERS
        super().__init__([dict(group) for group in (*self.muon.param_groups, *self.adamw.param_groups)], {})
        self._share()

    def _share(self) -> None:
        """Let the two read and write the groups and the state of this one."""
        self.muon.param_groups, self.adamw.param_groups = self.param_groups[:1], self.param_groups[1:]
        self.muon.state = self.adamw.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of both; a closure is not taken."""
        if closure is not None:
            raise TypeError("MuonAdamW takes no closure")
        self.muon.step()
        self.adamw.step()
        return None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Read what ``state_dict`` gave."""
        super().load_state_dict(state_dict)
        self._share()


def muon_adamw(module: nn.Module, lr: float, weight_decay: float, hidden: Callable[[str], bool]) -> MuonAdamW:
    """:class:`MuonAdamW` over a module; ``hidden(name)`` says whether a matrix belongs to a hidden layer."""
    named = list(module.named_parameters())

    def inner(name: str, tensor: Tensor) -> bool:
        return tensor.ndim == 2 and hidden(name)

    matrices = [parameter for name, parameter in named if inner(name, parameter)]
    return MuonAdamW(matrices, [p for name, p in named if not inner(name, p)], lr, weight_decay)
