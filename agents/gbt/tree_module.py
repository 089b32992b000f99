"""Boosted trees as a torch module: where they are, and what a checkpoint holds of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from optgap.co.core import InputError
from optgap.gbrl.ensemble import Ensemble
from optgap.gbrl.errors import GBTError
from optgap.gbrl.model import GBTModel


class TreeModule(nn.Module):
    """A module whose state has the arrays of ``models`` beside its own parameters and buffers.

    An :class:`optgap.agents.common.checkpoint.Growing`.
    """

    models: dict[str, GBTModel]

    def check_state(self, state: Mapping[str, Tensor]) -> None:
        """Raise a ValueError of one line unless ``load_state_dict(state)`` can follow."""
        self._ensembles(state)

    def _plain(self) -> dict[str, Tensor]:
        """What torch itself holds: parameters and buffers."""
        found: dict[str, Tensor] = {}
        super()._save_to_state_dict(found, "", False)
        return found

    def _ensembles(self, state: Mapping[str, Tensor]) -> dict[str, Ensemble]:
        """The trees in a state whose other tensors are this module's parameters and buffers."""
        arrays = {name: model.ensemble.arrays() for name, model in self.models.items()}
        own = {f"{name}.{array}" for name, found in arrays.items() for array in found}
        shapes = {name: tensor.shape for name, tensor in self._plain().items()}
        for name in sorted(own | shapes.keys() | state.keys()):
            if name not in state:
                raise InputError(f"tensor {name!r} is missing")
            if name not in own and name not in shapes:
                raise InputError(f"unexpected tensor {name!r}")
            if name in shapes and state[name].shape != shapes[name]:
                raise InputError(f"{name!r} has shape {tuple(state[name].shape)}; expected {tuple(shapes[name])}")
        found = {}
        for name, model in self.models.items():
            tensors = {array: state[f"{name}.{array}"].cpu().numpy() for array in arrays[name]}
            try:
                found[name] = Ensemble.from_arrays(tensors, model.ensemble.oblivious)
                found[name].require_like(model.ensemble)
            except GBTError as error:
                raise InputError(f"{name}: {error}") from None
        return found

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Torch's hook: the trees' arrays beside the parameters."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, model in self.models.items():
            for array, values in model.ensemble.arrays().items():
                destination[f"{prefix}{name}.{array}"] = torch.from_numpy(values)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Torch's hook: what :meth:`_save_to_state_dict` wrote."""
        state = {name.removeprefix(prefix): tensor for name, tensor in state_dict.items() if name.startswith(prefix)}
        for name, ensemble in self._ensembles(state).items():
            self.models[name].ensemble = ensemble
        for name in state.keys() - self._plain().keys():
            del state_dict[prefix + name]
        super()._load_from_state_dict(state_dict, prefix, *others)


@contextmanager
def one_line() -> Iterator[None]:
    """What the engine refuses, as the error that scripts print as one line."""
    try:
        yield
    except GBTError as error:
        raise InputError(f"trees: {error}") from None
