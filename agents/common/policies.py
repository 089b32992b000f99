"""What a configuration's ``policy`` means."""

from __future__ import annotations

from importlib import import_module

from torch import nn

from optgap.co.core import InputError


def load_policy(name: str) -> type[nn.Module]:
    """The torch module class that the import string ``name`` (``"package.module:Class"``) means."""
    module, _, attribute = name.partition(":")
    try:
        policy = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"policy {name!r} cannot be imported ({error}); expected package.module:Class") from error
    if not (isinstance(policy, type) and issubclass(policy, nn.Module)):
        raise InputError(f"policy {name!r} is not a torch.nn.Module class")
    return policy
